//! Use cases of subscriptions: a customer's choice of bulk mails, and the list for a tenant's managers.
//!
//! Called by hosts and platforms. Calls the subscriptions, users and events modules.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use crate::{
    context::EngineContext,
    error::{Error, Result},
    types::{
        Caller, NotificationKind, Page, PageRequest, Role, Scope, Suppression, SuppressionSource,
    },
};

/// Use cases of subscriptions.
#[derive(Clone)]
pub struct Subscriptions(pub(crate) Arc<EngineContext>);

impl Subscriptions {
    /// Shows the kinds that the acting user has unsubscribed from.
    ///
    /// # Errors
    /// `not-authenticated`.
    pub async fn show(&self, caller: &Caller) -> Result<Vec<NotificationKind>> {
        let customer = caller.acting_user()?;
        self.0
            .modules
            .subscriptions
            .list_of_customer(caller.tenant()?, customer)
            .await
    }

    /// Replaces the kinds that the acting user has unsubscribed from. They get all other kinds again.
    ///
    /// # Errors
    /// `not-authenticated`, `field-invalid` for a kind that everybody gets.
    pub async fn replace(
        &self,
        caller: &Caller,
        unsubscribed: &[NotificationKind],
    ) -> Result<Vec<NotificationKind>> {
        let customer = caller.acting_user()?;
        unsubscribed
            .iter()
            .try_for_each(|kind| can_do_without(*kind))?;
        let subscriptions = &self.0.modules.subscriptions;
        let tenant = caller.tenant()?;
        subscriptions
            .replace(tenant, customer, unsubscribed)
            .await?;
        subscriptions.list_of_customer(tenant, customer).await
    }

    /// Sets whether the acting user gets bulk mails of one kind; for links that prove who follows them. Repeating it
    /// changes nothing.
    ///
    /// # Errors
    /// `not-authenticated`, `field-invalid` for a kind that everybody gets, `not-found` for somebody unknown.
    pub async fn set(
        &self,
        caller: &Caller,
        kind: NotificationKind,
        wants: bool,
        source: SuppressionSource,
    ) -> Result<()> {
        let customer = caller.acting_user()?;
        can_do_without(kind)?;
        let (modules, tenant) = (&self.0.modules, caller.tenant()?);
        if modules.users.find(tenant, customer).await?.is_none() {
            return Err(Error::not_found("user", customer));
        }
        modules
            .subscriptions
            .set(tenant, customer, kind, wants, source)
            .await
    }

    /// Lists the kinds that the tenant's customers have unsubscribed from, for its owners. An organizer sees customers of their own events; a
    /// page may then have fewer items than the limit.
    ///
    /// # Errors
    /// `forbidden`, `not-found` for an unknown tenant, `field-invalid` for a broken cursor.
    pub async fn list(&self, caller: &Caller, page: PageRequest) -> Result<Page<Suppression>> {
        let caller = &caller.scoped(Scope::NotificationsRead)?;
        caller.require_any(
            &[Role::Owner, Role::Organizer],
            "Only owners and organizers may see from which mails customers have unsubscribed.",
        )?;
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?;
        let mut list = self.0.modules.subscriptions.list(&tenant.id, &page).await?;
        if caller.role() == Role::Organizer {
            let (mut managed, mut seen) = (HashMap::new(), HashMap::new());
            for one in &list.items {
                if let hash_map::Entry::Vacant(vacant) = seen.entry(one.customer) {
                    let sees = self.0.sees_customer(caller, one.customer, &mut managed);
                    vacant.insert(sees.await?);
                }
            }
            list.items
                .retain(|one| seen.get(&one.customer) == Some(&true));
        }
        Ok(list)
    }
}

fn can_do_without(kind: NotificationKind) -> Result<()> {
    if !kind.needs_consent() {
        Err(Error::field(
            "kind",
            "Everybody gets mails of this kind, because they are about bookings.",
        ))
    } else {
        Ok(())
    }
}
