//! The JSON of delivery administration.

use boxoffice_engine::{
    AuditEntry, DeliveryOverview, LanePause, LaneStatus, LookupResult, PartHealth, ReasonGroup,
    ReasonGroups, Retried, SystemHealth, WorkerStatus,
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::{
        exports::ExportRow,
        notifications::{DeliveryResponse, NotificationHeadResponse, NotificationResponse},
    },
    pace::PacesResponse,
};
use crate::routes::choices;

/// The state of a lane in the queue.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct LaneResponse {
    /// `transactional` or `bulk`.
    #[schema(value_type = choices::Lane)]
    lane: &'static str,
    /// Tasks that no worker has fetched; null if the queue does not answer.
    waiting: Option<u64>,
    /// Tasks that a worker has; null if the queue does not answer.
    in_flight: Option<u64>,
    /// Outbox entries: delivery batches of up to 32 mails, and fan-outs.
    outbox_entries: u64,
    /// Those of them that are due later.
    later: u64,
    /// Whether there are more than were counted.
    is_cut: bool,
    /// When the oldest entry that is due was caused.
    #[schema(value_type = Option<String>, format = DateTime)]
    oldest_at: Option<Timestamp>,
}

impl From<LaneStatus> for LaneResponse {
    fn from(lane: LaneStatus) -> Self {
        Self {
            lane: lane.lane.as_str(),
            waiting: lane.waiting,
            in_flight: lane.in_flight,
            outbox_entries: lane.outbox_entries,
            later: lane.later,
            is_cut: lane.is_cut,
            oldest_at: lane.oldest_at,
        }
    }
}

/// A worker process, as of its last heartbeat.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct WorkerResponse {
    /// The id of the process, new at every start.
    id: String,
    /// When it started.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// When it wrote its last heartbeat, by its own clock.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Whether that was recent.
    is_alive: bool,
    /// Mails that mail servers accepted from it since it started.
    sent: u64,
    /// Refused for good.
    refused: u64,
    /// Failed for now.
    deferred: u64,
    /// The outcome is unknown.
    unknown: u64,
}

impl From<WorkerStatus> for WorkerResponse {
    fn from(worker: WorkerStatus) -> Self {
        Self {
            id: worker.id,
            started_at: worker.started_at,
            at: worker.at,
            is_alive: worker.is_alive,
            sent: worker.mails.sent,
            refused: worker.mails.refused,
            deferred: worker.mails.deferred,
            unknown: worker.mails.unknown,
        }
    }
}

/// A lane that an operator has stopped for all tenants.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct LanePauseResponse {
    /// `transactional` or `bulk`.
    #[schema(value_type = choices::Lane)]
    lane: &'static str,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Who stopped it; null for everybody but operators.
    who: Option<String>,
    /// Why; null for everybody but operators.
    why: Option<String>,
}

impl From<LanePause> for LanePauseResponse {
    fn from(pause: LanePause) -> Self {
        Self {
            lane: pause.lane.as_str(),
            at: pause.at,
            who: pause.who,
            why: pause.why,
        }
    }
}

/// The health of the database or the queue.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct PartHealthResponse {
    /// Whether it answered in time.
    answers: bool,
    /// The duration of the request, in milliseconds.
    took_millis: f64,
}

impl From<PartHealth> for PartHealthResponse {
    fn from(health: PartHealth) -> Self {
        Self {
            answers: health.answers,
            took_millis: health.took.as_secs_f64() * 1e3,
        }
    }
}

/// The health of the parts that every host needs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct SystemHealthResponse {
    /// The database.
    database: PartHealthResponse,
    /// The job queue: embedded, or a broker.
    queue: PartHealthResponse,
}

impl From<SystemHealth> for SystemHealthResponse {
    fn from(health: SystemHealth) -> Self {
        Self {
            database: health.database.into(),
            queue: health.queue.into(),
        }
    }
}

/// The overview that the caller may see.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct OverviewResponse {
    /// When this was read.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The lanes, which all tenants share; null for everybody but operators.
    lanes: Option<Vec<LaneResponse>>,
    /// Lanes that an operator has stopped.
    paused_lanes: Vec<LanePauseResponse>,
    /// The health of database and queue; null for everybody but operators.
    health: Option<SystemHealthResponse>,
    /// The lanes' throughput just now; null for everybody but operators, and while nobody watches this host's
    /// dashboard.
    paces: Option<PacesResponse>,
    /// Worker processes, newest first.
    workers: Vec<WorkerResponse>,
    /// Deliveries that were given up.
    dead: u64,
    /// Deliveries with an unknown outcome.
    unknown: u64,
    /// Whether there are more of either than were counted.
    is_cut: bool,
    /// The tenant's newest unfinished notifications.
    active: Vec<NotificationResponse>,
}

impl OverviewResponse {
    pub(in super::super) fn of(overview: DeliveryOverview, paces: Option<PacesResponse>) -> Self {
        Self {
            at: overview.at,
            lanes: overview
                .lanes
                .map(|lanes| lanes.into_iter().map(Into::into).collect()),
            paused_lanes: overview.paused_lanes.into_iter().map(Into::into).collect(),
            health: overview.health.map(Into::into),
            paces,
            workers: overview.workers.into_iter().map(Into::into).collect(),
            dead: overview.dead,
            unknown: overview.unknown,
            is_cut: overview.is_cut,
            active: overview.active.into_iter().map(Into::into).collect(),
        }
    }
}

/// Deliveries that failed for the same reason, judged by its text.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ReasonGroupResponse {
    /// The reason, without addresses, numbers and times.
    reason: String,
    /// `dead` or `unknown`.
    #[schema(value_type = choices::FailedState)]
    state: &'static str,
    /// The number of deliveries.
    count: u64,
    /// One of these deliveries.
    example_id: String,
    /// The reason of that one. Text, never markup.
    example_reason: String,
}

/// The reasons of the newest failed deliveries.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ReasonGroupsResponse {
    /// The groups, the largest first.
    groups: Vec<ReasonGroupResponse>,
    /// Whether there are failed deliveries that were not read.
    is_cut: bool,
}

impl From<ReasonGroups> for ReasonGroupsResponse {
    fn from(reasons: ReasonGroups) -> Self {
        let group = |group: ReasonGroup| ReasonGroupResponse {
            reason: group.reason,
            state: group.state.as_str(),
            count: group.count,
            example_id: group.example.to_string(),
            example_reason: group.example_reason,
        };
        Self {
            groups: reasons.groups.into_iter().map(group).collect(),
            is_cut: reasons.is_cut,
        }
    }
}

/// The result of a retry.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct RetriedResponse {
    /// Deliveries that match.
    matched: u64,
    /// Those that wait for a worker now.
    retried: u64,
    /// Those that a worker was sending at that moment. Call again later.
    busy: u64,
    /// Whether there are more than one call handles.
    is_cut: bool,
}

impl From<Retried> for RetriedResponse {
    fn from(retried: Retried) -> Self {
        Self {
            matched: retried.matched,
            retried: retried.retried,
            busy: retried.busy,
            is_cut: retried.is_cut,
        }
    }
}

/// The result of a search: one of these members.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct FoundResponse {
    /// A customer; continue with `/api/users/{id}/deliveries`.
    user_id: Option<String>,
    /// The customer's name.
    user_name: Option<String>,
    /// An event; continue with `/api/events/{id}/notifications`.
    event_id: Option<String>,
    /// A notification.
    notification: Option<NotificationHeadResponse>,
    /// A delivery.
    delivery: Option<DeliveryResponse>,
    /// The code of replies to failed deliveries; continue with `/api/admin/failed?code=…`.
    failed_code: Option<String>,
    /// The number among the newest ones.
    failed_count: Option<u64>,
}

impl From<LookupResult> for FoundResponse {
    fn from(found: LookupResult) -> Self {
        let none = Self::default();
        match found {
            LookupResult::User(user) => Self {
                user_id: Some(user.id.to_string()),
                user_name: Some(user.name.to_string()),
                ..none
            },
            LookupResult::Event(event) => Self {
                event_id: Some(event.to_string()),
                ..none
            },
            LookupResult::Notification(head) => Self {
                notification: Some(head.into()),
                ..none
            },
            LookupResult::Failed { code, count } => Self {
                failed_code: Some(code.as_str().to_owned()),
                failed_count: Some(count),
                ..none
            },
            LookupResult::Delivery(delivery) => Self {
                delivery: Some((*delivery).into()),
                ..none
            },
        }
    }
}

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct AuditEntryResponse {
    /// The time.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The role, and who.
    who: String,
    /// `pause`, `resume`, `cancel`, `promote`, `move`, `retry`, `pause-lane` or `resume-lane`.
    #[schema(value_type = choices::AuditAction)]
    action: String,
    /// What it changed.
    subject: String,
    /// The reason.
    why: String,
    /// The number of deliveries, if it is known.
    count: Option<u64>,
}

impl From<AuditEntry> for AuditEntryResponse {
    fn from(entry: AuditEntry) -> Self {
        Self {
            at: entry.at,
            who: entry.who,
            action: entry.action,
            subject: entry.subject,
            why: entry.why,
            count: entry.count,
        }
    }
}

impl ExportRow for AuditEntryResponse {
    const COLUMNS: &'static [&'static str] = &["at", "who", "action", "subject", "why", "count"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.at.to_string(),
            self.who.clone(),
            self.action.clone(),
            self.subject.clone(),
            self.why.clone(),
            self.count
                .map(|count| count.to_string())
                .unwrap_or_default(),
        ]
    }
}
