//! A small REST client for commands that ask a running host instead of opening the store.
//!
//! Called by accounts, backup and verify. Speaks HTTP/1.1 without TLS: an HTTPS client would add certificates and their store to a
//! program whose operators sit next to the host or can tunnel to it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::{
    body::{Body, to_bytes},
    http::{Method, Request, Response, Uri, header},
};
use clap::Args;
use futures::StreamExt as _;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{fs::File, io::AsyncWriteExt as _, net::TcpStream};

use crate::config;

/// Longest answer; a page of 100 users is some 30 KB.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest time for an answer, connecting included; the host's own limit is 30 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(35);

/// Where a running host is, and who asks.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct RemoteArgs {
    /// Asks the host that runs here instead of opening the store.
    #[arg(long, value_name = "URL", conflicts_with_all = ["config", "data", "store"])]
    url: Option<String>,
    /// An operator's token, as `boxoffice operator login` prints it; better in BOXOFFICE_TOKEN, where `ps` shows it not.
    #[arg(long, value_name = "TOKEN", requires = "url")]
    token: Option<String>,
}

impl RemoteArgs {
    /// The host to ask, if one was named.
    pub(super) fn remote(&self) -> anyhow::Result<Option<Remote>> {
        let Some(url) = &self.url else {
            return Ok(None);
        };
        let Some(token) = self.token.clone().or_else(config::token_from_environment) else {
            bail!(
                "--url needs an operator's token: --token TOKEN, or BOXOFFICE_TOKEN; `boxoffice operator login` prints one"
            );
        };
        Ok(Some(Remote::new(url, Some(token))?))
    }
}

/// A running host.
#[derive(Debug)]
pub(super) struct Remote {
    authority: String,
    prefix: String,
    token: Option<String>,
}

impl Remote {
    /// Reads the URL of a host: `http://HOST[:PORT][/PREFIX]`.
    pub(super) fn new(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("--url {url}"))?;
        let (scheme, authority) = (uri.scheme_str(), uri.authority());
        let Some(authority) = authority.filter(|authority| !authority.as_str().contains('@'))
        else {
            bail!("--url {url} is not allowed; it must be http://HOST:PORT");
        };
        match scheme {
            Some("http") => {}
            Some("https") => bail!(
                "--url {url}: these commands speak plain HTTP only. Run them on the host's own machine against the \
                 address it listens at, or tunnel to it: ssh -L 8080:127.0.0.1:8080 HOST, then --url http://127.0.0.1:8080"
            ),
            _ => bail!("--url {url} is not allowed; it must be http://HOST:PORT"),
        }
        Ok(Self {
            authority: authority.to_string(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            token,
        })
    }

    /// Sends a request with a JSON body and answers the JSON of a success.
    ///
    /// # Errors
    /// The host's own words if it refuses; what failed if it cannot be reached.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let body = body.map(|body| ("application/json", body.to_string().into()));
        self.send(method, path, body).await
    }

    /// Sends a file and answers the JSON of a success.
    ///
    /// # Errors
    /// As those of [`Self::call`].
    #[cfg(feature = "plugins")]
    pub(super) async fn upload(
        &self,
        path: &str,
        content_type: &'static str,
        bytes: Vec<u8>,
    ) -> anyhow::Result<Value> {
        let body = Some((content_type, Body::from(bytes)));
        self.send(Method::POST, path, body).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Body)>,
    ) -> anyhow::Result<Value> {
        tokio::time::timeout(ANSWER_TIMEOUT, self.send_untimed(method, path, body))
            .await
            .unwrap_or_else(|_| {
                bail!(
                    "{} did not answer within {} s",
                    self.authority,
                    ANSWER_TIMEOUT.as_secs()
                )
            })
    }

    /// All items of a list, page after page.
    pub(super) async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut page_path = format!("{path}?limit=100");
        loop {
            let mut page = self.call(Method::GET, &page_path, None).await?;
            match page["items"].take() {
                Value::Array(more) => items.extend(more),
                _ => bail!(
                    "{} sent a list without items; is it a Boxoffice host?",
                    self.authority
                ),
            }
            let Some(cursor) = page["nextCursor"].as_str() else {
                return Ok(items);
            };
            page_path = format!("{path}?limit=100&cursor={}", percent_encoded(cursor));
        }
    }

    /// Writes what a success holds to a file, as it comes.
    ///
    /// # Errors
    /// As those of [`Self::call`], and if it breaks off, or nothing comes for a while.
    pub(super) async fn download(&self, path: &str, file: &mut File) -> anyhow::Result<()> {
        let slow = || anyhow::anyhow!("{} sent nothing for a while", self.authority);
        let asked = self.ask(Method::GET, path, None);
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, asked).await;
        let answer = answer.map_err(|_| slow())??;
        if !answer.status().is_success() {
            return self.read(answer).await.map(drop);
        }
        let mut pieces = Body::new(answer.into_body()).into_data_stream();
        while let Some(piece) = tokio::time::timeout(ANSWER_TIMEOUT, pieces.next())
            .await
            .map_err(|_| slow())?
        {
            let piece = piece.context("the host broke off")?;
            file.write_all(&piece).await.context("writing the answer")?;
        }
        Ok(())
    }

    async fn send_untimed(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Body)>,
    ) -> anyhow::Result<Value> {
        let answer = self.ask(method, path, body).await?;
        self.read(answer).await
    }

    /// Sends a request and answers the head of what comes back.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Body)>,
    ) -> anyhow::Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(header::HOST, &self.authority)
            .header(header::ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = match body {
            Some((content_type, body)) => request
                .header(header::CONTENT_TYPE, content_type)
                .body(body),
            None => request.body(Body::empty()),
        };
        let request =
            request.context("the token or URL holds characters that no request can carry")?;

        let address = if has_port(&self.authority) {
            self.authority.clone()
        } else {
            format!("{}:80", self.authority)
        };
        let stream = TcpStream::connect(&address)
            .await
            .with_context(|| format!("connecting to {address}"))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .with_context(|| format!("talking to {address}"))?;
        tokio::spawn(connection);
        sender
            .send_request(request)
            .await
            .with_context(|| format!("talking to {address}"))
    }

    /// Reads the JSON of a success, or what went wrong.
    async fn read(&self, answer: Response<Incoming>) -> anyhow::Result<Value> {
        let status = answer.status();
        let bytes = to_bytes(Body::new(answer.into_body()), ANSWER_BYTES_MAX)
            .await
            .context("reading the answer")?;
        if status.is_success() {
            return serde_json::from_slice(&bytes)
                .context("the answer is no JSON; is it a Boxoffice host?");
        }
        match serde_json::from_slice::<Value>(&bytes) {
            Ok(problem) if problem["code"].is_string() => {
                let field = problem["field"]
                    .as_str()
                    .map(|field| format!(" (field {field})"))
                    .unwrap_or_default();
                bail!(
                    "{}: {}{field}",
                    text(&problem, "code"),
                    text(&problem, "detail")
                )
            }
            _ => bail!(
                "{} answered {status}; is it a Boxoffice host?",
                self.authority
            ),
        }
    }
}

/// A text member of an answer; empty if it is none.
pub(super) fn text<'a>(answer: &'a Value, member: &str) -> &'a str {
    answer[member].as_str().unwrap_or_default()
}

fn has_port(authority: &str) -> bool {
    let after_address = authority
        .rsplit_once(']')
        .map_or(authority, |(_, rest)| rest);
    after_address.contains(':')
}

/// A text as a query parameter carries it.
pub(super) fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_plain_http_with_a_host() {
        let remote = Remote::new("http://127.0.0.1:8080/tickets/", None).unwrap();
        assert_eq!(
            (remote.authority.as_str(), remote.prefix.as_str()),
            ("127.0.0.1:8080", "/tickets")
        );
        assert!(
            Remote::new("https://x", None)
                .unwrap_err()
                .to_string()
                .contains("plain HTTP")
        );
        for bad in ["127.0.0.1:8080", "/x", "http://ann:secret@x", "ftp://x", ""] {
            assert!(Remote::new(bad, None).is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn ports_are_found_behind_every_kind_of_host() {
        assert!(has_port("x:1") && has_port("[::1]:1") && !has_port("x") && !has_port("[::1]"));
    }

    #[test]
    fn cursors_travel_encoded() {
        assert_eq!(percent_encoded("aZ9-._~=&+/é"), "aZ9-._~%3D%26%2B%2F%C3%A9");
    }
}
