//! Checks whether the servers may lose acknowledged tasks. Clients cannot ask that over NATS, so the monitoring endpoint is
//! read if it is known. Otherwise the log says what to check.
//!
//! Called by queue, once, in the background: a missing monitor must not delay anything.

use std::{io, time::Duration};

use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Time limit of the whole request; the endpoint answers from memory.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer that is read. Servers with thousands of connections send about ten kilobytes.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// The relevant part of `/varz`.
#[derive(Debug, Deserialize)]
struct Varz {
    #[serde(default)]
    server_name: String,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Debug, Default, Deserialize)]
struct JetStream {
    config: Option<JetStreamConfig>,
}

#[derive(Debug, Deserialize)]
struct JetStreamConfig {
    #[serde(default)]
    sync_always: bool,
    /// In nanoseconds; 2 minutes unless it is set.
    #[serde(default)]
    sync_interval: u64,
}

/// Checks each server once, and warns if tasks can be lost.
pub(crate) async fn check(monitor_urls: Vec<String>, replicas: usize) {
    if monitor_urls.is_empty() && replicas == 1 {
        tracing::info!(
            "tasks have one copy: a power cut loses none only if nats-server runs with `sync_interval: always`; \
             with the address of its monitoring port we could tell"
        );
    }
    for url in &monitor_urls {
        match timeout(ANSWER_TIMEOUT, varz(url)).await {
            Ok(Ok(varz)) => match warning(&varz, replicas) {
                Some(warning) => tracing::warn!(url, server = varz.server_name, "{warning}"),
                None => tracing::info!(url, "nats-server syncs each write before it says so"),
            },
            Ok(Err(error)) => {
                tracing::warn!(url, %error, "the monitoring endpoint of nats-server cannot be read");
            }
            Err(_) => tracing::warn!(
                url,
                "the monitoring endpoint of nats-server does not answer"
            ),
        }
    }
}

/// Reads `HOST:PORT` out of a monitor's URL.
pub(crate) fn address(url: &str) -> Option<&str> {
    let address = url.strip_prefix("http://")?.trim_end_matches('/');
    let (host, port) = address.rsplit_once(':')?;
    let is_address = !host.is_empty() && !address.contains('/') && port.parse::<u16>().is_ok();
    is_address.then_some(address)
}

/// The warning, if something can be lost.
fn warning(varz: &Varz, replicas: usize) -> Option<String> {
    let Some(config) = &varz.jetstream.config else {
        return Some("this nats-server runs without JetStream, and tasks need it".to_owned());
    };
    if config.sync_always {
        return None;
    }
    let every = Duration::from_nanos(config.sync_interval);
    Some(match replicas {
        1 => format!(
            "nats-server syncs to disk every {every:?} only, and tasks have one copy: a power cut loses tasks that it \
             acknowledged since, which are sent late then. Set `sync_interval: always` in its `jetstream` block"
        ),
        _ => format!(
            "nats-server syncs to disk every {every:?} only: a power cut that reaches most of the {replicas} servers \
             loses tasks that they acknowledged since, which are sent late then. Keep the servers on separate power, \
             or set `sync_interval: always` in their `jetstream` blocks"
        ),
    })
}

/// Uses HTTP/1.0, which needs no client library: one request, one answer, and the connection ends.
async fn varz(url: &str) -> io::Result<Varz> {
    let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
    let address = address(url).ok_or_else(|| invalid("the URL is not http://HOST:PORT"))?;
    let mut stream = TcpStream::connect(address).await?;
    let request =
        format!("GET /varz HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)
        .await?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let end = end.ok_or_else(|| invalid("the answer is no HTTP"))?;
    let (head, body) = (&answer[..end], &answer[end + 4..]);
    let status = String::from_utf8_lossy(head);
    let status = status.split_whitespace().nth(1).unwrap_or_default();
    if status != "200" {
        return Err(invalid(
            "the answer is not 200, so this is no monitoring port",
        ));
    }
    serde_json::from_slice(body).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varz(text: &str) -> Varz {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn only_a_server_that_syncs_each_write_is_not_warned_of() {
        let always = varz(
            r#"{"server_name":"a","jetstream":{"config":{"sync_interval":120000000000,"sync_always":true}}}"#,
        );
        assert_eq!(warning(&always, 1), None);
        let lazy = varz(r#"{"jetstream":{"config":{"sync_interval":120000000000}}}"#);
        assert!(
            warning(&lazy, 1)
                .unwrap()
                .contains("120s only, and tasks have one copy")
        );
        assert!(warning(&lazy, 3).unwrap().contains("most of the 3 servers"));
        assert!(
            warning(&varz("{}"), 1)
                .unwrap()
                .contains("without JetStream")
        );
    }

    #[test]
    fn a_monitor_is_a_host_and_a_port() {
        assert_eq!(address("http://127.0.0.1:8222"), Some("127.0.0.1:8222"));
        assert_eq!(address("http://[::1]:8222/"), Some("[::1]:8222"));
        for wrong in [
            "",
            "http://",
            "http://a",
            "http://a:port",
            "https://a:1",
            "http://a:1/varz",
        ] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }
}
