//! Whom a delivery concerns: the bookings behind it, and whether its mail is still wanted.
//!
//! Called by the worker's use cases. Calls the bookings, holds and waitlist repositories.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{NotificationsModule, deliveries::ClaimedBatch, fan_out::WALK_PAGE};
use crate::{
    error::Result,
    types::{
        Booking, BookingId, BookingStatus, CancelCause, DeliveryBatch, DeliveryState, EventId,
        EventStatus, Hold, HoldId, NotificationKind, TenantId, UserId,
    },
};

/// Bookings of one customer that a mail lists at most; a customer with thousands must not fill the memory.
const BOOKINGS_LISTED_MAX: usize = 100;

impl NotificationsModule {
    /// The bookings behind the unfinished deliveries of some blocks of one event and kind, by customer.
    pub(crate) async fn bookings_of(
        &self,
        tenant: &TenantId,
        blocks: &[&ClaimedBatch],
    ) -> Result<HashMap<UserId, Vec<Booking>>> {
        let mut by_customer: HashMap<UserId, Vec<Booking>> = HashMap::new();
        let is_transactional = blocks
            .first()
            .is_some_and(|claimed| claimed.block.kind.is_transactional());
        let is_about_none = |claimed: &&ClaimedBatch| {
            let kind = claimed.block.kind;
            kind == NotificationKind::WaitingListOffer || !kind.is_about_event()
        };
        if blocks.first().is_some_and(is_about_none) {
            return Ok(by_customer);
        }
        if is_transactional {
            let open = blocks
                .iter()
                .flat_map(|claimed| open_entries(&claimed.block));
            let ids: Vec<BookingId> = open.filter_map(|(_, booking)| booking).collect();
            for booking in self.bookings.find_many(tenant, &ids).await? {
                let known = by_customer.entry(booking.customer).or_default();
                known.push(booking);
            }
            return Ok(by_customer);
        }
        for claimed in blocks {
            self.bookings_of_bulk(tenant, &claimed.block, &mut by_customer)
                .await?;
        }
        Ok(by_customer)
    }

    /// The holds that the unfinished deliveries of some blocks of one event offer.
    pub(crate) async fn offers_of(
        &self,
        tenant: &TenantId,
        event: EventId,
        blocks: &[&ClaimedBatch],
    ) -> Result<HashMap<BookingId, Hold>> {
        let open = blocks
            .iter()
            .flat_map(|claimed| open_entries(&claimed.block));
        let ids: Vec<HoldId> = open
            .filter_map(|(_, path)| path.map(HoldId::of_path))
            .collect();
        let (_, holds) = self.holds.read(tenant, event, &ids).await?;
        let holds = holds.into_iter();
        Ok(holds.map(|hold| (hold.id.booking(), hold)).collect())
    }

    /// Those of some blocks' customers who wait for tickets of the event or are offered some.
    pub(crate) async fn waiting_among(
        &self,
        tenant: &TenantId,
        event: EventId,
        customers: &[UserId],
    ) -> Result<BTreeSet<UserId>> {
        self.waitlist.those_of(tenant, event, customers).await
    }

    /// Those of some blocks' customers who have a booking of the event that stands.
    pub(crate) async fn with_active_bookings(
        &self,
        tenant: &TenantId,
        event: EventId,
        customers: &[UserId],
    ) -> Result<HashSet<UserId>> {
        self.bookings.with_active(tenant, event, customers).await
    }

    /// Bulk deliveries stand in customer order, so that one range of keys holds all of a block's bookings.
    async fn bookings_of_bulk(
        &self,
        tenant: &TenantId,
        block: &DeliveryBatch,
        by_customer: &mut HashMap<UserId, Vec<Booking>>,
    ) -> Result<()> {
        let customers = || open_entries(block).map(|(customer, _)| customer);
        let (Some(event), Some(first), Some(last)) =
            (block.event, customers().min(), customers().max())
        else {
            return Ok(());
        };
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
                let wanted = still_wanted(block.kind, &booking, EventStatus::Published);
                if wanted && known.len() < BOOKINGS_LISTED_MAX {
                    known.push(booking);
                }
            }
            if !more {
                return Ok(());
            }
        }
    }
}

fn open_entries(block: &DeliveryBatch) -> impl Iterator<Item = (UserId, Option<BookingId>)> {
    let is_open = |state: DeliveryState| !state.is_final();
    block
        .entries
        .iter()
        .filter(move |entry| is_open(entry.state))
        .map(|entry| (entry.customer, entry.booking))
}

/// Whether a mail about a booking is still wanted, by kind.
pub(crate) fn still_wanted(kind: NotificationKind, booking: &Booking, event: EventStatus) -> bool {
    let by_event = matches!(booking.cancelled, Some((CancelCause::Event, _)));
    match kind {
        NotificationKind::BookingConfirmed
        | NotificationKind::EventUpdated
        | NotificationKind::EventReminder => {
            booking.status == BookingStatus::Confirmed && event != EventStatus::Cancelled
        }
        NotificationKind::BookingCancelled => true,
        // About a hold, a plugin, an account.
        NotificationKind::WaitingListOffer
        | NotificationKind::PluginQuarantined
        | NotificationKind::EmailVerification
        | NotificationKind::SignUpNotice => false,
        // What an organizer began to say is said to all, also when the event is cancelled meanwhile.
        NotificationKind::EventCancelled | NotificationKind::EventAnnouncement => {
            booking.status == BookingStatus::Confirmed || by_event
        }
    }
}
