//! Which answers are sent compressed, to clients that take gzip.
//!
//! Called by the URL table. Compression tells lengths: where an answer holds a secret beside something that somebody else may
//! choose, its length gives the secret away byte by byte (BREACH). So answers of routes that hand out secrets are sent plain.

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

/// What fits into one packet is not sooner there when it is shorter, and costs time to compress.
const PLAIN_BYTES_MAX: u16 = 1_200;

/// The layer that compresses.
pub(super) fn layer() -> CompressionLayer<impl Predicate> {
    let small = SizeAbove::new(PLAIN_BYTES_MAX);
    let chosen = small
        // Events must not wait for a block to fill; pictures and backups are as short as they get, or long and read once.
        .and(NotForContentType::SSE)
        .and(NotForContentType::IMAGES)
        .and(NotForContentType::const_new("application/octet-stream"))
        .and(MayTellLengths);
    // gzip alone, whatever other programs in this workspace ask of the library: every client knows it.
    // Ten thousand characters of JSON shrink to a fifth at the lowest level, and to little less at three times the cost.
    CompressionLayer::new()
        .no_br()
        .no_deflate()
        .no_zstd()
        .quality(CompressionLevel::Fastest)
        .compress_when(chosen)
}

/// Marks the answers of routes that hand out secrets.
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
        // A strong ETag names bytes: compressed ones would need another (RFC 9110, 8.8.3.3), and clients send ours back.
        response.extensions().get::<KeepPlain>().is_none() && !response.headers().contains_key(ETAG)
    }
}
