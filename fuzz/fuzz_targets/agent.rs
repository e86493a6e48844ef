#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (signalbox_fuzz::named("agent").expect("a target").run)(data));
