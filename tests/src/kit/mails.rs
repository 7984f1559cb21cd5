//! Mails that were written to a folder, by the folder mailer or the SMTP test server, parsed for checking.

use std::path::{Path, PathBuf};

use mail_parser::{Address, Message, MessageParser, MimeHeaders as _};
use serde_json::Value;

/// A mail as a mail program would see it.
#[derive(Debug, Clone)]
pub struct ReceivedMail {
    /// The file it was read from.
    pub path: PathBuf,
    /// The decoded subject.
    pub subject: String,
    /// Addresses of the sender.
    pub from: Vec<String>,
    /// Addresses it is made out to.
    pub to: Vec<String>,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// The calendar part with its lines unfolded (RFC 5545, 3.1), if there is one.
    pub calendar: Option<String>,
    /// The Message-ID without its brackets.
    pub message_id: String,
    /// The bytes as they came.
    pub raw: String,
}

impl ReceivedMail {
    /// Parses a mail file.
    ///
    /// # Panics
    /// When it is no mail, or lacks a part that every mail of ours has.
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).expect("a mail file can be read");
        let message = MessageParser::default()
            .parse(&bytes)
            .unwrap_or_else(|| panic!("{} is no mail", path.display()));
        let lacks = |part: &str| -> ! {
            panic!(
                "{} has no {part}:\n{}",
                path.display(),
                String::from_utf8_lossy(&bytes)
            )
        };
        Self {
            path: path.to_owned(),
            subject: message
                .subject()
                .unwrap_or_else(|| lacks("subject"))
                .to_owned(),
            from: addresses(message.from()),
            to: addresses(message.to()),
            text: message
                .body_text(0)
                .unwrap_or_else(|| lacks("text part"))
                .into_owned(),
            html: message
                .body_html(0)
                .unwrap_or_else(|| lacks("HTML part"))
                .into_owned(),
            calendar: calendar(&message),
            message_id: message
                .message_id()
                .unwrap_or_else(|| lacks("Message-ID"))
                .to_owned(),
            raw: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// Whether it is made out to this address and nobody else.
    pub fn is_to(&self, address: &str) -> bool {
        self.to == [address]
    }

    /// A property of the calendar entry: what follows `NAME:` or `NAME;…:` on its line.
    ///
    /// # Panics
    /// When there is no calendar part.
    #[track_caller]
    pub fn calendar_property(&self, name: &str) -> Option<String> {
        let calendar = self
            .calendar
            .as_ref()
            .unwrap_or_else(|| panic!("no calendar part in:\n{}", self.raw));
        calendar.lines().find_map(|line| {
            let rest = line.strip_prefix(name)?;
            let at_end_of_name = rest.starts_with(':') || rest.starts_with(';');
            at_end_of_name.then(|| rest.split_once(':').map(|(_, value)| value.to_owned()))?
        })
    }
}

/// A mail together with the envelope the SMTP server saw.
#[derive(Debug, Clone)]
pub struct EnvelopedMail {
    /// Envelope recipients.
    pub recipients: Vec<String>,
    /// The mail.
    pub mail: ReceivedMail,
}

impl EnvelopedMail {
    /// Parses a mail file and the envelope next to it.
    ///
    /// # Panics
    /// When one of them is missing or broken.
    pub fn read(path: &Path) -> Self {
        let envelope = std::fs::read(path.with_extension("json"))
            .expect("the envelope is written before the mail");
        let envelope: Value = serde_json::from_slice(&envelope).expect("an envelope is JSON");
        let recipients = envelope["to"]
            .as_array()
            .expect("an envelope has recipients");
        Self {
            recipients: recipients
                .iter()
                .filter_map(|to| to.as_str().map(str::to_owned))
                .collect(),
            mail: ReceivedMail::read(path),
        }
    }
}

/// All mails of a folder, by file name. A folder that does not exist holds none.
pub fn read_mails(folder: &Path) -> Vec<ReceivedMail> {
    mail_files(folder)
        .iter()
        .map(|path| ReceivedMail::read(path))
        .collect()
}

/// How many mails a folder holds, without reading them.
pub fn count_mails(folder: &Path) -> usize {
    mail_files(folder).len()
}

/// The finished mail files of a folder, by name.
pub fn mail_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .collect();
    files.sort();
    files
}

fn addresses(header: Option<&Address<'_>>) -> Vec<String> {
    let all = header.into_iter().flat_map(Address::iter);
    all.filter_map(|address| address.address().map(str::to_owned))
        .collect()
}

fn calendar(message: &Message<'_>) -> Option<String> {
    let part = message.parts.iter().find(|part| {
        part.content_type().is_some_and(|content| {
            content.ctype() == "text"
                && content
                    .subtype()
                    .is_some_and(|subtype| subtype == "calendar")
        })
    })?;
    let text = part.text_contents()?.replace("\r\n", "\n");
    Some(text.replace("\n ", "").replace("\n\t", ""))
}
