//! The binary format, as far as the hostile components need it that are too large to be written as text.

/// How a component and a core module begin.
pub(super) const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
pub(super) const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// An unsigned number.
pub(super) fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let seven = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(seven);
            return bytes;
        }
        bytes.push(seven | 0x80);
    }
}

/// A signed number, as indices of types are where a value type may stand.
pub(super) fn sleb(mut number: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let seven = (number & 0x7f) as u8;
        number >>= 7;
        if (number == 0 && seven & 0x40 == 0) || (number == -1 && seven & 0x40 != 0) {
            bytes.push(seven);
            return bytes;
        }
        bytes.push(seven | 0x80);
    }
}

/// A text.
pub(super) fn text(text: &str) -> Vec<u8> {
    [leb(text.len()), text.as_bytes().to_vec()].concat()
}

/// So many items, made one by one.
pub(super) fn many(count: usize, item: impl FnMut(usize) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = leb(count);
    (0..count).map(item).for_each(|item| bytes.extend(item));
    bytes
}

/// A section.
pub(super) fn section(id: u8, body: &[u8]) -> Vec<u8> {
    [&[id][..], &leb(body.len()), body].concat()
}

/// A component or module of these sections.
pub(super) fn of(begin: &[u8], sections: &[Vec<u8>]) -> Vec<u8> {
    [begin, &sections.concat()].concat()
}
