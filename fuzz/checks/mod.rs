//! What must hold whatever the bytes; each file is included by the tests of the crate that it is about, too.

pub(crate) mod keeper;
pub(crate) mod link;
pub(crate) mod moment;
pub(crate) mod server;
pub(crate) mod v1;
pub(crate) mod v2;
