//! Bookings, and the request for one.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    BookLine, BookingDetails, BookingId, BookingLine, BookingNumber, CancelCause, Cancellation,
    ClaimUse, EventId, IdempotencyKey, NewBookingDetails, PaymentKey, Sale, SalesChannel, SellTo,
    TicketHolder, TicketTransfer, UserId, total_of, without,
};
use crate::error::{Error, Result};

/// The state of a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BookingStatus {
    /// Its tickets are sold to the customer.
    Confirmed,
    /// Cancelled, alone or with its event.
    Cancelled,
}

impl BookingStatus {
    /// The status as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Tickets that a customer booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booking {
    /// The booking's id. It contains the ids of its event and customer.
    pub id: BookingId,
    /// Its number for people, unique within the tenant.
    pub number: BookingNumber,
    /// The booked event.
    pub event: EventId,
    /// The customer who booked.
    pub customer: UserId,
    /// Its state.
    pub status: BookingStatus,
    /// Why it was cancelled, if it was.
    pub cancelled: Option<(CancelCause, Timestamp)>,
    /// Its tickets, or those it had before it was cancelled; 1 to 10 lines.
    pub lines: Vec<BookingLine>,
    /// The lines as they were booked, if some tickets were cancelled since.
    pub booked_lines: Option<Vec<BookingLine>>,
    /// Its cancellations, in order. Cancelling the event adds none.
    pub cancellations: Vec<Cancellation>,
    /// Sum over the lines, in minor units of `currency`.
    pub total_minor: u64,
    /// Texts of policies about the booked prices, in the policies' order; at most 20 lines.
    pub messages: Vec<String>,
    /// ISO 4217 code of the prices.
    pub currency: String,
    /// The version of the event that was booked.
    pub event_version: u64,
    /// When it was booked, UTC.
    pub created_at: Timestamp,
    /// The numbers of the tickets that are checked in, in order.
    pub checked_in: Vec<u32>,
    /// What is kept of a booking that the customer did not make; `None` for one that they made.
    pub sale: Option<Box<Sale>>,
    /// The payment that is kept for it, if there is one.
    pub payment: Option<PaymentKey>,
    /// What it carries beside its tickets; `None` for nothing.
    pub details: Option<Box<BookingDetails>>,
    /// What it has taken of the tenant's counters.
    pub claims: Vec<ClaimUse>,
    /// The last transfer of each ticket that was given to somebody else, by number.
    pub transfers: Vec<TicketTransfer>,
    /// If it has a receipt: the tax rate of each line as it was booked, in hundredths of a percent.
    pub receipt_taxes: Option<Vec<Option<u32>>>,
}

impl Booking {
    /// A confirmed booking of these lines, in this currency and version of the event, that has nothing else yet.
    pub(crate) fn new(
        (id, number): (BookingId, BookingNumber),
        lines: Vec<BookingLine>,
        (currency, event_version): (String, u64),
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            number,
            event: id.event(),
            customer: id.customer(),
            status: BookingStatus::Confirmed,
            cancelled: None,
            total_minor: total_of(&lines),
            lines,
            booked_lines: None,
            cancellations: Vec::new(),
            messages: Vec::new(),
            currency,
            event_version,
            created_at,
            checked_in: Vec::new(),
            sale: None,
            payment: None,
            details: None,
            claims: Vec::new(),
            transfers: Vec::new(),
            receipt_taxes: None,
        }
    }

    /// What of its price is left after all refunds, in minor units of `currency`: what its payment is to have.
    pub(crate) fn keep_minor(&self) -> u64 {
        self.paid_minor().saturating_sub(self.refund_minor())
    }

    /// Who has the ticket of a number, if the customer named them.
    pub fn holder_of(&self, number: u32) -> Option<&TicketHolder> {
        self.details.as_ref()?.ticket_holders.get(&number)
    }

    /// How it came about.
    pub fn channel(&self) -> SalesChannel {
        let sale = self.sale.as_ref();
        sale.map_or(SalesChannel::Own, |sale| sale.channel)
    }

    /// The booking as its customer sees it.
    pub(crate) fn as_customer_sees(mut self) -> Self {
        self.sale = self.sale.map(|sale| Box::new(sale.as_customer_sees()));
        self.without_attendees_of_others();
        self
    }

    /// How many tickets the booking holds, over all lines.
    pub fn tickets(&self) -> u32 {
        self.lines.iter().map(|line| line.quantity).sum()
    }

    /// The refund for all that was cancelled, in minor units of `currency`. If the event was cancelled, it includes
    /// the whole price of what was left.
    pub fn refund_minor(&self) -> u64 {
        let cancelled: u64 = self.cancellations.iter().map(|one| one.refund_minor).sum();
        match self.cancelled {
            Some((CancelCause::Event, _)) => cancelled.saturating_add(self.total_minor),
            _ => cancelled,
        }
    }

    /// The price of all its tickets, cancelled ones included, in minor units of `currency`.
    pub fn paid_minor(&self) -> u64 {
        total_of(self.lines_as_booked())
    }

    /// The price of the cancelled tickets, in minor units of `currency`, whether the customer, the organizer or the
    /// end of the event cancelled them.
    pub fn cancelled_minor(&self) -> u64 {
        let parts = self.cancellations.iter().map(|one| total_of(&one.lines));
        let parts: u64 = parts.sum();
        match self.cancelled {
            Some((CancelCause::Event, _)) => parts.saturating_add(self.total_minor),
            _ => parts,
        }
    }

    /// The booking as it was after its first `count` cancellations.
    pub(crate) fn as_of(&self, count: usize) -> Self {
        let mut lines = self.booked_lines.as_ref().unwrap_or(&self.lines).clone();
        let mut cancelled = None;
        let cancellations: Vec<_> = self.cancellations.iter().take(count).cloned().collect();
        for one in &cancellations {
            let left = without(&lines, &one.lines);
            match left.is_empty() {
                true => cancelled = Some((one.cause, one.at)),
                false => lines = left,
            }
        }
        Self {
            status: match cancelled {
                Some(_) => BookingStatus::Cancelled,
                None => BookingStatus::Confirmed,
            },
            cancelled,
            total_minor: total_of(&lines),
            lines,
            booked_lines: self.booked_lines.clone().filter(|_| count > 0),
            cancellations,
            ..self.clone()
        }
    }
}

/// Changes what a booking carries beside its tickets. What is left out stays.
#[derive(Debug, Clone)]
pub struct ChangeBooking {
    /// The booking.
    pub booking: BookingId,
    /// The new parts. Codes cannot be changed: policies decided with those that the booking has.
    pub details: NewBookingDetails,
}

/// Books tickets for the acting user, or sells them to somebody.
#[derive(Debug, Clone)]
pub struct BookTickets {
    /// The event's id.
    pub event: EventId,
    /// The tickets to book; 1 to 10 lines, each type once.
    pub lines: Vec<BookLine>,
    /// Makes the request safe to repeat for 24 hours.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The total that the customer agreed to, in minor units. Another total is refused (`price-changed`).
    pub expected_total_minor: Option<u64>,
    /// The sale to somebody else; `None` to book for the acting user.
    pub sell_to: Option<SellTo>,
    /// What it carries beside its tickets.
    pub details: NewBookingDetails,
}

impl BookTickets {
    /// Most lines of one booking.
    pub const LINES_MAX: usize = 10;

    /// Books `quantity` tickets of the event's only type.
    pub fn general(event: EventId, quantity: u32) -> Self {
        Self {
            event,
            lines: vec![BookLine {
                ticket_type: None,
                quantity,
            }],
            idempotency_key: None,
            expected_total_minor: None,
            sell_to: None,
            details: NewBookingDetails::default(),
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        self.details.validate()?;
        if self.lines.is_empty() || self.lines.len() > Self::LINES_MAX {
            return Err(Error::field("lines", "A booking has 1 to 10 lines."));
        }
        for (index, line) in self.lines.iter().enumerate() {
            if line.quantity == 0 {
                return Err(Error::field(
                    format!("lines[{index}].quantity"),
                    "At least 1 ticket is booked.",
                ));
            }
            if self.lines[..index]
                .iter()
                .any(|other| other.ticket_type == line.ticket_type)
            {
                return Err(Error::field(
                    format!("lines[{index}].ticketType"),
                    "Each ticket type may be in one line only.",
                ));
            }
        }
        Ok(())
    }
}
