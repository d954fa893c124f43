//! The same targets led by coverage: libFuzzer, with `POFR_TARGET` for the target's name. With `POFR_SEEDS` it writes the good
//! bytes of that target into a directory, to begin a corpus with, and ends.
#![no_main]

use std::sync::LazyLock;

static CHECK: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("POFR_TARGET").unwrap_or_default();
    let Some((_, check, seeds)) = pofr_fuzz::target(&name) else {
        eprintln!("POFR_TARGET={name} is none of the targets");
        std::process::exit(2);
    };
    if let Ok(dir) = std::env::var("POFR_SEEDS") {
        for (number, bytes) in seeds().into_iter().enumerate() {
            let path = format!("{dir}/{name}-{number}");
            if let Err(error) = std::fs::write(&path, bytes) {
                eprintln!("{path}: {error}");
            }
        }
        std::process::exit(0);
    }
    check
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| CHECK(data));
