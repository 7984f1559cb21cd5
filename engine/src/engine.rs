//! The engine, and the handles to its use cases.
//!
//! Called by hosts and platforms. Every handle shares one context.

use std::{sync::Arc, time::Duration};

use crate::{
    app_modules::{
        Bookings, CheckIns, DeliveryAdmin, Events, Holds, Notifications, Operators, Plugins,
        Sessions, Subscriptions, Tenants, Users, Waitlist,
    },
    context::EngineContext,
    counters::Counts,
    error::Result,
    ports::Queue,
    worker::Worker,
};

/// A booking engine: cheap to clone, safe to share.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<EngineContext>);

impl Engine {
    /// Use cases around bookings.
    pub fn bookings(&self) -> Bookings {
        Bookings(self.0.clone())
    }

    /// Use cases around holds.
    pub fn holds(&self) -> Holds {
        Holds(self.0.clone())
    }

    /// Use cases around waiting lists.
    pub fn waitlist(&self) -> Waitlist {
        Waitlist(self.0.clone())
    }

    /// Use cases around tickets at the door.
    pub fn check_ins(&self) -> CheckIns {
        CheckIns(self.0.clone())
    }

    /// Use cases around events.
    pub fn events(&self) -> Events {
        Events(self.0.clone())
    }

    /// Use cases around users.
    pub fn users(&self) -> Users {
        Users(self.0.clone())
    }

    /// Use cases around sessions.
    pub fn sessions(&self) -> Sessions {
        Sessions(self.0.clone())
    }

    /// Use cases around tenants.
    pub fn tenants(&self) -> Tenants {
        Tenants(self.0.clone())
    }

    /// Use cases around operators.
    pub fn operators(&self) -> Operators {
        Operators(self.0.clone())
    }

    /// Use cases around which mails customers do without.
    pub fn subscriptions(&self) -> Subscriptions {
        Subscriptions(self.0.clone())
    }

    /// Use cases around notifications.
    pub fn notifications(&self) -> Notifications {
        Notifications(self.0.clone())
    }

    /// Use cases around what goes out: how it stands, and what to do about it.
    pub fn delivery_admin(&self) -> DeliveryAdmin {
        DeliveryAdmin(self.0.clone())
    }

    /// What this process did since it started, for whoever exports it.
    pub fn counts(&self) -> Counts {
        self.0.context.counters.read()
    }

    /// Use cases around plugins.
    pub fn plugins(&self) -> Plugins {
        Plugins(self.0.clone())
    }

    /// The queue that tasks go through: the embedded one, or what the platform supplied. For looking at it and for
    /// tests of queues; the worker needs no help, and a task fetched here is a task it does not get.
    pub fn queue(&self) -> Arc<dyn Queue> {
        self.0.queue.clone()
    }

    /// The worker that does what is owed; start it in at least one process.
    pub fn worker(&self) -> Worker {
        Worker(self.0.clone())
    }

    /// Lets an embedded store close, and waits until it has: then its folder can be opened again, or copied. Without this a
    /// dropped engine's store closes a moment later, and not at all if the process ends first; what was acknowledged is
    /// safe all the same. Returns false if that took longer than `limit`: something else still has a handle, such as
    /// another clone of the engine or a worker that was not drained. Other stores have nothing to wait for.
    pub async fn close(self, limit: Duration) -> bool {
        let closing = self.0.modules.closing();
        drop(self);
        closing.wait(limit).await
    }

    /// Asks the store a trivial question, for readiness checks; gives up after 2 seconds.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn ping(&self) -> Result<()> {
        self.0.modules.ping().await
    }

    /// Asks whether this process can serve: the store answers, and every plugin that tenants have in use was brought here.
    /// What is missing is brought behind the answer, so that asking again makes it ready.
    ///
    /// # Errors
    /// `unavailable` says what is missing.
    pub async fn ready(&self) -> Result<()> {
        self.ping().await?;
        self.0.has_all_plugins().await
    }
}
