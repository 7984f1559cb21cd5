//! What a mail server offers in its answer to EHLO.
//!
//! Called where a connection is opened; read where mails are sent. Calls nothing.

use super::reply::Reply;

/// The server's extensions (RFC 5321, 4.1.1.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Offers {
    /// 8-bit mails (RFC 6152).
    pub(super) eight_bit: bool,
    /// Most bytes of a mail (RFC 1870).
    pub(super) size_max: Option<u64>,
    pub(super) starttls: bool,
    pub(super) auth_plain: bool,
    pub(super) auth_login: bool,
}

impl Offers {
    /// Reads the lines behind the first one, which is the server's name.
    pub(super) fn read(reply: &Reply) -> Self {
        let mut offers = Self::default();
        for line in reply.lines.iter().skip(1) {
            // Before RFC 2554 the mechanisms followed an equals sign; some servers still do that.
            let line = line.to_ascii_uppercase();
            let mut words = line.split(['=', ' ']);
            match words.next() {
                Some("8BITMIME") => offers.eight_bit = true,
                Some("STARTTLS") => offers.starttls = true,
                // 0 is no limit.
                Some("SIZE") => {
                    let size = words.next().and_then(|word| word.parse().ok());
                    offers.size_max = size.filter(|size| *size > 0);
                }
                Some("AUTH") => {
                    for mechanism in words {
                        offers.auth_plain |= mechanism == "PLAIN";
                        offers.auth_login |= mechanism == "LOGIN";
                    }
                }
                _ => {}
            }
        }
        offers
    }
}
