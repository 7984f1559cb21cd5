//! Whom a delivery concerns: the bookings and offers behind it.
//!
//! Called by what reads the content of mails. Calls the bookings and holds repositories.

use std::collections::HashMap;

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
                let ids: Vec<BookingId> = open.filter_map(|(_, booking)| booking).collect();
                for booking in self.bookings.find_many(tenant, &ids).await? {
                    let known = by_customer.entry(booking.customer).or_default();
                    known.push(booking);
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
                return Ok(());
            }
        }
    }
}

fn open_deliveries(batch: &DeliveryBatch) -> impl Iterator<Item = (UserId, Option<BookingId>)> {
    batch
        .deliveries
        .iter()
        .filter(|delivery| !delivery.state.is_final())
        .map(|delivery| (delivery.customer, delivery.booking))
}
