//! The format of a backup: lines of JSON. The first is the header, the last has the number of rows and the SHA-256 of all
//! before it. Between them each table's name is followed by its rows.
//!
//! Called by the backups module.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use crate::{
    error::{Error, ErrorCode, Result},
    types::BackupFacts,
};

/// The only version of the format so far.
const FORMAT: u32 = 1;
/// Longest line that is read: a piece of a component takes 700 KB, a set of 64 plugins with their configurations 5 MB.
const LINE_BYTES_MAX: u64 = 32 * 1024 * 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum WrittenLine {
    #[serde(rename_all = "camelCase")]
    Boxoffice {
        format: u32,
        schema: i64,
        taken_at: Timestamp,
    },
    Table(String),
    Row(Json),
    End {
        rows: u64,
        sha256: String,
    },
}

/// Writes the lines of a backup.
pub(super) struct Writer {
    digest: Sha256,
    rows: u64,
}

impl Writer {
    pub(super) fn begin(schema: i64, taken_at: Timestamp) -> Result<(Self, Vec<u8>)> {
        let mut writer = Self {
            digest: Sha256::new(),
            rows: 0,
        };
        let head = writer.lines([WrittenLine::Boxoffice {
            format: FORMAT,
            schema,
            taken_at,
        }])?;
        Ok((writer, head))
    }

    pub(super) fn table(&mut self, name: &str) -> Result<Vec<u8>> {
        self.lines([WrittenLine::Table(name.to_owned())])
    }

    pub(super) fn rows(&mut self, rows: Vec<Json>) -> Result<Vec<u8>> {
        self.rows += rows.len() as u64;
        self.lines(rows.into_iter().map(WrittenLine::Row))
    }

    /// The last line, with the number of rows.
    pub(super) fn end(mut self) -> Result<(Vec<u8>, u64)> {
        let sha256 = hex(&self.digest.clone().finalize());
        let rows = self.rows;
        Ok((self.lines([WrittenLine::End { rows, sha256 }])?, rows))
    }

    fn lines(&mut self, lines: impl IntoIterator<Item = WrittenLine>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut bytes, &line).map_err(Error::internal)?;
            bytes.push(b'\n');
        }
        self.digest.update(&bytes);
        Ok(bytes)
    }
}

/// Reads and checks the lines of a backup.
pub(crate) struct Lines<R> {
    input: R,
    digest: Sha256,
    facts: BackupFacts,
    table: Option<String>,
    tables: BTreeSet<String>,
    rows: u64,
    buffer: Vec<u8>,
}

/// A row, its table, and its length in bytes.
pub(crate) struct ReadRow {
    pub(crate) table: String,
    pub(crate) row: Json,
    pub(crate) bytes: usize,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// `backup-invalid`; `store-too-new` if it was taken of a store that this program does not know.
    pub(crate) async fn open(input: R, newest_schema: i64) -> Result<Self> {
        let mut lines = Self {
            input,
            digest: Sha256::new(),
            facts: BackupFacts {
                taken_at: Timestamp::UNIX_EPOCH,
                schema: 0,
                rows: 0,
            },
            table: None,
            tables: BTreeSet::new(),
            rows: 0,
            buffer: Vec::new(),
        };
        let Some(WrittenLine::Boxoffice {
            format,
            schema,
            taken_at,
        }) = lines.line().await?
        else {
            return Err(invalid("It is not a Boxoffice backup."));
        };
        if format != FORMAT || schema > newest_schema {
            return Err(Error::new(
                ErrorCode::StoreTooNew,
                format!(
                    "The backup has format {format} and schema {schema}; this program reads format {FORMAT} and knows \
                     schema {newest_schema}."
                ),
            ));
        }
        lines.facts.schema = schema;
        lines.facts.taken_at = taken_at;
        Ok(lines)
    }

    /// The backup's header; the number of rows is known at its end.
    pub(crate) fn facts(&self) -> BackupFacts {
        self.facts.clone()
    }

    /// The next row; `None` at the end, after the checksum was verified.
    ///
    /// # Errors
    /// `backup-invalid`.
    pub(crate) async fn next(&mut self) -> Result<Option<ReadRow>> {
        loop {
            let before = self.digest.clone();
            match self.line().await? {
                Some(WrittenLine::Row(row)) => {
                    let table = self.table.clone();
                    let table = table.ok_or_else(|| invalid("A row comes before any table."))?;
                    self.rows += 1;
                    return Ok(Some(ReadRow {
                        table,
                        row,
                        bytes: self.buffer.len(),
                    }));
                }
                Some(WrittenLine::Table(name)) => {
                    if !self.tables.insert(name.clone()) {
                        return Err(invalid("A table is repeated."));
                    }
                    self.table = Some(name);
                }
                Some(WrittenLine::End { rows, sha256 }) => {
                    if rows != self.rows || sha256 != hex(&before.finalize()) {
                        return Err(invalid("It was changed: its checksum does not match."));
                    }
                    if self.line().await?.is_some() {
                        return Err(invalid("There is data after its end."));
                    }
                    self.facts.rows = rows;
                    return Ok(None);
                }
                Some(WrittenLine::Boxoffice { .. }) => {
                    return Err(invalid("Another backup begins in it."));
                }
                None => return Err(invalid("It was cut off: its last line is missing.")),
            }
        }
    }

    /// The next line; `None` at the end of the input.
    async fn line(&mut self) -> Result<Option<WrittenLine>> {
        self.buffer.clear();
        let mut bounded = (&mut self.input).take(LINE_BYTES_MAX);
        let read = bounded.read_until(b'\n', &mut self.buffer).await;
        read.map_err(|error| {
            Error::new(ErrorCode::Unavailable, "The backup could not be read.").caused_by(error)
        })?;
        if self.buffer.is_empty() {
            return Ok(None);
        }
        if self.buffer.last() != Some(&b'\n') {
            return Err(invalid("It was cut off in the middle of a line."));
        }
        self.digest.update(&self.buffer);
        serde_json::from_slice(&self.buffer)
            .map(Some)
            .map_err(|error| invalid("A line cannot be parsed.").caused_by(error))
    }
}

fn invalid(detail: &'static str) -> Error {
    Error::new(ErrorCode::BackupInvalid, detail)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written() -> String {
        let (mut writer, mut bytes) = Writer::begin(6, Timestamp::UNIX_EPOCH).unwrap();
        bytes.extend(writer.table("tenant").unwrap());
        bytes.extend(
            writer
                .rows(vec![json!({"a": 1}), json!({"b": null})])
                .unwrap(),
        );
        bytes.extend(writer.table("user").unwrap());
        bytes.extend(writer.end().unwrap().0);
        String::from_utf8(bytes).unwrap()
    }

    async fn read(text: &str) -> Result<Vec<(String, Json)>> {
        let mut lines = Lines::open(text.as_bytes(), 6).await?;
        let mut rows = Vec::new();
        while let Some(row) = lines.next().await? {
            rows.push((row.table, row.row));
        }
        assert_eq!(lines.facts().rows, rows.len() as u64);
        Ok(rows)
    }

    #[tokio::test]
    async fn what_was_written_is_read_and_nothing_else() {
        let whole = written();
        let rows = read(&whole).await.unwrap();
        assert_eq!(rows[1], ("tenant".to_owned(), json!({"b": null})));
        // It is refused wherever it is cut off.
        for end in 0..whole.len() {
            let error = read(&whole[..end]).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::BackupInvalid, "{end}");
        }
        let changed = whole.replace("\"a\":1", "\"a\":2");
        let doubled = format!("{whole}{whole}");
        let fewer = whole.replace("{\"row\":{\"b\":null}}\n", "");
        for bad in [&changed, &doubled, &fewer, "{}\n", "hello\n"] {
            let error = read(bad).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::BackupInvalid, "{bad}");
        }
        let newer = whole.replace("\"schema\":6", "\"schema\":7");
        let error = read(&newer).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::StoreTooNew);
    }
}
