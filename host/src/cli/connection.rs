//! One client's connection. Each request must be framed in one way only. A response before the end of its request says
//! whether the connection continues. A connection that ends early is closed in stages.
//!
//! Called by `lifecycle`, for every connection. hyper reads and writes the messages. Some checks come before it:
//! hyper treats a request with both Content-Length and Transfer-Encoding as chunked and removes the length, while a
//! proxy may use the length and take the rest for another request (RFC 9112, 11.2).

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderValue, Request, Response, header::CONNECTION, header::EXPECT},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::request_body::{WatchedBody, read_on};
use crate::routes::Misframed;

use crate::locked::Locked as _;

/// How long a client may take to send the head of a request, or the next request.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest head of a request: line and headers. Tokens and cookies are some KB; proxies stop at 8 to 64 KB.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Headers of a request; hyper's own bound.
const HEADERS_MAX: usize = 100;
/// How long to read after a refusal, and how long to wait for the next bytes: nginx's
/// `lingering_time` and `lingering_timeout`. A client that sends everything before it reads the response has this time.
const LINGER_MAX: Duration = Duration::from_secs(30);
const LINGER_IDLE_MAX: Duration = Duration::from_secs(5);
/// Most bytes that are read and dropped after a refusal: eight times the size of Python plugins.
const LINGER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Handles the requests of one connection, one after another.
pub(super) async fn answer(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    stop: CancellationToken,
) {
    // Responses are small: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let framings = Arc::new(Framings::default());
    let watched = WatchedStream::new(stream, framings.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        answer_one(app.clone(), peer, framings.clone(), request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(watched), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Handles one request. If its body was not read, reads on for a moment, or announces the end of the connection.
async fn answer_one(
    mut app: Router,
    peer: SocketAddr,
    framings: Arc<Framings>,
    request: Request<Incoming>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let framing = framings.next();
    let (parts, body) = request.into_parts();
    // Such a client sends the body only after `100 Continue`, which a refusal does not send.
    let waits = parts.headers.get(EXPECT).is_some();
    let (body, left) = WatchedBody::new(body);
    let mut request = Request::from_parts(parts, Body::new(body));
    request.extensions_mut().insert(ConnectInfo(peer));
    if let Framing::Refused(reason) = framing {
        request.extensions_mut().insert(Misframed(reason));
    }
    let mut response = app.call(request).await?;
    let is_read = read_on(&left, waits).await;
    if is_read {
        framings.is_between_requests.store(true, Ordering::Release);
    }
    // After a chunked body only hyper knows where the next head begins.
    if !is_read || !matches!(framing, Framing::Length(_)) {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    Ok(response)
}

/// How a request is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
    /// In two ways, or in an unknown one.
    Refused(&'static str),
}

impl Framing {
    fn of(headers: &[httparse::Header<'_>]) -> Self {
        let named = |name: &'static str| {
            let all = headers.iter();
            all.filter(move |header| header.name.eq_ignore_ascii_case(name))
        };
        let lengths = named("content-length").count();
        let mut codings = named("transfer-encoding");
        if let Some(coding) = codings.next() {
            let is_chunked = coding.value.trim_ascii().eq_ignore_ascii_case(b"chunked");
            return match (lengths, is_chunked && codings.next().is_none()) {
                (0, true) => Self::Chunked,
                (0, false) => Self::Refused("The only supported Transfer-Encoding is `chunked`."),
                _ => Self::Refused("Send Content-Length or Transfer-Encoding, not both."),
            };
        }
        let length = named("content-length").next().map(|header| {
            let digits = std::str::from_utf8(header.value).unwrap_or_default().trim();
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse().ok()).flatten()
        });
        match (lengths, length) {
            (0, _) => Self::Length(0),
            (1, Some(Some(length))) => Self::Length(length),
            _ => Self::Refused("Send one Content-Length: a number of bytes."),
        }
    }
}

/// What the reading side of the connection tells the writing side.
#[derive(Debug)]
struct Framings {
    /// Of heads that hyper has got and not yet handed on: as many as fit into its buffer, which is [`HEAD_BYTES_MAX`].
    heads: Mutex<VecDeque<Framing>>,
    /// Whether all received bytes were read, so the connection can be closed at once.
    is_between_requests: AtomicBool,
}

impl Default for Framings {
    fn default() -> Self {
        Self {
            heads: Mutex::default(),
            is_between_requests: AtomicBool::new(true),
        }
    }
}

impl Framings {
    fn add(&self, framing: Framing) {
        let mut heads = self.heads.locked();
        heads.push_back(framing);
    }

    /// The framing of the next request that hyper hands on.
    fn next(&self) -> Framing {
        let mut heads = self.heads.locked();
        // An unchecked head is not trusted.
        let unknown = Framing::Refused("The head of this request cannot be parsed.");
        heads.pop_front().unwrap_or(unknown)
    }
}

/// What comes next on the connection.
#[derive(Debug, Clone, Copy)]
enum Expected {
    Head,
    /// This many bytes of a body.
    Body(u64),
    /// Unchecked bytes: the connection ends after the current response.
    Rest,
}

/// A stream that hands on one head at a time, once it has seen it, and that closes in stages.
struct WatchedStream {
    stream: TcpStream,
    framings: Arc<Framings>,
    expected: Expected,
    /// What was received and not yet handed on.
    received: Vec<u8>,
    /// How much of it may be handed on.
    ready: usize,
    /// How much of it was searched for the end of a head.
    searched: usize,
    lingering: Option<Lingering>,
}

/// The stage between our last byte and the end: the client's bytes are read and thrown away. If they were left unread, the
/// kernel would reset the connection, and the client might lose the answer with it (RFC 9112, 9.6).
struct Lingering {
    until: Pin<Box<Sleep>>,
    idle: Pin<Box<Sleep>>,
    bytes: u64,
}

impl WatchedStream {
    fn new(stream: TcpStream, framings: Arc<Framings>) -> Self {
        Self {
            stream,
            framings,
            expected: Expected::Head,
            received: Vec::new(),
            ready: 0,
            searched: 0,
            lingering: None,
        }
    }

    /// Looks for a whole head in what was received; whether something may be handed on now.
    fn find_head(&mut self) -> bool {
        // Empty lines before a request are nothing (RFC 9112, 2.2).
        let blank = self.received.iter();
        let blank = blank
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        self.received.drain(..blank);
        self.searched = self.searched.saturating_sub(blank);
        let from = self.searched.saturating_sub(3);
        self.searched = self.received.len();
        if ends_a_head(&self.received[from..]) {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut request = httparse::Request::new(&mut headers);
            if let Ok(httparse::Status::Complete(length)) = request.parse(&self.received) {
                let framing = Framing::of(request.headers);
                self.framings.add(framing);
                self.ready = length;
                self.searched = 0;
                self.expected = match framing {
                    Framing::Length(0) => Expected::Head,
                    Framing::Length(bytes) => Expected::Body(bytes),
                    Framing::Chunked | Framing::Refused(_) => Expected::Rest,
                };
                return true;
            }
        } else if self.received.len() <= HEAD_BYTES_MAX {
            return false;
        }
        // Not a head, or too long a one. hyper says so, and ends the connection.
        self.expected = Expected::Rest;
        true
    }

    /// Marks what of the received bytes may be handed on; whether there is any, so that nothing need be received first.
    fn prepare(&mut self) -> bool {
        if self.ready > 0 || self.received.is_empty() {
            return self.ready > 0;
        }
        match self.expected {
            Expected::Head => {
                if !self.find_head() {
                    return false;
                }
                if self.ready == 0 {
                    self.ready = self.received.len();
                }
            }
            Expected::Body(left) => {
                let here = self.received.len() as u64;
                self.ready = here.min(left) as usize;
                self.expected = after(left, self.ready);
            }
            Expected::Rest => self.ready = self.received.len(),
        }
        true
    }

    /// Receives into `out`, at most `bytes`.
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
        bytes: usize,
    ) -> Poll<io::Result<usize>> {
        let bytes = bytes.min(out.remaining());
        let mut part = ReadBuf::new(out.initialize_unfilled_to(bytes));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
        let received = part.filled().len();
        out.advance(received);
        if received > 0 {
            let between = &self.framings.is_between_requests;
            between.store(false, Ordering::Release);
        }
        Poll::Ready(Ok(received))
    }
}

/// Whether a line that is empty ends in this piece of a head.
fn ends_a_head(piece: &[u8]) -> bool {
    let lf_lf = piece.windows(2).any(|bytes| bytes == b"\n\n");
    lf_lf || piece.windows(3).any(|bytes| bytes == b"\n\r\n")
}

/// What comes after so many bytes of what is left of a body.
fn after(left: u64, bytes: usize) -> Expected {
    match left.saturating_sub(bytes as u64) {
        0 => Expected::Head,
        left => Expected::Body(left),
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while !this.prepare() {
            match this.expected {
                Expected::Head => {
                    let mut piece = [0; 8 * 1024];
                    let mut piece = ReadBuf::new(&mut piece);
                    let size = piece.remaining();
                    if ready!(this.poll_receive(context, &mut piece, size))? > 0 {
                        this.received.extend_from_slice(piece.filled());
                        continue;
                    }
                    if this.received.is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    // The head ends here, in its middle.
                    this.expected = Expected::Rest;
                }
                Expected::Body(left) => {
                    let bytes = usize::try_from(left).unwrap_or(usize::MAX);
                    let received = ready!(this.poll_receive(context, out, bytes))?;
                    this.expected = after(left, received);
                    return Poll::Ready(Ok(()));
                }
                Expected::Rest => {
                    ready!(this.poll_receive(context, out, usize::MAX))?;
                    return Poll::Ready(Ok(()));
                }
            }
        }
        let bytes = this.ready.min(out.remaining());
        out.put_slice(&this.received[..bytes]);
        this.received.drain(..bytes);
        this.ready -= bytes;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    /// Ends our side; then, if the client may still be sending, reads on until it ends, or for as long as it may last.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            if this.framings.is_between_requests.load(Ordering::Acquire) {
                return Poll::Ready(Ok(()));
            }
        }
        let lingering = this.lingering.get_or_insert_with(|| Lingering {
            until: Box::pin(sleep(LINGER_MAX)),
            idle: Box::pin(sleep(LINGER_IDLE_MAX)),
            bytes: 0,
        });
        loop {
            let is_over = lingering.until.as_mut().poll(context).is_ready()
                || lingering.idle.as_mut().poll(context).is_ready();
            let mut piece = [0; 16 * 1024];
            let mut piece = ReadBuf::new(&mut piece);
            if is_over || lingering.bytes > LINGER_BYTES_MAX {
                return Poll::Ready(Ok(()));
            }
            let read = ready!(Pin::new(&mut this.stream).poll_read(context, &mut piece));
            // An end is an end, in whichever way the client made it.
            if read.is_err() || piece.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            lingering.bytes += piece.filled().len() as u64;
            lingering
                .idle
                .as_mut()
                .reset(Instant::now() + LINGER_IDLE_MAX);
        }
    }
}
