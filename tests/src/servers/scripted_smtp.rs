//! An SMTP server whose replies a test writes byte by byte, for servers that are legal, old, careless or broken.
//!
//! It runs on the test's runtime and keeps what it took over. `smtp.rs` has the well-behaved server.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::tls::acceptor;

/// What the server replies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SmtpStep {
    /// A new connection.
    Greeting,
    /// EHLO.
    Ehlo,
    /// HELO.
    Helo,
    /// STARTTLS.
    StartTls,
    /// AUTH.
    Auth,
    /// The line after a 334.
    AuthLine,
    /// MAIL.
    Mail,
    /// RCPT.
    Recipient,
    /// DATA.
    Data,
    /// The final dot.
    Message,
    /// RSET.
    Reset,
    /// QUIT.
    Quit,
    /// Any other command.
    Other,
}

/// A moment at which the server is to say something.
#[derive(Debug, Clone)]
pub struct SmtpQuestion {
    /// After what.
    pub step: SmtpStep,
    /// The connection's number, from 0.
    pub connection: usize,
    /// The client's line without its end; empty for a greeting and a message.
    pub line: String,
    /// The sender of the mail that is being taken over.
    pub sender: String,
    /// Its recipient, from RCPT on.
    pub recipient: String,
    /// The message, at the final dot, without doubled dots.
    pub message: Vec<u8>,
}

/// What the server says, and whether it means yes.
#[derive(Debug, Clone)]
pub struct SmtpReply {
    bytes: Vec<u8>,
    is_yes: bool,
    hangs_up: bool,
    is_dribbled: bool,
}

impl SmtpReply {
    /// At STARTTLS the handshake follows, at DATA the message is read, at the final dot it is kept.
    pub fn yes(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            is_yes: true,
            hangs_up: false,
            is_dribbled: false,
        }
    }

    /// Nothing is read or kept.
    pub fn no(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            is_yes: false,
            ..Self::yes(bytes)
        }
    }

    /// The connection ends behind it.
    pub fn and_hang_up(self) -> Self {
        Self {
            hangs_up: true,
            ..self
        }
    }

    /// It is sent byte by byte.
    pub fn dribbled(self) -> Self {
        Self {
            is_dribbled: true,
            ..self
        }
    }
}

/// A mail that the server said yes to, or meant to.
#[derive(Debug, Clone)]
pub struct TakenMail {
    /// The envelope's sender.
    pub sender: String,
    /// The envelope's recipient.
    pub recipient: String,
    /// The message with CRLF line ends, without doubled dots.
    pub message: Vec<u8>,
}

type Script = dyn Fn(&SmtpQuestion) -> SmtpReply + Send + Sync;

#[derive(Default)]
struct Record {
    taken: Mutex<Vec<TakenMail>>,
    asked: Mutex<Vec<SmtpQuestion>>,
    connections: AtomicUsize,
}

/// The server. Dropping it closes its port; connections end with their clients.
pub struct ScriptedSmtp {
    address: SocketAddr,
    record: Arc<Record>,
    accepting: JoinHandle<()>,
}

impl ScriptedSmtp {
    /// Starts a server that says what `script` says.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(
        script: impl Fn(&SmtpQuestion) -> SmtpReply + Send + Sync + 'static,
    ) -> Self {
        // The certificate's address, for STARTTLS.
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.expect("a loopback address has free ports");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let record = Arc::new(Record::default());
        let (script, kept): (Arc<Script>, _) = (Arc::new(script), record.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = kept.connections.fetch_add(1, Ordering::Relaxed);
                let talk = Talk {
                    script: script.clone(),
                    record: kept.clone(),
                    connection,
                };
                // A client that goes away ends it with an error.
                tokio::spawn(async move { talk.run(stream).await.ok() });
            }
        });
        Self {
            address,
            record,
            accepting,
        }
    }

    /// Its address.
    pub fn host(&self) -> String {
        self.address.ip().to_string()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What it took over, in order.
    pub fn taken(&self) -> Vec<TakenMail> {
        locked(&self.record.taken).clone()
    }

    /// What it replied to, in order.
    pub fn asked(&self) -> Vec<SmtpQuestion> {
        locked(&self.record.asked).clone()
    }

    /// How often this was asked.
    pub fn count(&self, step: SmtpStep) -> usize {
        let asked = locked(&self.record.asked);
        asked
            .iter()
            .filter(|question| question.step == step)
            .count()
    }
}

impl Drop for ScriptedSmtp {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

type Stream = BufReader<Box<dyn Duplex>>;

struct Talk {
    script: Arc<Script>,
    record: Arc<Record>,
    connection: usize,
}

impl Talk {
    async fn run(self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream: Stream = BufReader::new(Box::new(stream));
        let mut question = SmtpQuestion {
            step: SmtpStep::Greeting,
            connection: self.connection,
            line: String::new(),
            sender: String::new(),
            recipient: String::new(),
            message: Vec::new(),
        };
        let mut reply = self.reply(&question, &mut stream).await?;
        loop {
            if reply.hangs_up {
                return Ok(());
            }
            if question.step == SmtpStep::StartTls && reply.is_yes {
                let encrypted = acceptor().accept(stream.into_inner()).await?;
                stream = BufReader::new(Box::new(encrypted));
            }
            let is_data = question.step == SmtpStep::Data && reply.is_yes;
            let is_asking = reply.bytes.windows(3).any(|code| code == b"334");
            let was_auth = matches!(question.step, SmtpStep::Auth | SmtpStep::AuthLine);
            if is_data {
                question.message = match read_message(&mut stream).await? {
                    Some(message) => message,
                    None => return Ok(()),
                };
                (question.step, question.line) = (SmtpStep::Message, String::new());
            } else {
                let mut line = Vec::new();
                if stream.read_until(b'\n', &mut line).await? == 0 {
                    return Ok(());
                }
                question.line = String::from_utf8_lossy(&line).trim_end().to_owned();
                question.step = match was_auth && is_asking {
                    true => SmtpStep::AuthLine,
                    false => step_of(&question.line),
                };
                match question.step {
                    SmtpStep::Mail => question.sender = in_brackets(&question.line),
                    SmtpStep::Recipient => question.recipient = in_brackets(&question.line),
                    _ => {}
                }
            }
            reply = self.reply(&question, &mut stream).await?;
        }
    }

    async fn reply(
        &self,
        question: &SmtpQuestion,
        stream: &mut Stream,
    ) -> std::io::Result<SmtpReply> {
        let reply = (self.script)(question);
        locked(&self.record.asked).push(question.clone());
        if question.step == SmtpStep::Message && reply.is_yes {
            locked(&self.record.taken).push(TakenMail {
                sender: question.sender.clone(),
                recipient: question.recipient.clone(),
                message: question.message.clone(),
            });
        }
        let part = if reply.is_dribbled {
            1
        } else {
            reply.bytes.len().max(1)
        };
        for part in reply.bytes.chunks(part) {
            stream.write_all(part).await?;
            stream.flush().await?;
        }
        Ok(reply)
    }
}

/// The message up to its final dot; None if the client went away before.
async fn read_message(stream: &mut Stream) -> std::io::Result<Option<Vec<u8>>> {
    let mut message = Vec::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        if line == b".\r\n" {
            return Ok(Some(message));
        }
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

fn step_of(line: &str) -> SmtpStep {
    let verb = line.split(' ').next().unwrap_or_default();
    match verb {
        "EHLO" => SmtpStep::Ehlo,
        "HELO" => SmtpStep::Helo,
        "STARTTLS" => SmtpStep::StartTls,
        "AUTH" => SmtpStep::Auth,
        "MAIL" => SmtpStep::Mail,
        "RCPT" => SmtpStep::Recipient,
        "DATA" => SmtpStep::Data,
        "RSET" => SmtpStep::Reset,
        "QUIT" => SmtpStep::Quit,
        _ => SmtpStep::Other,
    }
}

fn in_brackets(line: &str) -> String {
    let inner = line
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    inner
        .map(|(address, _)| address.to_owned())
        .unwrap_or_default()
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
