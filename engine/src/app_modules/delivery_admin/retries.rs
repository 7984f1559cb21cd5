//! Trying failed deliveries again, by hand.
//!
//! Called by hosts and platforms. Calls the delivery_admin and events modules.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{DeliveryAdmin, require_manager_role};
use crate::{
    error::{Error, Result},
    modules::{Wanted, events_of, keyed},
    types::{
        Caller, DeliveryBatch, DeliveryId, DeliveryState, KeyedRequest, RecordedAnswer,
        RequestRoute, Retried, RetryDeliveries, RetryScope, Scope, TenantId,
    },
};

/// The failed batches that a request means.
struct Failed {
    batches: Vec<DeliveryBatch>,
    /// Whether there are more than one request takes.
    is_cut: bool,
    /// The one delivery that is meant, if it is one.
    only: Option<DeliveryId>,
}

impl DeliveryAdmin {
    /// Retries failed deliveries, or counts them. Each gets all its attempts again; its earlier attempts stay readable.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, `field-invalid` for a state that cannot be retried, `conflict-try-again`,
    /// `idempotency-key-reused`.
    pub async fn retry(&self, caller: &Caller, command: RetryDeliveries) -> Result<Retried> {
        let caller = &caller.scoped(Scope::NotificationsWrite)?;
        require_manager_role(caller)?;
        let tenant = caller.tenant()?;
        if !matches!(command.state, DeliveryState::Dead | DeliveryState::Unknown) {
            return Err(Error::field(
                "state",
                "Only `dead` and `unknown` deliveries can be retried.",
            ));
        }
        let request = match command.dry_run {
            true => None,
            false => keyed(caller, RequestRoute::Retries, None, &canonical(&command)),
        };
        let request = request.as_ref();
        let retried = self.retry_once(caller, tenant, command, request);
        let idempotency = &self.0.modules.idempotency;
        idempotency
            .once(tenant, request, RecordedAnswer::retried, retried)
            .await
    }

    async fn retry_once(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        command: RetryDeliveries,
        request: Option<&KeyedRequest>,
    ) -> Result<Retried> {
        let failed = self.failed_of(caller, tenant, &command.scope).await?;
        let wanted = Wanted {
            state: command.state,
            only: failed.only,
            reason: command.reason.clone(),
        };
        if command.dry_run {
            return Ok(Retried {
                matched: wanted.count(&failed.batches),
                is_cut: failed.is_cut,
                ..Retried::default()
            });
        }
        let subject = subject(&command);
        let audit = self.audit_entry(caller, "retry", subject, command.why, None);
        let noted = (audit.await?, failed.is_cut);
        let delivery_admin = &self.0.modules.delivery_admin;
        delivery_admin
            .retry(tenant, failed.batches, &wanted, noted, request)
            .await
    }

    /// The failed batches in a scope whose events the caller manages.
    async fn failed_of(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        scope: &RetryScope,
    ) -> Result<Failed> {
        let delivery_admin = &self.0.modules.delivery_admin;
        if let RetryScope::Delivery(id) = *scope {
            let none = || Error::not_found("delivery", id);
            let batch = delivery_admin.batch_of(tenant, id).await?;
            let batch = batch.ok_or_else(none)?;
            if !self.manages(caller, tenant, batch.event).await? {
                return Err(none());
            }
            return Ok(Failed {
                batches: vec![batch],
                is_cut: false,
                only: Some(id),
            });
        }
        let of = match scope {
            RetryScope::Notification(id) => Some(*id),
            RetryScope::Delivery(_) | RetryScope::Tenant => None,
        };
        let (mut batches, is_cut) = delivery_admin.failed_batches(tenant, of, None).await?;
        let mut own = HashMap::new();
        for event in events_of(&batches) {
            own.insert(event, self.manages(caller, tenant, event).await?);
        }
        batches.retain(|batch| own[&batch.event]);
        Ok(Failed {
            batches,
            is_cut,
            only: None,
        })
    }
}

/// What the audit says was tried again.
fn subject(command: &RetryDeliveries) -> String {
    match command.scope {
        RetryScope::Delivery(id) => format!("delivery {id}"),
        RetryScope::Notification(id) => format!("notification {id}"),
        RetryScope::Tenant => match &command.reason {
            Some(reason) => format!("all {} because of: {reason}", command.state.as_str()),
            None => format!("all {}", command.state.as_str()),
        },
    }
}

/// The whole content of a retry request.
fn canonical(command: &RetryDeliveries) -> Value {
    let scope = match command.scope {
        RetryScope::Delivery(id) => json!({"delivery": id.to_string()}),
        RetryScope::Notification(id) => json!({"notification": id.to_string()}),
        RetryScope::Tenant => json!({}),
    };
    json!([
        scope,
        command.state.as_str(),
        command.reason,
        command.why.as_str(),
    ])
}
