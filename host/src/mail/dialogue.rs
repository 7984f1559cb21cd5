//! Commands and replies over one connection, each with a time limit.
//!
//! Called by the opener and the connection. Calls the network. A reply's code counts even when the rest of it is
//! missing. After that, and whenever a reply is missing, the dialogue is out of sync: another reply could
//! belong to another command.

use std::{fmt, io};

use futures::FutureExt as _;
use lettre::transport::smtp::client::{AsyncTokioStream, TlsParameters};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Duration, Instant, timeout_at},
};

use super::{
    outcome::{Failure, Stage},
    reply::{Reply, ReplyReader},
    tls_transport::TlsTransport,
};

/// How long to wait for the reply of a server that no longer reads.
const LAST_REPLY_TIMEOUT: Duration = Duration::from_millis(200);

/// A conversation with a server.
pub(super) struct Dialogue {
    stream: Box<dyn AsyncTokioStream>,
    replies: ReplyReader,
    is_in_step: bool,
}

impl Dialogue {
    /// Begins over a connected stream; the greeting is the first reply.
    pub(super) fn new(stream: Box<dyn AsyncTokioStream>) -> Self {
        Self {
            stream,
            replies: ReplyReader::default(),
            is_in_step: false,
        }
    }

    /// Continues with TLS.
    ///
    /// # Errors
    /// The handshake's error. Also if the server, or an attacker, sent more before it: that text would be taken
    /// for encrypted.
    pub(super) async fn encrypt(
        mut self,
        tls: TlsParameters,
        deadline: Instant,
    ) -> Result<Self, Failure> {
        self.refuse_unasked()?;
        let handshake = TlsTransport::connect(self.stream, tls);
        match timeout_at(deadline, handshake).await {
            Ok(transport) => Ok(Self {
                stream: Box::new(transport?),
                replies: ReplyReader::default(),
                is_in_step: self.is_in_step,
            }),
            Err(_) => Err(Failure::TimedOut),
        }
    }

    /// Returns whether every command was answered, so that the next reply belongs to the next command.
    pub(super) fn is_in_step(&self) -> bool {
        self.is_in_step
    }

    /// Returns whether the connection is open and the server has sent nothing since the last reply. Does not wait.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut bytes = [0; 512];
        match self.stream.read(&mut bytes).now_or_never() {
            None => {}
            Some(Ok(count)) if count > 0 => self.replies.push(&bytes[..count]),
            // Hung up.
            Some(_) => self.is_in_step = false,
        }
        self.is_in_step && self.refuse_unasked().is_ok()
    }

    /// Sends a command, its line end included, and reads the reply.
    ///
    /// # Errors
    /// If none comes, or if the server sent something before.
    pub(super) async fn command(
        &mut self,
        command: impl fmt::Display,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        self.refuse_unasked()?;
        let mut written = 0;
        match self
            .write(command.to_string().as_bytes(), &mut written, deadline)
            .await
        {
            Ok(()) => self.reply(deadline).await,
            Err(failure) => Err(self.last_reply_or(failure).await),
        }
    }

    /// Sends a message with its final dot and reads what the server says to it.
    ///
    /// # Errors
    /// At [`Stage::Message`] the server cannot have taken the message over, at [`Stage::FinalDot`] it can have.
    pub(super) async fn message(
        &mut self,
        data: &[u8],
        deadline: Instant,
    ) -> Result<Reply, (Stage, Failure)> {
        self.refuse_unasked()
            .map_err(|failure| (Stage::Message, failure))?;
        let mut written = 0;
        let sent = self.write(data, &mut written, deadline).await;
        // The final dot is at the very end: what was not handed to the network lacks it.
        if let Err(failure) = &sent
            && written < data.len()
        {
            return Err((Stage::Message, self.last_reply_or(failure.clone()).await));
        }
        loop {
            match self.reply(deadline).await {
                // Another 3xx is not the reply to the message, which follows.
                Ok(reply) if reply.class() == 3 && self.is_in_step => self.is_in_step = false,
                Ok(reply) => return Ok(reply),
                Err(failure) => return Err((Stage::FinalDot, sent.err().unwrap_or(failure))),
            }
        }
    }

    /// Reads the next reply.
    ///
    /// # Errors
    /// If the connection or the time ends before a code came.
    pub(super) async fn reply(&mut self, deadline: Instant) -> Result<Reply, Failure> {
        let mut bytes = [0; 2048];
        let ended = loop {
            if let Some(reply) = self.replies.pop() {
                // 1yz: the reply proper follows (RFC 5321, 4.2.1).
                if reply.class() == 1 {
                    continue;
                }
                self.is_in_step = true;
                return Ok(reply);
            }
            if self.replies.is_full() {
                break Failure::broken("the reply has no end");
            }
            match timeout_at(deadline, self.stream.read(&mut bytes)).await {
                Ok(Ok(0)) => break Failure::broken("the server closed the connection"),
                Ok(Ok(count)) => self.replies.push(&bytes[..count]),
                Ok(Err(error)) => break Failure::broken(error),
                Err(_) => break Failure::TimedOut,
            }
        };
        self.is_in_step = false;
        match self.replies.conclude() {
            Some(reply) if reply.class() > 1 => Ok(reply),
            _ => Err(match self.replies.noise() {
                noise if noise.is_empty() => ended,
                noise => Failure::broken(format!("{ended}; instead of a reply came: {noise}")),
            }),
        }
    }

    /// Writes all bytes; `written` counts those that were handed to the network.
    async fn write(
        &mut self,
        bytes: &[u8],
        written: &mut usize,
        deadline: Instant,
    ) -> Result<(), Failure> {
        self.is_in_step = false;
        let writing = async {
            while *written < bytes.len() {
                match self.stream.write(&bytes[*written..]).await? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    count => *written += count,
                }
            }
            self.stream.flush().await
        };
        match timeout_at(deadline, writing).await {
            Ok(ended) => ended.map_err(Failure::broken),
            Err(_) => Err(Failure::TimedOut),
        }
    }

    /// The server's reply before it stopped reading, if it explains the failure.
    async fn last_reply_or(&mut self, failure: Failure) -> Failure {
        let said = self.reply(Instant::now() + LAST_REPLY_TIMEOUT).await;
        self.is_in_step = false;
        match said {
            Ok(reply) if reply.class() >= 4 => Failure::from(reply),
            _ => failure,
        }
    }

    /// Refuses to continue after an unexpected reply: later replies would be assigned to other commands.
    fn refuse_unasked(&mut self) -> Result<(), Failure> {
        if self.replies.is_empty() {
            return Ok(());
        }
        self.is_in_step = false;
        match self.replies.pop().or_else(|| self.replies.conclude()) {
            // It may end the conversation at any moment (RFC 5321, 3.8). Another code says nothing about this mail.
            Some(reply) if reply.code == 421 => Err(Failure::from(reply)),
            Some(reply) => Err(Failure::broken(format!("unasked came: {}", reply.text()))),
            None => Err(Failure::broken(format!(
                "unasked came: {}",
                self.replies.noise()
            ))),
        }
    }
}
