//! Lists as files: CSV (RFC 4180) that spreadsheets read as text, and a JSON object on each line (NDJSON).
//!
//! Called by controllers that export lists.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{
        HeaderValue,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
};
use boxoffice_engine::{Caller, Engine, Error, Page, PageRequest, Result};
use futures::stream;
use serde::Serialize;

use crate::{auth::not_authenticated, routes::extract::ExportFormat};

/// Items of one read: some 500 KB. At most two reads are in memory.
const ITEMS_READ_MAX: u32 = 500;

/// A line of a file.
pub(super) trait ExportRow: Serialize {
    /// The names of the columns.
    const COLUMNS: &'static [&'static str];

    /// The cells of a line of CSV, as many as there are columns.
    fn cells(&self) -> Vec<String>;
}

/// Who asks for a file, and where.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) engine: Engine,
    pub(super) caller: Caller,
}

impl Reader {
    /// The answer with a file of this name, without its ending.
    ///
    /// # Errors
    /// Those of the first page.
    pub(super) async fn file<T, R, Reading>(
        self,
        name: &str,
        format: ExportFormat,
        read: impl Fn(Self, PageRequest) -> Reading + Send + 'static,
        rows: impl Fn(T) -> Vec<R> + Send + Sync + 'static,
    ) -> Result<Response>
    where
        T: Send + 'static,
        R: ExportRow,
        Reading: Future<Output = Result<Page<T>>> + Send,
    {
        let head = match format {
            ExportFormat::Csv => head(R::COLUMNS),
            ExportFormat::Ndjson => String::new(),
        };
        let lines = move |item| {
            let rows = rows(item).into_iter();
            rows.map(|row| match format {
                ExportFormat::Csv => Ok(line(row.cells().iter().map(String::as_str))),
                ExportFormat::Ndjson => object_line(&row),
            })
            .collect()
        };
        answer(name, format, self.text(head, read, lines).await?)
    }

    /// The answer with a file of this name, without its ending: an object of each item on a line.
    ///
    /// # Errors
    /// Those of the first page.
    pub(super) async fn objects<T, R, Reading>(
        self,
        name: &str,
        read: impl Fn(Self, PageRequest) -> Reading + Send + 'static,
        object: impl Fn(T) -> R + Send + Sync + 'static,
    ) -> Result<Response>
    where
        T: Send + 'static,
        R: Serialize,
        Reading: Future<Output = Result<Page<T>>> + Send,
    {
        let lines = move |item| object_line(&object(item));
        let body = self.text(String::new(), read, lines).await?;
        answer(name, ExportFormat::Ndjson, body)
    }

    /// A body of lines. The first page is read before the response begins, so that a refusal has its own status. Slow clients are
    /// waited for: at most two pages are in memory. The file breaks off if the caller's session or key ends meanwhile.
    async fn text<T, Reading>(
        self,
        head: String,
        read: impl Fn(Self, PageRequest) -> Reading + Send + 'static,
        lines: impl Fn(T) -> Result<String> + Send + Sync + 'static,
    ) -> Result<Body>
    where
        T: Send + 'static,
        Reading: Future<Output = Result<Page<T>>> + Send,
    {
        let page_at = |cursor| PageRequest {
            cursor,
            limit: ITEMS_READ_MAX,
        };
        let first = read(self.clone(), page_at(None)).await?;
        let lines = Arc::new(lines);
        let pages = stream::try_unfold((Some((head, first)), read), move |(state, read)| {
            let (reader, lines) = (self.clone(), lines.clone());
            async move {
                let Some((mut text, page)) = state else {
                    return Ok::<_, Error>(None);
                };
                let following = match page.next {
                    Some(cursor) => {
                        reader.require_signed_in().await?;
                        let page = read(reader, page_at(Some(cursor))).await?;
                        Some((String::new(), page))
                    }
                    None => None,
                };
                for item in page.items {
                    text.push_str(&lines(item)?);
                }
                Ok(Some((text, (following, read))))
            }
        });
        Ok(Body::from_stream(pages))
    }

    async fn require_signed_in(&self) -> Result<()> {
        match self.engine.sessions().stands(&self.caller).await? {
            true => Ok(()),
            false => Err(not_authenticated("This session has ended; sign in again.")),
        }
    }
}

fn answer(name: &str, format: ExportFormat, body: Body) -> Result<Response> {
    let (ending, media_type) = match format {
        ExportFormat::Csv => ("csv", "text/csv; charset=utf-8; header=present"),
        ExportFormat::Ndjson => ("ndjson", "application/x-ndjson"),
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    let file = format!("attachment; filename=\"{name}.{ending}\"");
    let file = HeaderValue::try_from(file).map_err(Error::internal)?;
    headers.insert(CONTENT_DISPOSITION, file);
    Ok(response)
}

/// The first line, with the names of the columns.
///
/// It begins with the byte order mark of UTF-8: without it spreadsheets use their old code
/// page, and show é as two other letters.
fn head(names: &[&str]) -> String {
    format!("\u{feff}{}", line(names.iter().copied()))
}

fn object_line(row: &impl Serialize) -> Result<String> {
    let object = serde_json::to_string(row).map_err(Error::internal)?;
    Ok(format!("{object}\n"))
}

/// One line with its line end.
fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let cells: Vec<String> = cells.map(cell).collect();
    format!("{}\r\n", cells.join(","))
}

/// A time, or nothing.
pub(super) fn time(at: Option<jiff::Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
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
        assert_eq!(line(["a", "b"].into_iter()), "a,b\r\n");
        assert_eq!(head(&["a", "b"]).as_bytes(), b"\xef\xbb\xbfa,b\r\n");
    }
}
