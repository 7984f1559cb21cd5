//! Lists of a tenant's events, in order of creation or of their beginning.
//!
//! Called by app_modules. Calls the events repository.

use std::{fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp};

use super::{EventsModule, to_millisecond};
use crate::{
    error::{Error, Result},
    types::{
        Event, EventFilter, EventId, EventSort, EventStatus, Inventory, Page, PageRequest,
        StoredEvent, TenantId,
    },
};

/// Most reads for one page. Callers who see few of many events get a short page instead of a long wait.
const READS_MAX: usize = 10;

/// The position in a list.
enum Place {
    /// After an event, in order of creation.
    Made(Option<EventId>),
    /// After an event in order of beginning, or from a time on.
    Start(Timestamp, Option<EventId>),
}

/// The last event of a page in order of beginning, from the cursor.
struct StartCursor(Timestamp, EventId);

impl EventsModule {
    /// A page of the events that pass a filter and `sees`. Reads at most 1,000 events; a page may then be short.
    pub(crate) async fn list(
        &self,
        tenant: &TenantId,
        filter: &EventFilter,
        page: &PageRequest,
        sees: impl Fn(&StoredEvent, EventStatus) -> bool,
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
                if wanted && sees(&event, inventory.status) {
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

    /// Events from a position on, and the next position, if there may be more.
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
            // The filter applies whatever the cursor says.
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

/// A time rounded up to whole milliseconds, because events begin at whole milliseconds.
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
