//! Lines of CSV (RFC 4180) that spreadsheets read as text.
//!
//! Called by controllers that export lists.

use axum::{
    body::Body,
    http::{
        HeaderValue,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
};
use boxoffice_engine::{Caller, Engine, Error, Page, Result};
use futures::stream;

use crate::auth::not_authenticated;

/// Who asks for a file, and where.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) engine: Engine,
    pub(super) caller: Caller,
}

impl Reader {
    /// The answer with a file. The first page is read before the response begins, so that a refusal has its own status. Slow clients
    /// are waited for: at most two pages are in memory. The file breaks off if the caller's session or key ends meanwhile.
    ///
    /// # Errors
    /// Those of the first page.
    pub(super) async fn file<T, Reading>(
        self,
        name: &'static str,
        head: String,
        read: impl Fn(Self, Option<String>) -> Reading + Send + 'static,
        lines: fn(T) -> String,
    ) -> Result<Response>
    where
        T: Send + 'static,
        Reading: Future<Output = Result<Page<T>>> + Send,
    {
        let first = read(self.clone(), None).await?;
        let pages = stream::try_unfold((Some((head, first)), read), move |(state, read)| {
            let reader = self.clone();
            async move {
                let Some((mut text, page)) = state else {
                    return Ok::<_, Error>(None);
                };
                let following = match page.next {
                    Some(cursor) => {
                        reader.require_signed_in().await?;
                        Some((String::new(), read(reader, Some(cursor)).await?))
                    }
                    None => None,
                };
                text.extend(page.items.into_iter().map(lines));
                Ok(Some((text, (following, read))))
            }
        });
        Ok(answer(name, Body::from_stream(pages)))
    }

    async fn require_signed_in(&self) -> Result<()> {
        match self.engine.sessions().stands(&self.caller).await? {
            true => Ok(()),
            false => Err(not_authenticated("This session has ended; sign in again.")),
        }
    }
}

fn answer(name: &'static str, body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    let media_type = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
    headers.insert(CONTENT_TYPE, media_type);
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static(name));
    response
}

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
