//! Policy snapshots: what policies see of an event and their customer, read for many requests in one query.
//!
//! An optimisation only: a snapshot is read after its request came, and the booking's transaction compares what was decided
//! on it. Called by the policy check. Calls the bookings repository.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{
    BookingsModule,
    orders::{Wanted, order, require_within_customer_limit, tickets_in},
    requests::{BeforePolicies, PolicyInput, RequestedBooking, without_accepted},
};
use crate::{
    error::{Error, Result},
    modules::{
        repositories::{GroupQuery, GroupSnapshot},
        support::event_queues::{EventKey, EventQueues, Waiting, same_refusal},
    },
    types::{CustomerLimit, HoldId, Quote, RequestKey, TenantId, UserId},
};

/// The snapshots that are asked for now.
pub(super) type SnapshotQueues = EventQueues<PolicySnapshot, Arc<GroupSnapshot>>;

/// The input that one request needs.
pub(super) struct PolicySnapshot {
    customer: UserId,
    /// The key, which may have been used before.
    key: Option<RequestKey>,
    /// The offer that is being accepted.
    hold: Option<HoldId>,
}

impl BookingsModule {
    /// Returns the policies' input about the customer, or the recorded answer.
    ///
    /// # Errors
    /// `event-busy` when too many wait, `not-found` for the event, `unavailable`.
    pub(crate) async fn before_policies(
        self: &Arc<Self>,
        tenant: &TenantId,
        request: &RequestedBooking,
    ) -> Result<BeforePolicies> {
        let accepted = request.accepted_hold();
        let key = (tenant.clone(), request.event);
        let wanted = PolicySnapshot {
            customer: request.customer,
            key: request.key(),
            hold: accepted,
        };
        let snapshot = self.snapshot(key, wanted).await?;
        if let Some(placement) = self.recorded_answer(tenant, request, &snapshot).await? {
            return Ok(BeforePolicies::Answered(placement));
        }
        let inventory = snapshot.inventory.as_ref();
        let inventory = inventory.ok_or_else(|| Error::not_found("event", request.event))?;
        let tickets = snapshot.tickets.get(&request.customer);
        let offered = accepted.and_then(|hold| snapshot.holds.get(&hold).cloned());
        Ok(BeforePolicies::Open(PolicyInput {
            event_version: inventory.event_version,
            revision: inventory.revision,
            tickets_in_event: without_accepted(tickets.copied().unwrap_or(0), offered.as_ref()),
            offered,
        }))
    }

    /// What a request would get now; `None` if the event has changed since the policies decided.
    ///
    /// # Errors
    /// Those of the order: what is not on sale, or not left.
    pub(crate) async fn quote(
        self: &Arc<Self>,
        tenant: &TenantId,
        request: &RequestedBooking,
    ) -> Result<Option<Quote>> {
        let key = (tenant.clone(), request.event);
        let wanted = PolicySnapshot {
            customer: request.customer,
            key: None,
            hold: None,
        };
        let snapshot = self.snapshot(key, wanted).await?;
        let inventory = snapshot.inventory.as_ref();
        let inventory = inventory.ok_or_else(|| Error::not_found("event", request.event))?;
        let decision = request.decision.as_ref();
        let compared = decision.map(|decision| decision.event_version);
        let mut versions = compared.into_iter().chain(request.details.event_version);
        if versions.any(|version| version != inventory.event_version) {
            return Ok(None);
        }
        let now = self.context.now();
        let order = order(inventory, &Wanted::of(request), now)?;
        let has = snapshot.tickets.get(&request.customer).copied();
        let has = has.unwrap_or(0);
        let tickets = (has, tickets_in(&order.lines));
        require_within_customer_limit(inventory, tickets, request.is_complimentary())?;
        let limit = |max| CustomerLimit { max, has };
        Ok(Some(Quote {
            customer_limit: inventory.max_tickets_per_customer.map(limit),
            event: request.event,
            customer: request.customer,
            lines: order.lines,
            total_minor: order.total_minor,
            currency: inventory.currency.clone(),
            messages: decision.map_or_else(Vec::new, |decision| decision.messages.clone()),
            quoted_at: now,
        }))
    }

    /// Reads the snapshot of a request, together with those of others.
    async fn snapshot(
        self: &Arc<Self>,
        key: EventKey,
        request: PolicySnapshot,
    ) -> Result<Arc<GroupSnapshot>> {
        let (answer, answered) = oneshot::channel();
        if self.snapshots.enter(&key, Waiting { request, answer })? {
            // A separate task: a client that hangs up must not take the others' snapshot along.
            let module = self.clone();
            tokio::spawn(async move { module.drain_snapshots(&key).await });
        }
        answered
            .await
            .map_err(|_| Error::internal("a policy snapshot ended without an answer"))?
    }

    /// Reads for all waiting requests, until none is left.
    async fn drain_snapshots(&self, key: &EventKey) {
        loop {
            // Requests that are about to ask share the read.
            tokio::task::yield_now().await;
            let Some(group) = self.snapshots.next_group(key) else {
                return;
            };
            let mut query = GroupQuery::default();
            for Waiting { request, .. } in &group {
                if !query.customers.contains(&request.customer) {
                    query.customers.push(request.customer);
                }
                query.keys.extend(request.key.clone());
                query.holds.extend(request.hold);
            }
            let read = self.repository.read_group(&key.0, key.1, &query).await;
            let read = read.map(Arc::new).map_err(Error::from);
            for waiting in group {
                let own = read.as_ref().map(Arc::clone).map_err(same_refusal);
                // The receiver is gone if the client disconnected.
                let _ = waiting.answer.send(own);
            }
        }
    }
}
