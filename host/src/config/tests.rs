//! What a wrong configuration says: option, place, value and what is allowed; and never a secret.

use super::*;

fn load(file: &str) -> Result<Config, ConfigError> {
    let mut layers = Layers::defaults()?;
    layers.add_text(file, "test.toml")?;
    Config::read(&layers)
}

fn refused(file: &str) -> String {
    load(file).expect_err(file).to_string()
}

#[test]
fn the_defaults_are_the_engines_own() {
    let config = load("").unwrap();
    let (ours, engines) = (
        format!("{:?}", config.engine),
        format!("{:?}", Settings::default()),
    );
    assert_eq!(ours, engines);
    assert!(config.keys.is_none() && config.links.is_none());
}

/// A section, a line in it, and what is said of that line's value.
const WRONG: &str = r#"
http | body_bytes_max = -5 | -5 is not allowed; it must be a whole number from 1024 to 104857600
http | body_bytes_max = "big" | "big" is not allowed; it must be a whole number from 1024 to 104857600
http | throttle_logins = 1 | 1 is not allowed; it must be a boolean
http | cors_origins = ["*"] | (a list) is not allowed; it must be a list of origins such as ["https://shop.example"]
egress | allow = ["id.example.org"] | (a list) is not allowed; it must be a list of HOST:PORT such as ["id.internal:8443"]
http | client_requests_per_minute = -1 | -1 is not allowed; it must be a whole number from 0 to 1000000000
http | request_timeout_seconds = 0.01 | 0.01 is not allowed; it must be a number of seconds from 0.1 to 3600
mail | kind = "pigeon" | "pigeon" is not allowed; it must be folder or smtp
mail | from = "x" | "x" is not allowed; it must be an e-mail address
mail | smtp = 5 | 5 is not allowed; it must be a section
mail.smtp | tls = "yes" | "yes" is not allowed; it must be one of starttls, opportunistic, implicit, none
store | url = "http://x" | "http://x" is not allowed; it must be a folder, mem://, ws://HOST:PORT
queue | url = "nats://" | "nats://" is not allowed; it must be nats://HOST:PORT
queue | replicas = 2 | 2 is not allowed; it must be 1, 3 or 5
queue | monitor_url = "nats-1:8222" | "nats-1:8222" is not allowed; it must be http://HOST:PORT
queue | credentials_file = "/no/where" | "/no/where" is not allowed; it must be a file that can be read
worker | retry_pause_seconds = 0 | 0 is not allowed; it must be a number of seconds from 0.001 to 604800
worker | retry_pause_max_seconds = 1 | 1 is not allowed; it must be at least worker.retry_pause_seconds
telemetry | sample_ratio = 2 | 2 is not allowed; it must be a number from 0 to 1
logs | level = "boxoffice=loud" | "boxoffice=loud" is not allowed; it must be a level
"#;

#[test]
fn a_wrong_value_is_named_with_its_place_and_what_is_allowed() {
    for row in WRONG.trim().lines() {
        let [section, line, said] = row.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("a row of three: {row}")
        };
        let message = refused(&format!("# A comment\n[{section}]\n{line}"));
        let option = line.split_once(" = ").unwrap().0;
        let expected = format!("configuration: {section}.{option} (from test.toml:3) = {said}");
        assert!(message.starts_with(&expected), "{message}\n{expected}");
    }
}

#[test]
fn unknown_options_are_refused() {
    let message = refused("[links]\nkey = 5");
    let expected = "there is no option links.key (from test.toml:2); expected public_url or keys";
    assert!(message.ends_with(expected), "{message}");
    assert!(refused("[htp]").contains("there is no option htp (from test.toml:1)"));
    let message = refused("[auth]\nkeys = [{ id = \"a\", key = \"x\" }]");
    assert!(
        message.contains("auth.keys.0.key (from test.toml:2)"),
        "{message}"
    );
}

#[test]
fn secrets_are_not_printed() {
    for (file, said) in [
        (
            "[auth]\nkeys = [{ id = \"a\", secret = \"hunter2\" }]",
            "auth.keys (from test.toml:2)",
        ),
        (
            "[auth]\nkeys = [{ id = \"a\", secret = \"hunter2\" }]",
            "32 bytes",
        ),
        (
            "[auth]\nkeys = [{ id = \"a\", secret = [\"hunter2\"] }]",
            "auth.keys.0.secret",
        ),
        (
            "[auth]\nkeys = \"hunter2\"",
            "auth.keys (from test.toml:2) = (a secret)",
        ),
        ("[store]\npassword = \"hunter2\" x", "test.toml:2"),
        ("[store]\npassword = hunter2", "test.toml:2"),
        (
            "[queue]\ntoken = \"hunter2\"\nusername = \"me\"",
            "queue.token (from test.toml:2) = (a secret)",
        ),
        (
            "[store]\npassword = 12345\nurl = \"ws://x\"",
            "store.password (from test.toml:2) = (a secret)",
        ),
    ] {
        let message = refused(file);
        assert!(message.contains(said), "{message}");
        assert!(
            !message.contains("hunter2") && !message.contains("12345"),
            "{message}"
        );
    }
}

#[test]
fn smtp_needs_a_host_only_when_it_is_used() {
    assert!(refused("[mail]\nkind = \"smtp\"").contains("mail.smtp.host"));
    assert!(load("[mail]\nkind = \"folder\"").is_ok());
}
