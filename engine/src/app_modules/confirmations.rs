//! Confirmed addresses, and what users without one may not do.
//!
//! Called by the use cases of users, bookings, holds and waiting lists, and by the policy check. Calls the tenants and users modules.

use std::sync::Arc;

use crate::{
    context::EngineContext,
    error::{Error, Result},
    types::{Caller, Tenant},
};

impl EngineContext {
    /// Returns whether users of a tenant are asked to confirm their address. Without links they could not.
    pub(crate) fn asks_to_confirm(&self, tenant: &Tenant) -> bool {
        self.can_ask_to_confirm() && tenant.settings.wants_addresses_confirmed()
    }

    /// Refuses an acting user whose address is not confirmed, if the tenant requires that before they take tickets or
    /// wait for some. Otherwise reads nothing but the tenant, once a second.
    pub(crate) async fn require_may_take_tickets(&self, caller: &Caller) -> Result<()> {
        if caller.email_confirmed() == Some(true) {
            return Ok(());
        }
        let tenant = self.asking_tenant(caller).await?;
        if !tenant.is_some_and(|tenant| tenant.settings.confirm_before_booking) {
            return Ok(());
        }
        match self.is_email_confirmed(caller).await? {
            true => Ok(()),
            false => Err(confirm_first()),
        }
    }

    /// The same before holding or waiting for tickets. Returns whether the acting user's address is unconfirmed, because
    /// that limits what they may hold and wait for.
    pub(crate) async fn require_may_hold_tickets(&self, caller: &Caller) -> Result<bool> {
        let Some(tenant) = self.asking_tenant(caller).await? else {
            return Ok(false);
        };
        if self.is_email_confirmed(caller).await? {
            return Ok(false);
        }
        match tenant.settings.confirm_before_booking {
            true => Err(confirm_first()),
            false => Ok(true),
        }
    }

    /// Refuses an acting user whose address is not confirmed, if the tenant's users are asked to confirm it.
    pub(super) async fn require_confirmed(
        &self,
        caller: &Caller,
        to_do: &'static str,
    ) -> Result<()> {
        if self.asking_tenant(caller).await?.is_none() || self.is_email_confirmed(caller).await? {
            return Ok(());
        }
        let rule = format!("Confirm your e-mail address before you {to_do}.");
        Err(Error::email_unconfirmed(&rule))
    }

    /// Adds to the caller whether the acting user's address is unconfirmed.
    pub(super) async fn with_confirmation(&self, caller: &Caller) -> Result<Caller> {
        let is_known = caller.email_confirmed().is_some() || caller.acting_user().is_err();
        if is_known || self.asking_tenant(caller).await?.is_none() {
            return Ok(caller.clone());
        }
        let is_confirmed = self.is_email_confirmed(caller).await?;
        Ok(caller.with_email_confirmed(is_confirmed))
    }

    fn can_ask_to_confirm(&self) -> bool {
        self.context.settings.delivery.require_email_verification && self.links.is_some()
    }

    /// The caller's tenant, if its users are asked to confirm their address.
    async fn asking_tenant(&self, caller: &Caller) -> Result<Option<Arc<Tenant>>> {
        if !self.can_ask_to_confirm() {
            return Ok(None);
        }
        let tenant = self.modules.tenants.recent(caller.tenant()?).await?;
        Ok(tenant.filter(|tenant| self.asks_to_confirm(tenant)))
    }

    /// Whether the acting user's address is confirmed.
    async fn is_email_confirmed(&self, caller: &Caller) -> Result<bool> {
        if let Some(known) = caller.email_confirmed() {
            return Ok(known);
        }
        let users = &self.modules.users;
        users
            .is_confirmed(caller.tenant()?, caller.acting_user()?)
            .await
    }
}

fn confirm_first() -> Error {
    Error::email_unconfirmed(
        "Confirm your e-mail address before you book, hold or wait for tickets.",
    )
}
