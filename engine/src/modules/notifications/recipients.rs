//! Whom a delivery concerns: the bookings and offers behind it.
//!
//! Called by what reads the content of mails. Calls the bookings and holds repositories.

use std::{collections::HashMap, ops::Bound};

use super::{
    NotificationsModule,
    delivery::ClaimedBatch,
    fan_out::WALK_PAGE,
    kinds::{self, Audience},
};
use crate::{
    error::Result,
    types::{
        Booking, BookingId, DeliveryBatch, EventId, EventStatus, Hold, HoldId, NotificationKind,
        TenantId, UserId,
    },
};

/// Bookings of one customer that a mail lists at most; a customer with thousands must not fill the memory.
const BOOKINGS_LISTED_MAX: usize = 100;

/// A page of who got tickets of an event by transfers.
pub(super) struct OwnedBookings {
    pub(super) owners: Vec<(UserId, Vec<Booking>)>,
    /// The last owner of the page, if there are more.
    pub(super) next: Option<UserId>,
}

impl NotificationsModule {
    /// The bookings behind the unfinished deliveries of some batches of one event and kind, by customer.
    pub(super) async fn bookings_of(
        &self,
        tenant: &TenantId,
        kind: NotificationKind,
        batches: &[&ClaimedBatch],
    ) -> Result<HashMap<UserId, Vec<Booking>>> {
        let mut by_customer: HashMap<UserId, Vec<Booking>> = HashMap::new();
        match kinds::of(kind).audience() {
            Audience::Offer | Audience::Users => {}
            Audience::Booking => {
                let open = batches
                    .iter()
                    .flat_map(|claimed| open_deliveries(&claimed.batch));
                let wanted = open.filter_map(|(customer, booking)| Some((customer, booking?)));
                let wanted: Vec<(UserId, BookingId)> = wanted.collect();
                let ids: Vec<BookingId> = wanted.iter().map(|(_, booking)| *booking).collect();
                let found = self.bookings.find_many(tenant, &ids).await?;
                let found: HashMap<BookingId, Booking> = found
                    .into_iter()
                    .map(|booking| (booking.id, booking))
                    .collect();
                for (customer, id) in wanted {
                    let known = by_customer.entry(customer).or_default();
                    // Several mails of a group may be about one booking.
                    if let Some(booking) = found.get(&id)
                        && known.iter().all(|one| one.id != id)
                    {
                        known.push(as_recipient_sees(booking, customer));
                    }
                }
            }
            Audience::EventCustomers => {
                for claimed in batches {
                    self.bookings_of_bulk(tenant, &claimed.batch, &mut by_customer)
                        .await?;
                }
            }
        }
        Ok(by_customer)
    }

    /// The holds that the unfinished deliveries of some batches of one event offer.
    pub(super) async fn offers_of(
        &self,
        tenant: &TenantId,
        event: EventId,
        batches: &[&ClaimedBatch],
    ) -> Result<HashMap<BookingId, Hold>> {
        let open = batches
            .iter()
            .flat_map(|claimed| open_deliveries(&claimed.batch));
        let ids: Vec<HoldId> = open
            .filter_map(|(_, path)| path.map(HoldId::of_path))
            .collect();
        let (_, holds) = self.holds.read(tenant, event, &ids).await?;
        let holds = holds.into_iter();
        Ok(holds.map(|hold| (hold.id.booking(), hold)).collect())
    }

    /// Bulk deliveries stand in customer order, so that one range of keys holds all of a batch's bookings.
    async fn bookings_of_bulk(
        &self,
        tenant: &TenantId,
        batch: &DeliveryBatch,
        by_customer: &mut HashMap<UserId, Vec<Booking>>,
    ) -> Result<()> {
        let customers = || open_deliveries(batch).map(|(customer, _)| customer);
        let (Some(event), Some(first), Some(last)) =
            (batch.event, customers().min(), customers().max())
        else {
            return Ok(());
        };
        let rules = kinds::of(batch.kind);
        let mut after = Some((first, Some(ulid::Ulid::nil())));
        loop {
            let page = self
                .bookings
                .list_of_event(tenant, event, after, Some(last), WALK_PAGE)
                .await?;
            let more = page.len() == WALK_PAGE as usize;
            after = page
                .last()
                .map(|booking| (booking.customer, Some(booking.id.serial())));
            for booking in page {
                let known = by_customer.entry(booking.customer).or_default();
                let wanted = rules.still_wanted(&booking, EventStatus::Published);
                if wanted && known.len() < BOOKINGS_LISTED_MAX {
                    known.push(booking);
                }
            }
            if !more {
                break;
            }
        }
        let mut from = Bound::Included(first);
        loop {
            let page = self.owned_bookings(tenant, event, (from, Some(last)));
            let page = page.await?;
            for (owner, bookings) in page.owners {
                let known = by_customer.entry(owner).or_default();
                let wanted = bookings.into_iter();
                let wanted = wanted.filter(|one| rules.still_wanted(one, EventStatus::Published));
                known.extend(wanted.take(BOOKINGS_LISTED_MAX.saturating_sub(known.len())));
            }
            match page.next {
                Some(after) => from = Bound::Excluded(after),
                None => return Ok(()),
            }
        }
    }

    /// A page of who got tickets of an event by transfers, in their order, with the bookings as each of them sees it.
    pub(super) async fn owned_bookings(
        &self,
        tenant: &TenantId,
        event: EventId,
        range: (Bound<UserId>, Option<UserId>),
    ) -> Result<OwnedBookings> {
        let rows = self.bookings.ticket_owners(tenant, event, range, WALK_PAGE);
        let mut rows = rows.await?;
        let mut next = None;
        if rows.len() == WALK_PAGE as usize
            && let Some((last, _)) = rows.last().copied()
        {
            // The last owner may have more. An owner with a whole page is listed by what is in it.
            if rows.first().is_some_and(|(first, _)| *first != last) {
                rows.retain(|(owner, _)| *owner != last);
            }
            next = rows.last().map(|(owner, _)| *owner);
        }
        rows.dedup();
        let ids: Vec<BookingId> = rows.iter().map(|(_, booking)| *booking).collect();
        let found = self.bookings.find_many(tenant, &ids).await?;
        let found: HashMap<BookingId, Booking> = found
            .into_iter()
            .map(|booking| (booking.id, booking))
            .collect();
        let mut owners: Vec<(UserId, Vec<Booking>)> = Vec::new();
        for (owner, id) in rows {
            let Some(booking) = found.get(&id) else {
                continue;
            };
            let seen = booking.as_owner_sees(owner);
            if seen.lines.is_empty() {
                // Theirs were cancelled.
                continue;
            }
            match owners.last_mut() {
                Some((known, bookings)) if *known == owner => bookings.push(seen),
                _ => owners.push((owner, vec![seen])),
            }
        }
        Ok(OwnedBookings { owners, next })
    }
}

/// A booking as the recipient of a mail sees it: its customer, or somebody who got tickets of it.
fn as_recipient_sees(booking: &Booking, recipient: UserId) -> Booking {
    match booking.customer == recipient {
        true => booking.clone(),
        false => booking.as_owner_sees(recipient),
    }
}

fn open_deliveries(batch: &DeliveryBatch) -> impl Iterator<Item = (UserId, Option<BookingId>)> {
    batch
        .deliveries
        .iter()
        .filter(|delivery| !delivery.state.is_final())
        .map(|delivery| (delivery.customer, delivery.booking))
}
