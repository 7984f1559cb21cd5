//! Sells cheaper until some time before the event, and says until when.

use boxoffice_plugin::{Adjustment, BookingRequest, Decision, Deserialize, Policy, unix_seconds};

/// How much cheaper, and how long before the event it ends.
#[derive(Deserialize)]
#[serde(
    crate = "boxoffice_plugin::serde",
    rename_all = "camelCase",
    deny_unknown_fields
)]
struct EarlyBirdPrice {
    percent_off: u32,
    hours_before: u32,
}

impl Policy for EarlyBirdPrice {
    fn validate_booking(&self, request: BookingRequest) -> Decision {
        // A panic fails the call, which refuses the booking; the plugin's log says why.
        assert!(
            (1..=100).contains(&self.percent_off),
            "percentOff: a whole number from 1 to 100"
        );
        let moments = unix_seconds(&request.now.utc).zip(unix_seconds(&request.event.starts_at));
        let (now, starts_at) = moments.expect("the host writes moments in RFC 3339");
        if starts_at - now < i64::from(self.hours_before) * 3600 {
            return Decision::Accept;
        }
        let cheaper =
            |price: u32| (u64::from(price) * u64::from(100 - self.percent_off) + 50) / 100;
        let prices = request
            .lines
            .iter()
            .map(|line| cheaper(line.unit_price_minor));
        let unit_prices_minor = prices
            .map(|price| u32::try_from(price).expect("a share of a u32 is one"))
            .collect();
        let message = format!(
            "Early bird: {} % off until {} hours before.",
            self.percent_off, self.hours_before
        );
        Adjustment::prices(unit_prices_minor)
            .message(message)
            .into()
    }
}

boxoffice_plugin::export_policy!(EarlyBirdPrice);
