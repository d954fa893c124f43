//! What the module of times needs of pofrs's output.

#[path = "../../bins/pofrs/src/output/when.rs"]
pub(crate) mod when;
