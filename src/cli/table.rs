//! Text in columns.

/// Where a column's text stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Align {
    Left,
    Right,
}

/// Lays rows out in columns, two blanks apart; the first row is the head. No line ends in blanks.
pub(super) fn table<const N: usize>(columns: [Align; N], rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        for ((cell, &width), align) in row.iter().zip(&widths).zip(columns) {
            let blanks = std::iter::repeat_n(' ', width - cell.chars().count());
            match align {
                Align::Left => {
                    text.push_str(cell);
                    text.extend(blanks);
                }
                Align::Right => {
                    text.extend(blanks);
                    text.push_str(cell);
                }
            }
            text.push_str("  ");
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

/// A whole number with its thousands apart: `61,706`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Sizes as nets write them: `[6, 14, 14]`.
pub(super) fn shape(dims: &[usize]) -> String {
    let mut text = "[".to_owned();
    for (axis, size) in dims.iter().enumerate() {
        text.push_str(if axis > 0 { ", " } else { "" });
        text.push_str(&size.to_string());
    }
    text.push(']');
    text
}

/// Bytes in a unit that suits them.
pub(super) fn bytes(count: usize) -> String {
    match count {
        0..10_240 => format!("{count} B"),
        10_240..10_485_760 => format!("{:.1} KiB", count as f64 / 1024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        let text = table(
            [Align::Left, Align::Right],
            &[row("layer", "n"), row("é", "1,000")],
        );
        assert_eq!(text, "layer      n\né      1,000\n");
    }

    #[test]
    fn numbers_for_people() {
        let found: Vec<String> = [0, 999, 1000, 61_706, 1_234_567].map(grouped).to_vec();
        assert_eq!(found, ["0", "999", "1,000", "61,706", "1,234,567"]);
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1 << 20), "1024.0 KiB");
        assert_eq!(shape(&[6, 14, 14]), "[6, 14, 14]");
    }
}
