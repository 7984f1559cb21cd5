//! What policies with codes have in common: which of a customer's codes is one of theirs, when it counts, and which counters a use takes of.
//!
//! A use is one booking or hold with the code, whatever the number of its tickets. Called by `promo_codes` and `access_codes`. Pure.

use super::{
    Refusal,
    values::{Codes, Moment, Pattern, Uses, counter_key, moment_of},
};
use crate::{
    error::{Error, Result},
    ports::BuiltInBooking,
    types::{BookingCode, Claim},
};

/// The codes of an activation: those of a list, and those that look like a pattern.
pub(super) struct CodeRules<'a> {
    pub(super) codes: Option<&'a Codes>,
    pub(super) pattern: Option<&'a Pattern>,
    pub(super) valid_from: Option<Moment>,
    pub(super) valid_until: Option<Moment>,
    pub(super) uses_max: Option<Uses>,
    pub(super) uses_per_code_max: Option<Uses>,
    pub(super) uses_per_customer_max: Option<Uses>,
}

impl CodeRules<'_> {
    /// Checks what the values alone cannot say.
    ///
    /// # Errors
    /// `field-invalid` at the field.
    pub(super) fn validate(&self) -> Result<()> {
        if self.codes.is_none() && self.pattern.is_none() {
            let rule = "Give the codes as a list, or a pattern that they fit.";
            return Err(Error::field("codes", rule));
        }
        match (self.valid_from, self.valid_until) {
            (Some(from), Some(until)) if from >= until => Err(Error::field(
                "validUntil",
                "It must be later than validFrom.",
            )),
            _ => Ok(()),
        }
    }

    /// The first of the customer's codes that is one of these.
    pub(super) fn found<'q>(&self, asked: &'q BuiltInBooking) -> Option<&'q BookingCode> {
        asked.codes.iter().find(|code| {
            let in_list = |codes: &Codes| codes.iter().any(|own| own.0 == **code);
            let fits = |pattern: &Pattern| pattern.fits(code.as_str());
            self.codes.is_some_and(in_list) || self.pattern.is_some_and(fits)
        })
    }

    /// Refuses a code before and after its time.
    ///
    /// # Errors
    /// A sentence, if the request has no readable time.
    pub(super) fn out_of_time(
        &self,
        code: &BookingCode,
        asked: &BuiltInBooking,
    ) -> Result<Option<Refusal>, String> {
        let now = moment_of(&asked.now.utc)?;
        if let Some(Moment(from)) = self.valid_from
            && now < from
        {
            let from = crate::ports::RequestMoment::at(from, &asked.event.time_zone).local;
            let reason = format!("The code {code} counts from {from} on.");
            return Ok(Some(Refusal::new("code-not-yet", reason)));
        }
        match self.valid_until {
            Some(Moment(until)) if now >= until => {
                let reason = format!("The code {code} does not count any more.");
                Ok(Some(Refusal::new("code-over", reason)))
            }
            _ => Ok(None),
        }
    }

    /// What one use of a code takes of the counters.
    pub(super) fn claims(&self, code: &BookingCode, asked: &BuiltInBooking) -> Vec<Claim> {
        let customer = &asked.customer.pseudonym;
        let counters = [
            (self.uses_per_code_max, format!("code/{code}")),
            (self.uses_max, "all".to_owned()),
            (self.uses_per_customer_max, format!("customer/{customer}")),
        ];
        let claim = |(limit, name): (Option<Uses>, String)| {
            Some(Claim {
                key: counter_key(&format!("{}/{name}", asked.counters)),
                limit: limit?.get(),
                amount: 1,
            })
        };
        counters.into_iter().filter_map(claim).collect()
    }
}
