//! Lines of CSV (RFC 4180) that spreadsheets read as text.
//!
//! Called by controllers that export lists.

/// The first line, with the names of the columns.
///
/// It begins with the byte order mark of UTF-8: without it spreadsheets use their old code
/// page, and show é as two other letters.
pub(super) fn head<const N: usize>(names: [&str; N]) -> String {
    format!("\u{feff}{}", line(names.map(str::to_owned)))
}

/// One line with its line end.
pub(super) fn line<const N: usize>(cells: [String; N]) -> String {
    let mut line = cells.map(|text| cell(&text)).join(",");
    line.push_str("\r\n");
    line
}

/// A cell: quoted if necessary, and never a formula.
///
/// Spreadsheets run a cell that begins with one of these as a formula, quoted or not. An apostrophe makes it text.
/// <https://owasp.org/www-community/attacks/CSV_Injection>
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']);
    let must_be_quoted = is_formula || text.contains(['"', ',', '\r', '\n']);
    match (is_formula, must_be_quoted) {
        (_, false) => text.to_owned(),
        (false, true) => format!("\"{}\"", text.replace('"', "\"\"")),
        (true, true) => format!("\"'{}\"", text.replace('"', "\"\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_text_whatever_they_hold() {
        for (text, cell) in [
            ("", ""),
            ("Ann", "Ann"),
            ("Ann, Ben", "\"Ann, Ben\""),
            ("\"Ann\"", "\"\"\"Ann\"\"\""),
            ("a\r\nb", "\"a\r\nb\""),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("=\"x\"", "\"'=\"\"x\"\"\""),
            ("a=1", "a=1"),
        ] {
            assert_eq!(super::cell(text), cell, "{text:?}");
        }
        assert_eq!(line(["a".to_owned(), "b".to_owned()]), "a,b\r\n");
        assert_eq!(head(["a", "b"]).as_bytes(), b"\xef\xbb\xbfa,b\r\n");
    }
}
