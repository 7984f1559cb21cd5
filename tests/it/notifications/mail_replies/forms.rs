//! The forms in which servers say one code: legal ones, and those that were seen or are to be feared.

/// Names of the forms; the last code of each is the code that counts.
pub(super) const FORMS: [&str; 25] = [
    "a text",
    "the code alone",
    "the code and a blank",
    "an enhanced code",
    "LF alone",
    "CR CR LF",
    "GBK",
    "Latin-1",
    "every byte",
    "512 letters",
    "20,000 letters",
    "several lines",
    "several lines without texts",
    "a hundred lines",
    "lines of different codes",
    "LF alone in several lines",
    "a CR between lines",
    "a line without a code in the middle",
    "a line without a code before",
    "an empty line before",
    "a blank before",
    "a tab behind the code",
    "nothing behind the code",
    "a zero byte at the end",
    "a preliminary reply before",
];

/// A reply with this code in the form at this index.
pub(super) fn form(index: usize, code: u16) -> Vec<u8> {
    let text = |text: &str| text.replace("CODE", &code.to_string()).into_bytes();
    let with = |bytes: &[u8]| [code.to_string().as_bytes(), b" ", bytes, b"\r\n"].concat();
    let class = code / 100;
    match FORMS[index] {
        "a text" => text("CODE ok\r\n"),
        "the code alone" => text("CODE\r\n"),
        "the code and a blank" => text("CODE \r\n"),
        "an enhanced code" => text(&format!("CODE {class}.1.5 so it is\r\n")),
        "LF alone" => text("CODE ok\n"),
        "CR CR LF" => text("CODE ok\r\r\n"),
        "GBK" => with(b"\xd3\xca\xbc\xfe\xd2\xd1\xbd\xd3\xca\xd5"),
        "Latin-1" => with(b"Nachricht \xfcbernommen"),
        "every byte" => with(
            &(0..=255)
                .filter(|byte| !b"\r\n".contains(byte))
                .collect::<Vec<u8>>(),
        ),
        "512 letters" => text(&format!("CODE {}\r\n", "x".repeat(506))),
        "20,000 letters" => text(&format!("CODE {}\r\n", "x".repeat(20_000))),
        "several lines" => text("CODE-2.0.0 one\r\nCODE-two\r\nCODE three\r\n"),
        "several lines without texts" => text("CODE-\r\nCODE-\r\nCODE\r\n"),
        "a hundred lines" => text(&format!("{}CODE end\r\n", "CODE-more\r\n".repeat(99))),
        "lines of different codes" => text("251-one\r\n550-two\r\n354-three\r\nCODE four\r\n"),
        "LF alone in several lines" => text("CODE-one\nCODE-two\nCODE three\n"),
        "a CR between lines" => text("CODE-one\rCODE two\r\n"),
        "a line without a code in the middle" => text("CODE-one\r\ntwo\r\nCODE three\r\n"),
        "a line without a code before" => text("welcome\r\nCODE ok\r\n"),
        "an empty line before" => text("\r\nCODE ok\r\n"),
        "a blank before" => text(" CODE ok\r\n"),
        "a tab behind the code" => text("CODE\tok\r\n"),
        "nothing behind the code" => text("CODEok\r\n"),
        "a zero byte at the end" => text("CODE ok\r\n\0"),
        "a preliminary reply before" => text("150 wait\r\nCODE ok\r\n"),
        name => unreachable!("{name}"),
    }
}
