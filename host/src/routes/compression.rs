//! Compression of responses, for clients that accept gzip.
//!
//! Called by the URL table. Compression reveals lengths: if a response has a secret together with text that an attacker can
//! choose, its length reveals the secret byte by byte (BREACH). So responses with secrets are not compressed.

use axum::{
    extract::Request,
    http::{Response, header::ETAG},
    middleware::Next,
};
use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer, Predicate,
        predicate::{NotForContentType, SizeAbove},
    },
};

/// A response that fits into one packet is not faster when it is shorter.
const PLAIN_BYTES_MAX: u16 = 1_200;

/// The layer that compresses.
pub(super) fn layer() -> CompressionLayer<impl Predicate> {
    let small = SizeAbove::new(PLAIN_BYTES_MAX);
    let chosen = small
        // Events must not wait for a full block; pictures are compressed already, and backups are large and read once.
        .and(NotForContentType::SSE)
        .and(NotForContentType::IMAGES)
        .and(NotForContentType::const_new("application/octet-stream"))
        .and(MayTellLengths);
    // Only gzip, which every client supports, whatever features other crates enable.
    // Ten thousand characters of JSON shrink to a fifth at the lowest level. Higher levels gain little at three times the cost.
    CompressionLayer::new()
        .no_br()
        .no_deflate()
        .no_zstd()
        .quality(CompressionLevel::Fastest)
        .compress_when(chosen)
}

/// Marks the responses of routes with secrets.
pub(super) async fn keep_plain(request: Request, next: Next) -> axum::response::Response {
    let mut response = next.run(request).await;
    response.extensions_mut().insert(KeepPlain);
    response
}

#[derive(Debug, Clone, Copy)]
struct KeepPlain;

#[derive(Debug, Clone, Copy)]
struct MayTellLengths;

impl Predicate for MayTellLengths {
    fn should_compress<B>(&self, response: &Response<B>) -> bool
    where
        B: axum::body::HttpBody,
    {
        // A strong ETag identifies bytes: compressed ones would need another (RFC 9110, 8.8.3.3), and clients send it back.
        response.extensions().get::<KeepPlain>().is_none() && !response.headers().contains_key(ETAG)
    }
}
