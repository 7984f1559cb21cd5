//! Query parameters: lists have some, other routes none.

mod changes;
mod events;
mod receipts;

use axum::{
    extract::{FromRequestParts, Query, Request},
    http::{Method, Uri, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use boxoffice_engine::{
    CustomerFilter, DeliveryState, EmailAddress, Error, ErrorCode, FailedFilter, Label,
    PageRequest, PaymentStatus, RefundState, ReplyCode, Result, UserFilter,
};
use jiff::Timestamp;
use utoipa::IntoParams;

use super::times::instant;
use crate::routes::{choices, problem::Problem};
pub(in crate::routes) use changes::{AtChanges, ChangeParams, LastEventId};
pub(in crate::routes) use events::{AtEventPage, EventParams};
pub(in crate::routes) use receipts::{AtReceiptPage, ReceiptParams};

/// Longest cursor that is read; valid ones are far shorter.
const CURSOR_BYTES_MAX: usize = 512;

/// Parameters that Google, Meta, Microsoft, TikTok, X, LinkedIn and Mailchimp add to links, and jQuery to requests that shall
/// not come from a cache.
const TRACKERS: [&str; 16] = [
    "_",
    "_ga",
    "_gl",
    "dclid",
    "fbclid",
    "gad_source",
    "gbraid",
    "gclid",
    "igshid",
    "li_fat_id",
    "mc_cid",
    "mc_eid",
    "msclkid",
    "ttclid",
    "twclid",
    "wbraid",
];

/// The parameters of a list.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::routes) struct PageParams {
    /// The `nextCursor` of the page before; `None` for the first page.
    cursor: Option<String>,
    /// Most items of the page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
}

/// The requested page of a list.
#[derive(Debug)]
pub(in crate::routes) struct AtPage(pub(in crate::routes) PageRequest);

impl<S: Send + Sync> FromRequestParts<S> for AtPage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Ok(Self(page_of(&parts.uri)?))
    }
}

/// Reads a time. An unencoded plus of an offset arrives as a space.
fn moment(text: &str, field: &str) -> Result<Timestamp> {
    instant(text, field).or_else(|error| instant(&text.replace(' ', "+"), field).map_err(|_| error))
}

/// The parameters of a list of failed deliveries.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what is read by name")]
pub(in crate::routes) struct FailedParams {
    /// `dead` or `unknown`. The default is both.
    #[param(value_type = Option<choices::FailedState>)]
    state: Option<String>,
    /// The beginning of the mail server's reply, such as `550`, `5` or `5.1.1`.
    code: Option<String>,
}

/// The parameters of a list of users.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what is read by name")]
pub(in crate::routes) struct UserParams {
    /// Only accounts with this address: its owner and up to 32 unconfirmed ones.
    email: Option<String>,
    /// Only the user with this id of the platform's.
    #[param(rename = "externalId", min_length = 1, max_length = 255)]
    external_id: Option<String>,
    /// Only users whose name contains this text, in any case of letters.
    #[param(min_length = 1, max_length = 200)]
    name: Option<String>,
}

/// The requested page of users, and the filter.
#[derive(Debug)]
pub(in crate::routes) struct AtUserPage(
    pub(in crate::routes) PageRequest,
    pub(in crate::routes) UserFilter,
);

impl<S: Send + Sync> FromRequestParts<S> for AtUserPage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let names = ["email", "externalId", "name"];
        let (page, [email, external_id, name]) = page_with(&parts.uri, names)?;
        if external_id
            .as_ref()
            .is_some_and(|id| !(1..=255).contains(&id.len()))
        {
            let error = Error::field("externalId", "An external id has 1 to 255 bytes.");
            return Err(error.into());
        }
        let email = email.map(|email| EmailAddress::parse("email", &email));
        let name = name.map(|name| Label::parse("name", &name));
        let filter = UserFilter {
            email: email.transpose()?,
            external_id,
            name: name.transpose()?,
        };
        Ok(Self(page, filter))
    }
}

/// The parameter of a list of an event's bookings.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what is read by name")]
pub(in crate::routes) struct CustomerParams {
    /// Only those of the customer with this id or e-mail address.
    customer: Option<String>,
}

/// The requested page of an event's bookings, and whose.
#[derive(Debug)]
pub(in crate::routes) struct AtCustomerPage(
    pub(in crate::routes) PageRequest,
    pub(in crate::routes) Option<CustomerFilter>,
);

impl<S: Send + Sync> FromRequestParts<S> for AtCustomerPage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (page, [customer]) = page_with(&parts.uri, ["customer"])?;
        let customer = customer.map(|customer| CustomerFilter::parse("customer", &customer));
        Ok(Self(page, customer.transpose()?))
    }
}

/// The parameter of a list of deliveries.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what is read by name")]
pub(in crate::routes) struct StateParams {
    /// Only those in this state: `queued`, `sending`, `sent`, `deferred`, `dead`, `suppressed` or `unknown`. A page may
    /// then have fewer items than its limit, or none, and still have a next page.
    #[param(value_type = Option<choices::DeliveryState>)]
    state: Option<String>,
}

/// The requested page of failed deliveries, and the filter.
#[derive(Debug)]
pub(in crate::routes) struct AtFailedPage(
    pub(in crate::routes) PageRequest,
    pub(in crate::routes) FailedFilter,
);

impl<S: Send + Sync> FromRequestParts<S> for AtFailedPage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (page, [state, code]) = page_with(&parts.uri, ["state", "code"])?;
        let filter = FailedFilter {
            notification: None,
            state: state
                .map(|state| match state.parse() {
                    Ok(state @ (DeliveryState::Dead | DeliveryState::Unknown)) => Ok(state),
                    _ => Err(Error::field("state", "It is `dead` or `unknown`.")),
                })
                .transpose()?,
            code: code
                .map(|code| ReplyCode::parse("code", &code))
                .transpose()?,
        };
        Ok(Self(page, filter))
    }
}

/// The requested page of deliveries, and their state.
#[derive(Debug)]
pub(in crate::routes) struct AtStatePage(
    pub(in crate::routes) PageRequest,
    pub(in crate::routes) Option<DeliveryState>,
);

impl<S: Send + Sync> FromRequestParts<S> for AtStatePage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (page, [state]) = page_with(&parts.uri, ["state"])?;
        let known = |state: String| {
            let rule =
                "It is `queued`, `sending`, `sent`, `deferred`, `dead`, `suppressed` or `unknown`.";
            state.parse().map_err(|_| Error::field("state", rule))
        };
        Ok(Self(page, state.map(known).transpose()?))
    }
}

/// The parameter of a list of payments.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what is read by name")]
pub(in crate::routes) struct PaymentParams {
    /// Only those in this state: `unmatched`, `open`, `failed`, `pending`, `booked` or `returned`. A page may then have fewer
    /// items than its limit, or none, and still have a next page.
    #[param(value_type = Option<choices::PaymentStatus>)]
    status: Option<String>,
}

/// The requested page of payments, and their state.
#[derive(Debug)]
pub(in crate::routes) struct AtPaymentPage(
    pub(in crate::routes) PageRequest,
    pub(in crate::routes) Option<PaymentStatus>,
);

impl<S: Send + Sync> FromRequestParts<S> for AtPaymentPage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (page, [status]) = page_with(&parts.uri, ["status"])?;
        let known = |status: String| {
            let rule = "It is `unmatched`, `open`, `failed`, `pending`, `booked` or `returned`.";
            status.parse().map_err(|_| Error::field("status", rule))
        };
        Ok(Self(page, status.map(known).transpose()?))
    }
}

/// The parameter of a list of refunds.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what is read by name")]
pub(in crate::routes) struct RefundParams {
    /// Only those in this state: `due` or `settled`. A page of settled ones may have fewer items than its limit, or none, and
    /// still have a next page.
    #[param(value_type = Option<choices::RefundState>)]
    state: Option<String>,
}

/// The requested page of refunds, and their state.
#[derive(Debug)]
pub(in crate::routes) struct AtRefundPage(
    pub(in crate::routes) PageRequest,
    pub(in crate::routes) Option<RefundState>,
);

impl<S: Send + Sync> FromRequestParts<S> for AtRefundPage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (page, [state]) = page_with(&parts.uri, ["state"])?;
        let known = |state: String| {
            let rule = "It is `due` or `settled`.";
            state.parse().map_err(|_| Error::field("state", rule))
        };
        Ok(Self(page, state.map(known).transpose()?))
    }
}

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::routes) enum ExportFormat {
    /// A line with the names of columns, then one for each row.
    #[default]
    Csv,
    /// A JSON object on each line, with everything that the API's lists have.
    Ndjson,
}

/// The parameter of an export.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what is read by name")]
pub(in crate::routes) struct ExportParams {
    /// `csv`, the default, or `ndjson`: a JSON object on each line, with all that the API's list has.
    #[param(value_type = Option<choices::ExportFormat>)]
    format: Option<String>,
}

/// The requested format of an export.
#[derive(Debug)]
pub(in crate::routes) struct InFormat(pub(in crate::routes) ExportFormat);

impl<S: Send + Sync> FromRequestParts<S> for InFormat {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let [format] = values_of(&parts.uri, ["format"])?;
        let format = match format.as_deref() {
            None => ExportFormat::default(),
            Some("csv") => ExportFormat::Csv,
            Some("ndjson") => ExportFormat::Ndjson,
            Some(_) => return Err(Error::field("format", "It is `csv` or `ndjson`.").into()),
        };
        Ok(Self(format))
    }
}

/// Refuses any query, for routes without parameters: a parameter without effect misleads.
pub(in crate::routes) async fn refuse_query(request: Request, next: Next) -> Response {
    let pairs = match *request.method() {
        Method::GET | Method::HEAD => pairs_of(request.uri()),
        _ => all_pairs_of(request.uri()),
    };
    match pairs {
        Ok(pairs) => match pairs.first() {
            Some((name, _)) => Problem::from(unknown(name)).into_response(),
            None => next.run(request).await,
        },
        Err(error) => Problem::from(error).into_response(),
    }
}

fn page_of(uri: &Uri) -> Result<PageRequest> {
    let (page, []) = page_with(uri, [])?;
    Ok(page)
}

/// A page, and the values of its list's other parameters.
fn page_with<const N: usize>(
    uri: &Uri,
    names: [&str; N],
) -> Result<(PageRequest, [Option<String>; N])> {
    let mut params = PageParams::default();
    let mut others = [const { None }; N];
    for (name, value) in pairs_of(uri)? {
        let twice = match name.as_str() {
            "cursor" if value.len() > CURSOR_BYTES_MAX => {
                return Err(Error::field(
                    "cursor",
                    "Send back what the last page gave as nextCursor.",
                ));
            }
            "cursor" => params.cursor.replace(value).is_some(),
            "limit" => {
                let limit = value
                    .parse()
                    .map_err(|_| Error::field("limit", "A page holds 1 to 100 items."))?;
                params.limit.replace(limit).is_some()
            }
            other => match names.iter().position(|known| *known == other) {
                Some(index) => others[index].replace(value).is_some(),
                None => return Err(unknown(other)),
            },
        };
        if twice {
            return Err(Error::field(name, "Send this parameter once."));
        }
    }
    Ok((PageRequest::parse(params.cursor, params.limit)?, others))
}

/// The values of these parameters. Others are refused, and so is one that is sent twice.
fn values_of<const N: usize>(uri: &Uri, names: [&str; N]) -> Result<[Option<String>; N]> {
    let mut values = [const { None::<String> }; N];
    for (name, value) in pairs_of(uri)? {
        let index = names.iter().position(|known| *known == name);
        let index = index.ok_or_else(|| unknown(&name))?;
        if values[index].replace(value).is_some() {
            return Err(Error::field(name, "Send this parameter once."));
        }
    }
    Ok(values)
}

/// The parameters of a read, without those of trackers and caches.
fn pairs_of(uri: &Uri) -> Result<Vec<(String, String)>> {
    let mut pairs = all_pairs_of(uri)?;
    pairs.retain(|(name, _)| !is_of_trackers(name));
    Ok(pairs)
}

/// Returns whether trackers, mailing services or caches add this parameter to links and requests, without the
/// client's intention.
fn is_of_trackers(name: &str) -> bool {
    name.starts_with("utm_") || TRACKERS.contains(&name)
}

fn all_pairs_of(uri: &Uri) -> Result<Vec<(String, String)>> {
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|_| Error::new(ErrorCode::MalformedRequest, "The query cannot be read."))?;
    Ok(pairs.0)
}

fn unknown(name: &str) -> Error {
    let name: String = name
        .chars()
        .filter(|character| !character.is_control())
        .take(80)
        .collect();
    Error::new(ErrorCode::UnknownField, "Unknown query parameter.").at_field(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_and_everything_else_is_named() {
        let page = page_of(&"/x?limit=5&cursor=a%2Fb".parse().unwrap()).unwrap();
        assert_eq!((page.limit, page.cursor.as_deref()), (5, Some("a/b")));
        assert_eq!(page_of(&"/x".parse().unwrap()).unwrap().limit, 20);
        let tracked = "/x?utm_source=news&limit=5&gclid=a&fbclid=b&_=1700000000000&utm_x=a&utm_x=b";
        assert_eq!(page_of(&tracked.parse().unwrap()).unwrap().limit, 5);
        for (query, code, field) in [
            ("limit=0", "field-invalid", "limit"),
            ("limit=101", "field-invalid", "limit"),
            ("limit=ten", "field-invalid", "limit"),
            ("limit=99999999999999999999", "field-invalid", "limit"),
            ("limit=1&limit=2", "field-invalid", "limit"),
            ("Limit=1", "unknown-field", "Limit"),
            ("offset=1", "unknown-field", "offset"),
        ] {
            let error = page_of(&format!("/x?{query}").parse().unwrap()).unwrap_err();
            assert_eq!(
                (error.code().as_str(), error.field_name()),
                (code, Some(field)),
                "{query}"
            );
        }
    }
}
