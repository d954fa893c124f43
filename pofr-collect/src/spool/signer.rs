//! Who signs bundles: the manifest, in which the digest of the records and of the bundle before stands.

use std::error::Error;

/// Signs manifests with the client's key.
pub trait Signer: std::fmt::Debug + Send + Sync {
    /// Returns the SSHSIG, armored, of a manifest's bytes, in the namespace `pofr-bundle`
    /// ([`BUNDLE_NAMESPACE`](pofr_core::wire::link::BUNDLE_NAMESPACE)).
    ///
    /// # Errors
    /// Where the key cannot sign. The bundle is sealed without a signature then: a record that nobody signed is better than none.
    fn sign(&self, manifest: &[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>>;
}
