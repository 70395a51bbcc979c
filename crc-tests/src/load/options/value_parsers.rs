//! Value parsers of the command line.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use crc::wires::{WIRES, Wire};

/// Maximum duration of a run.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Maximum of every count.
const COUNT_MAX: usize = 10_000_000;

/// Maximum rate, in messages per second, far above what a server handles.
const RATE_MAX: f64 = 100_000_000.0;

/// Returns the parser of `--wire`, whose help lists the table of wires.
pub(super) fn wire_parser() -> impl TypedValueParser<Value = Wire> {
    PossibleValuesParser::new(WIRES.map(Wire::name))
        .map(|name| Wire::by_name(&name).expect("a wire of the table"))
}

pub(super) fn parse_count(text: &str) -> Result<usize, String> {
    match parse_count_or_zero(text)? {
        0 => Err("expected 1 or more".to_owned()),
        count => Ok(count),
    }
}

pub(super) fn parse_count_or_zero(text: &str) -> Result<usize, String> {
    let count = text.replace('_', "").parse().ok().filter(|&count| count <= COUNT_MAX);
    count.ok_or_else(|| format!("expected a number up to {COUNT_MAX}"))
}

pub(super) fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.replace('_', "").parse().ok();
    let rate = rate.filter(|&rate: &f64| rate > 0.001 && rate <= RATE_MAX);
    rate.ok_or_else(|| format!("expected messages a second, up to {RATE_MAX}"))
}

/// Parses a duration: `10s`, `500ms`, `2m`, or seconds without a unit.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("", 1.0)];
    let found = units.into_iter().find_map(|(unit, seconds)| {
        let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Duration::try_from_secs_f64(number * seconds).ok()
    });
    let found = found.filter(|span| *span <= DURATION_MAX);
    found.ok_or_else(|| "expected a time such as 10s, 500ms or 2m, up to a day".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_accept_units() {
        for (text, millis) in [("10s", 10_000), ("500ms", 500), ("2m", 120_000), ("1.5", 1_500)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "3h", "1e9s", "NaNs", "infs"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_and_rates_are_bounded() {
        assert_eq!(parse_count("1_000_000"), Ok(1_000_000));
        assert_eq!(parse_count_or_zero("0"), Ok(0));
        for text in ["0", "", "x", "-1", "10000001"] {
            assert!(parse_count(text).is_err(), "{text}");
        }
        assert_eq!(parse_rate("20000"), Ok(20_000.0));
        for text in ["0", "-5", "NaN", "inf", "x"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
