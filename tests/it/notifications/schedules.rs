//! Goal: what is due later can be listed, sent now, moved and cancelled by those who manage its event, each of it once and
//! in the audit; and what somebody moved by hand stays there until the event itself moves.
//!
//! Method: an engine whose clock the test moves, with reminders a day before each event; what must not come is proven by
//! the notification's own state and by the number of mails in the folder.

use std::time::Duration;

use boxoffice_engine::{
    Caller, ErrorCode, NotificationId, NotificationStatus, PageRequest, Reason, Result, UserRole,
};
use jiff::{SignedDuration, Timestamp};

use crate::notifications::reminders::{DAY, EventFixture, HOUR, reminder};

/// Who books at the very moment of a reminder has just read when the event begins.
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reminders_are_listed_moved_promoted_and_cancelled() {
    let house = EventFixture::open().await;
    let events = [
        house.event_in(10 * DAY).await,
        house.event_in(5 * DAY).await,
        house.event_in(20 * DAY).await,
    ];
    let [moved, promoted, cancelled] = [0, 1, 2].map(|index: usize| reminder(&events[index]));
    let ann = house.customer("ann").await;
    for event in &events {
        house.platform.book(&ann, event.id, 1).await;
    }
    house.platform.settle().await;
    house.platform.clock.advance(MINUTE);
    // The one that is due first stands first.
    assert_eq!(
        house.listed(&house.organizer).await,
        [promoted, moved, cancelled]
    );

    let soon = house.in_time(HOUR);
    house.move_to(moved, soon).await.expect("moved");
    assert_eq!(
        house.listed(&house.organizer).await,
        [moved, promoted, cancelled]
    );
    assert_eq!(house.shown(moved).await.due_at, soon);
    house
        .delivery_admin()
        .cancel(&house.organizer, cancelled, why())
        .await
        .expect("cancelled");
    assert_eq!(house.listed(&house.organizer).await, [moved, promoted]);
    house.platform.owes(1);
    house
        .delivery_admin()
        .promote(&house.organizer, promoted, why())
        .await
        .expect("promoted");
    house.platform.settle().await;
    assert_eq!(house.finished(promoted).await.deliveries.sent, 1);
    assert_eq!(house.listed(&house.organizer).await, [moved]);

    house.platform.clock.advance(HOUR);
    house.platform.owes(1);
    house.platform.settle().await;
    assert_eq!(house.finished(moved).await.deliveries.sent, 1);
    assert!(house.listed(&house.organizer).await.is_empty());

    // At their old times nothing more comes: three confirmations and two reminders.
    for _ in 0..3 {
        house.platform.clock.advance(7 * DAY);
        let mails = house.platform.settle().await;
        assert_eq!(
            mails.len(),
            5,
            "{:?}",
            mails.iter().map(|mail| &mail.subject).collect::<Vec<_>>()
        );
    }
    assert_eq!(
        house.shown(cancelled).await.status,
        NotificationStatus::Cancelled
    );
    let audit = house
        .delivery_admin()
        .audit(&Caller::platform("north"), PageRequest::default())
        .await;
    let audit = audit.expect("the audit").items;
    let actions: Vec<&str> = audit.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["promote", "cancel", "move"]);
    assert!(
        audit[2].subject.contains(&format!("to {soon}")),
        "{:?}",
        audit[2]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_moved_by_hand_stays_until_its_event_moves() {
    let house = EventFixture::open().await;
    let event = house.event_in(10 * DAY).await;
    let id = reminder(&event);
    let ann = house.customer("ann").await;
    house.platform.book(&ann, event.id, 1).await;
    house.platform.settle().await;
    let by_hand = house.in_time(2 * DAY);
    house.move_to(id, by_hand).await.expect("moved");
    let renamed = house
        .change(&event, |command| {
            command.details.time_zone = "Europe/Paris".to_owned()
        })
        .await;
    assert_eq!(
        (reminder(&renamed), house.shown(id).await.due_at),
        (id, by_hand)
    );
    let later = house.move_by(&event, SignedDuration::from_hours(48)).await;
    let planned = house.in_time(11 * DAY);
    assert_eq!(
        (reminder(&later), house.shown(id).await.due_at),
        (id, planned)
    );
    assert_eq!(house.listed(&house.organizer).await, [id]);

    // When somebody had moved it to, nothing happens any more.
    house.platform.clock.advance(3 * DAY);
    let ben = house.customer("ben").await;
    house.platform.book(&ben, event.id, 1).await;
    assert_eq!(house.platform.settle().await.len(), 2);
    assert_eq!(house.shown(id).await.status, NotificationStatus::Scheduled);
    house.platform.clock.advance(8 * DAY);
    house.platform.owes(2);
    house.platform.settle().await;
    assert_eq!(house.finished(id).await.deliveries.sent, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_moves_what_is_not_theirs_or_nowhere() {
    let house = EventFixture::open().await;
    let event = house.event_in(3 * DAY).await;
    let id = reminder(&event);
    let rival = house
        .platform
        .user(&house.tenant, "rita", UserRole::Organizer)
        .await;
    let staff = house
        .platform
        .user(&house.tenant, "stan", UserRole::Staff)
        .await;
    let ann = house.customer("ann").await;
    assert!(house.listed(&rival).await.is_empty());
    assert_eq!(house.listed(&staff).await, [id]);
    let delivery_admin = house.delivery_admin();
    for caller in [&rival, &staff, &ann] {
        let promoted = delivery_admin.promote(caller, id, why()).await;
        assert_eq!(code_of(promoted), ErrorCode::Forbidden);
        let moved = delivery_admin
            .move_to(caller, id, house.in_time(HOUR), why())
            .await;
        assert_eq!(code_of(moved), ErrorCode::Forbidden);
    }
    let seen = delivery_admin.schedules(&ann, PageRequest::default()).await;
    assert_eq!(seen.expect_err("a customer").code(), ErrorCode::Forbidden);
    for nowhere in [
        house.in_time(Duration::ZERO),
        house.in_time(3 * DAY),
        house.in_time(400 * DAY),
    ] {
        let moved = house.move_to(id, nowhere).await;
        assert_eq!(code_of(moved), ErrorCode::FieldInvalid, "{nowhere}");
    }
    house.platform.book(&ann, event.id, 1).await;
    house.platform.clock.advance(MINUTE);
    house.platform.owes(1);
    delivery_admin
        .promote(&house.organizer, id, why())
        .await
        .expect("promoted");
    house.platform.settle().await;
    house.finished(id).await;
    let again = delivery_admin.promote(&house.organizer, id, why()).await;
    assert_eq!(code_of(again), ErrorCode::NotificationOver);
    let moved = house.move_to(id, house.in_time(HOUR)).await;
    assert_eq!(code_of(moved), ErrorCode::NotificationOver);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_schedules_has_pages() {
    let house = EventFixture::open().await;
    let mut all = Vec::new();
    for days in 0..7 {
        all.push(reminder(&house.event_in((9 - days) * DAY).await));
    }
    all.reverse();
    let (mut listed, mut page) = (
        Vec::new(),
        PageRequest {
            cursor: None,
            limit: 3,
        },
    );
    loop {
        let found = house
            .delivery_admin()
            .schedules(&house.organizer, page.clone())
            .await
            .expect("a page");
        assert!(found.items.len() <= 3);
        listed.extend(found.items.iter().map(|head| head.id));
        let Some(next) = found.next else { break };
        page.cursor = Some(next);
    }
    assert_eq!(listed, all);
    page.cursor = Some("nonsense".to_owned());
    let odd = house
        .delivery_admin()
        .schedules(&house.organizer, page)
        .await;
    assert_eq!(
        odd.expect_err("no cursor of ours").code(),
        ErrorCode::FieldInvalid
    );
}

impl EventFixture {
    fn delivery_admin(&self) -> boxoffice_engine::app_modules::DeliveryAdmin {
        self.platform.engine.delivery_admin()
    }

    async fn listed(&self, caller: &Caller) -> Vec<NotificationId> {
        let found = self
            .delivery_admin()
            .schedules(caller, PageRequest::default())
            .await;
        let found = found.expect("a list").items;
        found.iter().map(|head| head.id).collect()
    }

    async fn move_to(&self, id: NotificationId, due_at: Timestamp) -> Result<()> {
        self.delivery_admin()
            .move_to(&self.organizer, id, due_at, why())
            .await
    }
}

fn why() -> Reason {
    Reason::parse("why", "a test").expect("a reason")
}

fn code_of(outcome: Result<()>) -> ErrorCode {
    outcome.expect_err("it is refused").code()
}
