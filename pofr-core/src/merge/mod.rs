//! Merge: one set of rows out of many, as if everything had been recorded in one pass.
//!
//! Every bundle lives in exactly one triad, so nothing is there twice; all that merging does is to *stitch*
//! what slicing has cut, and to fill in at each edge what the neighbour's first or last sample tells.
//!
//! # The laws
//!
//! - However bundles are cut into slices, and in whatever order they arrive, the result of merging
//!   everything equals one pass over what there is.
//! - Merging twice changes nothing.
//! - At each stamp, the rows with first_seen ≤ stamp ≤ last_seen are that snapshot.
//!
//! # One border
//!
//! ```text
//!              bundle 6        |        bundle 7
//! samples   … s1      s2       |      s3      s4 …
//! sh          x       x  cut  ===  cut x       x      one row: equal keys, joined border
//! ls          x       x  cut   |       -       -      gone_by = s3
//! vi          -       -        |  cut  x       x      appeared_after = s2
//! ```
//!
//! Where bundle 7 is not the next one (6 and 8, with 7 lost), `sh` stays two rows, both cut: a stored row never spans a blind
//! gap. `ls` gets its bound as well, but stays cut, since 7 may yet arrive.
//!
//! [`settle`] does this for one border in place; [`Stitcher`] does it for all borders of sorted rows.

mod border;
mod order;
mod stitch;

pub use border::{Settled, settle};
pub use order::{Merge, Order, order};
pub use stitch::{Stitcher, stitch};
