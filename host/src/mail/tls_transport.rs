//! TLS over a stream that this program opened, from the first byte or after STARTTLS.
//!
//! Called by the dialogue. lettre adds TLS only to streams that it opens, and those lack TCP_NODELAY
//! (<https://github.com/lettre/lettre/issues/1159>). So its own stream type is upgraded to TLS and used as if it
//! were a stream of tokio's.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::io::{AsyncRead as _, AsyncWrite as _};
#[expect(
    deprecated,
    reason = "the only way to lettre's TLS over a stream of our own"
)]
use lettre::transport::smtp::client::AsyncNetworkStream;
use lettre::transport::smtp::{
    self,
    client::{AsyncTokioStream, TlsParameters},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A TCP stream under TLS.
pub(super) struct TlsTransport {
    #[expect(deprecated, reason = "see the head of this file")]
    inner: AsyncNetworkStream,
}

impl TlsTransport {
    /// Performs the handshake over a connected stream.
    ///
    /// # Errors
    /// The handshake's error, mostly an untrusted certificate.
    pub(super) async fn connect(
        stream: Box<dyn AsyncTokioStream>,
        parameters: TlsParameters,
    ) -> Result<Self, smtp::Error> {
        #[expect(deprecated, reason = "see the head of this file")]
        let mut inner = AsyncNetworkStream::use_existing_tokio1(stream);
        inner.upgrade_tls(parameters).await?;
        Ok(Self { inner })
    }
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TlsTransport")
            .finish_non_exhaustive()
    }
}

impl AsyncTokioStream for TlsTransport {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }
}

impl AsyncRead for TlsTransport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count =
            ready!(Pin::new(&mut self.inner).poll_read(context, buffer.initialize_unfilled()))?;
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsTransport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(context)
    }
}
