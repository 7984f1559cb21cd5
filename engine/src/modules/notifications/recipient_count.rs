//! Who would hear of something about an event, counted beforehand.
//!
//! Called by the events and announcements modules. Calls the bookings and waitlist repositories.

use std::collections::HashSet;

use crate::modules::repositories::{BookingsRepository, WaitlistRepository};
use crate::{
    error::Result,
    types::{BookingStatus, EventId, TenantId, UserId},
};

/// Rows read at a time.
const PAGE: u32 = 1_000;

/// How many customers hold active bookings of an event.
pub(in crate::modules) async fn count_customers(
    bookings: &BookingsRepository,
    tenant: &TenantId,
    event: EventId,
) -> Result<u64> {
    count_with(bookings, tenant, event, HashSet::new()).await
}

/// How many customers hold active bookings of an event or wait for tickets. Those who wait are kept in memory; a list has
/// some thousands at most.
pub(in crate::modules) async fn count_customers_and_waiting(
    bookings: &BookingsRepository,
    waitlist: &WaitlistRepository,
    tenant: &TenantId,
    event: EventId,
) -> Result<u64> {
    let (mut waiting, mut after) = (HashSet::new(), None);
    loop {
        let page = waitlist.customers(tenant, event, after, PAGE).await?;
        after = page.last().copied();
        let is_last = page.len() < PAGE as usize;
        waiting.extend(page);
        if is_last {
            return count_with(bookings, tenant, event, waiting).await;
        }
    }
}

async fn count_with(
    bookings: &BookingsRepository,
    tenant: &TenantId,
    event: EventId,
    mut others: HashSet<UserId>,
) -> Result<u64> {
    let mut count = 0;
    let mut last: Option<UserId> = None;
    let mut after = None;
    loop {
        let page = bookings
            .list_of_event(tenant, event, after, None, PAGE)
            .await?;
        for booking in &page {
            if booking.status == BookingStatus::Confirmed && last != Some(booking.customer) {
                count += 1;
                others.remove(&booking.customer);
                last = Some(booking.customer);
            }
        }
        match page.last() {
            Some(booking) if page.len() == PAGE as usize => {
                after = Some((booking.customer, Some(booking.id.serial())));
            }
            _ => return Ok(count + others.len() as u64),
        }
    }
}
