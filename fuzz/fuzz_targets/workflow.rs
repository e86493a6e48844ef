#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (signalbox_fuzz::named("workflow").expect("a target").run)(data));
