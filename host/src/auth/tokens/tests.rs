//! Tests of tokens and their keys.

use super::*;

const USER: &str = "01hzy0000000000000000000ab";
const SESSION: &str = "01hzy0000000000000000000cd";

fn user() -> SessionOwner {
    SessionOwner::User {
        tenant: TenantId::parse("acme-2").unwrap(),
        user: USER.parse().unwrap(),
    }
}

fn operator() -> SessionOwner {
    SessionOwner::Operator(EmailAddress::parse("email", "op.1@boxoffice.test").unwrap())
}

fn session() -> SessionId {
    SESSION.parse().unwrap()
}

fn key(id: &str, byte: u8) -> TokenKey {
    TokenKey {
        id: id.to_owned(),
        secret: vec![byte; 32],
    }
}

fn access(keys: &TokenKeys) -> String {
    keys.sign_access(&user(), session()).unwrap()
}

fn refresh(keys: &TokenKeys) -> String {
    keys.sign_refresh(&user(), session(), 3)
}

#[test]
fn access_tokens_come_back_with_owner_and_session() {
    let keys = TokenKeys::generate();
    for owner in [user(), operator()] {
        let token = keys.sign_access(&owner, session()).unwrap();
        let read = keys.verify_access(&token).unwrap();
        assert_eq!((read.owner, read.session), (owner, session()));
    }
}

#[test]
fn a_token_that_was_verified_once_still_expires_and_vouches_for_no_other() {
    let keys = TokenKeys::generate();
    let token = access(&keys);
    keys.verify_access(&token).unwrap();
    keys.verify_access(&token).unwrap();
    assert_eq!(keys.0.verified.len(), 1);
    let mut known = keys.0.verified.get(&token).unwrap();
    assert!(keys.verify_access(&token[..token.len() - 2]).is_err());
    assert!(TokenKeys::generate().verify_access(&token).is_err());

    known.expires_at = now_seconds() - CLOCK_SKEW_SECONDS - 1;
    keys.0.verified.insert(token.clone(), known);
    let refused = keys.verify_access(&token).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NotAuthenticated);
}

#[test]
fn access_tokens_that_were_changed_or_are_over_or_of_strangers_are_refused() {
    let keys = TokenKeys::generate();
    let token = access(&keys);
    for index in (0..token.len()).filter(|index| token.as_bytes()[*index] != b'.') {
        let mut bytes = token.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'Q' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        // The last character of a part may hold bits that nothing reads.
        if changed != token && !token[index + 1..].starts_with('.') && index + 1 < token.len() {
            assert!(
                keys.verify_access(&changed).is_err(),
                "{changed} must be refused"
            );
        }
    }
    assert!(TokenKeys::generate().verify_access(&token).is_err());
    let over = now_seconds() - ACCESS_TOKEN_LIFE.as_secs() - CLOCK_SKEW_SECONDS - 1;
    let over = keys.sign(&operator(), session(), over).unwrap();
    assert!(keys.verify_access(&over).is_err());
}

#[test]
fn a_token_cannot_choose_its_algorithm_or_go_without_a_key_name() {
    let keys = TokenKeys::new(vec![key("a", 1)]).unwrap();
    let claims = Claims {
        iss: ISSUER.to_owned(),
        sub: "op@boxoffice.test".to_owned(),
        tenant: None,
        sid: session(),
        iat: now_seconds(),
        exp: now_seconds() + 60,
    };
    let secret = EncodingKey::from_secret(&[1; 32]);
    let with = |algorithm, kid: Option<&str>| {
        let header = Header {
            kid: kid.map(str::to_owned),
            ..Header::new(algorithm)
        };
        jsonwebtoken::encode(&header, &claims, &secret).unwrap()
    };
    assert!(
        keys.verify_access(&with(Algorithm::HS256, Some("a")))
            .is_ok()
    );
    assert!(
        keys.verify_access(&with(Algorithm::HS512, Some("a")))
            .is_err()
    );
    assert!(keys.verify_access(&with(Algorithm::HS256, None)).is_err());
    let body = with(Algorithm::HS256, Some("a"))
        .split('.')
        .nth(1)
        .unwrap()
        .to_owned();
    let none = URL_SAFE_NO_PAD.encode(br#"{"alg":"none","kid":"a"}"#);
    assert!(keys.verify_access(&format!("{none}.{body}.")).is_err());
}

#[test]
fn an_address_is_no_user_and_a_user_no_operator() {
    let claims = |sub: &str, tenant: Option<&str>| Claims {
        iss: ISSUER.to_owned(),
        sub: sub.to_owned(),
        tenant: tenant.map(|name| TenantId::parse(name).unwrap()),
        sid: session(),
        iat: 0,
        exp: 0,
    };
    assert!(claims(USER, None).into_token().is_none());
    assert!(
        claims("op@boxoffice.test", Some("acme"))
            .into_token()
            .is_none()
    );
    assert!(claims(USER, Some("acme")).into_token().is_some());
}

#[test]
fn refresh_tokens_come_back_and_changed_ones_are_refused() {
    let keys = TokenKeys::new(vec![key("a", 1)]).unwrap();
    for owner in [user(), operator()] {
        let read = keys
            .verify_refresh(&keys.sign_refresh(&owner, session(), 3))
            .unwrap();
        assert_eq!((&read.owner, read.session), (&owner, session()));
        assert_eq!(read.generation, 3);
    }
    let token = refresh(&keys);
    for changed in [
        token.replace(".3.", ".4."),
        token.replace("acme-2", "acme-3"),
        token.replace("acme-2", ""),
        token.replace(USER, "01hzy0000000000000000000ac"),
        token[..token.len() - 2].to_owned(),
        format!("{token}."),
        String::new(),
        "....".to_owned(),
        "x".repeat(10_000),
    ] {
        assert!(
            keys.verify_refresh(&changed).is_err(),
            "{changed} must be refused"
        );
    }
    assert!(keys.verify_access(&token).is_err());
}

#[test]
fn what_pages_send_along_is_of_one_session() {
    let keys = TokenKeys::new(vec![key("a", 1)]).unwrap();
    let csrf = keys.csrf_of(session());
    assert!(keys.is_csrf_of(session(), &csrf));
    let other = "01hzy0000000000000000000ce".parse().unwrap();
    assert!(!keys.is_csrf_of(other, &csrf));
    assert!(!keys.is_csrf_of(session(), ""));
}

#[test]
fn old_keys_still_verify_and_the_first_one_signs() {
    let old = TokenKeys::new(vec![key("a", 1)]).unwrap();
    let new = TokenKeys::new(vec![key("b", 2), key("a", 1)]).unwrap();
    assert!(new.verify_access(&access(&old)).is_ok());
    assert!(new.verify_refresh(&refresh(&old)).is_ok());
    assert!(old.verify_access(&access(&new)).is_err());
    assert!(old.verify_refresh(&refresh(&new)).is_err());
}

#[test]
fn weak_or_ambiguous_keys_are_refused_and_secrets_never_shown() {
    assert!(TokenKeys::new(vec![]).is_err());
    assert!(TokenKeys::new(vec![key("a", 1), key("a", 2)]).is_err());
    assert!(TokenKeys::new(vec![key("a b", 1)]).is_err());
    assert!(
        TokenKeys::new(vec![TokenKey {
            id: "a".to_owned(),
            secret: vec![1; 31]
        }])
        .is_err()
    );
    let shown = format!(
        "{:?} {:?}",
        key("a", 77),
        TokenKeys::new(vec![key("a", 77)]).unwrap()
    );
    assert!(!shown.contains("77"), "{shown}");
}
