//! Parses an SMTP server's replies (RFC 5321, 4.2) by their codes, with any text and line ends.
//!
//! Called by the dialogue. Pure: no network here. lettre's parser needs UTF-8, a text after each code and the same
//! code in each line; for it a `250` in GBK is an error, and an accepted mail is sent again.

use super::outcome::{Failure, cleaned};

/// Most bytes of one reply. RFC 5321, 4.5.3.1.5 allows 512 a line; the longest replies to EHLO have some thirty
/// lines.
const REPLY_BYTES_MAX: usize = 64 * 1024;

/// A server's answer to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// Three digits, 100 to 599.
    pub(super) code: u16,
    /// The texts after the codes, one for each line.
    pub(super) lines: Vec<String>,
}

impl Reply {
    /// The first digit, the class of the reply (RFC 5321, 4.2.1).
    pub(super) fn class(&self) -> u16 {
        self.code / 100
    }

    /// Accepts a complete reply of this class.
    ///
    /// # Errors
    /// The server's refusal. A reply of another class, or an incomplete one, is not SMTP.
    pub(super) fn expect(self, class: u16, is_whole: bool) -> Result<Self, Failure> {
        match self.class() {
            4 | 5 => Err(Failure::from(self)),
            seen if seen != class => {
                let text = self.text();
                Err(Failure::broken(format!("{text} instead of {class}xx")))
            }
            _ if !is_whole => Err(Failure::broken(format!(
                "{}, and then the connection ended",
                self.text()
            ))),
            _ => Ok(self),
        }
    }

    /// Code and texts as one line of limited length.
    pub(super) fn text(&self) -> String {
        cleaned(&format!("{} {}", self.code, self.lines.join(" ")))
    }
}

impl From<Reply> for Failure {
    fn from(reply: Reply) -> Self {
        Self::Reply {
            code: reply.code,
            text: reply.text(),
        }
    }
}

/// Parses replies from received bytes.
///
/// Lines may end with CRLF, LF or CR. A line's code is its three first digits; only a hyphen after them means that
/// another line follows. Codes that differ within a reply: the last one counts (RFC 5321, 4.2.1). Lines without a code
/// are text.
#[derive(Debug, Default)]
pub(super) struct ReplyReader {
    /// Received bytes that are not in `lines` yet.
    bytes: Vec<u8>,
    /// The code of the last line that had one.
    code: Option<u16>,
    lines: Vec<String>,
    /// Bytes in `lines`.
    line_bytes: usize,
}

impl ReplyReader {
    /// Adds received bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next complete reply, if there is one.
    pub(super) fn pop(&mut self) -> Option<Reply> {
        while let Some((text_bytes, line_bytes)) = line_end(&self.bytes) {
            let line: Vec<u8> = self.bytes.drain(..line_bytes).collect();
            self.line_bytes += line_bytes;
            if self.add(&line[..text_bytes]) {
                return self.take();
            }
        }
        None
    }

    /// Takes the rest at the end of the connection: a code counts even if its line or the last line is
    /// missing. A server that has sent 250 has accepted the mail.
    pub(super) fn conclude(&mut self) -> Option<Reply> {
        let rest = std::mem::take(&mut self.bytes);
        self.add(&rest);
        self.take()
    }

    /// Whether the reply is longer than any server's is.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() + self.line_bytes > REPLY_BYTES_MAX
    }

    /// Returns whether no unexpected bytes are left. Line ends and NUL do not count.
    pub(super) fn is_empty(&self) -> bool {
        self.code.is_none() && self.lines.is_empty() && self.bytes.iter().all(is_padding)
    }

    /// Text without a code, for messages.
    pub(super) fn noise(&self) -> String {
        let rest = String::from_utf8_lossy(&self.bytes);
        cleaned(&format!("{} {rest}", self.lines.join(" ")))
    }

    /// Adds a line without its end; returns whether it is the reply's last one.
    fn add(&mut self, line: &[u8]) -> bool {
        let line = match self.code {
            // Some servers begin with an extra space or line end.
            None => &line[line.iter().take_while(|byte| is_padding(byte)).count()..],
            Some(_) => line,
        };
        let code = code_of(line);
        let text = match code {
            Some(_) => line[3..].strip_prefix(b"-").unwrap_or(&line[3..]),
            None => line,
        };
        let text = String::from_utf8_lossy(text).trim().to_owned();
        if code.is_some() || !text.is_empty() {
            self.lines.push(text);
        }
        self.code = code.or(self.code);
        code.is_some() && line.get(3) != Some(&b'-')
    }

    fn take(&mut self) -> Option<Reply> {
        let code = self.code.take()?;
        self.line_bytes = 0;
        let lines = std::mem::take(&mut self.lines);
        Some(Reply { code, lines })
    }
}

/// The end of the first line: the length of its text, and with its end. `None` if the end has not come.
fn line_end(bytes: &[u8]) -> Option<(usize, usize)> {
    let text = bytes
        .iter()
        .position(|byte| matches!(byte, b'\r' | b'\n'))?;
    // CRLF and CR CR LF are one end each. A CR that is last so far may be the beginning of one.
    let end = text
        + bytes[text..]
            .iter()
            .take_while(|byte| **byte == b'\r')
            .count();
    match bytes.get(end)? {
        b'\n' => Some((text, end + 1)),
        _ => Some((text, end)),
    }
}

/// The code at the beginning of a line; a fourth digit makes it a number like any other.
fn code_of(line: &[u8]) -> Option<u16> {
    let [first @ b'1'..=b'5', second, third, rest @ ..] = line else {
        return None;
    };
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    if !is_digit(second) || !is_digit(third) || rest.first().is_some_and(is_digit) {
        return None;
    }
    let digits = [first, second, third];
    Some(
        digits
            .into_iter()
            .fold(0, |code, digit| code * 10 + u16::from(digit - b'0')),
    )
}

fn is_padding(byte: &u8) -> bool {
    byte.is_ascii_whitespace() || *byte == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The replies in `bytes`, however they are cut on their way: codes and texts.
    fn read(bytes: &[u8]) -> Vec<(u16, String)> {
        let whole = read_in_parts(bytes, bytes.len().max(1));
        for part in 1..bytes.len().min(8) {
            assert_eq!(read_in_parts(bytes, part), whole, "in parts of {part}");
        }
        whole
    }

    fn read_in_parts(bytes: &[u8], part: usize) -> Vec<(u16, String)> {
        let mut reader = ReplyReader::default();
        let mut replies = Vec::new();
        for part in bytes.chunks(part) {
            reader.push(part);
            while let Some(reply) = reader.pop() {
                replies.push((reply.code, reply.text()));
            }
        }
        assert!(reader.is_empty(), "left: {:?}", reader.noise());
        replies
    }

    #[test]
    fn the_code_counts_whatever_the_text() {
        for (bytes, code, text) in [
            (&b"250 ok\r\n"[..], 250, "250 ok"),
            (b"250\r\n", 250, "250"),
            (b"250 \r\n", 250, "250"),
            (b"250 ok\n", 250, "250 ok"),
            (b"250 ok\r\r\n", 250, "250 ok"),
            (b"250 ok\r\n\r\n", 250, "250 ok"),
            (b"250 ok\r\n\0", 250, "250 ok"),
            (b"\r\n 250 ok\r\n", 250, "250 ok"),
            (b"250\tok\r\n", 250, "250 ok"),
            (b"250ok\r\n", 250, "250 ok"),
            (
                b"250 \xd3\xca\xbc\xfe\r\n",
                250,
                "250 \u{fffd}\u{2bc}\u{fffd}",
            ),
            (b"250 \xfcber\0nommen\r\n", 250, "250 \u{fffd}ber nommen"),
            (
                b"250-2.0.0 queued\r\n250-as 4711\r\n250 2.0.0 thanks\r\n",
                250,
                "250 2.0.0 queued as 4711 2.0.0 thanks",
            ),
            (b"250-\r\n250\r\n", 250, "250"),
            (b"251-queued\r\n250 thanks\r\n", 250, "250 queued thanks"),
            (
                b"250-queued\r\n550 not at all\r\n",
                550,
                "550 queued not at all",
            ),
            (
                b"250-first\r\nsecond\r\n250 third\r\n",
                250,
                "250 first second third",
            ),
            (b"hello\r\n220 ready\r\n", 220, "220 hello ready"),
            (b"599 x\r\n", 599, "599 x"),
        ] {
            assert_eq!(read(bytes), [(code, text.to_owned())], "{bytes:?}");
        }
        assert_eq!(
            read(b"250 one\r250 two\r550-three\n550 four\r\n"),
            [
                (250, "250 one".to_owned()),
                (250, "250 two".to_owned()),
                (550, "550 three four".to_owned())
            ]
        );
    }

    #[test]
    fn what_is_no_code_is_no_reply() {
        for noise in [
            "hello\r\n",
            "25\r\n",
            "2500 x\r\n",
            "650 x\r\n",
            "050 x\r\n",
            "-250 x\r\n",
            "2 50\r\n",
        ] {
            let mut reader = ReplyReader::default();
            reader.push(noise.as_bytes());
            assert_eq!(reader.pop(), None, "{noise:?}");
            assert!(!reader.is_empty());
            assert_eq!(reader.noise(), noise.trim());
            assert_eq!(reader.conclude(), None);
        }
    }

    #[test]
    fn a_code_counts_although_the_rest_is_missing() {
        for (bytes, code) in [
            (&b"250"[..], Some(250)),
            (b"250 o", Some(250)),
            (b"550 no\r", Some(550)),
            (b"250-queued\r\n", Some(250)),
            (b"250-queued\r\n250-", Some(250)),
            (b"250-queued\r\n550", Some(550)),
            (b"25", None),
            (b"", None),
        ] {
            let mut reader = ReplyReader::default();
            reader.push(bytes);
            assert_eq!(reader.pop(), None, "{bytes:?}");
            assert_eq!(reader.conclude().map(|reply| reply.code), code, "{bytes:?}");
        }
    }

    #[test]
    fn replies_are_bounded() {
        let mut reader = ReplyReader::default();
        reader.push(b"250-");
        while !reader.is_full() {
            reader.push(&[b'x'; 1000]);
            assert_eq!(reader.pop(), None);
        }
        let reply = reader.conclude().unwrap();
        assert_eq!(reply.code, 250);
        assert!(reply.text().len() <= 500);
        let mut reader = ReplyReader::default();
        let mut pushed = 0;
        while !reader.is_full() {
            reader.push(b"250-more\r\n");
            pushed += 10;
            assert_eq!(reader.pop(), None);
        }
        assert!(pushed <= REPLY_BYTES_MAX + 10);
        assert_eq!(reader.conclude().unwrap().code, 250);
        assert!(reader.is_empty() && !reader.is_full());
    }
}
