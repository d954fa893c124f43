//! What must hold of the link whatever the bytes: the body of the fuzz target, and run by pofr-core's own tests.

use pofr_core::wire::link::{Down, LinkMessage, Reader, Up, Writer};

/// Reads `data` as a stream of frames from either end.
pub(crate) fn frames(data: &[u8]) {
    one_end::<Up>(data);
    one_end::<Down>(data);
}

fn one_end<M: LinkMessage + PartialEq + std::fmt::Debug>(data: &[u8]) {
    let mut reader = Reader::new(data);
    while let Ok(Some(message)) = reader.read::<M>() {
        again(&message);
    }
}

/// What was read can be written, and reads the same.
fn again<M: LinkMessage + PartialEq + std::fmt::Debug>(message: &M) {
    let mut bytes = Vec::new();
    Writer::new(&mut bytes).write(message).expect("what came in a frame fits one");
    let mut reader = Reader::new(&*bytes);
    assert_eq!(reader.read::<M>().expect("what was written can be read").as_ref(), Some(message));
    assert!(reader.read::<M>().expect("nothing follows").is_none());
}
