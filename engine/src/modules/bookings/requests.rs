//! What the bookings module is asked, and what it answers.
//!
//! Made by app_modules; read by the planner and the group commit. Calls nothing.

use std::sync::Arc;

use jiff::Timestamp;

use crate::types::{
    BookLine, Booking, BookingDetails, BookingId, BookingLine, CancelCause, Claim, EventId, Hold,
    HoldId, HoldStatus, KeyedRequest, NewBookingDetails, Payment, PaymentKey, PaymentNotice,
    PaymentOrder, ReceiptRule, Reference, RefundId, RequestKey, Sale, TraceParent, UserId,
};

/// What a request wants of the event. Each intent passes the same policy check, queue and transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BookingIntent {
    /// A booking.
    Book,
    /// A booking of another system. Policies are not asked.
    Import,
    /// A hold.
    Hold,
    /// The booking of a hold, by the decision of the hold.
    Confirm(HoldId),
    /// The booking of an offer. Policies have not decided about it yet.
    AcceptOffer(HoldId),
}

/// A requested booking.
#[derive(Debug, Clone)]
pub(crate) struct RequestedBooking {
    pub(crate) customer: UserId,
    pub(crate) event: EventId,
    pub(crate) intent: BookingIntent,
    /// The wanted tickets; a confirmation takes those of its hold.
    pub(crate) lines: Vec<BookLine>,
    pub(crate) expected_total_minor: Option<u64>,
    /// The request with its Idempotency-Key, if it has one.
    pub(crate) idempotency: Option<KeyedRequest>,
    /// The version of the tenant's plugin set under which the request was decided; a confirmation has its hold's.
    pub(crate) policy_version: u64,
    /// What the policies decided, and on which snapshot; `None` if no policy is to be asked.
    pub(crate) decision: Option<PolicyDecision>,
    /// Whether the customer's address is not confirmed, which limits what they may hold.
    pub(crate) is_unconfirmed: bool,
    /// What is kept of a sale to somebody else; `None` if the customer asks. A confirmation has its hold's.
    pub(crate) sale: Option<Box<Sale>>,
    /// What is kept of the other system's booking, for an import.
    pub(crate) import: Option<Box<ImportedBooking>>,
    /// The payment that the booking is made of, if it is made of one.
    pub(crate) payment: Option<Box<PaidRequest>>,
    /// What it carries beside its tickets.
    pub(crate) details: RequestedDetails,
    /// Which bookings of the tenant get receipts. Imports get none: the other system issued them.
    pub(crate) receipts: ReceiptRule,
    /// Where the request's trace is; known once it stands in its queue.
    pub(crate) trace: Option<TraceParent>,
}

/// What a request gives of a booking's details, and what follows from it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestedDetails {
    /// What the request gives; `None` for nothing.
    pub(crate) given: Option<Box<NewBookingDetails>>,
    /// Whether missing answers are refused.
    pub(crate) must_be_complete: bool,
    /// What is to be written; `None` for nothing, or for what the hold has.
    pub(crate) checked: Option<Box<BookingDetails>>,
    /// The version of the event with whose questions they were compared; `None` if they were not.
    pub(crate) event_version: Option<u64>,
    /// What the hold had then, if a hold is confirmed.
    pub(crate) of_hold: Option<Option<Box<BookingDetails>>>,
}

impl RequestedDetails {
    /// What a request gives, still to be compared with the event.
    pub(crate) fn given(details: NewBookingDetails, must_be_complete: bool) -> Self {
        Self {
            given: (!details.is_empty()).then(|| Box::new(details)),
            must_be_complete,
            ..Self::default()
        }
    }

    /// Details that need no comparison.
    pub(crate) fn ready(details: Option<Box<BookingDetails>>) -> Self {
        Self {
            checked: details,
            ..Self::default()
        }
    }

    /// The reference that the booking would have, as far as it is known without its hold.
    pub(super) fn reference(&self) -> Option<&Reference> {
        self.checked.as_ref()?.reference.as_ref()
    }
}

/// A payment whose booking is requested. It is written with the booking.
#[derive(Debug, Clone)]
pub(crate) struct PaidRequest {
    pub(crate) key: PaymentKey,
    /// What it is for.
    pub(crate) order: PaymentOrder,
    /// The notice that the money came, if that is written with the booking, too.
    pub(crate) notice: Option<PaymentNotice>,
    /// The name of the refund that becomes due by it, if one does.
    pub(crate) refund: RefundId,
}

impl RequestedBooking {
    /// A request for no tickets yet, which nothing is known of beside these.
    pub(crate) fn new(customer: UserId, event: EventId, intent: BookingIntent) -> Self {
        Self {
            customer,
            event,
            intent,
            lines: Vec::new(),
            expected_total_minor: None,
            idempotency: None,
            policy_version: 0,
            decision: None,
            is_unconfirmed: false,
            sale: None,
            import: None,
            payment: None,
            details: RequestedDetails::default(),
            receipts: ReceiptRule::None,
            trace: None,
        }
    }

    /// The booking of a payment's order.
    pub(crate) fn of_payment(intent: BookingIntent, payment: PaidRequest) -> Self {
        let order = &payment.order;
        let (customer, event) = (order.hold.customer(), order.hold.event());
        Self {
            lines: order.wanted(),
            sale: order.sale.clone(),
            details: RequestedDetails::ready(order.details.clone()),
            payment: Some(Box::new(payment)),
            ..Self::new(customer, event, intent)
        }
    }

    /// The key under which the request's success is recorded.
    pub(super) fn key(&self) -> Option<RequestKey> {
        self.idempotency.as_ref().map(|keyed| keyed.key.clone())
    }

    /// Whether it costs nothing.
    pub(super) fn is_complimentary(&self) -> bool {
        let sale = self.sale.as_ref();
        sale.is_some_and(|sale| sale.complimentary.is_some())
    }

    /// The offered hold that the request accepts, if it accepts one.
    pub(super) fn accepted_hold(&self) -> Option<HoldId> {
        match self.intent {
            BookingIntent::AcceptOffer(hold) => Some(hold),
            BookingIntent::Book
            | BookingIntent::Import
            | BookingIntent::Hold
            | BookingIntent::Confirm(_) => None,
        }
    }
}

/// What an imported booking keeps of the system that it comes from.
#[derive(Debug, Clone)]
pub(crate) struct ImportedBooking {
    pub(crate) unit_price_minor: u32,
    pub(crate) booked_at: Timestamp,
    /// When all its tickets were checked in, if they were.
    pub(crate) checked_in_at: Option<Timestamp>,
    /// Whether the customer gets a confirmation.
    pub(crate) sends_mail: bool,
}

/// The policies' decision, and the snapshot that must still be current when it is written.
#[derive(Debug, Clone)]
pub(crate) struct PolicyDecision {
    pub(crate) event_version: u64,
    pub(crate) tickets_in_event: u32,
    /// The inventory's revision at which these tickets were counted.
    pub(crate) revision: i64,
    /// Price of one ticket for each line, in minor units.
    pub(crate) unit_prices_minor: Vec<u32>,
    /// Texts about the prices, for the customer.
    pub(crate) messages: Vec<String>,
    /// What it takes of the tenant's counters.
    pub(crate) claims: Vec<Claim>,
    /// The plugins' input and answers, to be stored with the booking: the text of a `DecisionRecord`.
    pub(crate) record: Option<Arc<str>>,
}

/// The outcome of an accepted request.
#[derive(Debug, Clone)]
pub(crate) enum Placement {
    /// The booking is written, now or by an earlier attempt of the same request.
    Booked(Booking),
    /// The hold is written, now or by an earlier attempt of the same request.
    Held(Hold),
    /// The hold is an offer: ask the policies, and accept it.
    Offered(Hold),
    /// The booking of a payment is written, or its notice was known.
    Paid(Box<Payment>),
    /// What the policies decided on has changed: ask them again.
    PolicyStale,
    /// The details were not compared with the event's present questions, or the hold's have changed: compare them again.
    DetailsStale,
}

impl Placement {
    /// The booking that is written, if one is.
    pub(super) fn booked(&self) -> Option<BookingId> {
        match self {
            Self::Booked(booking) => Some(booking.id),
            Self::Paid(payment) => payment.booking,
            Self::Held(_) | Self::Offered(_) | Self::PolicyStale | Self::DetailsStale => None,
        }
    }
}

/// What is known of a request before policies are asked.
pub(crate) enum BeforePolicies {
    /// It was answered before.
    Answered(Placement),
    Open(PolicyInput),
}

/// The policies' input other than the event.
pub(crate) struct PolicyInput {
    pub(crate) event_version: u64,
    /// The revision of the event's inventory at which the tickets were counted.
    pub(crate) revision: i64,
    /// Tickets of the event that the customer booked or holds, without the offer that is being accepted.
    pub(crate) tickets_in_event: u32,
    /// The offer that is being accepted, if there is one.
    pub(crate) offered: Option<Hold>,
}

/// Who joins a waiting list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WaitingCustomer {
    pub(crate) id: UserId,
    /// Whether their address is not confirmed, which limits what they may wait for.
    pub(crate) is_unconfirmed: bool,
}

/// A requested cancellation.
#[derive(Debug, Clone)]
pub(crate) struct RequestedCancellation {
    pub(crate) booking: BookingId,
    /// The tickets to cancel, by type or by number; with neither, all that are left.
    pub(crate) lines: Option<Vec<BookLine>>,
    pub(crate) tickets: Option<Vec<u32>>,
    pub(crate) cause: CancelCause,
    /// The request with its Idempotency-Key, if it has one.
    pub(crate) idempotency: Option<KeyedRequest>,
}

/// The snapshot of a customer's cancellation. It must still be current when the cancellation is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CancelDecision {
    pub(crate) policy_version: u64,
    /// The event's version and the customer's tickets in it, if policies were asked.
    pub(crate) seen: Option<(u64, u32)>,
}

/// What is read before policies are asked about a cancellation.
pub(crate) enum BeforeCancelling {
    /// Nothing to decide: it was done before.
    Answered(Booking),
    Open {
        booking: Booking,
        /// The tickets to cancel, at the booked prices.
        lines: Vec<BookingLine>,
        /// Tickets of the event that the customer booked or holds.
        tickets_in_event: u32,
    },
}

/// A customer's tickets without those of the offer that is being accepted.
pub(super) fn without_accepted(tickets: u32, offered: Option<&Hold>) -> u32 {
    let open = offered.filter(|hold| hold.status == HoldStatus::Held);
    tickets.saturating_sub(open.map_or(0, Hold::tickets))
}
