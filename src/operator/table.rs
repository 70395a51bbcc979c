//! Aligned columns of text.

use unicode_width::UnicodeWidthStr;

/// Alignment of the cells of a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Renders rows under a line of titles. A column is as wide as its widest cell on a terminal.
pub(super) fn table(columns: &[(&str, Align)], rows: impl Iterator<Item = Vec<String>>) -> String {
    let titles = columns.iter().map(|&(title, _)| title.to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(titles).chain(rows).collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| rows.iter().map(|row| row[column].width()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for ((cell, &width), &(_, align)) in row.iter().zip(&widths).zip(columns) {
            let padding = " ".repeat(width - cell.width());
            let (before, after) = match align {
                Align::Left => ("", padding.as_str()),
                Align::Right => (padding.as_str(), ""),
            };
            line.extend([before, cell, after, "  "]);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_by_display_width() {
        let rows = [["7", "世界"], ["101", "sam"]].map(|row| row.map(str::to_owned).to_vec());
        let columns = [("id", Align::Right), ("name", Align::Left)];
        assert_eq!(table(&columns, rows.into_iter()), " id  name\n  7  世界\n101  sam\n");
    }
}
