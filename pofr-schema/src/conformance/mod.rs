//! The conformance suite: what every store must do, run on SQLite and on a private MariaDB.
//!
//! It lives in the crate since it cuts the power between any two statements, which takes a look inside.

mod at;
mod clients;
mod facts;
mod first_pofr;
mod indexes;
mod place;
mod questions;
mod reading;
mod recovery;
mod round_trip;
mod samples;
mod schema;
mod slices;
mod times;
mod upgrade;
mod views;

/// Makes each function a test on SQLite and, with the feature, on MariaDB.
macro_rules! on_every_store {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { super::$name(&crate::conformance::place::Place::sqlite()); })+
        }
        #[cfg(feature = "mariadb")]
        mod mariadb {
            $(#[test] fn $name() { super::$name(&crate::conformance::place::Place::mariadb()); })+
        }
    };
}
use on_every_store;
