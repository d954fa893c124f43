//! POFR.
