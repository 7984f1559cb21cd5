//! Use cases of notifications: announcements, and the progress of notifications and deliveries.
//!
//! Called by hosts and platforms. Calls the announcements, notifications and events modules.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use serde_json::json;

use crate::{
    context::EngineContext,
    error::{Error, Result},
    modules::keyed,
    types::{
        Announce, BookingId, Caller, Delivery, DeliveryState, EventId, Notification,
        NotificationHead, NotificationId, NotificationSummary, Page, PageRequest, RecordedAnswer,
        RequestRoute, Role, Scope, TenantId, UserId, WithCustomer,
    },
};

/// Use cases of notifications.
#[derive(Clone)]
pub struct Notifications(pub(crate) Arc<EngineContext>);

impl Notifications {
    /// Sends an announcement to all customers of an event, for those who manage it. Counts against the
    /// tenant's daily limit.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid`, `event-not-published`, `event-cancelled`, `too-many-requests` beyond the
    /// daily limit, `idempotency-key-reused`, `conflict-try-again`, `outcome-unknown`.
    pub async fn announce(
        &self,
        caller: &Caller,
        command: Announce,
    ) -> Result<NotificationSummary> {
        let caller = &caller.scoped(Scope::NotificationsWrite)?;
        caller.require_signed_in()?;
        let modules = &self.0.modules;
        let tenant = modules.tenants.get(caller.tenant()?).await?;
        let event = self.0.visible_event(caller, command.event).await?;
        let organizer = event.organizer;
        self.0
            .require_manager(caller, command.event, organizer)
            .await?;
        command.validate()?;
        let canonical = json!([command.event, command.subject, command.message]);
        let (route, key) = (RequestRoute::Announcements, command.idempotency_key.clone());
        let request = keyed(caller, route, key, &canonical);
        let request = request.as_ref();
        let announced = async {
            let announcements = &modules.announcements;
            announcements
                .announce(&tenant, event.status, command, request)
                .await
        };
        let idempotency = &modules.idempotency;
        idempotency
            .once(&tenant.id, request, RecordedAnswer::announcement, announced)
            .await
    }

    /// Shows a notification's progress to the event's organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, `forbidden`.
    pub async fn show(
        &self,
        caller: &Caller,
        notification: NotificationId,
    ) -> Result<Notification> {
        let caller = &caller.scoped(Scope::NotificationsRead)?;
        self.require_may_see(caller, notification).await?;
        let found = self
            .0
            .modules
            .notifications
            .find(caller.tenant()?, notification)
            .await?;
        found.ok_or_else(|| Error::not_found("notification", notification))
    }

    /// Lists a notification's deliveries in customer order, for those who may see the notification.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid` for a broken cursor.
    pub async fn deliveries(
        &self,
        caller: &Caller,
        notification: NotificationId,
        page: PageRequest,
    ) -> Result<Page<WithCustomer<Delivery>>> {
        let caller = &caller.scoped(Scope::NotificationsRead)?;
        self.require_may_see(caller, notification).await?;
        let (tenant, notifications) = (caller.tenant()?, &self.0.modules.notifications);
        let found = notifications.deliveries(tenant, notification, &page);
        self.with_recipients(tenant, found.await?).await
    }

    /// Lists a notification's deliveries in one state, in customer order. One call reads 6,400 deliveries, so a
    /// page may have fewer items than the limit, or none, and still have a next page.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid` for a broken cursor.
    pub async fn deliveries_in_state(
        &self,
        caller: &Caller,
        notification: NotificationId,
        state: DeliveryState,
        page: PageRequest,
    ) -> Result<Page<WithCustomer<Delivery>>> {
        let caller = &caller.scoped(Scope::NotificationsRead)?;
        self.require_may_see(caller, notification).await?;
        let (tenant, notifications) = (caller.tenant()?, &self.0.modules.notifications);
        let found = notifications.deliveries_in_state(tenant, notification, state, &page);
        self.with_recipients(tenant, found.await?).await
    }

    /// Lists an event's notifications, newest first, for those who manage the event, and staff.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list_of_event(
        &self,
        caller: &Caller,
        event: EventId,
        page: PageRequest,
    ) -> Result<Page<NotificationHead>> {
        let caller = &caller.scoped(Scope::NotificationsRead)?;
        caller.require_signed_in()?;
        let tenant = caller.tenant()?;
        let found = self.0.visible_event(caller, event).await?;
        let organizer = found.organizer;
        self.0
            .require_manager_or_staff(caller, event, organizer)
            .await?;
        let notifications = &self.0.modules.notifications;
        notifications.list(tenant, Some(event), &page).await
    }

    /// Lists the deliveries about a booking and its event to its customer, newest first, for the customer, those who
    /// manage the event, and staff.
    ///
    /// # Errors
    /// `not-found`, also for what the caller may not see; `field-invalid` for a broken cursor.
    pub async fn deliveries_of_booking(
        &self,
        caller: &Caller,
        booking: BookingId,
        page: PageRequest,
    ) -> Result<Page<WithCustomer<Delivery>>> {
        let caller = &caller.scoped(Scope::NotificationsRead)?;
        caller.require_signed_in()?;
        let tenant = caller.tenant()?;
        let none = || Error::not_found("booking", booking);
        let modules = &self.0.modules;
        let found = modules.bookings.find(tenant, booking).await?;
        let found = found.ok_or_else(none)?;
        if !is_self(caller, found.customer) {
            let event = modules.events.find(tenant, booking.event()).await?;
            let event = event.ok_or_else(none)?;
            let (of, organizer) = (booking.event(), event.organizer);
            if !self.0.may_look_after(caller, of, organizer).await? {
                return Err(none());
            }
        }
        let found = modules
            .notifications
            .deliveries_of_booking(tenant, booking, &page);
        self.with_recipients(tenant, found.await?).await
    }

    /// Lists a customer's deliveries: by booking, newest first, and with the newest booking of
    /// an event also its notifications to all customers. For the customer, the tenant's owners and staff. An
    /// organizer sees what is about their own events; a page may then have fewer items than the limit. Other customers
    /// do not exist for them.
    ///
    /// # Errors
    /// `not-found`, also for what the caller may not see; `field-invalid` for a broken cursor.
    pub async fn deliveries_of_user(
        &self,
        caller: &Caller,
        user: UserId,
        page: PageRequest,
    ) -> Result<Page<WithCustomer<Delivery>>> {
        let caller = &caller.scoped(Scope::NotificationsRead)?;
        caller.require_signed_in()?;
        let tenant = caller.tenant()?;
        let modules = &self.0.modules;
        let none = || Error::not_found("user", user);
        let own = is_self(caller, user);
        if !own && caller.role() == Role::Customer {
            return Err(none());
        }
        modules.users.find(tenant, user).await?.ok_or_else(none)?;
        if !own
            && !self
                .0
                .sees_customer(caller, user, &mut HashMap::new())
                .await?
        {
            return Err(none());
        }
        let mut list = modules
            .notifications
            .deliveries_of_customer(tenant, user, &page)
            .await?;
        if !own && caller.role() == Role::Organizer {
            let mut managed: HashMap<Option<EventId>, bool> = HashMap::new();
            for delivery in &list.items {
                if let hash_map::Entry::Vacant(vacant) = managed.entry(delivery.event) {
                    let event = match delivery.event {
                        Some(event) => modules.events.find(tenant, event).await?,
                        None => None,
                    };
                    vacant.insert(match event {
                        Some(event) => self.0.manages(caller, event.id, event.organizer).await?,
                        None => false,
                    });
                }
            }
            list.items
                .retain(|delivery| managed.get(&delivery.event) == Some(&true));
        }
        self.with_recipients(tenant, list).await
    }

    /// The deliveries of a page with their recipients.
    async fn with_recipients(
        &self,
        tenant: &TenantId,
        page: Page<Delivery>,
    ) -> Result<Page<WithCustomer<Delivery>>> {
        let recipient = |delivery: &Delivery| delivery.customer;
        self.0.page_with_customers(tenant, page, recipient).await
    }

    /// Refuses callers who may not see a notification. Reads its head only, not its deliveries.
    async fn require_may_see(&self, caller: &Caller, notification: NotificationId) -> Result<()> {
        caller.require_signed_in()?;
        let tenant = caller.tenant()?;
        let none = || Error::not_found("notification", notification);
        let modules = &self.0.modules;
        let head = modules
            .notifications
            .stored(tenant, notification)
            .await?
            .ok_or_else(none)?;
        let event = modules
            .events
            .find(tenant, head.event)
            .await?
            .ok_or_else(none)?;
        self.0
            .require_manager_or_staff(caller, event.id, event.organizer)
            .await
    }
}

/// Returns whether the caller is this user.
fn is_self(caller: &Caller, user: UserId) -> bool {
    caller.user_id() == Some(user) && caller.role() != Role::Anonymous
}
