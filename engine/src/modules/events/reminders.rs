//! The rules of reminders: when an event gets one, and how changes of the event affect it.
//!
//! Called by the events module, which writes the outcome in the change's own transaction. Pure: reads no store.

use jiff::Timestamp;

use crate::modules::{repositories::ReminderStep, to_millisecond};
use crate::{
    ports::Lane,
    types::{
        EventId, EventReminder, NotificationId, NotificationKind, NotificationStatus, OutboxEntry,
        OutboxPart, ReminderLead, StoredNotification, TenantId,
    },
};

/// An event's reminders before a change.
#[derive(Debug, Clone, Default)]
pub(in crate::modules) struct Present {
    /// Its newest reminder.
    pub(in crate::modules) reminder: Option<EventReminder>,
    /// That reminder's notification.
    pub(in crate::modules) notification: Option<StoredNotification>,
    /// The beginning in the reminder before that one.
    pub(in crate::modules) reminded_start: Option<Timestamp>,
}

/// The parts of the changed event that matter for reminders.
#[derive(Debug, Clone)]
pub(in crate::modules) struct Wanted {
    pub(in crate::modules) tenant: TenantId,
    pub(in crate::modules) event: EventId,
    pub(in crate::modules) version: u64,
    /// Whether it is published; drafts and cancelled events have no reminders.
    pub(in crate::modules) is_published: bool,
    pub(in crate::modules) starts_at: Timestamp,
    /// How long before it begins; `None` for no reminder.
    pub(in crate::modules) lead: Option<ReminderLead>,
}

/// An event's reminders after a change, and what to write.
#[derive(Debug, Clone)]
pub(in crate::modules) struct Plan {
    pub(in crate::modules) reminder: Option<EventReminder>,
    pub(in crate::modules) reminded_start: Option<Timestamp>,
    pub(in crate::modules) step: ReminderStep,
}

/// Decides about an event's reminder. `id` is the id of a new one, if there will be one.
///
/// - A scheduled reminder follows the event: it moves, or is superseded.
/// - If its time has passed already, none is made: the booking or the change has just told everybody.
/// - After one was sent, another follows only if the event moves by more than the lead: customers who were reminded of
///   eight o'clock the day before need not be reminded again of nine.
pub(in crate::modules) fn plan(
    present: Present,
    wanted: &Wanted,
    id: NotificationId,
    now: Timestamp,
) -> Plan {
    let status = present.notification.as_ref().map(|stored| stored.status);
    let went_out = matches!(
        status,
        Some(NotificationStatus::FanningOut | NotificationStatus::FannedOut)
    );
    let reminded_start = match present.reminder {
        Some(reminder) if went_out => Some(reminder.starts_at),
        _ => present.reminded_start,
    };
    let due_at = due(wanted, reminded_start);
    let pending = match (present.reminder, present.notification) {
        (Some(reminder), Some(stored)) if stored.status == NotificationStatus::Scheduled => {
            Some((reminder, stored))
        }
        _ => None,
    };
    match (pending, due_at) {
        // Also when it is due already.
        (Some((pending, _)), Some(due_at)) if pending.due_at == due_at => Plan {
            reminder: Some(wanted.reminder(pending.notification, due_at)),
            reminded_start,
            step: ReminderStep::default(),
        },
        (Some((pending, stored)), due_at) => {
            let due_at = due_at.filter(|due_at| *due_at > now);
            moved(wanted, (pending, stored), due_at, reminded_start)
        }
        (None, Some(due_at)) if due_at > now => {
            let reminder = wanted.reminder(id, due_at);
            Plan {
                reminder: Some(reminder),
                reminded_start,
                step: ReminderStep {
                    new: Some(notification(wanted, &reminder, now)),
                    add_outbox: Some(outbox_entry(&wanted.tenant, &reminder)),
                    ..ReminderStep::default()
                },
            }
        }
        (None, _) => Plan {
            reminder: present.reminder,
            reminded_start,
            step: ReminderStep::default(),
        },
    }
}

impl Wanted {
    fn reminder(&self, notification: NotificationId, due_at: Timestamp) -> EventReminder {
        EventReminder {
            notification,
            due_at,
            starts_at: self.starts_at,
        }
    }
}

/// What becomes of a reminder that has not begun to go out: it is due at another time, or superseded.
fn moved(
    wanted: &Wanted,
    (pending, stored): (EventReminder, StoredNotification),
    due_at: Option<Timestamp>,
    reminded_start: Option<Timestamp>,
) -> Plan {
    let reminder = due_at.map(|due_at| wanted.reminder(pending.notification, due_at));
    let changed = match due_at {
        Some(due_at) => StoredNotification {
            due_at,
            to_version: wanted.version,
            ..stored
        },
        None => StoredNotification {
            status: NotificationStatus::Superseded,
            ..stored
        },
    };
    Plan {
        reminder,
        reminded_start,
        step: ReminderStep {
            new: None,
            remove_outbox: Some(outbox_entry(&wanted.tenant, &pending)),
            add_outbox: reminder.map(|reminder| outbox_entry(&wanted.tenant, &reminder)),
            changed: Some(changed),
        },
    }
}

/// A reminder's outbox entry: its fan-out, when it is due.
pub(in crate::modules) fn outbox_entry(tenant: &TenantId, reminder: &EventReminder) -> OutboxEntry {
    OutboxEntry {
        due_at: reminder.due_at,
        tenant: tenant.clone(),
        notification: reminder.notification,
        part: OutboxPart::FanOut,
        lane: Lane::Bulk,
        published: false,
    }
}

/// When the reminder of an event is sent, if it has one.
fn due(wanted: &Wanted, reminded_start: Option<Timestamp>) -> Option<Timestamp> {
    let lead = wanted.lead.filter(|_| wanted.is_published)?;
    if let Some(told) = reminded_start
        && wanted.starts_at.duration_since(told).abs() <= lead.duration()
    {
        return None;
    }
    let due_at = wanted.starts_at.checked_sub(lead.duration()).ok()?;
    Some(to_millisecond(due_at))
}

fn notification(wanted: &Wanted, reminder: &EventReminder, now: Timestamp) -> StoredNotification {
    StoredNotification {
        id: reminder.notification,
        revision: 0,
        kind: NotificationKind::EventReminder,
        event: wanted.event,
        status: NotificationStatus::Scheduled,
        from_version: wanted.version,
        to_version: wanted.version,
        // The recipients are not known before then.
        estimated_recipients: 0,
        recipients: 0,
        batches: 0,
        cursor: None,
        created_at: now,
        due_at: reminder.due_at,
        is_paused: false,
        retry_generation: 0,
        is_uncertain: false,
        // No trace: months later it would be of no use.
        trace: None,
    }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;

    const NOW: &str = "2026-06-01T12:00:00Z";
    const START: &str = "2026-06-10T20:00:00Z";
    const DAY_MINUTES: u32 = 24 * 60;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn id(number: u128) -> NotificationId {
        NotificationId::from_ulid(Ulid::from_parts(1, number))
    }

    fn wanted(starts_at: &str) -> Wanted {
        Wanted {
            tenant: TenantId::parse("north").unwrap(),
            event: EventId::from_ulid(Ulid::from_parts(1, 1)),
            version: 2,
            is_published: true,
            starts_at: time(starts_at),
            lead: Some(ReminderLead::parse("reminderMinutes", DAY_MINUTES).unwrap()),
        }
    }

    /// An event with a reminder of this beginning, in this state.
    fn present(starts_at: &str, status: NotificationStatus) -> Present {
        let made = plan(Present::default(), &wanted(starts_at), id(1), time(NOW));
        Present {
            reminder: made.reminder,
            notification: made
                .step
                .new
                .map(|new| StoredNotification { status, ..new }),
            reminded_start: made.reminded_start,
        }
    }

    #[test]
    fn a_new_event_owes_one_reminder_a_lead_before_it_begins() {
        let made = plan(Present::default(), &wanted(START), id(1), time(NOW));
        let due_at = time("2026-06-09T20:00:00Z");
        assert_eq!(made.reminder.unwrap().due_at, due_at);
        assert_eq!(made.step.new.unwrap().due_at, due_at);
        assert_eq!(made.step.add_outbox.unwrap().due_at, due_at);
        assert!(made.step.changed.is_none() && made.step.remove_outbox.is_none());
    }

    #[test]
    fn drafts_events_without_a_lead_and_those_too_near_owe_none() {
        for none in [
            Wanted {
                is_published: false,
                ..wanted(START)
            },
            Wanted {
                lead: None,
                ..wanted(START)
            },
            wanted("2026-06-02T12:00:00Z"), // due at this very moment
            wanted("2026-06-01T13:00:00Z"),
            wanted("2026-05-01T13:00:00Z"), // over
        ] {
            let made = plan(Present::default(), &none, id(1), time(NOW));
            assert!(made.reminder.is_none(), "{none:?}");
            assert!(made.step.new.is_none() && made.step.add_outbox.is_none());
        }
    }

    #[test]
    fn a_pending_reminder_moves_with_its_event() {
        let before = present(START, NotificationStatus::Scheduled);
        let moved = plan(before, &wanted("2026-06-20T20:00:00Z"), id(2), time(NOW));
        let step = moved.step;
        assert_eq!(moved.reminder.unwrap().notification, id(1));
        assert_eq!(
            step.remove_outbox.unwrap().due_at,
            time("2026-06-09T20:00:00Z")
        );
        assert_eq!(
            step.add_outbox.unwrap().due_at,
            time("2026-06-19T20:00:00Z")
        );
        assert_eq!(step.changed.unwrap().due_at, time("2026-06-19T20:00:00Z"));
        assert!(step.new.is_none());
    }

    #[test]
    fn a_pending_reminder_stays_when_nothing_moves_even_if_it_is_due() {
        let late = time("2026-06-09T20:00:01Z");
        let before = present(START, NotificationStatus::Scheduled);
        let kept = plan(before, &wanted(START), id(2), late);
        assert_eq!(kept.reminder.unwrap().notification, id(1));
        assert!(kept.step.changed.is_none() && kept.step.add_outbox.is_none());
    }

    #[test]
    fn a_pending_reminder_is_superseded_with_its_event_or_its_time() {
        let off = Wanted {
            is_published: false,
            ..wanted(START)
        };
        for wanted in [off, wanted("2026-06-02T09:00:00Z")] {
            let before = present(START, NotificationStatus::Scheduled);
            let gone = plan(before, &wanted, id(2), time(NOW));
            assert!(gone.reminder.is_none());
            assert_eq!(
                gone.step.changed.unwrap().status,
                NotificationStatus::Superseded
            );
            assert!(gone.step.remove_outbox.is_some() && gone.step.add_outbox.is_none());
        }
    }

    #[test]
    fn after_one_went_out_only_a_move_beyond_the_lead_brings_another() {
        let sent = || present(START, NotificationStatus::FannedOut);
        for near in ["2026-06-11T20:00:00Z", START, "2026-06-09T20:00:00Z"] {
            let kept = plan(sent(), &wanted(near), id(2), time(NOW));
            assert_eq!(kept.reminder.unwrap().notification, id(1), "{near}");
            assert!(kept.step.new.is_none(), "{near}");
        }
        let far = plan(sent(), &wanted("2026-06-11T20:01:00Z"), id(2), time(NOW));
        assert_eq!(far.reminder.unwrap().notification, id(2));
        assert_eq!(far.reminded_start, Some(time(START)));
        // Moved back before the second was sent: everybody was reminded of this beginning.
        let second = Present {
            reminder: far.reminder,
            notification: far.step.new,
            reminded_start: far.reminded_start,
        };
        let back = plan(second, &wanted(START), id(3), time(NOW));
        assert!(back.reminder.is_none() && back.step.new.is_none());
        assert_eq!(
            back.step.changed.unwrap().status,
            NotificationStatus::Superseded
        );
        assert_eq!(back.reminded_start, Some(time(START)));
    }

    #[test]
    fn one_that_was_superseded_told_nobody() {
        let before = present(START, NotificationStatus::Superseded);
        let again = plan(before, &wanted(START), id(2), time(NOW));
        assert_eq!(again.reminder.unwrap().notification, id(2));
    }
}
