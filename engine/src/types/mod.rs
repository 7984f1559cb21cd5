//! Domain types. Every layer uses them. They depend on no store and no transport.

mod announcements;
mod backups;
mod bookings;
mod caller;
mod cancellations;
mod check_ins;
mod counts;
mod delivery_admin;
mod events;
mod holds;
mod ids;
mod notification_kinds;
mod notifications;
mod pages;
mod plugins;
mod reminders;
mod requests;
mod sessions;
mod stored;
mod subscriptions;
mod tenants;
mod text;
mod times;
mod traces;
mod users;
mod verification;
mod waitlist;

pub use announcements::Announce;
pub use backups::{BackupFacts, Restoration};
pub use bookings::{
    BookLine, BookTickets, Booking, BookingLine, BookingStatus, CancelCause, IdempotencyKey,
};
pub use caller::{Caller, Role};
pub use cancellations::{CancelTickets, Cancellation, CancellationStep, CancellationTerms};
pub use check_ins::{CheckIn, ListedCheckIn, Ticket, TicketId, TicketStatus};
pub use counts::{DURATION_BOUNDS_MILLISECONDS, DurationCounts, LaneCounts};
pub use delivery_admin::{
    AuditEntry, DeliveryOverview, FailedFilter, LanePause, LaneStatus, MailCounts, PartHealth,
    ReasonGroup, ReasonGroups, ReplyCode, Retried, RetryDeliveries, RetryScope, SystemHealth,
    WorkerStatus,
};
pub use events::{
    CreateEvent, Event, EventChange, EventDetails, EventFilter, EventSort, EventStatus,
    NewTicketType, TicketType, UpdateEvent,
};
pub use holds::{Hold, HoldStatus, HoldTickets};
pub use ids::{
    BookingId, EventId, HoldId, NotificationId, SessionId, TenantId, TicketTypeId, UserId,
};
pub use notification_kinds::{Lane, NotificationKind};
pub use notifications::{
    Attempt, Delivery, DeliveryCounts, DeliveryId, DeliveryState, Notification, NotificationHead,
    NotificationStatus, NotificationSummary,
};
pub use pages::{Page, PageRequest};
pub use plugins::{
    ActivatePlugin, ActivePlugin, DecisionRecord, DecisionStep, ExportQuarantine, PluginActivation,
    PluginCounters, PluginExport, PluginFacts, PluginHash, PluginLimits, PluginMetrics, PluginName,
    PluginSet, PluginState, PluginVersion, UploadPlugin, WhenNotLoaded,
};
pub use reminders::{EventReminder, Reminder, ReminderLead};
pub use requests::Idempotency;
pub use sessions::{ListedSession, OperatorSession, Session, SessionOwner};
pub use subscriptions::{Suppression, SuppressionSource};
pub use tenants::{CreateTenant, Tenant, TenantSettings, UpdateTenant};
pub(crate) use text::is_same_text;
pub use text::{EmailAddress, Label, LineFault, Prose, Reason, check_line};
pub use times::time_zone;
pub use traces::TraceParent;
pub use users::{
    AddOperator, Confirmation, CreateUser, EnsureUser, Login, Operator, Register,
    SetOperatorPassword, User, UserRole,
};

pub(crate) use cancellations::{chosen, closed, refund_of, total_of, without};
pub(crate) use delivery_admin::Tally;
pub(crate) use notifications::message_id;
pub(crate) use plugins::{NotedFailure, PluginQuarantine};
pub(crate) use requests::{
    KeyedRequest, RecordedAnswer, RecordedRequest, RequestKey, RequestRoute,
};
pub(crate) use sessions::{Principal, SessionRecord};
pub(crate) use stored::{
    Announcement, BatchWrite, CapacityCause, CapacityEntry, Chunk, Claim, DeliveryBatch,
    DeliveryRecord, Inventory, OutboxEntry, OutboxPart, StoredEvent, StoredNotification,
    TypeChange,
};
pub(crate) use times::{known_zone, require_year};
pub(crate) use users::{AddressOwner, VerificationRequest};
pub use verification::EventVerdict;
pub use waitlist::{JoinWaitlist, WaitlistEntry, WaitlistPass, WaitlistPlace, WaitlistSkip};
