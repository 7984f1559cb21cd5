//! The next mails of a group of batches: reads what they are made of, and ends those that nobody wants any more.
//!
//! Called by the worker's use cases. Calls the repositories of whatever a mail tells of, and the kinds.

use std::{sync::Arc, time::Instant};

use jiff::Timestamp;

use super::{
    NotificationsModule,
    delivery::{BatchGroup, ClaimedBatch},
    kinds::{self, MailLink},
    mail_source::MailSource,
    source_reader::SourceReader,
};
use crate::{
    error::{Error, Result},
    modules::repositories::CountedMail,
    types::{DeliveryRecord, DeliveryState, NotificationId, TenantId},
};

impl NotificationsModule {
    /// Reads everything that the next mails of a group of batches are made of, and ends the deliveries that nobody wants any
    /// more.
    pub(crate) async fn next_mails(
        &self,
        tenant: &TenantId,
        group: &mut BatchGroup,
    ) -> Result<MailSource> {
        let batches = group.batches.iter().map(|(_, claimed)| claimed).collect();
        let source = self
            .read(&SourceReader::new(self, tenant, batches)?)
            .await?;
        if !source.is_paused() {
            let now = self.context.now();
            for (_, claimed) in &mut group.batches {
                end_unwanted(&source, claimed, now);
            }
        }
        Ok(source)
    }

    /// The same again for one batch, once its source is no longer fresh. A store that is away for a moment leaves the
    /// source as it was.
    pub(crate) async fn refreshed_source(
        &self,
        claimed: &mut ClaimedBatch,
        known: Arc<MailSource>,
    ) -> Arc<MailSource> {
        let tenant = claimed.tenant.clone();
        let read = async {
            self.read(&SourceReader::new(self, &tenant, vec![claimed])?)
                .await
        };
        let source = match read.await {
            Ok(source) => Arc::new(source),
            Err(error) => {
                tracing::warn!(error = ?error, "reading mail content again failed");
                known
            }
        };
        end_unwanted(&source, claimed, self.context.now());
        source
    }

    /// Ends the deliveries to unconfirmed addresses that got as many mails of the kind as they may in a day: those that the
    /// customer brings about, and all about events of organizers who are unconfirmed, too. What is counted once is let
    /// through at every further try.
    pub(crate) async fn end_excess(
        &self,
        claimed: &mut ClaimedBatch,
        source: &MailSource,
    ) -> Result<()> {
        if !kinds::of(source.kind).is_caused_by_reader() && source.neutral_event.is_none() {
            return Ok(());
        }
        let day = claimed.batch.created_at.as_second().div_euclid(24 * 3600);
        let most = self.context.settings.limits.unconfirmed_mails_per_day;
        for index in claimed.unsent() {
            let customer = claimed.batch.deliveries[index].customer;
            let Some(user) = source.unconfirmed(customer) else {
                continue;
            };
            let mail = CountedMail {
                kind: source.kind,
                key: &claimed.delivery_key(index),
                day,
                most,
                is_told_later: kinds::of(source.kind).is_about_event(),
            };
            if !self.users.count_mail(user, &mail).await? {
                let reason = "the address is not confirmed, and got as many mails of this kind today as such addresses get";
                claimed.end_unsent(index, DeliveryState::Suppressed, reason, self.context.now());
            }
        }
        Ok(())
    }

    /// Reads everything that the mails of a reader's batches are made of.
    async fn read(&self, reader: &SourceReader<'_>) -> Result<MailSource> {
        let (tenant, kind, read_at) = (reader.tenant, reader.kind, Instant::now());
        let rules = kinds::of(kind);
        let (of_tenant, event, users, bookings, notification, unsubscribed, parts) = tokio::try_join!(
            self.tenants.find(tenant),
            reader.event(),
            self.users.find_many(tenant, &reader.customers),
            self.bookings_of(tenant, kind, &reader.batches),
            reader.notification(),
            reader.unsubscribed(),
            rules.parts(reader),
        )?;
        let of_tenant = of_tenant.ok_or_else(|| Error::not_found("tenant", tenant))?;
        let mut source = MailSource {
            read_at,
            kind,
            // Without links nobody could confirm.
            require_email_verification: of_tenant.settings.bulk_to_verified_only
                && self.ports.links.is_some(),
            tenant: of_tenant,
            event,
            neutral_event: None,
            notification,
            unsubscribed,
            logo: None,
            users: users.into_iter().map(|user| (user.id, user)).collect(),
            bookings,
            parts,
            ports: self.ports.clone(),
            settings: self.context.settings.clone(),
        };
        let mut parts = std::mem::take(&mut source.parts);
        (source.neutral_event, source.logo, ()) = tokio::try_join!(
            reader.neutral_event(&source),
            reader.logo(&source.tenant),
            rules.add_parts(reader, &source, &mut parts)
        )?;
        source.parts = parts;
        Ok(source)
    }
}

/// The final state of a delivery that is not sent, and why; `None` if it shall be sent.
fn ending(
    source: &MailSource,
    notification: NotificationId,
    delivery: &DeliveryRecord,
    now: Timestamp,
) -> Option<(DeliveryState, &'static str)> {
    let (rules, customer) = (kinds::of(source.kind), delivery.customer);
    let suppressed = |reason| Some((DeliveryState::Suppressed, reason));
    if source.is_cancelled() {
        suppressed("the notification was cancelled before it was sent")
    } else if let Some(reason) = rules.overtaken(source, notification, now) {
        suppressed(reason)
    } else if source.unsubscribed.contains(&customer) {
        suppressed("the customer has unsubscribed from mails of this kind")
    } else if rules.needs_consent()
        && source.require_email_verification
        && source.unconfirmed(customer).is_some()
    {
        suppressed(
            "the customer has not confirmed the address, and announcements and reminders go to confirmed ones only",
        )
    } else if let Some(reason) = rules.unwanted(source, delivery) {
        suppressed(reason)
    } else if source.is_erased(customer) {
        suppressed("the customer's account was erased")
    } else if !source.users.contains_key(&customer) {
        Some((DeliveryState::Dead, "the customer's account is gone"))
    } else {
        None
    }
}

/// Ends the deliveries of a batch that are no longer wanted or impossible.
fn end_unwanted(source: &MailSource, claimed: &mut ClaimedBatch, now: Timestamp) {
    let notification = claimed.batch.notification;
    let is_link_over = match kinds::of(source.kind).link() {
        Some(MailLink::Account(purpose)) => claimed.batch.created_at + purpose.duration() <= now,
        _ => false,
    };
    for index in claimed.unsent() {
        let delivery = &claimed.batch.deliveries[index];
        if let Some((state, reason)) = ending(source, notification, delivery, now) {
            claimed.end_unsent(index, state, reason, now);
        } else if is_link_over {
            let reason = "its link expired before it was sent";
            claimed.end_unsent(index, DeliveryState::Suppressed, reason, now);
        }
    }
}
