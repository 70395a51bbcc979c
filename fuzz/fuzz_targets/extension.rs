//! See `crc_tests::fuzz::extension_codec`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| crc_tests::fuzz::extension_codec(bytes));
