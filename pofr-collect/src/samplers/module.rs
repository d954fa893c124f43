//! The module sampler: the loaded kernel modules.

use super::{Context, WARM_MICROS, optional};
use crate::{HostView, sys};
use pofr_core::{
    Collector, Source,
    collector::{CollectError, Observation},
    fact::{Fact, Module},
};

/// Samples kernel modules.
#[derive(Debug)]
pub struct ModuleSampler {
    view: HostView,
}

/// Makes the sampler for the registry.
pub(super) fn make(context: &Context) -> Box<dyn Collector> {
    Box::new(ModuleSampler::new(context))
}

impl ModuleSampler {
    /// Makes a sampler.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        Self { view: context.view.clone() }
    }
}

impl Collector for ModuleSampler {
    fn source(&self) -> Source {
        Source::Module
    }

    fn every_micros(&self) -> u64 {
        WARM_MICROS
    }

    fn sample(&mut self, out: &mut Observation) -> Result<(), CollectError> {
        // A kernel that can load no modules has no such file: then there are none.
        let text = optional(&self.view.proc_root.join("modules"))?.unwrap_or_default();
        for line in text.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            out.show(Fact::Module(module(line).ok_or_else(|| CollectError::Malformed {
                what: "/proc/modules".to_owned(),
                detail: format!("no module: {:?}", pofr_core::raw::RawText::from(line)),
            })?));
        }
        Ok(())
    }
}

/// Reads `nvidia 62918656 4 nvidia_modeset, Live 0x0000000000000000 (POE)`: name, bytes, references, by whom, state, address,
/// taint (proc_modules(5)). The procfs crate reads these lines as well, but leaves the taint away, which tells of modules out
/// of the tree.
fn module(line: &[u8]) -> Option<Module> {
    let fields: Vec<&[u8]> = line.split(|b| *b == b' ').collect();
    let [name, size, _, _, _, _, ref rest @ ..] = fields[..] else { return None };
    let taint = rest.first().and_then(|field| field.strip_prefix(b"(")?.strip_suffix(b")"));
    Some(Module { name: name.into(), size: sys::parse(size)?, taint: taint.unwrap_or_default().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_modules() {
        for (line, name, size, taint) in [
            (
                "nf_tables 372736 2 nft_chain_nat,nft_compat, Live 0x0000000000000000",
                "nf_tables",
                372_736,
                "",
            ),
            ("nvidia 62918656 4 nvidia_modeset, Live 0xffffffffc0000000 (POE)", "nvidia", 62_918_656, "POE"),
            ("x 5000000000 0 - Unloading 0x0000000000000000", "x", 5_000_000_000, ""),
        ] {
            let expected = Module { name: name.into(), size, taint: taint.into() };
            assert_eq!(module(line.as_bytes()), Some(expected), "{line}");
        }
        for bad in ["nf_tables", "nf_tables -1 2 - Live 0x0"] {
            assert_eq!(module(bad.as_bytes()), None, "{bad}");
        }
    }
}
