//! One mail on its way out: from what was read for its batch to finished bytes.
//!
//! Called by the worker's use cases, which send what is composed here. Reads and writes no store.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    delivery::ClaimedBatch,
    kinds::{self, MailLink},
    mail::{
        ComposedMail, compose,
        context::{MailContext, MailTicket},
        data::type_name,
    },
    mail_source::MailSource,
};
use crate::{
    ports::{MailOutcome, Templates},
    types::{
        AccountLink, AccountLinkPurpose, Booking, BookingId, DeliveryRecord, Event, Lane,
        NotificationId, NotificationKind, TraceParent, User,
    },
};

/// A delivery with all that its mail is made of, apart from its batch, which is written meanwhile.
pub(crate) struct PendingMail {
    source: Arc<MailSource>,
    delivery: DeliveryRecord,
    delivery_key: String,
    notification: NotificationId,
    pub(crate) written_at: Timestamp,
}

impl PendingMail {
    pub(crate) fn of(source: &Arc<MailSource>, claimed: &ClaimedBatch, index: usize) -> Self {
        Self {
            source: source.clone(),
            delivery: claimed.batch.deliveries[index].clone(),
            delivery_key: claimed.delivery_key(index),
            notification: claimed.batch.notification,
            written_at: claimed.batch.created_at,
        }
    }

    pub(crate) fn kind(&self) -> NotificationKind {
        self.source.kind
    }

    pub(crate) fn lane(&self) -> Lane {
        self.kind().lane()
    }

    /// The place in the trace of the causing request, if it is recorded.
    pub(crate) fn trace(&self) -> Option<&TraceParent> {
        self.delivery.trace.as_ref()
    }

    /// Which try this is, from 1.
    pub(crate) fn attempt(&self) -> u32 {
        self.delivery.attempts + 1
    }

    /// Whether this is its first attempt.
    pub(crate) fn is_first(&self) -> bool {
        let delivery = &self.delivery;
        delivery.at.is_none() && delivery.attempts == 0 && delivery.lost == 0
    }

    /// Composes the mail, in the words of these templates if there are any.
    ///
    /// # Errors
    /// What becomes of a mail that cannot be composed.
    pub(crate) async fn compose(
        &self,
        templates: Option<&dyn Templates>,
    ) -> Result<ComposedMail, MailOutcome> {
        let (source, delivery) = (&*self.source, &self.delivery);
        let refused = |reply: String| MailOutcome::Refused { reply };
        let Some(recipient) = source.recipient(delivery.customer) else {
            return Err(refused("the customer's account is gone".to_owned()));
        };
        let recipient = &*recipient;
        let (unsubscribe_url, link_url) = (self.unsubscribe_url(), self.link_url(recipient)?);
        let (rules, status) = (kinds::of(source.kind), source.status());
        let wanted = source.bookings_of(delivery);
        let wanted = wanted.filter(|booking| rules.still_wanted(booking, status));
        let bookings: Vec<Booking> = wanted.cloned().collect();
        let event = source.event_for(recipient);
        let previous = source.previous_for(recipient);
        let tickets = self.tickets(event, &bookings);
        let tickets_urls = self.tickets_urls(&bookings);
        let parts = &source.parts;
        let context = MailContext {
            kind: source.kind,
            notification: self.notification,
            tenant: &source.tenant,
            event,
            previous: previous.as_deref(),
            announcement: parts.announcement.as_ref(),
            quarantine: parts.quarantine.as_ref(),
            unsubscribe_url: unsubscribe_url.as_deref(),
            link_url: link_url.as_deref(),
            recipient,
            bookings: &bookings,
            tickets_urls: &tickets_urls,
            offer: source.offer(delivery),
            summary: parts.summaries.get(&delivery.customer),
            keeps_entry: parts.with_tickets_left.contains(&delivery.customer),
            logo: source.logo.as_deref(),
            receipt: delivery
                .booking
                .and_then(|booking| parts.receipts.get(&(self.notification, booking))),
            tickets: &tickets,
            mail_from: &source.settings.delivery.mail_from,
            delivery_key: &self.delivery_key,
            // The same time at every attempt, so that a mail that is sent twice is identical.
            now: self.written_at,
        };
        compose(templates, &context).await.map_err(|error| {
            refused(format!(
                "the mail could not be composed: {}",
                error.detail()
            ))
        })
    }

    /// Where the recipient unsubscribes from mails of this kind, if they can.
    fn unsubscribe_url(&self) -> Option<String> {
        let source = &self.source;
        let links = source.ports.links.as_ref();
        let links = links.filter(|_| source.kind.needs_consent())?;
        Some(links.unsubscribe(&source.tenant.id, self.delivery.customer, source.kind))
    }

    /// The links to the recipient's tickets of those bookings of which they have some.
    fn tickets_urls(&self, bookings: &[Booking]) -> Vec<(BookingId, String)> {
        let (source, reader) = (&self.source, self.delivery.customer);
        let (Some(links), true) = (
            &source.ports.links,
            kinds::of(source.kind).links_to_tickets(),
        ) else {
            return Vec::new();
        };
        let with_tickets = bookings
            .iter()
            .filter(|booking| booking.tickets_of(reader).next().is_some());
        let link = |booking: &Booking| links.tickets(&source.tenant.id, reader, booking.id);
        with_tickets
            .map(|booking| (booking.id, link(booking)))
            .collect()
    }

    /// Where the recipient does what the mail asks for, for mails about a link.
    fn link_url(&self, recipient: &User) -> Result<Option<String>, MailOutcome> {
        let source = &self.source;
        let Some(link) = kinds::of(source.kind).link() else {
            return Ok(None);
        };
        let Some(links) = &source.ports.links else {
            let reply = "this worker makes no links: give it `public_url` and keys".to_owned();
            return Err(MailOutcome::Deferred { reply });
        };
        let (tenant, user) = (&source.tenant.id, self.delivery.customer);
        Ok(Some(match link {
            MailLink::Verify => links.verify(tenant, user, &recipient.email),
            MailLink::Account(purpose) => links.account(&self.account_link(purpose)?),
        }))
    }

    /// The link to change the recipient's account, with the same content at every attempt.
    fn account_link(&self, purpose: AccountLinkPurpose) -> Result<AccountLink, MailOutcome> {
        let (source, user) = (&self.source, self.delivery.customer);
        let stamp = source.parts.stamps.get(&user).cloned();
        let seconds = (self.written_at + purpose.duration()).as_second();
        match (stamp, Timestamp::from_second(seconds)) {
            (Some(stamp), Ok(expires_at)) => Ok(AccountLink {
                purpose,
                tenant: source.tenant.id.clone(),
                user,
                expires_at,
                stamp,
            }),
            _ => Err(MailOutcome::Refused {
                reply: "what the link was for is over".to_owned(),
            }),
        }
    }

    /// The tickets whose codes the mail shows: the first ones of what it confirms.
    fn tickets(&self, event: Option<&Event>, bookings: &[Booking]) -> Vec<MailTicket> {
        let source = &self.source;
        let (Some(codes), true) = (
            &source.ports.ticket_codes,
            kinds::of(source.kind).shows_tickets(),
        ) else {
            return Vec::new();
        };
        let tickets = bookings.iter().flat_map(|booking| {
            let tickets = booking.tickets_of(self.delivery.customer);
            tickets.map(move |ticket| (booking, ticket))
        });
        let shown = tickets.take(MailContext::TICKETS_MAX);
        let shown = shown.map(|(booking, ticket)| {
            let holder = booking.holder_of(ticket.id.number);
            MailTicket {
                number: ticket.id.number,
                name: type_name(event, &ticket.ticket_type).to_owned(),
                attendee: holder.and_then(|holder| holder.name.clone()),
                code: codes.code(&source.tenant.id, booking.issued(ticket.id.number)),
            }
        });
        shown.collect()
    }
}
