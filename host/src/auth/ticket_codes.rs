//! The codes of tickets, sealed so that nobody can forge one.
//!
//! Called by the engine, which puts them into mails and reads them at check-in. A code is the ticket's id and a MAC: it
//! reveals no more than the booking's id, and the ticket's state is looked up.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use boxoffice_engine::{IssuedTicket, TenantId, ports::TicketCodes};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::tokens::{TokenKey, check_keys, hmac};

/// Bytes of the MAC: 96 bits cannot be guessed at a check-in, and the whole code still fits into a QR code of 37 modules.
const MAC_BYTES: usize = 12;
/// Longest code that is read; valid ones have at most 91 bytes.
const CODE_BYTES_MAX: usize = 200;

/// Makes and reads the ticket codes of an installation; cheap to clone.
///
/// The first key seals, all of them read: keep an old key as long as tickets that it sealed shall be valid. Every host
/// and worker needs the same keys.
#[derive(Clone)]
pub struct SealedTicketCodes {
    keys: Arc<[Hmac<Sha256>]>,
}

impl fmt::Debug for SealedTicketCodes {
    /// Without the keys.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SealedTicketCodes").finish()
    }
}

impl SealedTicketCodes {
    /// Takes the keys.
    ///
    /// # Errors
    /// A sentence for the operator if they are not what [`TokenKeys::new`](crate::TokenKeys::new) takes.
    pub fn new(keys: Vec<TokenKey>) -> Result<Self, String> {
        check_keys(&keys)?;
        // Separate secrets, so that a key that also signs something else reveals nothing.
        let derived = |key: TokenKey| {
            let secret = hmac(&key.secret).chain_update(b"boxoffice ticket codes 1");
            hmac(&secret.finalize().into_bytes())
        };
        Ok(Self {
            keys: keys.into_iter().map(derived).collect(),
        })
    }
}

impl TicketCodes for SealedTicketCodes {
    fn code(&self, tenant: &TenantId, ticket: IssuedTicket) -> String {
        let id = ticket.to_string();
        // `new` makes sure that there is a first key.
        let mac = mac_of(&self.keys[0], tenant, &id).finalize().into_bytes();
        format!("{id}.{}", URL_SAFE_NO_PAD.encode(&mac[..MAC_BYTES]))
    }

    fn read(&self, tenant: &TenantId, code: &str) -> Option<IssuedTicket> {
        if code.len() > CODE_BYTES_MAX {
            return None;
        }
        let (id, mac) = code.rsplit_once('.')?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        if mac.len() != MAC_BYTES {
            return None;
        }
        // Compared in constant time.
        self.keys.iter().find(|key| {
            let whole = mac_of(key, tenant, id);
            whole.verify_truncated_left(&mac).is_ok()
        })?;
        id.parse().ok()
    }
}

fn mac_of(key: &Hmac<Sha256>, tenant: &TenantId, id: &str) -> Hmac<Sha256> {
    let key = key.clone().chain_update(tenant.as_str().as_bytes());
    key.chain_update(b"/").chain_update(id.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(keys: &[u8]) -> SealedTicketCodes {
        let key = |byte: &u8| TokenKey {
            id: format!("k{byte}"),
            secret: vec![*byte; 32],
        };
        SealedTicketCodes::new(keys.iter().map(key).collect()).unwrap()
    }

    fn north() -> TenantId {
        TenantId::parse("north").unwrap()
    }

    fn ticket() -> IssuedTicket {
        format!("{}.12", "AZ3k".repeat(16)).parse().unwrap()
    }

    #[test]
    fn a_code_comes_back_from_its_text_and_outlives_its_keys_turn() {
        let code = codes(&[1]).code(&north(), ticket());
        assert_eq!(code.len(), 84, "{code}");
        assert_eq!(codes(&[1]).read(&north(), &code), Some(ticket()));
        assert_eq!(codes(&[2, 1]).read(&north(), &code), Some(ticket()));
        assert_eq!(codes(&[2]).read(&north(), &code), None);
        let south = TenantId::parse("south").unwrap();
        assert_eq!(codes(&[1]).read(&south, &code), None, "another tenant's");
    }

    #[test]
    fn each_issue_has_its_own_code() {
        let (codes, first) = (codes(&[1]), ticket());
        let next = IssuedTicket { issue: 1, ..first };
        assert_ne!(codes.code(&north(), first), codes.code(&north(), next));
        let code = codes.code(&north(), next);
        assert_eq!(codes.read(&north(), &code), Some(next));
        // The sealed text is the issue's: one code cannot be made of another.
        let (_, mac) = code.rsplit_once('.').unwrap();
        let mixed = format!("{first}.{mac}");
        assert_eq!(codes.read(&north(), &mixed), None);
    }

    #[test]
    fn whatever_is_changed_is_refused() {
        let codes = codes(&[1]);
        let good = codes.code(&north(), ticket());
        for index in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[index] = if bytes[index] == b'a' { b'b' } else { b'a' };
            let bad = String::from_utf8(bytes).unwrap();
            assert_eq!(codes.read(&north(), &bad), None, "{bad}");
        }
        let short = &good[..good.len() - 4];
        let long = format!("{good}{}", "a".repeat(300));
        let without = good.rsplit_once('.').unwrap().0;
        for bad in [
            "",
            ".",
            "a.b.c",
            short,
            &long,
            without,
            &format!("{without}."),
        ] {
            assert_eq!(codes.read(&north(), bad), None, "{bad}");
        }
    }
}
