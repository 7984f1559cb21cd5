//! Links with which people unsubscribe from a kind of mail, confirm their address, choose a new password, move their account to
//! another address, accept an invitation, or see their tickets. They are signed, so nobody can forge one.
//!
//! Called by the engine, which puts them into mails, and by their pages. A link names tenant and customer, and no
//! address, because links end in logs. Links to unsubscribe and to confirm do not expire, because mails are read at any time; they can
//! do little. Links that change an account name the time when they expire, and what they replace, so that they work once. The
//! engine checks both. Links to tickets do not expire: their page shows what the store says at the time.

use std::{fmt, str::Split, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use boxoffice_engine::{
    AccountLink, AccountLinkPurpose, BookingId, EmailAddress, NotificationKind, TenantId, UserId,
    ports::Links,
};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use super::tokens::{TokenKey, check_keys, hmac};

/// Longest token that is read; valid ones have at most 200 bytes.
const TOKEN_BYTES_MAX: usize = 256;

/// Makes and reads the links of an installation; cheap to clone.
///
/// The engine that sends mails ([`EngineBuilder::links`](boxoffice_engine::EngineBuilder::links)) and the router that
/// answers ([`RouterOptions::links`](crate::RouterOptions::links)) must have the same keys. The first signs, all of them
/// verify: keep an old key as long as the links in mails that it signed shall work.
#[derive(Clone)]
pub struct MailLinks {
    /// The router's address, without a slash at the end.
    public_url: Arc<str>,
    keys: Arc<[Keys]>,
}

/// The secrets of one key: one for each purpose, so that a link works for its purpose only.
struct Keys {
    unsubscribe: Hmac<Sha256>,
    verify: Hmac<Sha256>,
    password: Hmac<Sha256>,
    email: Hmac<Sha256>,
    invitation: Hmac<Sha256>,
    tickets: Hmac<Sha256>,
}

impl Keys {
    fn of(&self, purpose: AccountLinkPurpose) -> &Hmac<Sha256> {
        match purpose {
            AccountLinkPurpose::ResetPassword => &self.password,
            AccountLinkPurpose::ChangeEmail => &self.email,
            AccountLinkPurpose::AcceptInvitation => &self.invitation,
        }
    }
}

impl fmt::Debug for MailLinks {
    /// Without the keys.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("MailLinks")
            .field(&self.public_url)
            .finish()
    }
}

/// The content of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsubscription {
    /// The tenant of the mails.
    pub(crate) tenant: TenantId,
    /// The customer who unsubscribes.
    pub(crate) customer: UserId,
    /// The kind of mail, one that needs consent.
    pub(crate) kind: NotificationKind,
}

/// The content of a link to tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TicketsLink {
    /// The tenant of the booking.
    pub(crate) tenant: TenantId,
    /// Who has the tickets.
    pub(crate) owner: UserId,
    /// The booking that they are of.
    pub(crate) booking: BookingId,
}

impl MailLinks {
    /// Takes the public address of the router, its prefix included, and the keys.
    ///
    /// # Errors
    /// A sentence for the operator if the address is not `https://HOST[/…]` (or `http://`, to try things out: mail
    /// programs ask for HTTPS), or the keys are not what [`TokenKeys::new`](crate::TokenKeys::new) takes.
    pub fn new(public_url: &str, keys: Vec<TokenKey>) -> Result<Self, String> {
        let rest = public_url
            .strip_prefix("https://")
            .or_else(|| public_url.strip_prefix("http://"));
        // Refuse characters that would end the header's angle brackets, or begin another part of the address.
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
        // Separate secrets, so that a key that also signs something else reveals nothing.
        let for_use = |key: &TokenKey, purpose: &[u8]| {
            hmac(
                &hmac(&key.secret)
                    .chain_update(purpose)
                    .finalize()
                    .into_bytes(),
            )
        };
        let derived = |key: TokenKey| Keys {
            unsubscribe: for_use(&key, b"boxoffice unsubscribe links 1"),
            verify: for_use(&key, b"boxoffice verification links 1"),
            password: for_use(&key, b"boxoffice password links 1"),
            email: for_use(&key, b"boxoffice address links 1"),
            invitation: for_use(&key, b"boxoffice invitation links 1"),
            tickets: for_use(&key, b"boxoffice ticket links 1"),
        };
        Ok(Self {
            public_url: public_url.trim_end_matches('/').into(),
            keys: keys.into_iter().map(derived).collect(),
        })
    }

    /// Reads the token after `/unsubscribe/`, if one of the keys signed it.
    pub(crate) fn read(&self, token: &str) -> Option<Unsubscription> {
        let mut parts = self.signed(token, |key| &key.unsubscribe)?;
        let link = Unsubscription {
            tenant: TenantId::parse(parts.next()?).ok()?,
            customer: parts.next()?.parse().ok()?,
            kind: parts.next()?.parse().ok()?,
        };
        (parts.next().is_none() && link.kind.needs_consent()).then_some(link)
    }

    /// Reads the user in the token after `/verify/`. Checking the signature needs the address: see
    /// [`MailLinks::proves`].
    pub(crate) fn claimed(token: &str) -> Option<(TenantId, UserId)> {
        let (body, _) = parts_of(token)?;
        let (tenant, customer) = body.split_once('.')?;
        Some((TenantId::parse(tenant).ok()?, customer.parse().ok()?))
    }

    /// Returns whether the token after `/verify/` was mailed to this address of its user.
    pub(crate) fn proves(&self, token: &str, email: &EmailAddress) -> bool {
        parts_of(token).is_some_and(|(body, mac)| {
            let proof = proof_of(body, email);
            let mut keys = self.keys.iter();
            // Compared in constant time.
            keys.any(|key| mac_of(&key.verify, &proof).verify_slice(&mac).is_ok())
        })
    }

    /// Reads the token after `/password/` or `/email/`, if one of the keys signed it for this purpose. The engine checks whether
    /// it is expired or used.
    pub(crate) fn read_account(
        &self,
        purpose: AccountLinkPurpose,
        token: &str,
    ) -> Option<AccountLink> {
        let mut parts = self.signed(token, |key| key.of(purpose))?;
        let link = AccountLink {
            purpose,
            tenant: TenantId::parse(parts.next()?).ok()?,
            user: parts.next()?.parse().ok()?,
            expires_at: Timestamp::from_second(parts.next()?.parse().ok()?).ok()?,
            stamp: parts.next()?.to_owned(),
        };
        parts.next().is_none().then_some(link)
    }

    /// Reads the token after `/tickets/`, if one of the keys signed it.
    pub(crate) fn read_tickets(&self, token: &str) -> Option<TicketsLink> {
        let mut parts = self.signed(token, |key| &key.tickets)?;
        let link = TicketsLink {
            tenant: TenantId::parse(parts.next()?).ok()?,
            owner: parts.next()?.parse().ok()?,
            booking: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(link)
    }

    /// The parts of a token's body, if one of the keys signed it for this purpose.
    fn signed<'a>(
        &self,
        token: &'a str,
        purpose: impl Fn(&Keys) -> &Hmac<Sha256>,
    ) -> Option<Split<'a, char>> {
        let (body, mac) = parts_of(token)?;
        let mut keys = self.keys.iter();
        // Compared in constant time.
        keys.find(|key| mac_of(purpose(key), body).verify_slice(&mac).is_ok())?;
        Some(body.split('.'))
    }

    fn url(&self, page: &str, body: &str, mac: Hmac<Sha256>) -> String {
        let mac = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        format!("{}/{page}/{body}.{mac}", self.public_url)
    }
}

impl Links for MailLinks {
    fn unsubscribe(&self, tenant: &TenantId, customer: UserId, kind: NotificationKind) -> String {
        let body = format!("{tenant}.{customer}.{kind}");
        // `new` makes sure that there is a first key.
        self.url(
            "unsubscribe",
            &body,
            mac_of(&self.keys[0].unsubscribe, &body),
        )
    }

    fn verify(&self, tenant: &TenantId, customer: UserId, email: &EmailAddress) -> String {
        let body = format!("{tenant}.{customer}");
        let mac = mac_of(&self.keys[0].verify, &proof_of(&body, email));
        self.url("verify", &body, mac)
    }

    fn account(&self, link: &AccountLink) -> String {
        let (tenant, user, stamp) = (&link.tenant, link.user, &link.stamp);
        let body = format!("{tenant}.{user}.{}.{stamp}", link.expires_at.as_second());
        let page = match link.purpose {
            AccountLinkPurpose::ResetPassword => "password",
            AccountLinkPurpose::ChangeEmail => "email",
            AccountLinkPurpose::AcceptInvitation => "invitation",
        };
        self.url(page, &body, mac_of(self.keys[0].of(link.purpose), &body))
    }

    fn tickets(&self, tenant: &TenantId, owner: UserId, booking: BookingId) -> String {
        let body = format!("{tenant}.{owner}.{booking}");
        self.url("tickets", &body, mac_of(&self.keys[0].tickets, &body))
    }
}

/// The content of a token, and its signature.
fn parts_of(token: &str) -> Option<(&str, Vec<u8>)> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let (body, mac) = token.rsplit_once('.')?;
    Some((body, URL_SAFE_NO_PAD.decode(mac).ok()?))
}

/// The signed text of a verification: the body has no line break, so it ends where the address begins.
fn proof_of(body: &str, email: &EmailAddress) -> String {
    format!("{body}\n{}", email.as_str())
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

    fn links(keys: &[u8]) -> MailLinks {
        let keys = keys.iter().copied().map(key).collect();
        MailLinks::new("https://tickets.example.org/shop/", keys).unwrap()
    }

    fn link() -> Unsubscription {
        Unsubscription {
            tenant: TenantId::parse("north-2").unwrap(),
            customer: "01hzy0000000000000000000ab".parse().unwrap(),
            kind: NotificationKind::EventReminder,
        }
    }

    fn token(links: &MailLinks, link: &Unsubscription) -> String {
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
            // The last character of base64 has unused bits; strict decoding refuses those too.
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
    fn a_verification_is_good_for_its_address_and_nothing_else() {
        let (old, new) = (links(&[1]), links(&[2, 1]));
        let email = |text| EmailAddress::parse("email", text).unwrap();
        let (ann, other) = (email("ann@example.org"), email("ann@example.com"));
        let (tenant, customer) = (link().tenant, link().customer);
        let url = old.verify(&tenant, customer, &ann);
        let prefix = "https://tickets.example.org/shop/verify/";
        let good = url.strip_prefix(prefix).expect(&url);
        assert_eq!(MailLinks::claimed(good), Some((tenant.clone(), customer)));
        assert!(old.proves(good, &ann) && new.proves(good, &ann));
        assert!(!old.proves(good, &other) && !links(&[2]).proves(good, &ann));
        assert!(!good.contains('@'));
        for index in 0..good.len() {
            let mut bytes = good.as_bytes().to_vec();
            bytes[index] = if bytes[index] == b'a' { b'b' } else { b'a' };
            let bad = String::from_utf8(bytes).unwrap();
            assert!(!old.proves(&bad, &ann), "{bad}");
        }
        assert_eq!(old.read(good), None, "it unsubscribes nobody");
        assert!(!old.proves(&token(&old, &link()), &ann));
    }

    #[test]
    fn a_link_to_change_an_account_is_good_for_its_purpose_and_unchanged() {
        let (old, new) = (links(&[1]), links(&[2, 1]));
        let purposes = [
            AccountLinkPurpose::ResetPassword,
            AccountLinkPurpose::ChangeEmail,
            AccountLinkPurpose::AcceptInvitation,
        ];
        for (purpose, other) in [(0, 1), (1, 2), (2, 0)].map(|(a, b)| (purposes[a], purposes[b])) {
            let link = AccountLink {
                purpose,
                tenant: link().tenant,
                user: link().customer,
                expires_at: Timestamp::from_second(1_800_000_000).unwrap(),
                stamp: "Ab_-0123456789abcdefgh".to_owned(),
            };
            let url = old.account(&link);
            let good = url.rsplit('/').next().unwrap();
            assert_eq!(old.read_account(purpose, good).as_ref(), Some(&link));
            assert_eq!(new.read_account(purpose, good), Some(link));
            assert_eq!(links(&[2]).read_account(purpose, good), None);
            assert_eq!(old.read_account(other, good), None, "another purpose");
            assert_eq!(old.read(good), None, "it unsubscribes nobody");
            for index in 0..good.len() {
                let mut bytes = good.as_bytes().to_vec();
                bytes[index] = if bytes[index] == b'a' { b'b' } else { b'a' };
                let bad = String::from_utf8(bytes).unwrap();
                assert_eq!(old.read_account(purpose, &bad), None, "{bad}");
            }
        }
    }

    #[test]
    fn a_link_to_tickets_is_good_for_nothing_else() {
        let (old, new) = (links(&[1]), links(&[2, 1]));
        let booking = "AbCdEfGh".repeat(8).parse().unwrap();
        let tenant = TenantId::parse(&"n".repeat(63)).unwrap();
        let (owner, wanted) = (link().customer, tenant.clone());
        let url = old.tickets(&tenant, owner, booking);
        let good = url.rsplit('/').next().unwrap();
        assert!(good.len() <= 200, "{}", good.len());
        let expected = TicketsLink {
            tenant: wanted,
            owner,
            booking,
        };
        assert_eq!(old.read_tickets(good).as_ref(), Some(&expected));
        assert_eq!(new.read_tickets(good), Some(expected));
        assert_eq!(links(&[2]).read_tickets(good), None);
        for index in 0..good.len() {
            let mut bytes = good.as_bytes().to_vec();
            bytes[index] = if bytes[index] == b'a' { b'b' } else { b'a' };
            let bad = String::from_utf8(bytes).unwrap();
            assert_eq!(old.read_tickets(&bad), None, "{bad}");
            assert_eq!(old.read_tickets(&good[..index]), None, "{index}");
        }
        // Signed with the key of another purpose, or for one.
        assert_eq!(old.read_tickets(&token(&old, &link())), None);
        assert_eq!(old.read(good), None, "it unsubscribes nobody");
        let body = good.rsplit_once('.').unwrap().0;
        for other in [&old.keys[0].unsubscribe, &old.keys[0].password] {
            let replayed = old.url("tickets", body, mac_of(other, body));
            let replayed = replayed.rsplit('/').next().unwrap();
            assert_eq!(old.read_tickets(replayed), None);
        }
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
            assert!(MailLinks::new(bad, vec![key(1)]).is_err(), "{bad}");
        }
        let short = TokenKey {
            id: "a".to_owned(),
            secret: vec![1; 31],
        };
        assert!(MailLinks::new("https://x", vec![short]).is_err());
        assert!(MailLinks::new("https://x", Vec::new()).is_err());
    }
}
