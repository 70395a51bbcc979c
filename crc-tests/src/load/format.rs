//! Numbers in reports and progress lines.

/// Renders a number with thousands separators.
pub(super) fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Renders a number of bytes in a suitable unit.
pub(super) fn bytes_text(bytes: f64) -> String {
    match bytes.abs() {
        size if size >= 10e6 => format!("{:.0} MB", bytes / 1e6),
        size if size >= 1e6 => format!("{:.1} MB", bytes / 1e6),
        size if size >= 10e3 => format!("{:.0} kB", bytes / 1e3),
        _ => format!("{bytes:.0} bytes"),
    }
}

/// Renders a fraction of a core in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

pub(super) fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// Returns the median of values, the upper one of two; 0 if there are none.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
