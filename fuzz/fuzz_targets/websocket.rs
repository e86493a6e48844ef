#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (signalbox_fuzz::named("websocket").expect("a target").run)(data));
