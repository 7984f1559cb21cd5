//! Goal: each customer is reminded once of a beginning, at its time, and of none that no longer holds.
//!
//! Method: an engine whose clock the test moves, with a worker and a folder of mails; what must not come is proven by
//! the notification's own state, and by the number of mails in the folder.

use std::time::Duration;

use boxoffice_engine::{
    Caller, CreateEvent, Event, EventDetails, EventStatus, Label, NewTicketType, Notification,
    NotificationId, NotificationStatus, PageRequest, Prose, Reminder, ReminderLead, TenantId,
    TenantSettings, UpdateEvent, UpdateTenant, UserRole,
};
use boxoffice_tests::{Patience, TestPlatform, wait_for};
use jiff::{SignedDuration, Timestamp};

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3_600);

pub(crate) struct EventFixture {
    pub(crate) platform: TestPlatform,
    pub(crate) tenant: TenantId,
    pub(crate) organizer: Caller,
}

impl EventFixture {
    /// A tenant whose reminders go out a day before.
    pub(crate) async fn open() -> Self {
        let platform = TestPlatform::new().await;
        let tenant = platform.tenant("north").await;
        let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
        let house = Self {
            platform,
            tenant,
            organizer,
        };
        house.set_lead(Some(24 * 60)).await;
        house
    }

    async fn set_lead(&self, minutes: Option<u32>) {
        let caller = Caller::platform(self.tenant.as_str());
        let tenants = self.platform.engine.tenants();
        let tenant = tenants.show(&caller).await.expect("the tenant");
        let lead = minutes.map(|minutes| ReminderLead::parse("x", minutes).expect("a lead"));
        let command = UpdateTenant {
            expected_version: tenant.version,
            name: tenant.name,
            settings: TenantSettings {
                reminder_lead: lead,
                ..tenant.settings
            },
        };
        tenants.update(&caller, command).await.expect("settings");
    }

    /// An event that begins so long from now.
    pub(crate) async fn event_in(&self, wait: Duration) -> Event {
        let line = |text: &str| Label::parse("text", text).expect("one line");
        let details = EventDetails {
            title: line("Jazz Night"),
            description: Prose::parse("description", "A long evening.").expect("prose"),
            starts_at: self.in_time(wait),
            ends_at: None,
            time_zone: "Europe/Berlin".to_owned(),
            location: Some(line("Old Hall")),
            reminder: Reminder::AsTenant,
            reference: None,
            metadata: Default::default(),
            questions: Vec::new(),
            attendees_until: None,
        };
        let command = CreateEvent {
            details,
            status: EventStatus::Published,
            ticket_types: vec![NewTicketType::general(10)],
            total_tickets: None,
            cancellation_terms: Default::default(),
            max_tickets_per_customer: None,
        };
        let events = self.platform.engine.events();
        events
            .create(&self.organizer, command)
            .await
            .expect("an event")
    }

    pub(crate) fn in_time(&self, wait: Duration) -> Timestamp {
        use boxoffice_engine::ports::Clock as _;
        self.platform.clock.now() + SignedDuration::try_from(wait).expect("days")
    }

    /// Changes an event; its customers are not told of the change itself.
    pub(crate) async fn change(
        &self,
        event: &Event,
        apply: impl FnOnce(&mut UpdateEvent),
    ) -> Event {
        let events = self.platform.engine.events();
        let present = events
            .show(&self.organizer, event.id)
            .await
            .expect("the event")
            .event;
        let kind = &present.ticket_types[0];
        let mut command = UpdateEvent {
            event: event.id,
            expected_version: present.version,
            ticket_types: vec![NewTicketType {
                id: Some(kind.id.clone()),
                ..NewTicketType::general(kind.capacity)
            }],
            details: present.details,
            status: present.status,
            notify_customers: Some(false),
            total_tickets: None,
            cancellation_terms: Default::default(),
            max_tickets_per_customer: None,
        };
        apply(&mut command);
        events
            .update(&self.organizer, command)
            .await
            .expect("a change")
            .event
    }

    pub(crate) async fn move_by(&self, event: &Event, by: SignedDuration) -> Event {
        self.change(event, |command| {
            command.details.starts_at += by;
        })
        .await
    }

    pub(crate) async fn shown(&self, id: NotificationId) -> Notification {
        let notifications = self.platform.engine.notifications();
        notifications
            .show(&self.organizer, id)
            .await
            .expect("a notification")
    }

    /// A notification once nothing more happens to it.
    pub(crate) async fn finished(&self, id: NotificationId) -> Notification {
        wait_for(Patience::WORK, "a reminder to be finished", || async {
            let seen = self.shown(id).await;
            let is_listed = matches!(
                seen.status,
                NotificationStatus::FannedOut | NotificationStatus::Superseded
            );
            let counts = seen.deliveries;
            (is_listed && counts.queued + counts.sending + counts.deferred == 0).then_some(seen)
        })
        .await
    }

    pub(crate) async fn customer(&self, name: &str) -> Caller {
        self.platform.customer(&self.tenant, name).await
    }
}

pub(crate) fn reminder(event: &Event) -> NotificationId {
    event.reminder.expect("a reminder is owed").notification
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_customer_with_a_booking_is_reminded_once_at_its_time() {
    let house = EventFixture::open().await;
    let event = house.event_in(3 * DAY).await;
    let due_at = event.reminder.expect("a reminder is owed").due_at;
    assert_eq!(due_at, house.in_time(2 * DAY));
    let (ann, ben, cyd) = (
        house.customer("ann").await,
        house.customer("ben").await,
        house.customer("cyd").await,
    );
    house.platform.book(&ann, event.id, 1).await;
    house.platform.book(&ann, event.id, 2).await;
    let of_ben = house.platform.book(&ben, event.id, 1).await;
    house.platform.settle().await;
    let bookings = house.platform.engine.bookings();
    bookings
        .cancel(&ben, of_ben.id)
        .await
        .expect("a cancellation");
    house.platform.owes(1);
    house.platform.clock.advance(2 * DAY - HOUR);
    house.platform.book(&cyd, event.id, 1).await;
    assert_eq!(
        house.platform.settle().await.len(),
        5,
        "an hour early, nobody is reminded"
    );
    assert_eq!(
        house.shown(reminder(&event)).await.status,
        NotificationStatus::Scheduled
    );

    house.platform.clock.advance(HOUR);
    house.platform.owes(2);
    let mails = house.platform.settle().await;
    let seen = house.finished(reminder(&event)).await;
    assert_eq!((seen.recipients, seen.deliveries.sent), (2, 2));
    let reminded: Vec<_> = mails
        .iter()
        .filter(|mail| mail.subject == "Reminder: Jazz Night")
        .collect();
    for name in ["ann", "cyd"] {
        let to = format!("{name}@north.test");
        assert_eq!(
            reminded.iter().filter(|mail| mail.is_to(&to)).count(),
            1,
            "{name}"
        );
    }
    let uid = reminded[0].calendar_property("UID");
    assert_eq!(uid, Some(format!("{}@boxoffice", event.id)));

    // Who books now has just read when it begins.
    let dan = house.customer("dan").await;
    house.platform.book(&dan, event.id, 1).await;
    house.platform.clock.advance(12 * HOUR);
    house.platform.settle().await;
    assert_eq!(house.shown(reminder(&event)).await.deliveries.total(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reminder_moves_with_its_event() {
    let house = EventFixture::open().await;
    let event = house.event_in(3 * DAY).await;
    let ann = house.customer("ann").await;
    house.platform.book(&ann, event.id, 1).await;
    house.platform.settle().await;
    let moved = house.move_by(&event, SignedDuration::from_hours(48)).await;
    assert_eq!(reminder(&moved), reminder(&event));
    assert_eq!(
        moved.reminder.map(|one| one.due_at),
        Some(house.in_time(4 * DAY))
    );

    // At its old time nothing happens; a mail of another kind shows that the worker has been there.
    house.platform.clock.advance(3 * DAY);
    let ben = house.customer("ben").await;
    house.platform.book(&ben, event.id, 1).await;
    house.platform.settle().await;
    assert_eq!(
        house.shown(reminder(&event)).await.status,
        NotificationStatus::Scheduled
    );
    house.platform.clock.advance(DAY);
    house.platform.owes(2);
    house.platform.settle().await;
    assert_eq!(house.finished(reminder(&event)).await.deliveries.sent, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_far_move_after_the_reminder_brings_another_and_a_near_one_does_not() {
    let house = EventFixture::open().await;
    let event = house.event_in(2 * DAY).await;
    let ann = house.customer("ann").await;
    house.platform.book(&ann, event.id, 1).await;
    house.platform.settle().await;
    house.platform.clock.advance(DAY);
    house.platform.owes(1);
    house.platform.settle().await;
    let first = reminder(&event);
    house.finished(first).await;

    let near = house.move_by(&event, SignedDuration::from_hours(24)).await;
    assert_eq!(reminder(&near), first, "a day is no more than the lead");
    let far = house.move_by(&event, SignedDuration::from_hours(1)).await;
    let second = reminder(&far);
    assert_ne!(second, first);
    house.platform.clock.advance(DAY + HOUR);
    house.platform.owes(1);
    let mails = house.platform.settle().await;
    assert_eq!(house.finished(second).await.deliveries.sent, 1);
    assert_eq!(mails.len(), 3, "a confirmation and two reminders");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reminders_end_with_their_event() {
    let house = EventFixture::open().await;
    let (off, gone, hidden) = (
        house.event_in(3 * DAY).await,
        house.event_in(3 * DAY).await,
        house.event_in(3 * DAY).await,
    );
    let ann = house.customer("ann").await;
    house.platform.book(&ann, off.id, 1).await;
    house.platform.settle().await;
    let events = house.platform.engine.events();
    let change = events
        .cancel(&house.organizer, off.id, None)
        .await
        .expect("off");
    assert!(change.event.reminder.is_none());
    house.platform.owes(1);
    assert_eq!(
        house.shown(reminder(&off)).await.status,
        NotificationStatus::Superseded
    );
    events
        .delete(&house.organizer, gone.id, 1)
        .await
        .expect("deleted");
    let hide = |command: &mut UpdateEvent| command.status = EventStatus::Draft;
    assert!(house.change(&hidden, hide).await.reminder.is_none());
    let show = |command: &mut UpdateEvent| command.status = EventStatus::Published;
    let shown_again = house.change(&hidden, show).await;
    assert_ne!(reminder(&shown_again), reminder(&hidden));

    house.platform.clock.advance(2 * DAY);
    house.platform.settle().await;
    let seen = house.finished(reminder(&shown_again)).await;
    assert_eq!(
        (seen.status, seen.recipients),
        (NotificationStatus::FannedOut, 0)
    );
    let of_gone = house.platform.engine.notifications();
    let page = PageRequest::default();
    let of_gone = of_gone
        .deliveries(&house.organizer, reminder(&gone), page)
        .await;
    assert_eq!(
        of_gone.expect_err("it is gone").code().as_str(),
        "not-found"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_near_is_not_reminded_of() {
    let house = EventFixture::open().await;
    assert!(
        house.event_in(DAY).await.reminder.is_none(),
        "its time is this very moment"
    );
    assert!(house.event_in(HOUR).await.reminder.is_none());
    let near = house.event_in(3 * DAY).await;
    let near = house.move_by(&near, SignedDuration::from_hours(-60)).await;
    assert!(near.reminder.is_none(), "the change itself was the news");
    house.platform.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_comes_after_the_beginning_reminds_nobody() {
    let house = EventFixture::open().await;
    let event = house.event_in(3 * DAY).await;
    let ann = house.customer("ann").await;
    house.platform.book(&ann, event.id, 1).await;
    // No worker has run so far.
    house.platform.clock.advance(3 * DAY);
    let mails = house.platform.settle().await;
    assert_eq!(mails.len(), 1, "the confirmation still goes out");
    let seen = house.finished(reminder(&event)).await;
    assert_eq!(
        (seen.status, seen.recipients),
        (NotificationStatus::Superseded, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_events_own_time_goes_before_the_tenants_and_settings_hold_from_the_next_change() {
    let house = EventFixture::open().await;
    let event = house.event_in(10 * DAY).await;
    house.set_lead(Some(60)).await;
    let events = house.platform.engine.events();
    let unchanged = events
        .show(&house.organizer, event.id)
        .await
        .expect("the event")
        .event;
    assert_eq!(
        unchanged.reminder, event.reminder,
        "settings change no event by themselves"
    );
    let changed = house.change(&event, |_| {}).await;
    assert_eq!(
        changed.reminder.map(|one| one.due_at),
        Some(house.in_time(10 * DAY - HOUR))
    );
    let own = house
        .change(&event, |command| {
            let lead = ReminderLead::parse("x", 2 * 60).expect("a lead");
            command.details.reminder = Reminder::Before(lead);
        })
        .await;
    assert_eq!(
        own.reminder.map(|one| one.due_at),
        Some(house.in_time(10 * DAY - 2 * HOUR))
    );
    let off = |command: &mut UpdateEvent| command.details.reminder = Reminder::Off;
    assert!(house.change(&event, off).await.reminder.is_none());
    house.set_lead(None).await;
    let as_tenant = |command: &mut UpdateEvent| command.details.reminder = Reminder::AsTenant;
    assert!(house.change(&event, as_tenant).await.reminder.is_none());
    house.platform.settle().await;
}
