//! The port that sends mails, and the default that writes them into a folder.

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::types::EmailAddress;

/// A finished mail with its envelope.
#[derive(Debug, Clone)]
pub struct OutgoingMail {
    /// The delivery's key, the same for every attempt: letters, digits, `.`, `_` and `-`, at most 150 characters.
    pub delivery_key: String,
    /// Envelope sender.
    pub from: EmailAddress,
    /// Envelope recipient.
    pub to: EmailAddress,
    /// The mail itself (RFC 5322), with CRLF line ends.
    pub bytes: Vec<u8>,
}

/// The outcome of sending a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailOutcome {
    /// The server accepted it.
    Sent {
        /// The server's reply.
        reply: String,
    },
    /// It failed for good (5xx on this mail).
    Refused {
        /// The server's reply.
        reply: String,
    },
    /// It failed for now and was certainly not sent (4xx, no connection).
    Deferred {
        /// The server's reply, or the reason.
        reply: String,
    },
    /// The connection failed when the mail might already have been accepted (RFC 1047).
    Unknown {
        /// The reason.
        reason: String,
    },
}

impl MailOutcome {
    /// The same without an address in its text: mail servers repeat the recipient's, and outcomes are kept longer than accounts.
    pub(crate) fn without(mut self, address: &EmailAddress) -> Self {
        let (Self::Sent { reply: text }
        | Self::Refused { reply: text }
        | Self::Deferred { reply: text }
        | Self::Unknown { reason: text }) = &mut self;
        let address = address.as_str().to_ascii_lowercase();
        while let Some(start) = text.to_ascii_lowercase().find(&address) {
            text.replace_range(start..start + address.len(), "recipient");
        }
        self
    }

    /// The outcome as one word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Sent { .. } => "sent",
            Self::Refused { .. } => "refused",
            Self::Deferred { .. } => "deferred",
            Self::Unknown { .. } => "unknown",
        }
    }
}

/// Sends finished mails.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Sends one mail and returns the outcome. Limits its own time. Never panics on bad mails.
    async fn send(&self, mail: &OutgoingMail) -> MailOutcome;

    /// The number of mails that may be sent at the same time. The worker marks no more than these as `sending`.
    fn concurrency(&self) -> usize;

    /// Whether sending the same `delivery_key` twice results in one mail. If so, no outcome is ever unknown.
    fn is_idempotent(&self) -> bool {
        false
    }
}

/// Writes each mail to `FOLDER/KEY.eml` atomically. The same key again replaces the file.
#[derive(Debug, Clone)]
pub struct FolderMailer {
    folder: PathBuf,
}

impl FolderMailer {
    /// Opens the folder, or creates it with access for its owner only: mails hold addresses and tickets.
    ///
    /// # Errors
    /// The file system's error.
    pub fn open(folder: impl Into<PathBuf>) -> std::io::Result<Self> {
        let folder = folder.into();
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&folder)?;
        Ok(Self { folder })
    }

    /// The folder the mails are in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn write(&self, mail: &OutgoingMail) -> std::io::Result<()> {
        use std::io::Write as _;

        let part = self.folder.join(format!(".{}.part", mail.delivery_key));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&part)?;
        file.write_all(&mail.bytes)?;
        file.sync_data()?;
        std::fs::rename(
            &part,
            self.folder.join(format!("{}.eml", mail.delivery_key)),
        )?;
        // The rename is durable once the folder is synced. A mail that counts as sent must survive a power cut.
        std::fs::File::open(&self.folder)?.sync_data()
    }
}

#[async_trait]
impl Mailer for FolderMailer {
    async fn send(&self, mail: &OutgoingMail) -> MailOutcome {
        let key = &mail.delivery_key;
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if key.is_empty() || key.len() > 150 || key.starts_with('.') || !key.bytes().all(safe) {
            return MailOutcome::Refused {
                reply: format!("not a file name: {key:?}"),
            };
        }
        let (mailer, mail) = (self.clone(), mail.clone());
        match tokio::task::spawn_blocking(move || mailer.write(&mail)).await {
            Ok(Ok(())) => MailOutcome::Sent {
                reply: "written to the mail folder".to_owned(),
            },
            Ok(Err(error)) => MailOutcome::Deferred {
                reply: format!("mail folder: {error}"),
            },
            Err(error) => MailOutcome::Deferred {
                reply: format!("mail folder: {error}"),
            },
        }
    }

    fn concurrency(&self) -> usize {
        // One batch of recipients; a file needs no connection.
        32
    }

    fn is_idempotent(&self) -> bool {
        true
    }
}
