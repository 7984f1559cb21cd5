//! Extractors: the parts of a request that handlers take. Each refuses invalid input with a precise problem.
//!
//! Used by controllers.

mod body;
mod caller;
mod faults;
mod headers;
mod path;
mod query;
mod sign_in_origin;
pub(super) mod times;

pub(super) use body::{Json, MergePatch, OptionalJson, bytes_of, require_type};
pub(super) use caller::{
    AsCaller, AsOperator, AsWatcher, ClientAddress, NamedTenant, OverTls, RequestContext, Visitor,
    count_address,
};
pub(super) use faults::read_value;
pub(super) use headers::{OptionalVersions, SeenVersions, Versions, idempotency_key};
pub(super) use path::{Id, Ids, NamedOperator, NamedOperatorSession, NewId, Prefix};
pub(super) use query::{
    AtChanges, AtCustomerPage, AtEventPage, AtFailedPage, AtPage, AtPaymentPage, AtReceiptPage,
    AtRefundPage, AtStatePage, AtUserPage, ChangeParams, CustomerParams, EventParams, ExportFormat,
    ExportParams, FailedParams, InFormat, LastEventId, PageParams, PaymentParams, ReceiptParams,
    RefundParams, StateParams, UserParams, refuse_query,
};
pub(super) use sign_in_origin::SignInOrigin;
