//! Storage steps, one file per area: the only code that names SurrealDB.
//!
//! Called by modules alone (the path is the permission). Calls models and the database. A step that must be
//! atomic is one method here and one transaction there.

mod accounts;
mod announcements;
mod api_keys;
mod backups;
mod booked_tickets;
mod booking_groups;
mod bookings;
mod changes;
mod check_ins;
mod claims;
mod db;
mod delivery_admin;
mod delivery_batches;
mod erasures;
mod event_search;
mod event_teams;
mod event_words;
mod events;
mod guests;
mod hold_changes;
mod holds;
mod housekeeping;
mod idempotency;
mod identities;
mod identity_accounts;
mod inventory;
mod invitations;
mod leases;
mod migrations;
mod models;
mod notifications;
mod operators;
mod payments;
mod plugins;
mod queue;
mod receipts;
mod references;
mod sessions;
mod sign_ups;
mod subscriptions;
mod tenants;
mod transfers;
mod unconfirmed;
mod users;
mod verification;
mod waiters;
mod waitlist;

pub(in crate::modules) use accounts::{
    AccountMail, AllowedBy, EmailMove, EmailMoved, NewPassword, Replaces, day_of,
};
pub(in crate::modules) use announcements::{AnnouncementsRepository, NewAnnouncement, QUOTA_USED};
pub(in crate::modules) use api_keys::ApiKeysRepository;
pub(in crate::modules) use backups::{BackupsRepository, StoreSnapshot};
pub(in crate::modules) use booking_groups::{GroupPlan, GroupQuery, GroupSnapshot};
pub(in crate::modules) use bookings::{BookingsRepository, CancelStep};
pub(in crate::modules) use changes::{ChangesRepository, PendingStep, STALE_HEAD};
pub(in crate::modules) use check_ins::{CheckInsRepository, STALE_BOOKING};
pub(in crate::modules) use claims::{ClaimChange, ClaimReturn, ClaimsRepository, STALE_CLAIM};
pub(crate) use db::Closing;
pub(in crate::modules) use db::{CONFLICTS_MAX, Db, StepError, SystemScope, pause_after_conflict};
pub(in crate::modules) use delivery_admin::{DeliveryAdminRepository, FailedBatch};
pub(in crate::modules) use delivery_batches::STALE_BATCH;
pub(in crate::modules) use erasures::ErasureStep;
pub(in crate::modules) use events::{EventStep, EventsRepository, ReminderStep};
pub(in crate::modules) use hold_changes::HoldChange;
pub(in crate::modules) use holds::{DueHold, HoldsRepository};
pub(in crate::modules) use housekeeping::HousekeepingRepository;
pub(in crate::modules) use idempotency::IdempotencyRepository;
pub(in crate::modules) use identities::{IdentityLink, IdentityMove, IdentityStep, later_than};
pub(in crate::modules) use identity_accounts::IdentityAccount;
pub(in crate::modules) use inventory::{InventoryChange, STALE_INVENTORY, STALE_NOTIFICATION};
pub(in crate::modules) use invitations::{ChangedRights, Invited, MemberChanged};
pub(in crate::modules) use leases::{LeaseRecord, LeasesRepository};
pub(in crate::modules) use migrations::{migrate, newest_schema};
pub(in crate::modules) use notifications::{NewMails, NotificationsRepository, OutboxFrom};
pub(in crate::modules) use operators::{OperatorRecord, OperatorsRepository};
pub(in crate::modules) use payments::{
    DuePayment, OrderState, PaymentBooks, PaymentChange, PaymentsRepository, STALE_PAID_BOOKING,
    STALE_PAYMENT,
};
pub(in crate::modules) use plugins::{
    PluginsRepository, QuarantineNotice, RecordedChange, STALE_POLICIES, UPLOAD_SWEPT,
    UPLOADS_FULL, VERSION_GONE, VERSIONS_FULL,
};
pub(in crate::modules) use queue::QueueRepository;
pub(in crate::modules) use receipts::{
    CounterKey, DueKey, DueReceipts, NumberingStep, ReceiptCounter, ReceiptsRepository,
    STALE_COUNTER,
};
pub(in crate::modules) use references::REFERENCE_TAKEN;
pub(in crate::modules) use sessions::{Revoked, SessionScope, SessionsRepository};
pub(in crate::modules) use sign_ups::CountedMail;
pub(in crate::modules) use subscriptions::SubscriptionsRepository;
pub(in crate::modules) use tenants::TenantsRepository;
pub(in crate::modules) use transfers::TransferStep;
pub(in crate::modules) use unconfirmed::{STALE_ACCOUNT, UnconfirmedAccount};
pub(in crate::modules) use users::UsersRepository;
pub(in crate::modules) use verification::{EventCounters, VerificationRepository};
pub(in crate::modules) use waiters::Waiter;
pub(in crate::modules) use waitlist::{DueOffer, Offers, WaitlistPosition, WaitlistRepository};
