//! Who would hear of something about an event, counted beforehand.
//!
//! Called by the events and announcements modules. Calls the bookings and waitlist repositories.

use std::{collections::HashSet, ops::Bound};

use crate::modules::repositories::{BookingsRepository, WaitlistRepository};
use crate::{
    error::Result,
    types::{BookingStatus, EventId, TenantId, UserId},
};

/// Rows read at a time.
const PAGE: u32 = 1_000;

/// How many customers hold active bookings of an event, or got tickets of it by transfers.
pub(in crate::modules) async fn count_customers(
    bookings: &BookingsRepository,
    tenant: &TenantId,
    event: EventId,
) -> Result<u64> {
    let owners = ticket_owners(bookings, tenant, event).await?;
    count_with(bookings, tenant, event, owners).await
}

/// How many customers hold active bookings of an event, got tickets of it by transfers, or wait for some. Those who wait are kept in memory; a list has
/// some thousands at most.
pub(in crate::modules) async fn count_customers_and_waiting(
    bookings: &BookingsRepository,
    waitlist: &WaitlistRepository,
    tenant: &TenantId,
    event: EventId,
) -> Result<u64> {
    let mut waiting = ticket_owners(bookings, tenant, event).await?;
    let mut after = None;
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

/// Who got tickets of an event by transfers; kept in memory, as those who wait are.
async fn ticket_owners(
    bookings: &BookingsRepository,
    tenant: &TenantId,
    event: EventId,
) -> Result<HashSet<UserId>> {
    let (mut owners, mut from) = (HashSet::new(), Bound::Unbounded);
    loop {
        let page = bookings.ticket_owners(tenant, event, (from, None), PAGE);
        let page = page.await?;
        owners.extend(page.iter().map(|(owner, _)| *owner));
        match page.last() {
            Some((last, _)) if page.len() == PAGE as usize => from = Bound::Excluded(*last),
            _ => return Ok(owners),
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
