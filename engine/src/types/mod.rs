//! Domain types. Every layer uses them. They depend on no store and no transport.

mod accounts;
mod announcements;
mod api_keys;
mod availability;
mod backups;
mod booking_details;
mod booking_lines;
mod booking_numbers;
mod bookings;
mod branding;
mod caller;
mod cancellations;
mod catalogue;
mod changes;
mod check_ins;
mod claims;
mod counts;
mod customers;
mod delivery_admin;
mod erasures;
mod event_search;
mod events;
mod holds;
mod identities;
mod ids;
mod imports;
mod inventory;
mod last_change;
mod links;
mod metadata;
mod money;
mod notification_kinds;
mod notifications;
mod own_tickets;
mod pages;
mod payment_names;
mod payments;
mod personal_data;
mod plugin_names;
mod plugins;
mod questions;
mod quotes;
mod receipt_page;
mod receipt_settings;
mod receipt_words;
mod receipts;
mod reminders;
mod requests;
mod sales;
mod sessions;
mod staff;
mod stored;
mod subscriptions;
mod tenants;
mod text;
mod ticket_transfers;
mod ticket_types;
mod times;
mod traces;
mod transfers;
mod users;
mod verification;
mod waitlist;

pub use accounts::{AccountLink, AccountLinkPurpose, ChangeEmail, ChangePassword};
pub use announcements::Announce;
pub use api_keys::{ApiKey, CreateApiKey, NewApiKey, Scope, Scopes};
pub(crate) use availability::SeenCounts;
pub use availability::{
    Availability, Available, SaleState, SeenEvent, ShownAvailability, TicketsLeft, TypeAvailability,
};
pub use backups::{BackupFacts, Restoration};
pub use booking_details::{
    BookingCode, BookingDetails, NewBookingDetails, NewTicketHolder, TicketHolder,
};
pub use booking_lines::{BookLine, BookingLine};
pub use booking_numbers::BookingNumber;
pub use bookings::{BookTickets, Booking, BookingStatus, ChangeBooking};
pub use branding::{Brand, BrandColor, LogoFacts};
pub use caller::{Caller, Role};
pub use cancellations::{
    CancelCause, CancelTickets, Cancellation, CancellationStep, CancellationTerms,
};
pub use catalogue::CataloguePolicy;
pub use changes::{Change, ChangeCursor, ChangeFilter, ChangeKind, ChangePage, ChangedObject};
pub use check_ins::{Attendee, CheckIn, ListedCheckIn, Ticket, TicketId, TicketStatus};
pub use claims::{Claim, ClaimCounter, ClaimKey, ClaimUse};
pub use counts::{DURATION_BOUNDS_MILLISECONDS, DurationCounts, LaneCounts, MailCounts};
pub use customers::{
    Customer, CustomerFilter, DoorListAttendee, DoorListEntry, DoorListLine, UserFilter,
    WithCustomer,
};
pub use delivery_admin::{
    AuditEntry, DeliveryOverview, FailedFilter, LanePause, LaneStatus, PartHealth, ReasonGroup,
    ReasonGroups, ReplyCode, Retried, RetryDeliveries, RetryScope, SystemHealth, WorkerStatus,
};
pub use erasures::Erasure;
pub use event_search::{EventFilter, EventSort, SearchWords};
pub(crate) use event_search::{EventWords, SearchTerm};
pub use events::{
    CloneEvent, CreateEvent, Event, EventChange, EventDetails, EventStatus, UpdateEvent,
};
pub use holds::{ChangeHold, ConfirmHold, Hold, HoldStatus, HoldTickets};
pub use identities::{
    CheckedIdToken, IdTokenAlgorithm, IdentityProvider, LinkedIdentity, SetIdentityProvider,
    VerifiedIdentity,
};
pub use ids::{
    ApiKeyId, BookingId, EventId, HoldId, IdempotencyKey, IdentityId, NotificationId, PaymentId,
    RefundId, SessionId, TenantId, TicketTypeId, UserId,
};
pub use imports::{ImportBookings, ImportOutcome, ImportReport, ImportRow, ImportedTickets};
pub use links::{HttpsUrl, LinkTarget, LinkTemplate, TenantLinks};
pub use metadata::{Metadata, Reference};
pub use money::money;
pub use notification_kinds::{Lane, NotificationKind};
pub use notifications::{
    Attempt, Delivery, DeliveryCounts, DeliveryId, DeliveryState, Notification, NotificationHead,
    NotificationStatus, NotificationSummary,
};
pub use own_tickets::{CalendarFile, OwnTicket, OwnTickets, OwnTicketsState};
pub use pages::{Page, PageRequest};
pub use payment_names::{NoticeId, PaymentKey, PaymentProvider, PaymentReference};
pub use payments::{
    ListedRefund, NoticeKind, OpenPayment, Payment, PaymentMoney, PaymentNotice, PaymentOrder,
    PaymentStatus, Refund, RefundReason, RefundState, TellPayment,
};
pub use personal_data::PersonalRecord;
pub use plugin_names::{PluginHash, PluginName};
pub use plugins::{
    ActivatePlugin, ActivePlugin, DecisionRecord, DecisionStep, ExportQuarantine, PluginActivation,
    PluginCounters, PluginExport, PluginFacts, PluginLimits, PluginMetrics, PluginSet, PluginState,
    PluginVersion, UploadPlugin, WhenNotLoaded,
};
pub use questions::{AnswerKind, AnswerValue, Answers, FiniteNumber, Question, QuestionId};
pub use quotes::{CustomerLimit, Quote, QuoteTickets};
pub use receipt_page::ReceiptLanguage;
pub use receipt_settings::ReceiptSettings;
pub use receipts::{
    BookingReceipt, ReceiptId, ReceiptIssuer, ReceiptKind, ReceiptLine, ReceiptNumber,
    ReceiptRecipient, ReceiptTax, ReceiptVerdict,
};
pub use reminders::{EventReminder, Reminder, ReminderLead};
pub use requests::Idempotency;
pub use sales::{BookingDecision, Sale, SalesChannel, SellTo, Seller, SoldTo};
pub use sessions::{ListedSession, OperatorSession, Session, SessionOwner};
pub use staff::{ChangeMember, Invitation, Invite, ListedTeamMember, TeamMember, TeamRole};
pub use subscriptions::{Suppression, SuppressionSource};
pub use tenants::{CreateTenant, Tenant, TenantSettings, UpdateTenant};
pub(crate) use text::is_same_text;
pub use text::{EmailAddress, Label, LineFault, Prose, Reason, check_line};
pub use ticket_transfers::TicketTransfer;
pub use ticket_types::{NewTicketType, TicketType};
pub use times::time_zone;
pub use traces::TraceParent;
pub use transfers::{IssuedTicket, ReceivedTicket, TransferTicket};
pub use users::{
    AddOperator, Confirmation, CreateUser, EnsureUser, Login, Operator, Register,
    SetOperatorPassword, User, UserRole,
};

pub(crate) use api_keys::API_KEYS_MAX;
pub(crate) use booking_details::{check_answers, quantities, wanted_quantities};
pub(crate) use booking_lines::{chosen, total_of, without};
pub(crate) use booking_numbers::NumberGroup;
pub(crate) use cancellations::{closed, refund_of};
pub(crate) use delivery_admin::Tally;
pub(crate) use identities::LinkedIdentities;
pub(crate) use inventory::{CapacityCause, CapacityEntry, Inventory, StoredEvent, TypeChange};
pub(crate) use last_change::LastChange;
pub(crate) use notifications::message_id;
pub(crate) use payments::{PaymentCounters, PaymentsOf, other_currency};
pub(crate) use plugins::{NotedFailure, PluginQuarantine};
pub(crate) use receipt_settings::ReceiptRule;
pub(crate) use receipts::ReceiptPlace;
pub(crate) use requests::{
    KeyedRequest, RecordedAnswer, RecordedRequest, RequestKey, RequestRoute,
};
pub(crate) use sessions::{Principal, SessionRecord};
pub(crate) use staff::{INVITATIONS_MAX, TEAM_MAX};
pub(crate) use stored::{
    Announcement, BatchClaim, BatchWrite, Chunk, DeliveryBatch, DeliveryRecord, OutboxEntry,
    OutboxPart, StoredNotification,
};
pub(crate) use times::{known_zone, local_time, require_year};
pub(crate) use users::{AddressOwner, VerificationRequest};
pub use verification::{ClaimVerdict, EventVerdict, PaymentVerdict};
pub use waitlist::{JoinWaitlist, WaitlistEntry, WaitlistPass, WaitlistPlace, WaitlistSkip};
