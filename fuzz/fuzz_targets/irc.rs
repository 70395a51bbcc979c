//! See `crc_tests::fuzz::irc`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| crc_tests::fuzz::irc(bytes));
