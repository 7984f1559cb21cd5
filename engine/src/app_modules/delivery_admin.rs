//! Delivery administration: the overview, failed deliveries, pausing, cancelling and retrying. The dashboard uses it.
//!
//! Called by hosts and platforms. Calls the delivery_admin, notifications, events and users modules and the queue port.

mod delivery_lookup;
mod health;
mod lanes;
mod retries;
mod schedules;

use std::{collections::HashMap, sync::Arc};

pub use delivery_lookup::LookupResult;
use serde_json::json;

use crate::{
    context::EngineContext,
    error::{Error, Result},
    modules::{NotificationCommand, events_of, group_reasons, keyed},
    types::{
        AuditEntry, Caller, Delivery, DeliveryId, DeliveryOverview, EventId, FailedFilter,
        NotificationHead, NotificationId, NotificationStatus, Page, PageRequest, Reason,
        ReasonGroups, RecordedAnswer, RequestRoute, Role, Scope, TenantId, UserId, WithCustomer,
    },
};

/// Notifications that are read to find unfinished ones.
const ACTIVE_LOOKED_AT: u32 = 20;

/// The audit log's name of an operator, before the address.
const BY_OPERATOR: &str = "operator ";
/// The audit log's name of an operator whose address is unknown, or hidden from the reader.
const AN_OPERATOR: &str = "an operator";

/// Use cases of delivery administration.
#[derive(Clone)]
pub struct DeliveryAdmin(pub(crate) Arc<EngineContext>);

impl DeliveryAdmin {
    /// Checks the permission for [`overview`](Self::overview), for hosts that call it repeatedly.
    ///
    /// # Errors
    /// `forbidden`, `not-authenticated`.
    pub fn require_may_look(&self, caller: &Caller) -> Result<()> {
        require_viewer(caller)
    }

    /// Shows the overview: for operators (outside a tenant: of everything), owners, organizers and staff.
    ///
    /// # Errors
    /// `forbidden`, `unavailable`.
    pub async fn overview(&self, caller: &Caller) -> Result<DeliveryOverview> {
        let caller = &caller.scoped(Scope::NotificationsRead)?;
        require_viewer(caller)?;
        let modules = &self.0.modules;
        let tenant = caller.tenant().ok();
        let (lanes, health) = match caller.role() {
            Role::Operator => {
                let mut lanes = modules.delivery_admin.outbox_lanes().await?;
                let health = self.check_parts(&mut lanes).await;
                (Some(lanes), Some(health))
            }
            _ => (None, None),
        };
        let mut paused_lanes = modules.delivery_admin.paused_lanes().await?;
        if caller.role() != Role::Operator {
            // Everybody sees that a lane is stopped; only operators see the reason.
            for pause in &mut paused_lanes {
                (pause.who, pause.why) = (None, None);
            }
        }
        let workers = modules.delivery_admin.workers().await?;
        let (dead, unknown, is_cut) = modules.delivery_admin.failed(tenant).await?;
        let mut active = Vec::new();
        if let Some(tenant) = tenant {
            let page = PageRequest {
                cursor: None,
                limit: ACTIVE_LOOKED_AT,
            };
            let heads = self.visible_heads(caller, tenant, page).await?;
            for head in heads.items {
                if matches!(
                    head.status,
                    NotificationStatus::Superseded | NotificationStatus::Cancelled
                ) {
                    continue;
                }
                let Some(shown) = modules.notifications.find(tenant, head.id).await? else {
                    continue;
                };
                let counts = &shown.deliveries;
                let open = counts.queued + counts.sending + counts.deferred;
                if open > 0 || shown.status != NotificationStatus::FannedOut {
                    active.push(shown);
                }
            }
        }
        Ok(DeliveryOverview {
            at: self.0.context.now(),
            lanes,
            health,
            paused_lanes,
            workers,
            dead,
            unknown,
            is_cut,
            active,
        })
    }

    /// Lists the tenant's notifications, newest first. An organizer sees those of their own events; a page may
    /// then have fewer items than the limit.
    ///
    /// # Errors
    /// `forbidden`, `not-found` for an operator who named no tenant, `field-invalid` for a broken cursor.
    pub async fn notifications(
        &self,
        caller: &Caller,
        page: PageRequest,
    ) -> Result<Page<NotificationHead>> {
        let caller = &caller.scoped(Scope::NotificationsRead)?;
        require_viewer(caller)?;
        self.visible_heads(caller, caller.tenant()?, page).await
    }

    /// Pauses a bulk notification: no more mails are sent until it is resumed. Mails on a connection
    /// are still sent.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `notification-over`, `conflict-try-again`.
    pub async fn pause(&self, caller: &Caller, id: NotificationId, why: Reason) -> Result<()> {
        let caller = &caller.scoped(Scope::NotificationsWrite)?;
        self.apply(caller, id, NotificationCommand::Pause, why)
            .await
    }

    /// Resumes a paused notification.
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    pub async fn resume(&self, caller: &Caller, id: NotificationId, why: Reason) -> Result<()> {
        let caller = &caller.scoped(Scope::NotificationsWrite)?;
        self.apply(caller, id, NotificationCommand::Resume, why)
            .await
    }

    /// Cancels a bulk notification: deliveries that were not sent become `suppressed`.
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    pub async fn cancel(&self, caller: &Caller, id: NotificationId, why: Reason) -> Result<()> {
        let caller = &caller.scoped(Scope::NotificationsWrite)?;
        self.apply(caller, id, NotificationCommand::Cancel, why)
            .await
    }

    /// Shows a delivery with all its attempts.
    ///
    /// # Errors
    /// `not-found`, also for what the caller may not see.
    pub async fn delivery(
        &self,
        caller: &Caller,
        id: DeliveryId,
    ) -> Result<WithCustomer<Delivery>> {
        let caller = &caller.scoped(Scope::NotificationsRead)?;
        require_viewer(caller)?;
        let tenant = caller.tenant()?;
        let none = || Error::not_found("delivery", id);
        let found = self
            .0
            .modules
            .notifications
            .find_delivery(tenant, id)
            .await?;
        let found = found.ok_or_else(none)?;
        if !self.sees(caller, tenant, found.event).await? {
            return Err(none());
        }
        let recipient = found.customer;
        self.0.with_customer(tenant, found, recipient).await
    }

    /// Lists failed deliveries (`dead` or `unknown`), newest notification first. One call reads at most
    /// 16,000 deliveries, whatever the filter.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, `field-invalid` for a broken cursor.
    pub async fn failed(
        &self,
        caller: &Caller,
        filter: FailedFilter,
        page: PageRequest,
    ) -> Result<Page<WithCustomer<Delivery>>> {
        let caller = &caller.scoped(Scope::NotificationsRead)?;
        require_viewer(caller)?;
        let tenant = caller.tenant()?;
        let from = page.position::<DeliveryId>()?;
        let modules = &self.0.modules;
        let of = filter.notification;
        let (batches, _) = modules
            .delivery_admin
            .failed_batches(tenant, of, from)
            .await?;
        let visible = self.visible(caller, tenant, &events_of(&batches)).await?;
        // The limit of one read. Older ones are found by notification.
        let (mut items, mut next) = (Vec::new(), None);
        'page: for batch in batches.iter().filter(|batch| visible[&batch.event]) {
            for delivery in modules.notifications.deliveries_in(tenant, batch) {
                if !filter.matches(delivery.state, delivery.reason.as_deref())
                    || from.is_some_and(|from| is_before(delivery.id, from))
                {
                    continue;
                }
                if items.len() == page.limit as usize {
                    next = Some(delivery.id.to_string());
                    break 'page;
                }
                items.push(delivery);
            }
        }
        let recipient = |delivery: &Delivery| delivery.customer;
        let found = Page { items, next };
        self.0.page_with_customers(tenant, found, recipient).await
    }

    /// Groups the newest failed deliveries by reason.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn reasons(&self, caller: &Caller) -> Result<ReasonGroups> {
        let caller = &caller.scoped(Scope::NotificationsRead)?;
        require_viewer(caller)?;
        let tenant = caller.tenant()?;
        let (batches, is_cut) = self
            .0
            .modules
            .delivery_admin
            .failed_batches(tenant, None, None)
            .await?;
        let visible = self.visible(caller, tenant, &events_of(&batches)).await?;
        let mut groups = Vec::new();
        for batch in batches.iter().filter(|batch| visible[&batch.event]) {
            group_reasons(&mut groups, batch);
        }
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        Ok(ReasonGroups { groups, is_cut })
    }

    /// Lists the audit log, newest first, for owners and operators; outside tenants the actions of operators on
    /// lanes.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid` for a broken cursor.
    pub async fn audit(&self, caller: &Caller, page: PageRequest) -> Result<Page<AuditEntry>> {
        caller.require_any(&[Role::Owner], "Only the tenant's owners may read this.")?;
        let tenant = caller.tenant().ok();
        let mut page = self.0.modules.delivery_admin.audit(tenant, &page).await?;
        if caller.role() != Role::Operator {
            // Only operators see which operator it was: the address is a login.
            let theirs = page.items.iter_mut();
            for entry in theirs.filter(|entry| entry.who.starts_with(BY_OPERATOR)) {
                AN_OPERATOR.clone_into(&mut entry.who);
            }
        }
        if let Some(tenant) = tenant {
            self.name_people(tenant, &mut page.items).await?;
        }
        Ok(page)
    }

    /// Puts people's addresses in the place of their ids.
    async fn name_people(&self, tenant: &TenantId, entries: &mut [AuditEntry]) -> Result<()> {
        let of = |entry: &AuditEntry| -> Option<UserId> {
            let (_, user) = entry.who.split_once(' ')?;
            user.parse().ok()
        };
        let mut ids: Vec<UserId> = entries.iter().filter_map(of).collect();
        ids.sort_unstable();
        ids.dedup();
        let users = self.0.modules.users.find_many(tenant, &ids).await?;
        for entry in entries {
            let Some(id) = of(entry) else { continue };
            let user = users.iter().find(|user| user.id == id);
            let name = match user {
                Some(user) if user.erased_at.is_none() => user.email.to_string(),
                _ => "whose account was erased".to_owned(),
            };
            let role = entry.who.split(' ').next().unwrap_or_default();
            entry.who = format!("{role} {name}");
        }
        Ok(())
    }

    async fn apply(
        &self,
        caller: &Caller,
        id: NotificationId,
        command: NotificationCommand,
        why: Reason,
    ) -> Result<()> {
        require_manager_role(caller)?;
        let tenant = caller.tenant()?;
        let none = || Error::not_found("notification", id);
        let modules = &self.0.modules;
        let head = modules.notifications.head_of(tenant, id).await?;
        let head = head.ok_or_else(none)?;
        if !self.manages(caller, tenant, Some(head.event)).await? {
            return Err(Error::forbidden(
                "Only the event's organizer and the tenant's owners may do this.",
            ));
        }
        let canonical = json!([
            id.to_string(),
            command.as_str(),
            command.due_at(),
            why.as_str()
        ]);
        let request = keyed(caller, RequestRoute::NotificationCommands, None, &canonical);
        let request = request.as_ref();
        let applied = async {
            self.check_time(caller, &head, command).await?;
            let audit = self.audit_of(caller, &head, command, why).await?;
            let delivery_admin = &modules.delivery_admin;
            let applied = delivery_admin.apply(tenant, id, command, &audit, request);
            applied.await.map(drop)
        };
        let idempotency = &modules.idempotency;
        idempotency
            .once(tenant, request, RecordedAnswer::done, applied)
            .await
    }

    async fn audit_of(
        &self,
        caller: &Caller,
        head: &NotificationHead,
        command: NotificationCommand,
        why: Reason,
    ) -> Result<AuditEntry> {
        let id = head.id;
        let subject = match command {
            NotificationCommand::Move(due_at) => {
                format!("notification {id}, from {} to {due_at}", head.due_at)
            }
            _ => format!("notification {id}"),
        };
        self.audit_entry(caller, command.as_str(), subject, why, None)
            .await
    }

    async fn audit_entry(
        &self,
        caller: &Caller,
        action: &str,
        subject: String,
        why: Reason,
        count: Option<u64>,
    ) -> Result<AuditEntry> {
        let who = self.0.audited_name(caller).await?;
        Ok(AuditEntry {
            at: self.0.context.now(),
            who,
            action: action.to_owned(),
            subject,
            why: why.as_str().to_owned(),
            count,
        })
    }

    async fn visible_heads(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        page: PageRequest,
    ) -> Result<Page<NotificationHead>> {
        let heads = self.0.modules.notifications.list(tenant, None, &page);
        self.only_visible(caller, tenant, heads.await?).await
    }

    /// Those that a caller may see.
    async fn only_visible(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        mut heads: Page<NotificationHead>,
    ) -> Result<Page<NotificationHead>> {
        let events = heads.items.iter().map(|head| Some(head.event));
        let mut events: Vec<_> = events.collect();
        events.sort_unstable();
        events.dedup();
        let visible = self.visible(caller, tenant, &events).await?;
        heads.items.retain(|head| visible[&Some(head.event)]);
        Ok(heads)
    }

    /// The events whose mails a caller may see.
    async fn visible(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        events: &[Option<EventId>],
    ) -> Result<HashMap<Option<EventId>, bool>> {
        let mut visible = HashMap::new();
        for event in events {
            visible.insert(*event, self.sees(caller, tenant, *event).await?);
        }
        Ok(visible)
    }

    async fn sees(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        event: Option<EventId>,
    ) -> Result<bool> {
        if caller.role() == Role::Staff {
            return Ok(true);
        }
        self.manages(caller, tenant, event).await
    }

    /// Returns whether a caller manages an event. Notifications without an event are the owners'. Reads the event only if needed.
    async fn manages(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        event: Option<EventId>,
    ) -> Result<bool> {
        if caller.role() != Role::Organizer {
            return Ok(caller.require_manager(None).is_ok());
        }
        let Some(event) = event else {
            return Ok(false);
        };
        match self.0.modules.events.find(tenant, event).await? {
            Some(found) => self.0.manages(caller, event, found.organizer).await,
            None => Ok(false),
        }
    }
}

/// Refuses callers without access to delivery administration.
fn require_viewer(caller: &Caller) -> Result<()> {
    caller.require_any(
        &[Role::Owner, Role::Organizer, Role::Staff],
        "Only organizers, staff and owners may see this.",
    )
}

/// Refuses callers who may not change deliveries: staff may only read.
fn require_manager_role(caller: &Caller) -> Result<()> {
    caller.require_any(
        &[Role::Owner, Role::Organizer],
        "Only organizers and owners may do this.",
    )
}

/// Returns whether a delivery comes before another in the same batch.
fn is_before(id: DeliveryId, other: DeliveryId) -> bool {
    (id.notification(), id.batch()) == (other.notification(), other.batch())
        && id.index() < other.index()
}

impl EngineContext {
    /// The caller's name in the audit log: the role, and who.
    pub(in crate::app_modules) async fn audited_name(&self, caller: &Caller) -> Result<String> {
        Ok(match (caller.role(), caller.user_id()) {
            (Role::Operator, _) => match caller.operator_email() {
                Some(email) => format!("{BY_OPERATOR}{email}"),
                None => AN_OPERATOR.to_owned(),
            },
            // By id: the log is kept longer than people may want to be named.
            (role, Some(user)) => format!("{} {user}", role_in_words(role)),
            _ => match caller.api_key_id() {
                Some(key) => format!("API key {key}"),
                None => "the platform".to_owned(),
            },
        })
    }
}

fn role_in_words(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Organizer => "organizer",
        Role::Staff => "staff",
        Role::Platform => "platform",
        Role::Customer | Role::Anonymous | Role::ApiKey | Role::Operator => "customer",
    }
}
