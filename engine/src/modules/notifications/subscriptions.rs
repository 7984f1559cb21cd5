//! The rules of what customers do without. Called by app_modules; calls the subscriptions
//! repository.

use crate::modules::{ModuleContext, repositories::SubscriptionsRepository};
use crate::{
    error::{Error, Result},
    types::{
        NotificationKind, Page, PageRequest, Suppression, SuppressionSource, TenantId, UserId,
    },
};

pub(crate) struct SubscriptionsModule {
    repository: SubscriptionsRepository,
    context: ModuleContext,
}

impl SubscriptionsModule {
    pub(in crate::modules) fn new(
        repository: SubscriptionsRepository,
        context: ModuleContext,
    ) -> Self {
        Self {
            repository,
            context,
        }
    }

    /// The kinds that a customer does without.
    pub(crate) async fn list_of_customer(
        &self,
        tenant: &TenantId,
        customer: UserId,
    ) -> Result<Vec<NotificationKind>> {
        let found = self.repository.list_of_customer(tenant, customer).await?;
        Ok(found.into_iter().map(|one| one.kind).collect())
    }

    /// Writes whether a customer gets mails of a kind. Saying it again changes nothing.
    pub(crate) async fn set(
        &self,
        tenant: &TenantId,
        customer: UserId,
        kind: NotificationKind,
        wants: bool,
        source: SuppressionSource,
    ) -> Result<()> {
        let (mut unwanted, mut wanted) = (Vec::new(), Vec::new());
        if wants {
            wanted.push((customer, kind));
        } else {
            unwanted.push(self.suppression(customer, kind, source));
        }
        self.repository.change(tenant, &unwanted, &wanted).await
    }

    /// Writes all that a customer does without; every other kind is wanted from then on.
    pub(crate) async fn replace(
        &self,
        tenant: &TenantId,
        customer: UserId,
        kinds: &[NotificationKind],
    ) -> Result<()> {
        let (mut unwanted, mut wanted) = (Vec::new(), Vec::new());
        for kind in NotificationKind::needing_consent() {
            if kinds.contains(&kind) {
                unwanted.push(self.suppression(customer, kind, SuppressionSource::Account));
            } else {
                wanted.push((customer, kind));
            }
        }
        self.repository.change(tenant, &unwanted, &wanted).await
    }

    /// A page of what a tenant's customers do without, in customer order. The cursor is `customer.kind` of the last one.
    pub(crate) async fn list(
        &self,
        tenant: &TenantId,
        page: &PageRequest,
    ) -> Result<Page<Suppression>> {
        let after = page.cursor.as_deref().map(read_cursor).transpose()?;
        let items = self.repository.list(tenant, after, page.limit + 1).await?;
        Ok(page.cut(items, |last| format!("{}.{}", last.customer, last.kind)))
    }

    fn suppression(
        &self,
        customer: UserId,
        kind: NotificationKind,
        source: SuppressionSource,
    ) -> Suppression {
        Suppression {
            customer,
            kind,
            source,
            created_at: self.context.now(),
        }
    }
}

fn read_cursor(cursor: &str) -> Result<(UserId, NotificationKind), Error> {
    cursor
        .split_once('.')
        .and_then(|(customer, kind)| Some((customer.parse().ok()?, kind.parse().ok()?)))
        .ok_or_else(PageRequest::not_a_cursor)
}
