//! Pages of lists.

use std::str::FromStr;

use crate::error::{Error, Result};

/// A request for a page: a cursor and a limit.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// The `next` of the page before; `None` for the first page.
    pub cursor: Option<String>,
    /// Items at most, 1 to 100.
    pub limit: u32,
}

impl PageRequest {
    /// Most items of a page. Limits the rows of one read and the bytes of one response.
    pub const LIMIT_MAX: u32 = 100;

    /// Checks a client's values. The default limit is 20.
    ///
    /// # Errors
    /// `field-invalid` for a limit outside 1 to 100.
    pub fn parse(cursor: Option<String>, limit: Option<i64>) -> Result<Self> {
        match limit.unwrap_or(20) {
            limit @ 1..=100 => Ok(Self {
                cursor,
                limit: limit as u32,
            }),
            _ => Err(Error::field("limit", "A page holds 1 to 100 items.")),
        }
    }
}

impl PageRequest {
    /// The position in the cursor; `None` for the first page.
    ///
    /// # Errors
    /// `field-invalid` for a text that is not a cursor.
    pub(crate) fn position<T: FromStr>(&self) -> Result<Option<T>> {
        let read = |cursor: &str| cursor.parse().map_err(|_| Self::not_a_cursor());
        self.cursor.as_deref().map(read).transpose()
    }

    /// The error for a text that is not a cursor.
    pub(crate) fn not_a_cursor() -> Error {
        Error::field("cursor", "Send back what the last page gave as nextCursor.")
    }

    /// Makes a page of rows that were read with a limit one higher than the page's. The extra row shows that there is a next page.
    pub(crate) fn cut<T>(&self, mut items: Vec<T>, cursor: impl Fn(&T) -> String) -> Page<T> {
        let limit = self.limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(cursor) } else { None };
        Page { items, next }
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self {
            cursor: None,
            limit: 20,
        }
    }
}

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The cursor of the next page; `None` on the last page.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Maps every item.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(change).collect(),
            next: self.next,
        }
    }
}
