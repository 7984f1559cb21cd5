//! What happened to one customer's mail: from a booking, a customer or a delivery's id to the stored deliveries, by keys
//! and binary search over batches that lie in customer order. Nothing here walks a notification.
//!
//! Called by app_modules. Calls the notifications, bookings and waitlist repositories.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, hash_map},
    fmt,
    str::FromStr,
};

use ulid::Ulid;

use super::NotificationsModule;
use crate::{
    error::{Error, Result},
    types::{
        BookingId, Delivery, DeliveryBatch, DeliveryId, DeliveryRecord, EventId, NotificationHead,
        NotificationId, NotificationStatus, Page, PageRequest, StoredNotification, TenantId,
        UserId, message_id,
    },
};

/// Batches looked at in one read of a search: 100,000 recipients are 3,125 batches, found in three reads.
const PROBES: u32 = 15;
/// Notifications that are searched for one page: an event with more has further pages.
const SEARCHED_MAX: usize = 100;

/// Bookings and waiting lists of a customer that are read to find their organizers: the newest ones.
const EVENTS_MAX: u32 = 100;

/// Mails of offers looked at for a booking: as many batches as one read takes.
const OFFERS_MAX: usize = 64;

/// The position in a list of a customer's deliveries: the place by which they are found, and the
/// notification.
struct Position {
    place: Ulid,
    before: Option<NotificationId>,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.place)?;
        self.before
            .map_or(Ok(()), |before| write!(formatter, ".{before}"))
    }
}

impl FromStr for Position {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (place, before) = match text.split_once('.') {
            Some((place, before)) => (place, Some(before.parse()?)),
            None => (text, None),
        };
        Ok(Self {
            place: Ulid::from_string(place).map_err(|_| PageRequest::not_a_cursor())?,
            before,
        })
    }
}

/// A place by which a customer's mails are found: a booking, or an event whose waiting list they were on.
struct Place {
    /// The sort key, in descending order: the booking's serial, or the event.
    key: Ulid,
    event: EventId,
    booking: Option<BookingId>,
    /// The ids of the mails about this place only.
    own: Vec<DeliveryId>,
}

impl Place {
    fn of_booking((booking, own): (BookingId, Vec<DeliveryId>)) -> Self {
        Self {
            key: booking.serial(),
            event: booking.event(),
            booking: Some(booking),
            own,
        }
    }

    fn of_waitlist((event, own): (EventId, Vec<DeliveryId>)) -> Self {
        Self {
            key: event.ulid(),
            event,
            booking: None,
            own,
        }
    }
}

/// A page that is being filled, and what it may still cost.
struct FillingPage {
    items: Vec<Delivery>,
    items_max: usize,
    searches_left: usize,
}

impl FillingPage {
    fn new(page: &PageRequest) -> Self {
        Self {
            items: Vec::new(),
            items_max: page.limit as usize,
            searches_left: SEARCHED_MAX,
        }
    }

    fn is_full(&self) -> bool {
        self.items.len() == self.items_max || self.searches_left == 0
    }
}

/// What is looked for at one place: mails about it alone, what an event's customers were told, and before which
/// notification.
struct Search {
    own: Vec<DeliveryId>,
    event: Option<EventId>,
    before: Option<NotificationId>,
}

impl NotificationsModule {
    /// One delivery by its id.
    pub(crate) async fn find_delivery(
        &self,
        tenant: &TenantId,
        id: DeliveryId,
    ) -> Result<Option<Delivery>> {
        let ids = [(id.notification(), id.batch())];
        let batch = self.repository.find_batches(tenant, &ids).await?.pop();
        Ok(batch.and_then(|batch| {
            let delivery = batch.deliveries.get(id.index())?;
            Some(self.delivery(tenant, &batch, id.index(), delivery))
        }))
    }

    /// The deliveries about a booking and its event to its customer, newest first.
    pub(crate) async fn deliveries_of_booking(
        &self,
        tenant: &TenantId,
        booking: BookingId,
        page: &PageRequest,
    ) -> Result<Page<Delivery>> {
        let before = page.position::<NotificationId>()?;
        let mut own = self.bookings.mails_of(tenant, booking).await?;
        own.extend(self.offers_before(tenant, booking).await?);
        let search = Search {
            own,
            event: Some(booking.event()),
            before,
        };
        let mut filling = FillingPage::new(page);
        let next = self
            .collect(tenant, booking.customer(), search, &mut filling)
            .await?;
        Ok(Page {
            items: filling.items,
            next: next.map(|id| id.to_string()),
        })
    }

    /// The ids of the mails that offered the tickets of this booking.
    async fn offers_before(
        &self,
        tenant: &TenantId,
        booking: BookingId,
    ) -> Result<Vec<DeliveryId>> {
        let (event, customer) = (booking.event(), booking.customer());
        let mails = self.waitlist.mails_of(tenant, event, customer).await?;
        let newest = mails.iter().rev().take(OFFERS_MAX);
        let places: Vec<_> = newest.map(|id| (id.notification(), id.batch())).collect();
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let batches = self.repository.find_batches(tenant, &places).await?;
        let about = batches.iter().flat_map(|batch| {
            let deliveries = batch.deliveries.iter().enumerate();
            let own = deliveries.filter(|(_, delivery)| delivery.booking == Some(booking));
            own.map(|(index, _)| batch.delivery_id(index))
        });
        Ok(about.collect())
    }

    /// The events of a customer's newest bookings and waiting lists, 100 of each.
    pub(crate) async fn events_of_customer(
        &self,
        tenant: &TenantId,
        customer: UserId,
    ) -> Result<BTreeSet<EventId>> {
        let (bookings, lists) = tokio::try_join!(
            self.bookings
                .mails_of_customer(tenant, customer, None, EVENTS_MAX),
            self.waitlist
                .mails_of_customer(tenant, customer, None, EVENTS_MAX),
        )?;
        let bookings = bookings.into_iter().map(|(booking, _)| booking.event());
        let lists = lists.into_iter().map(|(event, _)| event);
        Ok(bookings.chain(lists).collect())
    }

    /// What a customer was mailed: newest booking first, and for each what is about it; what went to all customers of
    /// an event stands with the newest booking of it. Among them, as if booked when the event was made, stand the events
    /// whose waiting lists they were on, with what they were offered, and without a booking with what the event's
    /// customers were told. A page may hold fewer than it might where much was searched.
    pub(crate) async fn deliveries_of_customer(
        &self,
        tenant: &TenantId,
        customer: UserId,
        page: &PageRequest,
    ) -> Result<Page<Delivery>> {
        let position = page.position::<Position>()?;
        let from = position.as_ref().map(|position| {
            // The lists are read before a place: the one to go on with is the first of them.
            position.place.increment().unwrap_or(position.place)
        });
        let places = self
            .places_of_customer(tenant, customer, from, page.limit + 1)
            .await?;
        let mut filling = FillingPage::new(page);
        let mut newest: HashMap<EventId, Option<BookingId>> = HashMap::new();
        for (count, place) in places.into_iter().enumerate() {
            let here = |before| {
                let place = place.key;
                Some(Position { place, before }.to_string())
            };
            if filling.is_full() || count == page.limit as usize {
                let next = here(None);
                return Ok(Page {
                    items: filling.items,
                    next,
                });
            }
            if let hash_map::Entry::Vacant(vacant) = newest.entry(place.event) {
                let booking = self.bookings.newest_of(tenant, place.event, customer);
                vacant.insert(booking.await?);
            }
            let is_newest = newest.get(&place.event) == Some(&place.booking);
            let began_here = position.as_ref().filter(|one| one.place == place.key);
            let search = Search {
                own: place.own,
                event: is_newest.then_some(place.event),
                before: began_here.and_then(|position| position.before),
            };
            let left = self.collect(tenant, customer, search, &mut filling).await?;
            if let Some(before) = left {
                let next = here(Some(before));
                return Ok(Page {
                    items: filling.items,
                    next,
                });
            }
        }
        Ok(Page {
            items: filling.items,
            next: None,
        })
    }

    /// A customer's bookings and waiting lists from one on, in the order of their mails: up to `limit`.
    async fn places_of_customer(
        &self,
        tenant: &TenantId,
        customer: UserId,
        from: Option<Ulid>,
        limit: u32,
    ) -> Result<Vec<Place>> {
        let (bookings, lists) = tokio::try_join!(
            self.bookings
                .mails_of_customer(tenant, customer, from, limit),
            self.waitlist
                .mails_of_customer(tenant, customer, from, limit),
        )?;
        let bookings = bookings.into_iter().map(Place::of_booking);
        let lists = lists.into_iter().map(Place::of_waitlist);
        let mut places: Vec<Place> = bookings.chain(lists).collect();
        places.sort_by_key(|place| Reverse(place.key));
        places.truncate(limit as usize);
        Ok(places)
    }

    /// Notifications of an event, or of the whole tenant, newest first, without their deliveries' sums: those take a walk
    /// over each one's batches.
    pub(crate) async fn list(
        &self,
        tenant: &TenantId,
        event: Option<EventId>,
        page: &PageRequest,
    ) -> Result<Page<NotificationHead>> {
        let before = page.position::<NotificationId>()?;
        let ids = self
            .repository
            .list_newest(tenant, event, before, page.limit + 1)
            .await?;
        let ids = page.cut(ids, NotificationId::to_string);
        let mut found = self.repository.find_many(tenant, &ids.items).await?;
        found.sort_by_key(|stored| Reverse(stored.id));
        Ok(Page {
            items: found.iter().map(head).collect(),
            next: ids.next,
        })
    }

    /// A notification's record; transactional kinds have none.
    pub(crate) async fn head_of(
        &self,
        tenant: &TenantId,
        id: NotificationId,
    ) -> Result<Option<NotificationHead>> {
        let stored = self.repository.find(tenant, id).await?;
        Ok(stored.as_ref().map(head))
    }

    /// The deliveries of a batch, in its order.
    pub(crate) fn deliveries_in(&self, tenant: &TenantId, batch: &DeliveryBatch) -> Vec<Delivery> {
        let deliveries = batch.deliveries.iter().enumerate();
        deliveries
            .map(|(index, delivery)| self.delivery(tenant, batch, index, delivery))
            .collect()
    }

    /// Adds what is about a customer's place alone, and what went to all customers of its event, newest first, until the
    /// page is full. Returns before which notification to go on, if there may be more.
    async fn collect(
        &self,
        tenant: &TenantId,
        customer: UserId,
        search: Search,
        filling: &mut FillingPage,
    ) -> Result<Option<NotificationId>> {
        let before = search.before;
        let own = search.own.into_iter();
        let mut candidates: Vec<(NotificationId, Option<DeliveryId>)> = own
            .map(|id| (id.notification(), Some(id)))
            .filter(|(id, _)| before.is_none_or(|before| *id < before))
            .collect();
        if let Some(event) = search.event {
            let bulk = self
                .repository
                .list_newest(tenant, Some(event), before, SEARCHED_MAX as u32 + 1)
                .await?;
            candidates.extend(bulk.into_iter().map(|id| (id, None)));
        }
        candidates.sort_by_key(|(id, _)| Reverse(*id));
        let mut last = None;
        for (id, own) in candidates {
            if filling.is_full() {
                return Ok(last.or(before).or(Some(id)));
            }
            let found = match own {
                Some(id) => self.find_delivery(tenant, id).await?,
                None => {
                    filling.searches_left -= 1;
                    self.find_by_customer(tenant, id, customer).await?
                }
            };
            // Of a booking's mails some went to those who got tickets of it.
            if let Some(found) = found.filter(|found| found.customer == customer) {
                filling.items.push(found);
            }
            last = Some(id);
        }
        Ok(None)
    }

    /// A bulk notification's delivery to a customer, if it has listed one: its batches are in customer order, so that a
    /// handful of reads by key finds it among any number.
    pub(crate) async fn find_by_customer(
        &self,
        tenant: &TenantId,
        id: NotificationId,
        customer: UserId,
    ) -> Result<Option<Delivery>> {
        let Some(stored) = self.repository.find(tenant, id).await? else {
            return Ok(None);
        };
        // The customer's batch, if there is one, is none before `low` and none from `high` on.
        let (mut low, mut high) = (0, stored.batches);
        while high.saturating_sub(low) > 1 {
            let step = (high - low).div_ceil(PROBES + 1);
            let probes: Vec<u32> = (1..=PROBES)
                .map(|probe| low + probe * step)
                .filter(|number| *number < high)
                .collect();
            let mut firsts = self
                .repository
                .first_recipients(tenant, id, &probes)
                .await?;
            firsts.sort_unstable();
            if firsts.len() != probes.len() {
                return Err(Error::internal(format!("batches of {id} are missing")));
            }
            for (number, first) in firsts {
                if first <= customer {
                    low = number;
                } else {
                    high = number;
                    break;
                }
            }
        }
        let Some(batch) = self
            .repository
            .find_batches(tenant, &[(id, low)])
            .await?
            .pop()
        else {
            return Ok(None);
        };
        let index = batch
            .deliveries
            .binary_search_by_key(&customer, |delivery| delivery.customer);
        Ok(index
            .ok()
            .map(|index| self.delivery(tenant, &batch, index, &batch.deliveries[index])))
    }

    /// A delivery of a batch as callers see it.
    pub(super) fn delivery(
        &self,
        tenant: &TenantId,
        batch: &DeliveryBatch,
        index: usize,
        delivery: &DeliveryRecord,
    ) -> Delivery {
        let id = batch.delivery_id(index);
        Delivery {
            id,
            kind: batch.kind,
            event: batch.event,
            customer: delivery.customer,
            booking: delivery.booking,
            state: delivery.state,
            attempts: delivery.attempts,
            reason: delivery.reason.clone(),
            next_at: delivery.next_at,
            ever_unknown: delivery.ever_unknown,
            lost: delivery.lost,
            message_id: message_id(&id.key(tenant), &self.context.settings.delivery.mail_from),
            created_at: batch.created_at,
            at: delivery.at,
            earlier: delivery.earlier.clone(),
        }
    }
}

/// A notification without the counts of its deliveries.
pub(super) fn head(stored: &StoredNotification) -> NotificationHead {
    NotificationHead {
        id: stored.id,
        kind: stored.kind,
        event: stored.event,
        status: stored.status,
        recipients: match stored.status {
            NotificationStatus::Scheduled | NotificationStatus::FanningOut => {
                stored.estimated_recipients.max(stored.recipients)
            }
            NotificationStatus::FannedOut
            | NotificationStatus::Superseded
            | NotificationStatus::Cancelled => stored.recipients,
        },
        created_at: stored.created_at,
        due_at: stored.due_at,
        is_paused: stored.is_paused,
    }
}
