//! One page of a list and how to ask for the next.

use std::str::FromStr;

use crate::error::{Error, Result};

/// Which page: where the last one ended, and how many items at most.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// What the last page gave as `next`; none for the first page.
    pub cursor: Option<String>,
    /// Items at most, 1 to 100.
    pub limit: u32,
}

impl PageRequest {
    /// Most items of a page; bounds the rows of one read and the bytes of one answer.
    pub const LIMIT_MAX: u32 = 100;

    /// Checks what a client sent; no limit means 20.
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
    /// What the cursor says; none for the first page.
    ///
    /// # Errors
    /// `field-invalid` for a text that no page gave.
    pub(crate) fn position<T: FromStr>(&self) -> Result<Option<T>> {
        let read = |cursor: &str| cursor.parse().map_err(|_| Self::not_a_cursor());
        self.cursor.as_deref().map(read).transpose()
    }

    /// Refuses a cursor that no page gave.
    pub(crate) fn not_a_cursor() -> Error {
        Error::field("cursor", "Send back what the last page gave as nextCursor.")
    }

    /// Makes the page of items that were read with one more than it holds, which tells whether there is another.
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

/// Some items of a list, in its order.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The cursor of the next page; none when this is the last one.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The same page with every item changed.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(change).collect(),
            next: self.next,
        }
    }
}
