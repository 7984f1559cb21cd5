//! Limits how many tickets one booking may hold.

use boxoffice_plugin::{BookingRequest, Decision, Deserialize, Policy, Rejection};

/// The tenant's configuration, such as `{"ticketsMax": 4}`.
#[derive(Deserialize)]
#[serde(
    crate = "boxoffice_plugin::serde",
    rename_all = "camelCase",
    deny_unknown_fields
)]
struct Plugin {
    tickets_max: u32,
}

impl Policy for Plugin {
    fn validate_booking(&self, request: BookingRequest) -> Decision {
        let tickets: u64 = request
            .lines
            .iter()
            .map(|line| u64::from(line.quantity))
            .sum();
        if tickets <= u64::from(self.tickets_max) {
            return Decision::Accept;
        }
        boxoffice_plugin::info(&format!("{tickets} tickets are too many"));
        Rejection::new(
            "too-many-tickets",
            format!("Up to {} tickets a booking.", self.tickets_max),
        )
        .into()
    }
}

boxoffice_plugin::export_policy!(Plugin);
