//! Lists of a tenant's events: as they were made, or as they begin.
//!
//! Called by app_modules. Calls the events repository.

use std::{fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp};

use super::{EventsModule, to_millisecond};
use crate::{
    error::{Error, Result},
    types::{
        Event, EventFilter, EventId, EventSort, EventStatus, Inventory, Page, PageRequest,
        StoredEvent, TenantId, UserId,
    },
};

/// Reads of one page at most: who sees few of many events gets a short page rather than a long wait.
const READS_MAX: usize = 10;

/// Where a list goes on.
enum Place {
    /// Behind an event in the order they were made.
    Made(Option<EventId>),
    /// Behind an event in the order they begin, or from a moment on.
    Start(Timestamp, Option<EventId>),
}

/// The last event of a page of those that begin, as its cursor says.
struct StartCursor(Timestamp, EventId);

impl EventsModule {
    /// A page of the events that a filter and `sees` let through. Looks at 1,000 events at most; a page may then be short.
    pub(crate) async fn list(
        &self,
        tenant: &TenantId,
        filter: &EventFilter,
        page: &PageRequest,
        sees: impl Fn(EventStatus, Option<UserId>) -> bool,
    ) -> Result<Page<Event>> {
        let limit = page.limit as usize;
        let mut place = Place::of(filter, page)?;
        let mut items: Vec<Event> = Vec::new();
        for _ in 0..READS_MAX {
            let (rows, behind) = self.rows_at(tenant, filter, &place).await?;
            for (event, inventory) in rows {
                if items.len() == limit {
                    let next = place.cursor();
                    return Ok(Page { items, next });
                }
                place.pass(&event);
                let wanted = filter
                    .status
                    .is_none_or(|status| status == inventory.status);
                if wanted && sees(inventory.status, event.organizer) {
                    items.push(event.with(inventory));
                }
            }
            match behind {
                Some(behind) => place = behind,
                None => return Ok(Page { items, next: None }),
            }
        }
        let next = place.cursor();
        Ok(Page { items, next })
    }

    /// Events from a place on, and where they end, if there may be more.
    async fn rows_at(
        &self,
        tenant: &TenantId,
        filter: &EventFilter,
        place: &Place,
    ) -> Result<(Vec<(StoredEvent, Inventory)>, Option<Place>)> {
        let limit = PageRequest::LIMIT_MAX;
        match *place {
            Place::Made(after) => {
                let rows = self.repository.page(tenant, after, limit).await?;
                let last = rows.last().filter(|_| rows.len() == limit as usize);
                let behind = last.map(|(event, _)| Place::Made(Some(event.id)));
                Ok((rows, behind))
            }
            Place::Start(from, after) => {
                let until = filter.starts_before.map(up_to_millisecond);
                let page = self
                    .repository
                    .page_by_start(tenant, (from, after), until, limit);
                let (rows, last) = page.await?;
                Ok((rows, last.map(|(at, event)| Place::Start(at, Some(event)))))
            }
        }
    }
}

impl Place {
    fn of(filter: &EventFilter, page: &PageRequest) -> Result<Self> {
        if filter.order()? == EventSort::CreatedAt {
            return Ok(Self::Made(page.position()?));
        }
        let from = filter.starts_from.map_or(Timestamp::MIN, up_to_millisecond);
        Ok(match page.position()? {
            // A cursor leads on within what is asked for, whatever it says.
            Some(StartCursor(at, event)) if at >= from => Self::Start(at, Some(event)),
            Some(_) => return Err(PageRequest::not_a_cursor()),
            None => Self::Start(from, None),
        })
    }

    fn pass(&mut self, event: &StoredEvent) {
        *self = match self {
            Self::Made(_) => Self::Made(Some(event.id)),
            Self::Start(..) => Self::Start(event.details.starts_at, Some(event.id)),
        };
    }

    fn cursor(&self) -> Option<String> {
        match *self {
            Self::Made(after) => after.map(|event| event.to_string()),
            Self::Start(at, after) => after.map(|event| StartCursor(at, event).to_string()),
        }
    }
}

/// The first whole millisecond from a moment on: events begin at whole ones.
fn up_to_millisecond(moment: Timestamp) -> Timestamp {
    let whole = to_millisecond(moment);
    match whole < moment {
        true => whole
            .saturating_add(SignedDuration::from_millis(1))
            .unwrap_or(whole),
        false => whole,
    }
}

impl fmt::Display for StartCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.0.as_millisecond(), self.1)
    }
}

impl FromStr for StartCursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('.');
        let (at, event) = parts.ok_or_else(PageRequest::not_a_cursor)?;
        let at = at
            .parse()
            .ok()
            .and_then(|at| Timestamp::from_millisecond(at).ok());
        Ok(Self(
            at.ok_or_else(PageRequest::not_a_cursor)?,
            event.parse()?,
        ))
    }
}
