//! Lists of a tenant's events, in order of creation or of their beginning.
//!
//! Words and an organizer are looked up in an index, which yields the few events that may have them. Words that very many events have are
//! looked for while the events are walked: there they are found soon.
//!
//! Called by app_modules. Calls the events repository.

use std::{collections::VecDeque, fmt, str::FromStr};

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
/// Most rows of the index that are read for one word. With more, walking the events finds some of them about as soon.
const ROWS_MAX: u32 = 1_000;

/// The position in a list.
enum Place {
    /// After an event, in order of creation.
    Made(Option<EventId>),
    /// After an event in order of beginning, or from a time on.
    Start(Timestamp, Option<EventId>),
}

/// Where events come from.
enum Source {
    /// All of the tenant's events, from the list's position on.
    All,
    /// These events, in the order of the list.
    These(VecDeque<(Timestamp, EventId)>),
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
        let mut source = self.source(tenant, filter, &place).await?;
        let mut items: Vec<Event> = Vec::new();
        for _ in 0..READS_MAX {
            let (rows, behind) = self.rows_of(tenant, filter, &mut source, &place).await?;
            for (event, inventory) in rows {
                if items.len() == limit {
                    let next = place.cursor();
                    return Ok(Page { items, next });
                }
                place.pass(&event);
                let wanted = filter
                    .status
                    .is_none_or(|status| status == inventory.status);
                let wanted = wanted && sees(&event, inventory.status);
                if wanted && filter.finds(event.organizer, &event.details) {
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

    /// Where the events of a list come from: those that have each of the terms, if they are few enough for one of them.
    async fn source(
        &self,
        tenant: &TenantId,
        filter: &EventFilter,
        place: &Place,
    ) -> Result<Source> {
        let terms = filter.terms();
        if terms.is_empty() {
            return Ok(Source::All);
        }
        let found = self.repository.with_terms(tenant, &terms, ROWS_MAX);
        let together = found.await?.into_iter().flatten();
        let together = together.reduce(|one, other| one.intersection(&other).copied().collect());
        let Some(together) = together else {
            return Ok(Source::All);
        };
        let until = filter.starts_before.map(up_to_millisecond);
        let is_ahead = |one: &(Timestamp, EventId)| {
            place.is_before(*one) && until.is_none_or(|until| one.0 < until)
        };
        let mut together: Vec<_> = together.into_iter().filter(is_ahead).collect();
        match place {
            Place::Made(_) => together.sort_unstable_by_key(|(_, event)| event.ulid()),
            Place::Start(..) => together.sort_unstable_by_key(|(at, event)| (*at, event.ulid())),
        }
        Ok(Source::These(together.into()))
    }

    /// Events from a position on, and the next position, if there may be more.
    async fn rows_of(
        &self,
        tenant: &TenantId,
        filter: &EventFilter,
        source: &mut Source,
        place: &Place,
    ) -> Result<(Vec<(StoredEvent, Inventory)>, Option<Place>)> {
        let limit = PageRequest::LIMIT_MAX;
        let found = match source {
            Source::All => return self.rows_at(tenant, filter, place).await,
            Source::These(found) => found,
        };
        let some = found.drain(..found.len().min(limit as usize));
        let some: Vec<(Timestamp, EventId)> = some.collect();
        let ids: Vec<EventId> = some.iter().map(|(_, event)| *event).collect();
        let mut rows = match ids.is_empty() {
            true => Vec::new(),
            false => self.repository.some(tenant, &ids).await?,
        };
        // What was moved since the index was read stands elsewhere.
        rows.retain(|(event, _)| some.contains(&(event.details.starts_at, event.id)));
        let last = some.last().filter(|_| !found.is_empty());
        Ok((rows, last.map(|last| place.behind(*last))))
    }

    /// Events of all from a position on, and the next position, if there may be more.
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

    /// Returns whether an event comes after it.
    fn is_before(&self, (at, event): (Timestamp, EventId)) -> bool {
        match *self {
            Self::Made(after) => after.is_none_or(|after| event.ulid() > after.ulid()),
            Self::Start(from, None) => at >= from,
            Self::Start(from, Some(after)) => (at, event.ulid()) > (from, after.ulid()),
        }
    }

    /// The position behind an event.
    fn behind(&self, (at, event): (Timestamp, EventId)) -> Self {
        match self {
            Self::Made(_) => Self::Made(Some(event)),
            Self::Start(..) => Self::Start(at, Some(event)),
        }
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
