//! What requests and answers say of sales to somebody else.
//!
//! Called by the controllers of bookings, holds and imports.

use boxoffice_engine::{EmailAddress, Error, Label, Result, Sale, SellTo, Seller, SoldTo};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The customer that tickets are sold to: `id`, or `externalId`, or `name` and `email`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct SoldToRequest {
    /// The user's id.
    id: Option<String>,
    /// The platform's id of the user; for owners, staff and programs.
    #[schema(min_length = 1, max_length = 255)]
    external_id: Option<String>,
    /// The name of a guest. An account that is known keeps its own.
    name: Option<String>,
    /// The address. Its confirmed owner is the customer, or else a guest, whose bookings belong to the account that confirms the address.
    email: Option<String>,
}

/// Who sold tickets: a user or an API key; both are null for trusted code.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct SellerResponse {
    /// The user.
    user_id: Option<String>,
    /// The API key.
    key_id: Option<String>,
}

impl SellerResponse {
    /// Who it was, for a cell of an export.
    pub(super) fn cell(&self) -> String {
        match (&self.user_id, &self.key_id) {
            (Some(user), _) => format!("user {user}"),
            (None, Some(key)) => format!("key {key}"),
            (None, None) => "platform".to_owned(),
        }
    }
}

impl From<Seller> for SellerResponse {
    fn from(seller: Seller) -> Self {
        let (user_id, key_id) = match seller {
            Seller::User(user) => (Some(user.to_string()), None),
            Seller::ApiKey(key) => (None, Some(key.to_string())),
            Seller::Platform => (None, None),
        };
        Self { user_id, key_id }
    }
}

/// What an answer shows of a sale.
#[derive(Debug, Default)]
pub(super) struct SaleResponse {
    pub(super) sold_by: Option<SellerResponse>,
    pub(super) complimentary: Option<String>,
}

impl SaleResponse {
    pub(super) fn of(sale: Option<&Sale>) -> Self {
        let sale = sale.map(|sale| Self {
            sold_by: sale.seller.map(SellerResponse::from),
            complimentary: sale.complimentary.as_ref().map(ToString::to_string),
        });
        sale.unwrap_or_default()
    }
}

impl SoldToRequest {
    pub(super) fn command(&self) -> Result<SoldTo> {
        let rule = "Name the customer by id, by externalId, or by name and email.";
        let given = (&self.id, &self.external_id, &self.name, &self.email);
        match given {
            (Some(id), None, None, None) => {
                let id = id.parse().map(SoldTo::Id);
                id.map_err(|error: Error| {
                    Error::field("customer.id", "This is no user's id.").caused_by(error)
                })
            }
            (None, Some(id), None, None) if (1..=255).contains(&id.len()) => {
                Ok(SoldTo::ExternalId(id.clone()))
            }
            (None, Some(_), None, None) => {
                let rule = "An external id has 1 to 255 bytes.";
                Err(Error::field("customer.externalId", rule))
            }
            (None, None, Some(name), Some(email)) => Ok(SoldTo::Guest {
                name: Label::parse("customer.name", name)?,
                email: EmailAddress::parse("customer.email", email)?,
            }),
            _ => Err(Error::field("customer", rule)),
        }
    }
}

/// The sale that a request wants, if it does.
pub(super) fn sell_to(
    customer: Option<&SoldToRequest>,
    complimentary: Option<&str>,
) -> Result<Option<SellTo>> {
    let Some(customer) = customer else {
        if complimentary.is_some() {
            let rule = "Only what is sold to a customer is complimentary: name the customer.";
            return Err(Error::field("complimentary", rule));
        }
        return Ok(None);
    };
    let complimentary = complimentary.map(|reason| Label::parse("complimentary", reason));
    Ok(Some(SellTo {
        customer: customer.command()?,
        complimentary: complimentary.transpose()?,
    }))
}
