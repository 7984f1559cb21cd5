//! Sells to members only: people with an address in one of the club's domains, or on its list of pseudonyms.

use boxoffice_plugin::{BookingRequest, Customer, Decision, Deserialize, Policy, Rejection};

/// Who is a member. An address is seen only if the owner allowed it for this plugin; pseudonyms always are.
#[derive(Deserialize)]
#[serde(
    crate = "boxoffice_plugin::serde",
    rename_all = "camelCase",
    deny_unknown_fields
)]
struct MembersOnly {
    #[serde(default)]
    domains: Vec<String>,
    #[serde(default)]
    pseudonyms: Vec<String>,
    #[serde(default = "default_reason")]
    reason: String,
}

impl Policy for MembersOnly {
    fn validate_booking(&self, request: BookingRequest) -> Decision {
        if self.is_member(&request.customer) {
            return Decision::Accept;
        }
        if !self.domains.is_empty() && request.customer.email.is_none() {
            boxoffice_plugin::warn(
                "domains are configured, but this plugin may not see addresses: the owner can allow it",
            );
        }
        Rejection::new("members-only", self.reason.as_str()).into()
    }
}

impl MembersOnly {
    fn is_member(&self, customer: &Customer) -> bool {
        let domain = customer
            .email
            .as_deref()
            .and_then(|email| email.rsplit_once('@'))
            .map(|(_, domain)| domain);
        let in_domain = |domain: &str| {
            self.domains
                .iter()
                .any(|known| known.eq_ignore_ascii_case(domain))
        };
        domain.is_some_and(in_domain) || self.pseudonyms.contains(&customer.pseudonym)
    }
}

fn default_reason() -> String {
    "This event is for members only.".to_owned()
}

boxoffice_plugin::export_policy!(MembersOnly);
