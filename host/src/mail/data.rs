//! A mail in the form of the DATA command (RFC 5321, 4.1.1.4 and 4.5.2).
//!
//! Called by the connection. Pure.

/// The mail with CRLF behind each line, dots doubled at the beginning of lines, and the final dot.
///
/// With a bare LF or CR, text in a mail could look like its end to servers that accept other line ends.
pub(super) fn as_data(mail: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(mail.len() + mail.len() / 64 + 8);
    let mut begins_line = true;
    let mut bytes = mail.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'\r' || byte == b'\n' {
            if byte == b'\r' {
                bytes.next_if_eq(&b'\n');
            }
            data.extend_from_slice(b"\r\n");
            begins_line = true;
            continue;
        }
        if begins_line && byte == b'.' {
            data.push(b'.');
        }
        data.push(byte);
        begins_line = false;
    }
    if !begins_line {
        data.extend_from_slice(b"\r\n");
    }
    data.extend_from_slice(b".\r\n");
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_inside_a_mail_ends_it() {
        for (mail, data) in [
            (
                &b"A: b\r\n\r\ntext\r\n"[..],
                &b"A: b\r\n\r\ntext\r\n.\r\n"[..],
            ),
            (b"text", b"text\r\n.\r\n"),
            (b"", b".\r\n"),
            (b".", b"..\r\n.\r\n"),
            (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\n.\nb\rc\r\nd", b"a\r\n..\r\nb\r\nc\r\nd\r\n.\r\n"),
            (b"a\r.\rb\n\n", b"a\r\n..\r\nb\r\n\r\n.\r\n"),
            (b"a\r\r\n.", b"a\r\n\r\n..\r\n.\r\n"),
            (b"..a\r\nb.\r\n", b"...a\r\nb.\r\n.\r\n"),
        ] {
            assert_eq!(as_data(mail), data, "{mail:?}");
        }
    }
}
