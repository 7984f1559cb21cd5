//! The bytes of a mail: its header (RFC 5322, RFC 2047) and its parts (RFC 2045).
//!
//! Called by the composing of mails. Every header field passes one function that refuses anything but
//! printable ASCII, and only that function writes line breaks: nothing a title or name holds can begin a
//! header of its own.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{fmt::rfc2822, tz::TimeZone};
use mail_builder::{
    encoders::{base64::base64_encode_mime, quoted_printable::quoted_printable_encode},
    headers::content_type::ContentType,
    mime::MimePart,
};

use super::{
    branding::LOGO_ID,
    context::{MailContext, MailTicket},
    receipt_file,
};
use crate::{
    error::{Error, Result},
    modules::tickets::qr_code::qr_code_png,
    ports::Rendered,
    types::{CalendarFile, EmailAddress},
};

/// Longest line of the header (RFC 2047, 2; RFC 5322 recommends 78).
const LINE_BYTES_MAX: usize = 76;
/// Longest encoded word: one fits behind each of our field names.
const WORD_BYTES_MAX: usize = 64;
/// What stands around the text of an encoded word: `=?utf-8?Q?…?=`.
const WORD_FRAME_BYTES: usize = 12;

// Quoted-printable and base64 never hold `=_`, so no text can end a part early (RFC 2045, 6.7).
const PARTS_BOUNDARY: &str = "=_boxoffice_parts";
const PICTURES_BOUNDARY: &str = "=_boxoffice_pictures";
const WORDS_BOUNDARY: &str = "=_boxoffice_words";

/// Puts header, rendered text and calendar together.
pub(super) fn build(
    context: &MailContext<'_>,
    message_id: &str,
    rendered: &Rendered,
    calendar: Option<&CalendarFile>,
) -> Result<Vec<u8>> {
    let date = rfc2822::DateTimePrinter::new()
        .zoned_to_string(&context.now.to_zoned(TimeZone::UTC))
        .map_err(Error::internal)?;
    let mut mail = Vec::with_capacity(16 * 1024);
    field(
        &mut mail,
        "From",
        &mailbox(context.sender_name(), context.sender()),
    )?;
    if let Some(reply_to) = &context.tenant.settings.reply_to {
        field(&mut mail, "Reply-To", &[format!("<{reply_to}>")])?;
    }
    let recipient = context.recipient;
    field(
        &mut mail,
        "To",
        // Whoever entered a stranger's address entered this name, too: it must not carry a message to them.
        &match recipient.email_verified {
            false => vec![format!("<{}>", recipient.email)],
            true => mailbox(recipient.name.as_str(), &recipient.email),
        },
    )?;
    field(&mut mail, "Subject", &unstructured(&rendered.subject))?;
    field(&mut mail, "Date", &[date])?;
    field(&mut mail, "Message-ID", &[message_id.to_owned()])?;
    // RFC 3834: no out-of-office note shall answer this mail.
    field(&mut mail, "Auto-Submitted", &["auto-generated".to_owned()])?;
    if let Some(url) = context.unsubscribe_url {
        // RFC 8058: a mail program may send the POST itself, at one click of its reader.
        field(&mut mail, "List-Unsubscribe", &[format!("<{url}>")])?;
        let one_click = "List-Unsubscribe=One-Click".to_owned();
        field(&mut mail, "List-Unsubscribe-Post", &[one_click])?;
    }
    field(
        &mut mail,
        "X-Boxoffice-Notification",
        &[context.notification.to_string()],
    )?;
    field(&mut mail, "MIME-Version", &["1.0".to_owned()])?;
    let mut pictures = pictures(context)?;
    if let Some(logo) = context.logo
        && rendered.html.contains(&format!("cid:{LOGO_ID}"))
    {
        pictures.push(picture(logo.encoded.clone(), "logo.png", LOGO_ID));
    }
    let files = files(context, calendar).map_err(Error::internal)?;
    parts(rendered, pictures, files)
        .and_then(|parts| parts.write_part(&mut mail))
        .map_err(Error::internal)?;
    Ok(mail)
}

/// Text and HTML, with its pictures, as alternatives, and the files, if there are any.
fn parts(
    rendered: &Rendered,
    pictures: Vec<MimePart<'static>>,
    files: Vec<MimePart<'static>>,
) -> std::io::Result<MimePart<'static>> {
    let mut html = text_part("text/html", &rendered.html)?;
    if !pictures.is_empty() {
        // RFC 2387: what the HTML shows goes with it.
        let related = ContentType::new("multipart/related")
            .attribute("boundary", PICTURES_BOUNDARY)
            .attribute("type", "text/html");
        let together: Vec<_> = std::iter::once(html).chain(pictures).collect();
        html = MimePart::new(related, together);
    }
    let alternatives = vec![text_part("text/plain", &rendered.text)?, html];
    let alternatives = MimePart::new(
        ContentType::new("multipart/alternative").attribute("boundary", WORDS_BOUNDARY),
        alternatives,
    );
    if files.is_empty() {
        return Ok(alternatives);
    }
    let together = std::iter::once(alternatives).chain(files);
    Ok(MimePart::new(
        ContentType::new("multipart/mixed").attribute("boundary", PARTS_BOUNDARY),
        together.collect::<Vec<_>>(),
    ))
}

/// The entry for calendars and the receipt, if the mail has them.
fn files(
    context: &MailContext<'_>,
    calendar: Option<&CalendarFile>,
) -> std::io::Result<Vec<MimePart<'static>>> {
    // As base64, no relay and no client touches line ends and folds.
    let file = |content_type: ContentType<'static>,
                name: String,
                text: &str|
     -> std::io::Result<MimePart<'static>> {
        let content_type = content_type.attribute("name", name.clone());
        let mut encoded = Vec::new();
        base64_encode_mime(text.as_bytes(), &mut encoded, false)?;
        let part = MimePart::new(content_type, encoded).transfer_encoding("base64");
        Ok(part.attachment(name))
    };
    let typed = |name| ContentType::new(name).attribute("charset", "utf-8");
    let calendar = calendar.map(|calendar| {
        let content_type = typed("text/calendar").attribute("method", calendar.method);
        file(content_type, "event.ics".to_owned(), &calendar.text)
    });
    let receipt = receipt_file::file(context);
    let receipt = receipt.map(|(name, page)| file(typed("text/html"), name, &page));
    calendar.into_iter().chain(receipt).collect()
}

/// The QR codes of tickets.
fn pictures(context: &MailContext<'_>) -> Result<Vec<MimePart<'static>>> {
    let of_ticket = |ticket: &MailTicket| {
        let mut encoded = Vec::new();
        let png = qr_code_png(&ticket.code)?;
        base64_encode_mime(&png, &mut encoded, false).map_err(Error::internal)?;
        let name = format!("ticket-{}.png", ticket.number);
        Ok(picture(encoded, name, ticket.image_id()))
    };
    context.tickets.iter().map(of_ticket).collect()
}

/// A PNG picture in base64 that the HTML names by its Content-ID.
fn picture(
    encoded: Vec<u8>,
    name: impl Into<Cow<'static, str>>,
    id: impl Into<Cow<'static, str>>,
) -> MimePart<'static> {
    let media_type = ContentType::new("image/png").attribute("name", name.into());
    let part = MimePart::new(media_type, encoded).transfer_encoding("base64");
    part.inline().cid(id.into())
}

fn text_part(media_type: &'static str, text: &str) -> std::io::Result<MimePart<'static>> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut encoded = Vec::with_capacity(text.len() + text.len() / 8);
    quoted_printable_encode(text.as_bytes(), &mut encoded, true)?;
    Ok(MimePart::new(
        ContentType::new(media_type).attribute("charset", "utf-8"),
        encoded,
    )
    .transfer_encoding("quoted-printable"))
}

/// Writes one header field; its line may be folded before each token but the first.
fn field(mail: &mut Vec<u8>, name: &'static str, tokens: &[String]) -> Result<()> {
    mail.extend_from_slice(name.as_bytes());
    mail.push(b':');
    let mut line_bytes = name.len() + 1;
    for (index, token) in tokens.iter().enumerate() {
        if !token.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(Error::internal(format!(
                "the mail header {name} is not printable ASCII"
            )));
        }
        if index > 0 && line_bytes + 1 + token.len() > LINE_BYTES_MAX {
            mail.extend_from_slice(b"\r\n");
            line_bytes = 0;
        }
        mail.push(b' ');
        mail.extend_from_slice(token.as_bytes());
        line_bytes += 1 + token.len();
    }
    mail.extend_from_slice(b"\r\n");
    Ok(())
}

/// A name and an address, in tokens: `"Name"` or encoded words, then `<address>`.
fn mailbox(name: &str, address: &EmailAddress) -> Vec<String> {
    let mut tokens = if is_plain(name) {
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{quoted}\"")
            .split(' ')
            .map(str::to_owned)
            .collect()
    } else {
        // Outside quotes: inside them an encoded word is not one (RFC 2047, 5).
        encoded_words(name)
    };
    tokens.push(format!("<{address}>"));
    tokens
}

/// A line of text, in tokens.
fn unstructured(text: &str) -> Vec<String> {
    if is_plain(text) {
        text.split(' ').map(str::to_owned).collect()
    } else {
        encoded_words(text)
    }
}

/// Whether a text may stand as it is: printable ASCII in words that fit a line even if quoting doubles them,
/// none of which a reader would take for an encoded one.
fn is_plain(text: &str) -> bool {
    let fits = |word: &str| !word.is_empty() && word.len() <= WORD_BYTES_MAX / 2;
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && text.split(' ').all(fits)
        && !text.contains("=?")
}

/// A text as encoded words (RFC 2047), each a whole number of characters, in whichever encoding is shorter.
fn encoded_words(text: &str) -> Vec<String> {
    let q_bytes: usize = text.bytes().map(|byte| q_encoded(byte).len()).sum();
    let as_q = q_bytes <= text.len().div_ceil(3) * 4;
    let encode = |part: &str| {
        if as_q {
            part.bytes().map(q_encoded).collect()
        } else {
            STANDARD.encode(part)
        }
    };
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let ends = rest
            .char_indices()
            .map(|(start, character)| start + character.len_utf8());
        let fits = |end: &usize| encode(&rest[..*end]).len() + WORD_FRAME_BYTES <= WORD_BYTES_MAX;
        // One character alone always fits: 4 bytes make 12 in either encoding at most.
        let end = ends.take_while(fits).last().unwrap_or(rest.len());
        let mark = if as_q { 'Q' } else { 'B' };
        words.push(format!("=?utf-8?{mark}?{}?=", encode(&rest[..end])));
        rest = &rest[end..];
    }
    words
}

/// One byte in the Q encoding, with only those left as they are that are safe in a name too (RFC 2047, 5).
fn q_encoded(byte: u8) -> String {
    match byte {
        b' ' => "_".to_owned(),
        b'!' | b'*' | b'+' | b'-' | b'/' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("={byte:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &'static str, tokens: &[String]) -> String {
        let mut mail = Vec::new();
        field(&mut mail, name, tokens).unwrap();
        String::from_utf8(mail).unwrap()
    }

    #[test]
    fn no_header_holds_a_line_break() {
        for bad in ["a\r\nBcc: x@example.org", "a\nb", "a\rb", "\0", "é"] {
            let error = field(&mut Vec::new(), "Subject", &[bad.to_owned()]).unwrap_err();
            assert_eq!(
                error.code(),
                crate::error::ErrorCode::Internal,
                "{bad:?} must be refused"
            );
        }
        assert!(field(&mut Vec::new(), "Subject", &["a b".to_owned()]).is_ok());
        // Were a line break to come this far, it would be encoded.
        assert_eq!(unstructured("a\r\nBcc: x"), ["=?utf-8?B?YQ0KQmNjOiB4?="]);
    }

    #[test]
    fn plain_text_stays_readable() {
        assert_eq!(
            written("Subject", &unstructured("Jazz, live: 5 June")),
            "Subject: Jazz, live: 5 June\r\n"
        );
        let address = EmailAddress::parse("email", "a@example.org").unwrap();
        assert_eq!(
            written("To", &mailbox(r#"A "B" \ C"#, &address)),
            "To: \"A \\\"B\\\" \\\\ C\" <a@example.org>\r\n"
        );
        assert_eq!(unstructured("Zoë"), ["=?utf-8?Q?Zo=C3=AB?="]);
        assert_eq!(unstructured("日本"), ["=?utf-8?B?5pel5pys?="]);
    }

    #[test]
    fn long_text_is_folded_and_never_within_a_character() {
        for text in [
            "word ".repeat(40).trim_end().to_owned(),
            "x".repeat(200),
            "🎷".repeat(200),
            "aé".repeat(100),
        ] {
            let written = written("Subject", &unstructured(&text));
            assert!(
                written.lines().all(|line| line.len() <= LINE_BYTES_MAX),
                "{written}"
            );
            assert!(
                written
                    .trim_end()
                    .split("\r\n")
                    .skip(1)
                    .all(|line| line.starts_with(' ')),
                "{written}"
            );
            let mail = format!("{written}\r\n");
            let parsed = mail_parser::MessageParser::default()
                .parse(mail.as_bytes())
                .unwrap();
            assert_eq!(parsed.subject().unwrap(), text);
        }
    }

    #[test]
    fn text_that_looks_encoded_is_encoded() {
        assert!(!is_plain("=?utf-8?q?x?="));
        assert_eq!(
            unstructured("=?utf-8?q?x?="),
            ["=?utf-8?B?PT91dGYtOD9xP3g/PQ==?="]
        );
    }
}
