//! Error codes that only HTTP has.
//!
//! Used by problems, by the description and by the pages about codes.

use axum::http::StatusCode;

/// A code that only HTTP has: its text, status, title, and page.
#[derive(Debug)]
pub(in crate::routes) struct HostCode {
    /// The stable code.
    pub(in crate::routes) code: &'static str,
    /// Its HTTP status.
    pub(in crate::routes) status: StatusCode,
    /// A short public title.
    pub(in crate::routes) title: &'static str,
    /// The page about it, in Markdown.
    pub(in crate::routes) page: &'static str,
}

/// The path is known, the method is not.
pub(in crate::routes) static METHOD_NOT_ALLOWED: HostCode = HostCode {
    code: "method-not-allowed",
    status: StatusCode::METHOD_NOT_ALLOWED,
    title: "Method not allowed",
    page: include_str!("../../errors/method-not-allowed.md"),
};
/// The body has an unsupported type.
pub(in crate::routes) static UNSUPPORTED_MEDIA_TYPE: HostCode = HostCode {
    code: "unsupported-media-type",
    status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
    title: "Unsupported media type",
    page: include_str!("../../errors/unsupported-media-type.md"),
};
/// The body was sent too slowly.
pub(in crate::routes) static UPLOAD_TOO_SLOW: HostCode = HostCode {
    code: "upload-too-slow",
    status: StatusCode::REQUEST_TIMEOUT,
    title: "The upload was too slow",
    page: include_str!("../../errors/upload-too-slow.md"),
};
/// Every code that only HTTP has.
pub(in crate::routes) static HOST_CODES: [&HostCode; 3] = [
    &METHOD_NOT_ALLOWED,
    &UNSUPPORTED_MEDIA_TYPE,
    &UPLOAD_TOO_SLOW,
];
