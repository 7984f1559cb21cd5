//! Tests of counting wrong passwords.

use super::*;

const SECOND: u64 = 1_000_000;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn wrong() -> Result<()> {
    Err(Error::new(ErrorCode::WrongCredentials, "wrong"))
}

/// Fails once; answers whether it was let through.
fn fails(throttle: &LoginThrottle, account: &str, address: &str, now: u64) -> bool {
    let account = ("acme", account);
    match throttle.begin_at(account, Some(ip(address)), None, now) {
        Ok(counted) => {
            counted.settle(&wrong());
            true
        }
        Err(error) => {
            assert_eq!(error.code(), ErrorCode::TooManyRequests);
            assert!(error.retry_after_hint().is_some());
            false
        }
    }
}

#[test]
fn strangers_failures_lock_nobody_out() {
    let throttle = LoginThrottle::new();
    // Ten wrong passwords a minute from one network, for an hour.
    for minute in 0..60 {
        for _ in 0..10 {
            assert!(fails(&throttle, "ann", "192.0.2.1", minute * 60 * SECOND) || minute > 9);
        }
    }
    let now = 60 * 60 * SECOND;
    assert!(
        !(0..11).all(|_| fails(&throttle, "ann", "192.0.2.1", now)),
        "guessing is bounded"
    );
    // From her own network she is let through at once, right or not.
    let own = throttle.begin_at(("acme", "ann"), Some(ip("198.51.100.7")), None, now);
    own.unwrap().settle(&Ok(()));
    // Behind the attacker's network, her device is.
    let device = throttle.begin_at(("acme", "ann"), Some(ip("192.0.2.1")), Some("laptop"), now);
    device.unwrap().settle(&Ok(()));
    assert!(
        fails(&throttle, "bob", "192.0.2.1", now),
        "others are not concerned"
    );
}

#[test]
fn right_passwords_use_nothing_up() {
    let throttle = LoginThrottle::new();
    for _ in 0..1_000 {
        let counted = throttle
            .begin_at("ann", Some(ip("192.0.2.1")), None, 0)
            .unwrap();
        counted.settle(&Ok(()));
    }
    // Nor does a busy server count as a wrong password.
    for _ in 0..1_000 {
        let counted = throttle
            .begin_at("ann", Some(ip("192.0.2.1")), None, 0)
            .unwrap();
        counted.settle::<()>(&Err(Error::new(ErrorCode::Unavailable, "busy")));
    }
}

#[test]
fn tries_at_once_do_not_pass_the_bound() {
    let throttle = LoginThrottle::new();
    let open: Vec<_> = (0..50)
        .filter_map(|_| {
            throttle
                .begin_at("ann", Some(ip("192.0.2.1")), None, 0)
                .ok()
        })
        .collect();
    assert_eq!(open.len(), 10);
}

#[test]
fn guessing_from_many_networks_is_bounded_and_the_owner_is_let_in() {
    let throttle = LoginThrottle::new();
    // 200 networks guess for ten minutes, as fast as they may.
    let mut guesses = 0;
    for second in 0..600 {
        for network in 0..200 {
            let address = format!("203.0.{}.{}", network / 100, network % 100);
            guesses += u32::from(fails(&throttle, "ann", &address, second * SECOND));
        }
    }
    // Without a bound on the account they were 200 x 110.
    assert!(guesses <= 100 + 17 + 2 * 200 + 10, "{guesses}");
    let own = throttle.begin_at(("acme", "ann"), Some(ip("2001:db8::7")), None, 600 * SECOND);
    own.unwrap().settle(&Ok(()));
}

#[test]
fn a_network_is_throttled_whatever_account_it_tries() {
    let throttle = LoginThrottle::new();
    for account in 0..60 {
        assert!(fails(&throttle, &account.to_string(), "2001:db8::1", 0));
    }
    assert!(!fails(&throttle, "x", "2001:db8::2", 0), "the same /64");
    assert!(fails(&throttle, "y", "2001:db8:0:1::1", 0));
    assert!(fails(&throttle, "z", "192.0.2.1", 0));
}

#[test]
fn a_network_has_an_allowance() {
    let most = NonZeroU32::new(5).unwrap();
    let allowance = NetworkAllowance::new(most, Duration::from_secs(3_600), "enough");
    let take = |scope: &str, address: &str, count| allowance.take(scope, Some(ip(address)), count);
    assert!(take("north", "192.0.2.1", 3).is_ok());
    let refused = take("north", "192.0.2.1", 3).unwrap_err();
    let wait = refused.retry_after_hint().unwrap().as_secs();
    assert!(
        (700..=720).contains(&wait),
        "one more has to come back: {wait}"
    );
    let taken = take("north", "192.0.2.1", 2).unwrap();
    assert!(take("north", "192.0.2.1", 1).is_err());
    taken.give_back();
    assert!(take("north", "192.0.2.1", 2).is_ok());
    assert!(take("south", "192.0.2.1", 5).is_ok() && take("north", "192.0.2.2", 99).is_ok());
}

#[test]
fn forwarded_addresses_count_only_from_trusted_proxies() {
    let proxies = [ip("10.0.0.1"), ip("10.0.0.2")];
    let client = |peer: &str, forwarded: &[&str]| {
        client_address(Some(ip(peer)), forwarded.iter().copied(), &proxies)
            .unwrap()
            .to_string()
    };
    assert_eq!(
        client("192.0.2.9", &["198.51.100.1"]),
        "192.0.2.9",
        "a stranger may claim anything"
    );
    assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
    assert_eq!(
        client("10.0.0.1", &["6.6.6.6, 198.51.100.1, 10.0.0.2"]),
        "198.51.100.1"
    );
    assert_eq!(
        client("10.0.0.1", &["6.6.6.6", "198.51.100.1:4711"]),
        "198.51.100.1"
    );
    assert_eq!(
        client("::ffff:10.0.0.1", &["[2001:db8::1]:80"]),
        "2001:db8::1"
    );
    assert_eq!(client("10.0.0.1", &["unknown"]), "10.0.0.1");
    assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    assert_eq!(
        client_address(None, ["198.51.100.1"].into_iter(), &proxies),
        None
    );
}
