//! Why use cases refuse: one list of error codes for each, from which the API's description derives its answers.
//!
//! Handlers name a list among their `responses`. `openapi::errors` adds the codes that follow from an operation's method,
//! path and parameters. The test client compares each refusal of a running host with the description.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use boxoffice_engine::ErrorCode;
use serde_json::json;
use utoipa::{
    IntoResponses,
    openapi::{
        Content, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder,
        extensions::ExtensionsBuilder, path::Operation,
    },
};

use super::{
    host_codes::HOST_CODES,
    problem::{PROBLEM_JSON, status_of},
};

/// The extension that names the codes of an answer.
const ERROR_CODES: &str = "x-error-codes";
/// Uses that change nothing.
const READS: &[ErrorCode] = &[];
/// Uses that write, and may come too late for a concurrent write.
const WRITES: &[ErrorCode] = &[ErrorCode::ConflictTryAgain];
/// Uses that honour an Idempotency-Key: all that make or change something of the domain and could do it twice.
const KEYED: &[ErrorCode] = &[ErrorCode::ConflictTryAgain, ErrorCode::IdempotencyKeyReused];
/// Whether an event is on sale.
const SALES: &[ErrorCode] = &[
    ErrorCode::EmailUnconfirmed,
    ErrorCode::EventNotPublished,
    ErrorCode::EventCancelled,
    ErrorCode::SalesNotOpen,
    ErrorCode::SalesClosed,
];
/// Asking the tenant's policies.
const POLICIES: &[ErrorCode] = &[
    ErrorCode::PolicyRejected,
    ErrorCode::PolicyUnavailable,
    ErrorCode::PolicyBusy,
    ErrorCode::PolicyInputTooLarge,
];

/// Declares the lists. A list is its name, the sets that it takes over, and its own codes.
macro_rules! refusals {
    ($($name:ident = $($set:ident)|+ $(: $($code:ident),+)?;)+) => {$(
        #[derive(Debug)]
        pub(in crate::routes) enum $name {}

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                refused_with(&[$($set,)+ &[$($(ErrorCode::$code),+)?]])
            }
        }
    )+};
}

refusals! {
    // What only some may do, and nothing else speaks against.
    Restricted = READS: Forbidden;
    RestrictedChange = WRITES: Forbidden;
    RestrictedKeyed = KEYED: Forbidden;

    // Programs that follow what changes.
    ReadChanges = READS: Forbidden, FeedRestarted, ChangesExpired;

    // Customers.
    BookTickets = KEYED | SALES | POLICIES: Forbidden, NotEnoughTickets, PriceChanged, EventBusy, ReferenceTaken,
        ClaimExhausted, CustomerLimit;
    Quote = WRITES | SALES | POLICIES: Forbidden, NotEnoughTickets, EventBusy, ClaimExhausted, CustomerLimit;
    HoldTickets = KEYED | SALES | POLICIES: Forbidden, NotEnoughTickets, PriceChanged, EventBusy, HoldExists,
        ClaimExhausted, CustomerLimit;
    ChangeHold = KEYED: Forbidden, HoldEnded, EventNotPublished;
    ExtendHold = KEYED: Forbidden, HoldEnded, HoldAlreadyExtended;
    ConfirmHold = KEYED | POLICIES: Forbidden, EmailUnconfirmed, HoldEnded, EventCancelled, PriceChanged, EventBusy,
        ReferenceTaken, EventNotPublished, ClaimExhausted;
    ReleaseHold = KEYED: Forbidden, HoldEnded;
    OpenPayment = WRITES: Forbidden, HoldEnded, EventNotPublished, PriceChanged, CurrencyMismatch, PaymentExists;
    TellPayment = WRITES: Forbidden, CurrencyMismatch, NoticeReused, TooManyNotices;
    ChangeBooking = WRITES: Forbidden, BookingCancelled, ChangesClosed, ReferenceTaken;
    TransferTicket = KEYED: Forbidden, EmailUnconfirmed, TicketCancelled, AlreadyCheckedIn, TicketTransferred, ChangesClosed;
    CancelTickets = KEYED | POLICIES: Forbidden, BookingCancelled, CancellationClosed, AlreadyCheckedIn, TicketTransferred;
    JoinWaitlist = KEYED | SALES: Forbidden, TicketsAvailable, AlreadyWaiting, WaitlistFull, CustomerLimit;

    // Organizers and owners.
    ImportBookings = WRITES: Forbidden, EventBusy;
    CreateEvent = KEYED: Forbidden, ReferenceTaken;
    ChangeEvent = WRITES: Forbidden, EventCancelled, CapacityBelowSold, EventHasBookings, ReferenceTaken;
    DeleteEvent = WRITES: Forbidden, EventHasBookings;
    AddTicketType = KEYED: Forbidden, EventCancelled;
    DeleteTicketType = WRITES: Forbidden, EventCancelled, EventHasBookings, CapacityBelowSold;
    Announce = KEYED: Forbidden, EventNotPublished, EventCancelled;
    CheckIn = KEYED: Forbidden, TicketCodeInvalid, TicketOfOtherEvent, TicketCancelled, TicketTransferred,
        AlreadyCheckedIn, TicketCodesOff;
    CommandNotification = KEYED: Forbidden, NotificationOver;

    // Plugins.
    UploadPlugin = WRITES: Forbidden, PluginRejected, PluginTaken, TooManyPlugins, PluginsOff;
    DeletePlugin = WRITES: Forbidden, PluginInUse;
    TryPlugin = READS: Forbidden, PluginNotReady, PluginsOff, PolicyBusy, PolicyUnavailable;
    ActivatePlugin = KEYED: Forbidden, PluginNotReady, PluginTrialFailed, PluginsOff, PolicyBusy, PolicyUnavailable;
    RollBackPlugin = KEYED: Forbidden, PluginNotReady;

    // Accounts and tenants.
    Register = WRITES: Forbidden, EmailTaken;
    SignIn = WRITES: WrongCredentials, AccountSuspended;
    SignInWithIdToken = WRITES: AccountSuspended, IdTokenInvalid, IdentityProviderOff, IdentityProviderUnavailable, IdentityUnlinked;
    LinkIdentity = WRITES: Forbidden, WrongCredentials, IdTokenInvalid, IdentityProviderOff, IdentityProviderUnavailable,
        IdentityTaken;
    UnlinkIdentity = WRITES: Forbidden, LastSignIn;
    RefreshSession = WRITES: SessionEnded, NotAuthenticated;
    EndSession = WRITES: NotAuthenticated;
    SetPassword = WRITES: Forbidden, WrongCredentials;
    Invite = WRITES: Forbidden, EmailTaken, TooManyInvitations, LinksOff;
    ChangeUser = WRITES: Forbidden, LastOwner;
    EraseMe = WRITES: Forbidden, WrongCredentials, LastOwner;
    CreateApiKey = WRITES: Forbidden, TooManyKeys;
    AskForLink = WRITES: LinksOff;
    ResetPassword = WRITES: LinkInvalid, LinksOff;
    ChangePassword = WRITES: Forbidden, WrongCredentials, SessionEnded;
    AskForEmail = WRITES: Forbidden, WrongCredentials, LinksOff;
    CreateTenant = WRITES: Forbidden, TenantTaken;
    CreateUser = WRITES: Forbidden, EmailTaken;
    ReleaseRestoration = WRITES: Forbidden, NotFound;
    NotReady = READS: Unavailable;
}

/// The answers of a use case that refuses with these codes.
fn refused_with(lists: &[&[ErrorCode]]) -> BTreeMap<String, RefOr<Response>> {
    let codes = lists.iter().copied().flatten();
    answers(codes.map(|code| code.as_str().to_owned()).collect())
}

/// The codes that a use case names, before `openapi::errors` adds those that follow from its operation.
pub(in crate::routes) fn own_codes(operation: &Operation) -> BTreeSet<String> {
    let answers = operation.responses.responses.values();
    let named = answers.filter_map(|answer| match answer {
        RefOr::T(answer) => answer.extensions.as_ref()?.get(ERROR_CODES)?.as_array(),
        RefOr::Ref(_) => None,
    });
    let texts = named.flatten().filter_map(|code| code.as_str());
    texts.map(str::to_owned).collect()
}

/// An answer for each status that these codes have.
pub(in crate::routes) fn answers(codes: BTreeSet<String>) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status = BTreeMap::<StatusCode, BTreeSet<String>>::new();
    for code in codes {
        let status = status_of_code(&code).expect("the codes are the engine's and the host's");
        by_status.entry(status).or_default().insert(code);
    }
    let answers = by_status.into_iter();
    answers
        .map(|(status, codes)| {
            let answer = RefOr::T(problem(status, &codes));
            (status.as_str().to_owned(), answer)
        })
        .collect()
}

fn status_of_code(code: &str) -> Option<StatusCode> {
    let host = HOST_CODES
        .iter()
        .find(|host| host.code == code)
        .map(|host| host.status);
    host.or_else(|| {
        code.parse::<ErrorCode>()
            .ok()
            .map(|code| status_of(code.kind()))
    })
}

/// The answer of one status: always a `Problem`, whose codes here stand in the text and in `x-error-codes`. One schema for
/// all keeps generated clients small.
fn problem(status: StatusCode, codes: &BTreeSet<String>) -> Response {
    let named: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
    let listed = ExtensionsBuilder::new().add(ERROR_CODES, json!(codes));
    let schema = Ref::from_schema_name("Problem");
    let mut response = ResponseBuilder::new()
        .description(named.join(", "))
        .content(PROBLEM_JSON, Content::new(Some(schema)))
        .extensions(Some(listed.build()));
    if status == StatusCode::UNAUTHORIZED {
        response = response.header("WWW-Authenticate", HeaderBuilder::new().build());
    }
    if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
        response = response.header("Retry-After", HeaderBuilder::new().build());
    }
    response.build()
}
