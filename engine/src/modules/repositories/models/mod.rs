//! Row shapes and their conversions. Called by repositories alone; calls nothing.

mod announcements;
mod api_keys;
mod booking_details;
mod bookings;
mod branding;
mod capacity_ledger;
mod changes;
mod check_ins;
mod claims;
mod delivery_admin;
mod delivery_batches;
mod erasures;
mod event_words;
mod events;
mod holds;
mod idempotency;
mod identities;
mod keys;
mod notifications;
mod payment_keys;
mod payments;
mod plugins;
mod receipts;
mod references;
mod sessions;
mod staff;
mod subscriptions;
mod tenants;
mod transfers;
mod unconfirmed;
mod users;
mod values;
mod waitlist;

pub(in crate::modules::repositories) use announcements::{AnnouncementRow, announcement_count_key};
pub(in crate::modules::repositories) use api_keys::ApiKeyRow;
pub(in crate::modules::repositories) use booking_details::DetailsColumns;
pub(in crate::modules::repositories) use bookings::{
    BookingLineRow, BookingNumbersRow, BookingRow, CustomerBookingRow, booking_id,
};
pub(in crate::modules::repositories) use branding::LogoRow;
pub(in crate::modules::repositories) use capacity_ledger::CapacityLedgerRow;
pub(in crate::modules::repositories) use changes::{
    ChangeBlockRow, ChangeHeadRow, ChangeRow, PendingChangeRow,
};
pub(in crate::modules::repositories) use check_ins::CheckInRow;
pub(in crate::modules::repositories) use claims::{ClaimColumn, ClaimRow, ClaimUseRow};
pub(in crate::modules::repositories) use delivery_admin::{
    AuditRow, FailedBatchRow, LanePauseRow, WorkerRow,
};
pub(in crate::modules::repositories) use delivery_batches::{
    BatchProgress, DeliveryBatchRow, FirstRecipientRow, is_open,
};
pub(in crate::modules::repositories) use erasures::{ErasureDueRow, ErasureRow};
pub(in crate::modules::repositories) use event_words::EventWordRow;
pub(in crate::modules::repositories) use events::{
    EventRow, EventStartRow, EventVersionRow, InventoryRow, OldTermsRow,
};
pub(in crate::modules::repositories) use holds::{
    CustomerHoldRow, HoldDueRow, HoldRow, OpenHoldRow,
};
pub(in crate::modules::repositories) use idempotency::{IdempotencyDueRow, IdempotencyRow};
pub(in crate::modules::repositories) use identities::{
    IdentityProviderRow, IdentityRow, UsedIdTokenRow, UserIdentitiesRow,
};
pub(in crate::modules::repositories) use keys::{
    IdRow, at_millisecond, json_of, key_number, key_text, key_ulid, millisecond, newest_first_key,
    record,
};
pub(in crate::modules::repositories) use notifications::{
    NotificationListRow, NotificationRow, OutboxRow, ScheduleRow,
};
pub(in crate::modules::repositories) use payment_keys::PaymentKeyRow;
pub(in crate::modules::repositories) use payments::{
    PaymentDueRow, PaymentListRow, PaymentRow, RefundRow,
};
pub(in crate::modules::repositories) use plugins::{
    PluginBytesRow, PluginChunkRow, PluginFailureRow, PluginMomentRow, PluginNoteRow, PluginRow,
    PluginSetRow, PluginSetVersionRow, PluginStateRow, plugin_count_key,
};
pub(in crate::modules::repositories) use receipts::{
    ReceiptCounterRow, ReceiptDueRow, ReceiptNumberRow, ReceiptRow,
};
pub(in crate::modules::repositories) use references::{
    BOOKING_REFERENCES, EVENT_REFERENCES, ReferenceRow,
};
pub(in crate::modules::repositories) use sessions::{
    AccountRow, RevocationHeadRow, RevocationRow, SessionRow, account_key, owner_key,
};
pub(in crate::modules::repositories) use staff::{InvitationRow, TeamRow};
pub(in crate::modules::repositories) use subscriptions::SuppressionRow;
pub(in crate::modules::repositories) use tenants::TenantRow;
pub(in crate::modules::repositories) use transfers::{ReceivedTicketRow, TransferRow};
pub(in crate::modules::repositories) use unconfirmed::UnconfirmedAccountRow;
pub(in crate::modules::repositories) use users::{
    AccountMailRow, GuestLinksRow, GuestRow, LoginRow, OperatorRow, OwnerRow, SignUpRow,
    UnverifiedRow, UserRow,
};
pub(in crate::modules::repositories) use values::{from_json, to_json};
pub(in crate::modules::repositories) use waitlist::{
    CustomerWaitlistRow, OfferDueRow, WaitingRow, WaitlistEntryRow, WaitlistPassRow,
};
