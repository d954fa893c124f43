//! What POFR's tests share: real servers that they start for themselves.

pub mod mariadb;
