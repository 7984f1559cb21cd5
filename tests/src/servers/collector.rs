//! A collector of traces that speaks OTLP over gRPC, as far as an exporter needs it: spans come in and are kept.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http_body_util::{BodyExt as _, StreamBody};
use hyper::{
    Request, Response,
    body::{Bytes, Frame, Incoming},
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value as Any,
    trace::v1::Span,
};
use prost::Message as _;
use tokio::{net::TcpListener, task::JoinHandle};

/// A span as it arrived.
#[derive(Debug, Clone)]
pub struct CollectedSpan {
    /// What was done.
    pub name: String,
    /// Which trace it is part of, in hexadecimal digits.
    pub trace: String,
    /// Which span it is.
    pub id: String,
    /// Which span it is part of; empty for none.
    pub parent: String,
    /// Whose it is.
    pub service: String,
    /// How long it took, in nanoseconds.
    pub nanoseconds: u64,
    /// What is said of it, text and numbers.
    pub attributes: Vec<(String, String)>,
}

/// A collector on a port of its own. Dropping it ends it.
pub struct TraceCollector {
    task: JoinHandle<()>,
    address: SocketAddr,
    spans: Arc<Mutex<Vec<CollectedSpan>>>,
}

impl TraceCollector {
    /// Starts one.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has free ports");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let spans: Arc<Mutex<Vec<CollectedSpan>>> = Arc::default();
        let kept = spans.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = kept.clone();
                let service = service_fn(move |request| export(request, kept.clone()));
                let connection = http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service);
                // An exporter that ends breaks its connection off.
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        Self {
            task,
            address,
            spans,
        }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has arrived so far.
    ///
    /// # Panics
    /// Never: no holder panics.
    pub fn spans(&self) -> Vec<CollectedSpan> {
        self.spans.lock().expect("no holder panics").clone()
    }
}

impl Drop for TraceCollector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Body = StreamBody<futures::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

/// `opentelemetry.proto.collector.trace.v1.TraceService/Export`: one message of a flag, a length and its bytes; answered
/// with an empty message and the status in the trailers.
async fn export(
    request: Request<Incoming>,
    spans: Arc<Mutex<Vec<CollectedSpan>>>,
) -> Result<Response<Body>, hyper::Error> {
    let bytes = request.into_body().collect().await?.to_bytes();
    let message = bytes.get(5..).unwrap_or_default();
    let read = ExportTraceServiceRequest::decode(message);
    let status = if read.is_ok() { "0" } else { "3" };
    if let Ok(request) = read {
        spans
            .lock()
            .expect("no holder panics")
            .extend(spans_of(request));
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let frames = vec![
        Ok(Frame::data(Bytes::from_static(&[0, 0, 0, 0, 0]))),
        Ok(Frame::trailers(trailers)),
    ];
    let mut response = Response::new(StreamBody::new(futures::stream::iter(frames)));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, grpc);
    Ok(response)
}

fn spans_of(request: ExportTraceServiceRequest) -> Vec<CollectedSpan> {
    let mut spans = Vec::new();
    for resource in request.resource_spans {
        let described = resource.resource.unwrap_or_default().attributes;
        let service = described
            .iter()
            .find(|attribute| attribute.key == "service.name")
            .map(|attribute| text_of(attribute.value.clone().and_then(|value| value.value)));
        let service = service.unwrap_or_default();
        let found = resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans);
        spans.extend(found.map(|span| collected(span, &service)));
    }
    spans
}

fn collected(span: Span, service: &str) -> CollectedSpan {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let attributes = span.attributes.into_iter().map(|attribute| {
        let value = attribute.value.and_then(|value| value.value);
        (attribute.key, text_of(value))
    });
    CollectedSpan {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        service: service.to_owned(),
        nanoseconds: span
            .end_time_unix_nano
            .saturating_sub(span.start_time_unix_nano),
        attributes: attributes.collect(),
        name: span.name,
    }
}

fn text_of(value: Option<Any>) -> String {
    match value {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}
