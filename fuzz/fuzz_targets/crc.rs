//! See `crc_tests::fuzz::crc_codec`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| crc_tests::fuzz::crc_codec(bytes));
