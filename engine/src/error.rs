//! The engine's error type: a stable code, a public sentence, and separate internal context.
//!
//! Used by every layer. It does not depend on a transport: a host maps [`ErrorKind`] to its status codes.

use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

use jiff::Timestamp;

/// The kind of an error. A host maps it to its transport (HTTP statuses in brackets).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Malformed request (400).
    Malformed,
    /// The caller is not authenticated (401).
    Unauthenticated,
    /// The caller may not do this (403).
    Forbidden,
    /// Not found for this caller (404).
    NotFound,
    /// The current state does not allow it (409).
    Conflict,
    /// What was asked for is not kept any more (410).
    Gone,
    /// The caller's version is not the current one (412).
    PreconditionFailed,
    /// The request is too large (413).
    TooLarge,
    /// The request can be parsed but breaks a rule (422).
    Invalid,
    /// The request must name the version it saw (428).
    PreconditionRequired,
    /// Too many requests (429).
    TooManyRequests,
    /// An internal error (500).
    Internal,
    /// Not now; try again later (503).
    Unavailable,
}

impl ErrorKind {
    /// Whether the same request may succeed a moment later.
    pub(crate) fn is_passing(self) -> bool {
        matches!(
            self,
            Self::Unavailable | Self::TooManyRequests | Self::Internal
        )
    }
}

macro_rules! codes {
    ($($variant:ident, $code:literal, $kind:ident, $title:literal;)*) => {
        /// Every error code of the engine. The text form is stable: programs may match on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = $title] $variant,)*
        }

        impl ErrorCode {
            /// Every code, in the order of their pages.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The stable kebab-case text of the code.
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$variant => $code,)* }
            }

            /// The kind of the error.
            pub fn kind(self) -> ErrorKind {
                match self { $(ErrorCode::$variant => ErrorKind::$kind,)* }
            }

            /// A short public title, the same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(ErrorCode::$variant => $title,)* }
            }

            /// The page about this code, in Markdown: what it means, what to do.
            pub fn page(self) -> &'static str {
                match self { $(ErrorCode::$variant => include_str!(concat!("../errors/", $code, ".md")),)* }
            }
        }
    };
}

codes! {
    MalformedRequest, "malformed-request", Malformed, "Malformed request";
    NotAuthenticated, "not-authenticated", Unauthenticated, "Sign in first";
    WrongCredentials, "wrong-credentials", Unauthenticated, "E-mail address or password is wrong";
    IdTokenInvalid, "id-token-invalid", Unauthenticated, "The ID token is not accepted";
    SessionEnded, "session-ended", Unauthenticated, "This session has ended";
    Forbidden, "forbidden", Forbidden, "You may not do this";
    EmailUnconfirmed, "email-unconfirmed", Forbidden, "Confirm your e-mail address first";
    NotFound, "not-found", NotFound, "Not found";
    LinkInvalid, "link-invalid", NotFound, "This link is not valid";
    NotEnoughTickets, "not-enough-tickets", Conflict, "Not enough tickets are left";
    CustomerLimit, "customer-limit", Conflict, "The customer may not have that many tickets";
    EventNotPublished, "event-not-published", Conflict, "The event is not on sale yet";
    EventCancelled, "event-cancelled", Conflict, "The event was cancelled";
    SalesNotOpen, "sales-not-open", Conflict, "Sales have not begun";
    SalesClosed, "sales-closed", Conflict, "Sales are over";
    EventHasBookings, "event-has-bookings", Conflict, "The event has bookings";
    CapacityBelowSold, "capacity-below-sold", Conflict, "The capacity is below the tickets sold or held";
    CancellationClosed, "cancellation-closed", Conflict, "Cancellation is closed";
    BookingCancelled, "booking-cancelled", Conflict, "The booking was cancelled";
    AlreadyCheckedIn, "already-checked-in", Conflict, "The ticket is already checked in";
    TicketCancelled, "ticket-cancelled", Conflict, "The ticket was cancelled";
    TicketTransferred, "ticket-transferred", Conflict, "The ticket was given to somebody else";
    TicketOfOtherEvent, "ticket-of-other-event", Conflict, "The ticket is for another event";
    TicketCodeInvalid, "ticket-code-invalid", Invalid, "Unknown ticket code";
    TicketCodesOff, "ticket-codes-off", Unavailable, "Ticket codes are off on this host";
    HoldExists, "hold-exists", Conflict, "You already hold tickets of this event";
    HoldEnded, "hold-ended", Conflict, "The hold has ended";
    HoldAlreadyExtended, "hold-already-extended", Conflict, "The hold was already extended";
    TicketsAvailable, "tickets-available", Conflict, "Tickets are available";
    AlreadyWaiting, "already-waiting", Conflict, "Already on the waiting list";
    WaitlistFull, "waitlist-full", Conflict, "The waiting list is full";
    EmailTaken, "email-taken", Conflict, "The e-mail address is in use";
    IdentityUnlinked, "identity-unlinked", Conflict, "The address has an account that this identity does not belong to";
    IdentityTaken, "identity-taken", Conflict, "The identity belongs to another account";
    LastSignIn, "last-sign-in", Conflict, "The account's only way to sign in";
    IdentityProviderOff, "identity-provider-off", Conflict, "No identity provider is set";
    IdentityProviderUnavailable, "identity-provider-unavailable", Unavailable, "The identity provider cannot be asked";
    TooManyKeys, "too-many-keys", Conflict, "Too many API keys";
    TooManyInvitations, "too-many-invitations", Conflict, "Too many invitations";
    LastOwner, "last-owner", Conflict, "The tenant needs an owner";
    AccountSuspended, "account-suspended", Forbidden, "This account is suspended";
    LinksOff, "links-off", Unavailable, "Mails of this host have no links";
    TenantTaken, "tenant-taken", Conflict, "The tenant name is in use";
    PolicyRejected, "policy-rejected", Conflict, "The organizer's policy does not allow this";
    PriceChanged, "price-changed", Conflict, "The price has changed";
    ChangesClosed, "changes-closed", Conflict, "Attendees and answers can no longer be changed";
    ClaimExhausted, "claim-exhausted", Conflict, "A limit of the organizer's policy is reached";
    ReferenceTaken, "reference-taken", Conflict, "The reference belongs to another object";
    PaymentExists, "payment-exists", Conflict, "The payment exists with another purpose";
    TooManyNotices, "too-many-notices", Conflict, "The payment has too many notices";
    CurrencyMismatch, "currency-mismatch", Invalid, "The amount is in another currency";
    NoticeReused, "notice-reused", Invalid, "The notice's id belongs to another notice";
    FeedRestarted, "feed-restarted", Gone, "The feed of changes began anew";
    ChangesExpired, "changes-expired", Gone, "The changes are not kept any more";
    ConflictTryAgain, "conflict-try-again", Conflict, "A concurrent change came first";
    VersionMismatch, "version-mismatch", PreconditionFailed, "The version does not match";
    BodyTooLarge, "body-too-large", TooLarge, "The request body is too large";
    FieldInvalid, "field-invalid", Invalid, "Invalid field";
    UnknownField, "unknown-field", Invalid, "Unknown field";
    IdempotencyKeyReused, "idempotency-key-reused", Invalid, "The Idempotency-Key belongs to another request";
    PreconditionRequired, "precondition-required", PreconditionRequired, "If-Match is required";
    TooManyRequests, "too-many-requests", TooManyRequests, "Too many requests";
    Internal, "internal", Internal, "Internal error";
    Unavailable, "unavailable", Unavailable, "Not available right now";
    PolicyInputTooLarge, "policy-input-too-large", TooLarge, "The request is too large for the organizer's policy";
    PluginTaken, "plugin-taken", Conflict, "The component was uploaded under another name";
    PluginInUse, "plugin-in-use", Conflict, "The plugin version is in use";
    TooManyPlugins, "too-many-plugins", Conflict, "Too many plugin versions";
    PluginNotReady, "plugin-not-ready", Conflict, "The plugin version cannot be used";
    PluginRejected, "plugin-rejected", Invalid, "Not a Boxoffice plugin";
    PluginTrialFailed, "plugin-trial-failed", Invalid, "The plugin failed its trial";
    PluginsOff, "plugins-off", Unavailable, "Plugins are off on this host";
    PolicyBusy, "policy-busy", Unavailable, "The organizer's policies are busy";
    NotificationOver, "notification-over", Conflict, "The notification is over";
    EventBusy, "event-busy", Unavailable, "Too many people are booking this event right now";
    OutcomeUnknown, "outcome-unknown", Unavailable, "The outcome is unknown";
    PolicyUnavailable, "policy-unavailable", Unavailable, "The organizer's policy is unavailable";
    StoreInUse, "store-in-use", Unavailable, "The data folder is in use by another process";
    StoreTooNew, "store-too-new", Unavailable, "The store was written by a newer program";
    StoreIncomplete, "store-incomplete", Unavailable, "A restore into this store was not finished";
    StoreNotEmpty, "store-not-empty", Conflict, "The store is not empty";
    BackupInvalid, "backup-invalid", Invalid, "The backup is incomplete or damaged";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl std::str::FromStr for ErrorCode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or_else(|| Error::not_found("error code", text))
    }
}

/// The result of every use case.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of a use case.
///
/// `Display` shows the code, the public sentence and the field, and nothing internal. [`StdError::source`] has the
/// context for logs.
#[derive(Debug)]
pub struct Error(Box<Parts>);

/// A number, time or id from the public sentence, for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The number of tickets that are left of the requested type; for callers who may see it.
    Left(u32),
    /// When sales begin.
    OpensAt(Timestamp),
    /// When sales ended.
    ClosedAt(Timestamp),
    /// The current total, in minor units.
    TotalMinor(u64),
    /// The caller's hold that prevents it.
    HoldId(String),
    /// The current version.
    Version(u64),
    /// Where a reader of changes can go on.
    OldestCursor(String),
}

#[derive(Debug)]
struct Parts {
    code: ErrorCode,
    detail: Cow<'static, str>,
    field: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    policy_code: Option<String>,
    facts: Vec<Fact>,
    /// The number of tickets that are left, with the sentence that has it.
    hidden_left: Option<(u32, String)>,
    others: Vec<Error>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Most faults that one response reports.
    const OTHERS_MAX: usize = 32;

    /// Makes an error with its public sentence: what is wrong and what to do.
    pub fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Parts {
            code,
            detail: detail.into(),
            field: None,
            retry_after: None,
            policy_code: None,
            facts: Vec::new(),
            hidden_left: None,
            others: Vec::new(),
            source: None,
        }))
    }

    /// The error for an invalid field; `rule` says what is allowed.
    pub fn field(field: impl Into<Cow<'static, str>>, rule: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::FieldInvalid, rule).at_field(field)
    }

    /// The error for something that does not exist for this caller.
    pub fn not_found(what: &str, id: impl fmt::Display) -> Self {
        Self::new(
            ErrorCode::NotFound,
            format!("There is no {what} `{id}` here."),
        )
    }

    /// The error for a caller without the permission.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Forbidden, detail)
    }

    /// The error for an action that needs a confirmed address. Says how to confirm it.
    pub(crate) fn email_unconfirmed(why: &str) -> Self {
        Self::new(
            ErrorCode::EmailUnconfirmed,
            format!(
                "{why} Follow the link in the mail that you got when you signed up; POST /api/auth/me/verification \
                sends it again."
            ),
        )
    }

    /// An internal error. Only the log shows the cause.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(
            ErrorCode::Internal,
            "Internal error. The log has details under the request id.",
        )
        .caused_by(source)
    }

    /// Adds the invalid field, as a path in the request (`ticketTypes[0].capacity`).
    #[must_use]
    pub fn at_field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Adds the time after which a retry makes sense.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Adds the code that a policy gave with its rejection.
    #[must_use]
    pub fn policy_code(mut self, code: impl Into<String>) -> Self {
        self.0.policy_code = Some(code.into());
        self
    }

    /// Adds a number, time or id from the sentence, for programs.
    #[must_use]
    pub fn with(mut self, fact: Fact) -> Self {
        self.0.facts.push(fact);
        self
    }

    /// Adds the number of tickets that are left, and the sentence that tells it. Nobody sees either before
    /// [`Self::telling_left`].
    #[must_use]
    pub(crate) fn hiding_left(mut self, left: u32, sentence: String) -> Self {
        self.0.hidden_left = Some((left, sentence));
        self
    }

    /// The same error for a caller who may see how many tickets are left.
    #[must_use]
    pub(crate) fn telling_left(mut self) -> Self {
        if let Some((left, sentence)) = self.0.hidden_left.take() {
            self.0.detail = sentence.into();
            self.0.facts.push(Fact::Left(left));
        }
        self
    }

    /// Adds further faults of the same request, so it can be corrected at once. The first error stays the one
    /// that is returned.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        let mut other = other;
        let more = std::mem::take(&mut other.0.others);
        if self.0.others.len() + more.len() < Self::OTHERS_MAX {
            self.0.others.push(other);
            self.0.others.extend(more);
        }
        self
    }

    /// Adds internal context for the log. Callers never see it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.code.kind()
    }

    /// The public sentence.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The invalid field, if there is one.
    pub fn field_name(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// The time after which a retry makes sense, if it does.
    pub fn retry_after_hint(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The numbers, times and ids of the sentence.
    pub fn facts(&self) -> &[Fact] {
        &self.0.facts
    }

    /// Further faults of the same request.
    pub fn others(&self) -> &[Self] {
        &self.0.others
    }

    /// The code of the policy that rejected, if one did.
    pub fn policy_code_text(&self) -> Option<&str> {
        self.0.policy_code.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.0.code, self.0.detail)?;
        match &self.0.field {
            Some(field) => write!(formatter, " (field {field})"),
            None => Ok(()),
        }
    }
}

/// Collects the faults of one request while it is read.
///
/// ```
/// use boxoffice_engine::{EmailAddress, Faults, Label};
///
/// let mut faults = Faults::default();
/// let name = faults.take(Label::parse("name", ""));
/// let email = faults.take(EmailAddress::parse("email", "nowhere"));
/// let error = faults.end().unwrap_err();
/// assert_eq!(error.field_name(), Some("name"));
/// assert_eq!(error.others()[0].field_name(), Some("email"));
/// assert!(name.is_none() && email.is_none());
/// ```
#[derive(Debug, Default)]
pub struct Faults(Option<Error>);

impl Faults {
    /// Returns the value, or records its fault and returns `None`.
    pub fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(error);
                None
            }
        }
    }

    /// Records a fault.
    pub fn add(&mut self, error: Error) {
        self.0 = Some(match self.0.take() {
            Some(first) => first.and(error),
            None => error,
        });
    }

    /// Succeeds if there was no fault.
    ///
    /// # Errors
    /// The first fault, with the others in [`Error::others`].
    pub fn end(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
