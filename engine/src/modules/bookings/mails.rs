//! The mails about bookings that a step writes with its change.
//!
//! Called by the steps of the bookings module. Pure.

use jiff::Timestamp;

use crate::{
    modules::repositories::NewMails,
    types::{
        BookingId, DeliveryBatch, DeliveryRecord, Lane, NotificationId, NotificationKind,
        OutboxEntry, OutboxPart, TenantId,
    },
};

/// The mails of a step about some bookings: one for each booking, in batches, due now.
pub(super) fn mails_about(
    tenant: &TenantId,
    notification: NotificationId,
    kind: NotificationKind,
    bookings: &[BookingId],
    now: Timestamp,
) -> NewMails {
    let mut mails = NewMails::default();
    for (number, bookings) in (0_u32..).zip(bookings.chunks(DeliveryBatch::DELIVERIES_MAX)) {
        let Some(first) = bookings.first() else {
            continue;
        };
        mails.batches.push(DeliveryBatch {
            notification,
            number,
            revision: 0,
            kind,
            event: Some(first.event()),
            deliveries: bookings
                .iter()
                .map(|id| DeliveryRecord::queued(id.customer(), Some(*id)))
                .collect(),
            claim: None,
            claims: 0,
            created_at: now,
        });
        mails.outbox.push(OutboxEntry {
            due_at: now,
            tenant: tenant.clone(),
            notification,
            part: OutboxPart::DeliveryBatch(number),
            lane: Lane::Transactional,
            published: false,
        });
    }
    mails
}
