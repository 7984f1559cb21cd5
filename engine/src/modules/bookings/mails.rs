//! The mails about bookings that a step writes with its change.
//!
//! Called by the steps of the bookings module, and by the numbering of receipts. Pure.

use jiff::Timestamp;

use crate::{
    modules::repositories::NewMails,
    types::{
        BookingId, DeliveryBatch, DeliveryRecord, Lane, NotificationId, NotificationKind,
        OutboxEntry, OutboxPart, TenantId, UserId,
    },
};

/// The mails of a step about some bookings: one for each booking, in batches, due now.
pub(in crate::modules) fn mails_about(
    tenant: &TenantId,
    notification: NotificationId,
    kind: NotificationKind,
    bookings: &[BookingId],
    now: Timestamp,
) -> NewMails {
    let recipients = bookings.iter().map(|id| (id.customer(), *id));
    let recipients: Vec<_> = recipients.collect();
    mails_to(tenant, (notification, kind), &recipients, now)
}

/// The mails of a step to these users, each about a booking of one event, in batches, due now.
pub(super) fn mails_to(
    tenant: &TenantId,
    (notification, kind): (NotificationId, NotificationKind),
    recipients: &[(UserId, BookingId)],
    now: Timestamp,
) -> NewMails {
    let mut mails = NewMails::default();
    for (number, recipients) in (0_u32..).zip(recipients.chunks(DeliveryBatch::DELIVERIES_MAX)) {
        let Some((_, first)) = recipients.first() else {
            continue;
        };
        mails.batches.push(DeliveryBatch {
            notification,
            number,
            revision: 0,
            kind,
            event: Some(first.event()),
            deliveries: recipients
                .iter()
                .map(|(user, booking)| DeliveryRecord::queued(*user, Some(*booking)))
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
