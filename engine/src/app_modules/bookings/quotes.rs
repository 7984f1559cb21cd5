//! The use case of quotes. Called by hosts. Calls the bookings module, and asks the policies.

use super::{Bookings, policy_check::kept_changing};
use crate::{
    context::EngineContext,
    error::Result,
    modules::{BookingIntent, RequestedBooking, RequestedDetails},
    types::{Caller, Quote, QuoteTickets, Scope, SellTo, SoldTo, TenantId},
};

/// How often the policies are asked for one quote, while the event is changed.
const TRIES_MAX: u32 = 3;

impl Bookings {
    /// Tells what tickets would cost the acting user now, as the policies decide; or a customer by id, for those who may sell to them.
    /// Nothing is booked or reserved. What a booking would be refused for, a quote is refused for; a plugin's refusal may be among
    /// the samples that its tenant sees.
    ///
    /// # Errors
    /// Those of [`Bookings::book_tickets`], except what comes of writing.
    pub async fn quote(&self, caller: &Caller, command: QuoteTickets) -> Result<Quote> {
        let tenant = caller.tenant()?;
        command.validate()?;
        let sell_to = command.customer.map(|customer| SellTo {
            customer: SoldTo::Id(customer),
            complimentary: None,
        });
        let event = command.event;
        let buyer = self
            .0
            .buyer(caller, Scope::BookingsRead, (event, sell_to.as_ref()));
        let buyer = buyer.await?;
        if buyer.sale.is_none() {
            self.0.require_may_take_tickets(caller).await?;
        }
        let mut request = RequestedBooking {
            lines: command.lines,
            sale: buyer.sale,
            details: RequestedDetails::given(command.details, false),
            ..RequestedBooking::new(buyer.customer, event, BookingIntent::Book)
        };
        match self.0.quoted(tenant, &mut request).await {
            Ok(quote) => Ok(quote),
            Err(refusal) => Err(self.0.refusal_seen_by(caller, event, refusal).await),
        }
    }
}

impl EngineContext {
    /// Asks the policies, and again if the event has changed meanwhile.
    async fn quoted(&self, tenant: &TenantId, request: &mut RequestedBooking) -> Result<Quote> {
        for attempt in 0..TRIES_MAX {
            let is_stale = attempt > 0 && request.details.event_version.is_some();
            self.compare_details(tenant, request, is_stale).await?;
            request.decision = self.decision_of(tenant, request).await?;
            if let Some(decision) = &request.decision {
                self.modules
                    .claims
                    .require_left(tenant, &decision.claims)
                    .await?;
            }
            if let Some(quote) = self.modules.bookings.quote(tenant, request).await? {
                return Ok(quote);
            }
        }
        Err(kept_changing())
    }
}
