//! How built-in policies lower prices. They never raise one.
//!
//! Called by the policies of the catalogue. Pure.

use super::schema::choice;
use super::values::{MinorUnits, Percent, Sentence, TicketTypes, is_about};
use crate::{
    ports::{BuiltInBooking, Decision},
    types::Claim,
};

choice! {
    /// What is taken off a price.
    pub(super) enum Discount {
        /// So many percent of the price. What is left is rounded half up to a minor unit.
        Percent(Percent),
        /// So many minor units of each ticket's price; a price does not go below 0.
        AmountMinor(MinorUnits),
    }
}

impl Discount {
    /// The price that is left.
    pub(super) fn off(self, price: u32) -> u32 {
        match self {
            Self::Percent(percent) => percent.off(price),
            Self::AmountMinor(amount) => price.saturating_sub(amount.get()),
        }
    }
}

/// The prices of a request's lines while a policy looks at them.
pub(super) struct Prices<'a> {
    asked: &'a BuiltInBooking,
    minor: Vec<u32>,
    is_changed: bool,
}

impl<'a> Prices<'a> {
    pub(super) fn of(asked: &'a BuiltInBooking) -> Self {
        Self {
            asked,
            minor: asked
                .lines
                .iter()
                .map(|line| line.unit_price_minor)
                .collect(),
            is_changed: false,
        }
    }

    /// Lowers the prices of some ticket types. A higher price than before is not taken. Returns whether the request has such tickets.
    pub(super) fn lower(
        &mut self,
        types: Option<&TicketTypes>,
        price: impl Fn(u32) -> u32,
    ) -> bool {
        let (asked, mut found) = (self.asked, false);
        self.lower_each(|kind, minor| {
            let is_about = is_about(types, &asked.event, kind);
            found |= is_about;
            if is_about { price(minor) } else { minor }
        });
        found
    }

    /// Lowers the prices of lines by their ticket type. A higher price than before is not taken.
    pub(super) fn lower_each(&mut self, mut price: impl FnMut(&str, u32) -> u32) {
        for (line, minor) in self.asked.lines.iter().zip(&mut self.minor) {
            let lower = price(&line.ticket_type, *minor);
            if lower < *minor {
                *minor = lower;
                self.is_changed = true;
            }
        }
    }

    /// The decision for these prices. The message is given only where a price is lower.
    pub(super) fn decision(self, message: Option<&Sentence>, claims: Vec<Claim>) -> Decision {
        if !self.is_changed && claims.is_empty() {
            return Decision::Accept;
        }
        let message = message.filter(|_| self.is_changed);
        Decision::Adjust {
            unit_prices_minor: self.minor,
            messages: message
                .map(|text| text.as_str().to_owned())
                .into_iter()
                .collect(),
            claims,
        }
    }
}
