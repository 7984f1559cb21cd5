//! The mails in the folder of `boxoffice dev`, for browsers and programs.
//!
//! Mails contain text of strangers: it is escaped, and HTML is only shown in a sandboxed frame that
//! cannot load anything. File names are checked before they are used.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::SystemTime,
};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use boxoffice_engine::{Error, ErrorCode, Result};
use mail_parser::{Address, Message, MessageParser, MimeHeaders as _};
use serde::Serialize;

use super::{extract::Id, html, problem::Problem};

/// Most mails in the list.
const LISTED_MAX: usize = 200;
/// Most files that are read from the folder; finding the newest of 100,000 takes about 0.2 s.
const FILES_MAX: usize = 100_000;
/// Bytes that are read of each listed mail: the engine's headers are smaller.
const HEADER_BYTES_MAX: u64 = 32 * 1024;
/// Bytes that are read of a mail that is shown.
const MAIL_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest file name: the limit of file systems.
const NAME_BYTES_MAX: usize = 255;
/// Nothing loads and nothing runs, also in a frame with `srcdoc`. Mails have inline styles.
const MAIL_POLICY: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src data:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// The folder that mails are written to.
#[derive(Debug, Clone)]
pub(super) struct MailsFolder(Arc<Path>);

impl MailsFolder {
    /// Shows the mails of this folder.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(folder.into())
    }
}

/// The name of a mail's file: `[A-Za-z0-9._-]+.eml`, not hidden.
#[derive(Debug, Clone)]
pub(super) struct MailName(String);

impl FromStr for MailName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let stem = text.strip_suffix(".eml").unwrap_or_default();
        let valid = !stem.is_empty()
            && text.len() <= NAME_BYTES_MAX
            && !text.starts_with('.')
            && text.bytes().all(plain);
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(no_such_mail())
        }
    }
}

/// A mail in the list.
#[derive(Debug, Serialize)]
struct ListedMail {
    name: String,
    to: String,
    subject: String,
    date: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct MailList {
    items: Vec<ListedMail>,
}

/// The newest mails, for programs.
pub(super) async fn list_json(
    State(folder): State<MailsFolder>,
) -> Result<Json<MailList>, Problem> {
    Ok(Json(MailList {
        items: off_thread(move || newest(&folder.0)).await?,
    }))
}

/// The newest mails, for people.
pub(super) async fn list_page(State(folder): State<MailsFolder>) -> Result<Response, Problem> {
    let mails = off_thread(move || newest(&folder.0)).await?;
    let row = |mail: &ListedMail| {
        format!(
            "<tr><td>{}<td>{}<td><a href=\"mails/{}\">{}</a>\n",
            html::escaped(mail.date.as_deref().unwrap_or("")),
            html::escaped(&mail.to),
            html::escaped(&mail.name),
            html::escaped(if mail.subject.is_empty() {
                &mail.name
            } else {
                &mail.subject
            }),
        )
    };
    let rows: String = mails.iter().map(row).collect();
    let note = if mails.is_empty() {
        "<p>No mail was written yet.</p>"
    } else {
        ""
    };
    let main =
        format!("<h1>Mails</h1>\n{note}<table>\n<tr><th>Date<th>To<th>Subject\n{rows}</table>");
    Ok(html::page("Mails", "../docs/pages.css", MAIL_POLICY, &main))
}

/// One mail: its header, text, HTML in a frame, and attachments by name.
pub(super) async fn mail_page(
    State(folder): State<MailsFolder>,
    Id(name): Id<MailName>,
) -> Result<Response, Problem> {
    let title = name.0.clone();
    let bytes = off_thread(move || read(&folder.0, &name, MAIL_BYTES_MAX)).await?;
    let main = match MessageParser::default().parse(&bytes) {
        Some(mail) => mail_html(&title, &mail),
        None => format!(
            "<h1>{0}</h1>\n<p>This file is no mail that can be read.</p>\n<p><a href=\"{0}/raw\">As it is</a></p>",
            html::escaped(&title)
        ),
    };
    Ok(html::page(
        &title,
        "../../docs/pages.css",
        MAIL_POLICY,
        &main,
    ))
}

/// One mail as it is, as text.
pub(super) async fn raw(
    State(folder): State<MailsFolder>,
    Id(name): Id<MailName>,
) -> Result<Response, Problem> {
    let bytes = off_thread(move || read(&folder.0, &name, MAIL_BYTES_MAX)).await?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(html::content("text/plain; charset=utf-8", MAIL_POLICY, text).into_response())
}

fn mail_html(name: &str, mail: &Message<'_>) -> String {
    let header = |name: &str, value: &str| format!("<dt>{name}<dd>{}\n", html::escaped(value));
    let mut main = format!(
        "<p><a href=\"../mails\">All mails</a></p>\n<h1>{}</h1>\n<dl>\n{}{}{}</dl>\n<p><a href=\"{}/raw\">As it is</a></p>\n",
        html::escaped(mail.subject().unwrap_or("(no subject)")),
        header("From", &addresses(mail.from())),
        header("To", &addresses(mail.to())),
        header(
            "Date",
            &mail
                .date()
                .map(|date| date.to_rfc3339())
                .unwrap_or_default()
        ),
        html::escaped(name),
    );
    let attachments: Vec<String> = mail
        .attachments()
        .map(|part| {
            format!(
                "<li>{}\n",
                html::escaped(part.attachment_name().unwrap_or("(no name)"))
            )
        })
        .collect();
    if !attachments.is_empty() {
        main.push_str(&format!(
            "<h2>Attachments</h2>\n<ul>\n{}</ul>\n",
            attachments.concat()
        ));
    }
    if mail.text_body_count() > 0
        && let Some(text) = mail.body_text(0)
    {
        main.push_str(&format!(
            "<h2>Text</h2>\n<pre class=\"mail\">{}</pre>\n",
            html::escaped(&text)
        ));
    }
    if mail.html_body_count() > 0
        && let Some(page) = mail.body_html(0)
    {
        main.push_str(&format!(
            "<h2>HTML</h2>\n<iframe sandbox title=\"The mail's HTML\" srcdoc=\"{}\"></iframe>\n",
            html::escaped(&with_pictures(&page, mail))
        ));
    }
    main
}

/// The HTML with the pictures that the mail carries in place of their Content-IDs.
fn with_pictures(page: &str, mail: &Message<'_>) -> String {
    let mut page = page.to_owned();
    for part in mail.attachments() {
        let is_png = part.is_content_type("image", "png");
        if let Some(id) = part.content_id().filter(|_| is_png) {
            let picture = STANDARD.encode(part.contents());
            let url = format!("\"data:image/png;base64,{picture}\"");
            page = page.replace(&format!("\"cid:{id}\""), &url);
        }
    }
    page
}

fn newest(folder: &Path) -> Result<Vec<ListedMail>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        // Nothing was sent yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::internal(error)),
    };
    let mut names: Vec<(SystemTime, MailName)> = entries
        .take(FILES_MAX)
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().to_str()?.parse().ok()?;
            let metadata = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
            Some((metadata.modified().ok()?, name))
        })
        .collect();
    names.sort_unstable_by(|(left, left_name), (right, right_name)| {
        right.cmp(left).then_with(|| right_name.0.cmp(&left_name.0))
    });
    names.truncate(LISTED_MAX);
    // A mail that vanished meanwhile is simply not listed.
    Ok(names
        .iter()
        .filter_map(|(_, name)| listed(folder, name).ok())
        .collect())
}

fn listed(folder: &Path, name: &MailName) -> Result<ListedMail> {
    let bytes = read(folder, name, HEADER_BYTES_MAX)?;
    let mail = MessageParser::default().parse_headers(&bytes);
    let mail = mail.as_ref();
    Ok(ListedMail {
        name: name.0.clone(),
        to: addresses(mail.and_then(Message::to)),
        subject: mail
            .and_then(Message::subject)
            .unwrap_or_default()
            .to_owned(),
        date: mail
            .and_then(Message::date)
            .map(mail_parser::DateTime::to_rfc3339),
    })
}

/// Reads at most `bytes_max` of a mail; links out of the folder are not followed.
fn read(folder: &Path, name: &MailName, bytes_max: u64) -> Result<Vec<u8>> {
    let path = folder.join(&name.0);
    let metadata = std::fs::symlink_metadata(&path).map_err(not_found_or_internal)?;
    if !metadata.is_file() {
        return Err(no_such_mail());
    }
    let mut bytes = Vec::new();
    let file = File::open(&path).map_err(not_found_or_internal)?;
    file.take(bytes_max)
        .read_to_end(&mut bytes)
        .map_err(Error::internal)?;
    Ok(bytes)
}

fn addresses(addresses: Option<&Address<'_>>) -> String {
    let all = addresses.into_iter().flat_map(Address::iter);
    all.filter_map(mail_parser::Addr::address)
        .collect::<Vec<_>>()
        .join(", ")
}

fn not_found_or_internal(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        no_such_mail()
    } else {
        Error::internal(error)
    }
}

fn no_such_mail() -> Error {
    Error::new(ErrorCode::NotFound, "There is no such mail here.")
}

/// Runs file work where it holds up no other request.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Error::internal)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_folder() {
        assert!("acme.01hz-event_updated.eml".parse::<MailName>().is_ok());
        let long = format!("{}.eml", "x".repeat(252));
        for bad in [
            "", ".eml", ".x.eml", "../x.eml", "a/b.eml", "a\\b.eml", "x.txt", "x.eml\0", "é.eml",
            &long,
        ] {
            assert!(bad.parse::<MailName>().is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn a_mail_is_shown_without_its_markup_taking_effect() {
        let raw =
            b"From: a@x.org\r\nTo: b@x.org\r\nSubject: <script>1</script>\r\nMIME-Version: 1.0\r\n\
            Content-Type: text/html\r\n\r\n<b>\"hi\"</b></iframe><script>2</script>\r\n";
        let mail = MessageParser::default().parse(&raw[..]).unwrap();
        let page = mail_html("x.eml", &mail);
        assert!(!page.contains("<script"), "{page}");
        assert!(
            page.contains("srcdoc=\"&lt;b&gt;&quot;hi&quot;&lt;/b&gt;&lt;/iframe&gt;"),
            "{page}"
        );
        assert!(page.contains("<dd>b@x.org"), "{page}");
    }
}
