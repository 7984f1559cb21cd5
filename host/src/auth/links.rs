//! Links with which customers unsubscribe from a kind of mail, signed so that nobody can make one up.
//!
//! Called by the engine, which puts them into mails, and by the pages behind them. A link names tenant, customer and
//! kind, and no address: links end in logs. It does not expire, as mails are read whenever; what it can do is little.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use boxoffice_engine::{NotificationKind, TenantId, UserId, ports::Links};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::tokens::{TokenKey, check_keys, hmac};

/// Longest token that is looked at; ours have at most 160 bytes.
const TOKEN_BYTES_MAX: usize = 256;

/// Makes and reads the links of an installation; cheap to clone.
///
/// The engine that sends mails ([`EngineBuilder::links`](boxoffice_engine::EngineBuilder::links)) and the router that
/// answers ([`RouterOptions::links`](crate::RouterOptions::links)) must have the same keys. The first signs, all of them
/// verify: an old key is kept as long as the mails that were sent under it shall be good for unsubscribing.
#[derive(Clone)]
pub struct UnsubscribeLinks {
    /// Where the router is reached, without a slash at the end.
    public_url: Arc<str>,
    keys: Arc<[Hmac<Sha256>]>,
}

impl fmt::Debug for UnsubscribeLinks {
    /// Leaves the keys out.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("UnsubscribeLinks")
            .field(&self.public_url)
            .finish()
    }
}

/// What a link is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsubscription {
    /// Whose mails.
    pub(crate) tenant: TenantId,
    /// Who does without.
    pub(crate) customer: UserId,
    /// Which kind of mail, a bulk one.
    pub(crate) kind: NotificationKind,
}

impl UnsubscribeLinks {
    /// Takes the address that the router is reached at from outside, its prefix included, and the keys.
    ///
    /// # Errors
    /// A sentence for the operator if the address is not `https://HOST[/…]` (or `http://`, to try things out: mail
    /// programs ask for HTTPS), or the keys are not what [`TokenKeys::new`](crate::TokenKeys::new) takes.
    pub fn new(public_url: &str, keys: Vec<TokenKey>) -> Result<Self, String> {
        let rest = public_url
            .strip_prefix("https://")
            .or_else(|| public_url.strip_prefix("http://"));
        // What would end the header's angle brackets, or begin another part of the address, is no part of it.
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"<>\"\\?#,@".contains(&byte);
        let is_address = rest.is_some_and(|rest| {
            !rest.is_empty()
                && !rest.starts_with('/')
                && rest.len() <= 200
                && rest.bytes().all(plain)
        });
        if !is_address {
            return Err("the public address is https://HOST, perhaps with a path".to_owned());
        }
        check_keys(&keys)?;
        // Secrets of their own, so that a key that also signs something else gives nothing away.
        let derived = |key: TokenKey| {
            let secret = hmac(&key.secret).chain_update(b"boxoffice unsubscribe links 1");
            hmac(&secret.finalize().into_bytes())
        };
        Ok(Self {
            public_url: public_url.trim_end_matches('/').into(),
            keys: keys.into_iter().map(derived).collect(),
        })
    }

    /// Reads what stands behind `/unsubscribe/`, if one of the keys signed it.
    pub(crate) fn read(&self, token: &str) -> Option<Unsubscription> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (body, mac) = token.rsplit_once('.')?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        // Compared in constant time.
        self.keys
            .iter()
            .find(|key| mac_of(key, body).verify_slice(&mac).is_ok())?;
        let mut parts = body.split('.');
        let link = Unsubscription {
            tenant: TenantId::parse(parts.next()?).ok()?,
            customer: parts.next()?.parse().ok()?,
            kind: parts.next()?.parse().ok()?,
        };
        (parts.next().is_none() && !link.kind.is_transactional()).then_some(link)
    }
}

impl Links for UnsubscribeLinks {
    fn unsubscribe(&self, tenant: &TenantId, customer: UserId, kind: NotificationKind) -> String {
        let body = format!("{tenant}.{customer}.{kind}");
        // `new` sees to it that there is a first key.
        let mac = mac_of(&self.keys[0], &body).finalize().into_bytes();
        let mac = URL_SAFE_NO_PAD.encode(mac);
        format!("{}/unsubscribe/{body}.{mac}", self.public_url)
    }
}

fn mac_of(key: &Hmac<Sha256>, body: &str) -> Hmac<Sha256> {
    key.clone().chain_update(body.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> TokenKey {
        TokenKey {
            id: format!("k{byte}"),
            secret: vec![byte; 32],
        }
    }

    fn links(keys: &[u8]) -> UnsubscribeLinks {
        let keys = keys.iter().copied().map(key).collect();
        UnsubscribeLinks::new("https://tickets.example.org/shop/", keys).unwrap()
    }

    fn link() -> Unsubscription {
        Unsubscription {
            tenant: TenantId::parse("north-2").unwrap(),
            customer: "01hzy0000000000000000000ab".parse().unwrap(),
            kind: NotificationKind::EventReminder,
        }
    }

    fn token(links: &UnsubscribeLinks, link: &Unsubscription) -> String {
        let url = links.unsubscribe(&link.tenant, link.customer, link.kind);
        let prefix = "https://tickets.example.org/shop/unsubscribe/";
        url.strip_prefix(prefix).expect(&url).to_owned()
    }

    #[test]
    fn a_link_comes_back_from_its_text_and_outlives_its_keys_turn() {
        let (old, new) = (links(&[1]), links(&[2, 1]));
        let token = token(&old, &link());
        assert_eq!(old.read(&token), Some(link()));
        assert_eq!(new.read(&token), Some(link()), "the old key still verifies");
        assert_eq!(links(&[2]).read(&token), None);
        assert!(!token.contains('@'));
    }

    #[test]
    fn whatever_is_changed_is_refused() {
        let links = links(&[1]);
        let good = token(&links, &link());
        for index in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[index] = if bytes[index] == b'a' { b'b' } else { b'a' };
            let bad = String::from_utf8(bytes).unwrap();
            // The last character of base64 holds bits that count for nothing; strict decoding refuses those too.
            assert_eq!(links.read(&bad), None, "{bad}");
        }
        let other = good.replacen("north-2", "south", 1);
        let end = &good[..good.len() - 1];
        let long = format!("{good}{}", "a".repeat(300));
        for bad in ["", ".", "a.b.c.d", &other, end, &long, &format!("x.{good}")] {
            assert_eq!(links.read(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_bulk_kinds_have_links_that_are_good() {
        let links = links(&[1]);
        let transactional = Unsubscription {
            kind: NotificationKind::BookingConfirmed,
            ..link()
        };
        assert_eq!(links.read(&token(&links, &transactional)), None);
    }

    #[test]
    fn addresses_and_keys_are_checked() {
        for bad in [
            "",
            "tickets.example.org",
            "ftp://x",
            "https://",
            "https:///x",
            "https://x>\r\nBcc: y",
            "https://x?y",
            "https://ü",
        ] {
            assert!(UnsubscribeLinks::new(bad, vec![key(1)]).is_err(), "{bad}");
        }
        let short = TokenKey {
            id: "a".to_owned(),
            secret: vec![1; 31],
        };
        assert!(UnsubscribeLinks::new("https://x", vec![short]).is_err());
        assert!(UnsubscribeLinks::new("https://x", Vec::new()).is_err());
    }
}
