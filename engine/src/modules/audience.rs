//! Who would hear of something about an event, counted beforehand.
//!
//! Called by the events and announcements modules. Calls the bookings repository.

use super::repositories::BookingsRepository;
use crate::{
    Result,
    types::{BookingStatus, EventId, TenantId, UserId},
};

/// How many customers hold active bookings of an event, read in pages of 1,000 bookings.
pub(super) async fn count_customers(
    bookings: &BookingsRepository,
    tenant: &TenantId,
    event: EventId,
) -> Result<u64> {
    const PAGE: u32 = 1_000;
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
                last = Some(booking.customer);
            }
        }
        match page.last() {
            Some(booking) if page.len() == PAGE as usize => {
                after = Some((booking.customer, Some(booking.id.serial())));
            }
            _ => return Ok(count),
        }
    }
}
