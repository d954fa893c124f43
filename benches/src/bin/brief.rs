//! A short life: `brief TAG MICROS CODE [FILE]` opens the file, sleeps, and exits with the code. The tag is there to be found
//! in the arguments. It does as little else as a process can, so that it lives hardly longer than it sleeps.

use std::{env, fs::File, process::exit, time::Duration};

fn main() {
    let mut arguments = env::args().skip(2);
    let mut number = || arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let (micros, code) = (number(), number());
    let _file = env::args().nth(4).and_then(|path| File::create(path).ok());
    if micros > 0 {
        std::thread::sleep(Duration::from_micros(micros));
    }
    exit(i32::try_from(code).unwrap_or(255));
}
