//! See `crc_tests::fuzz::classic`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| crc_tests::fuzz::classic(bytes));
