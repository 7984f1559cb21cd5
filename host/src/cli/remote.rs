//! A REST client for commands that call a running host instead of opening the store.
//!
//! Called by accounts, backup, verify, import, export and plugin push. Supports HTTP and HTTPS: certificates are checked against the machine's
//! authorities and Mozilla's.

use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::http::{Method, StatusCode, header};
use boxoffice_engine::PageRequest;
use clap::Args;
use reqwest::{Client, Response, Url, redirect::Policy};
use serde_json::Value;
use tokio::{fs::File, io::AsyncWriteExt as _, time::timeout};

use crate::{config, routes};

/// Largest response; a page of 100 users has about 30 KB.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Time limit of a response, connecting included; the host's own limit is 30 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(35);
/// Time limit of an upload and its response: 4 MiB, the largest component by default, at 20 KB a second.
#[cfg(feature = "plugins")]
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(240);
/// Time limit of a connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The URL of a running host, and the token.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct RemoteArgs {
    /// Calls the host at this URL (http:// or https://) instead of opening the store.
    #[arg(long, value_name = "URL", conflicts_with_all = ["config", "data", "store"])]
    url: Option<String>,
    /// An operator's token from `boxoffice operator login`. Better set BOXOFFICE_TOKEN, which `ps` does not show.
    #[arg(long, value_name = "TOKEN", requires = "url")]
    token: Option<String>,
}

impl RemoteArgs {
    /// The host to call, if one was named.
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
    client: Client,
    /// Without a slash at the end.
    base: String,
    host: String,
    token: Option<String>,
}

impl Remote {
    /// Reads the URL of a host: `http[s]://HOST[:PORT][/PREFIX]`. A token is any text that a header can carry.
    pub(super) fn new(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        let allowed = "it must be https://HOST[:PORT] or http://HOST[:PORT]";
        let Ok(parsed) = url.parse::<Url>() else {
            // The part before `@` may be a password.
            let shown = if url.contains('@') { "" } else { url };
            bail!("--url {shown} is not allowed; {allowed}");
        };
        let host = parsed.host_str().unwrap_or_default().to_owned();
        let has_user = !parsed.username().is_empty() || parsed.password().is_some();
        let has_more = parsed.query().is_some() || parsed.fragment().is_some();
        if !matches!(parsed.scheme(), "http" | "https") || host.is_empty() || has_user || has_more {
            bail!("--url {} is not allowed; {allowed}", without_user(&parsed));
        }
        if token.is_some() && parsed.scheme() == "http" && !is_loopback(&parsed) {
            eprintln!(
                "warning: {host} is asked without TLS, so the token can be read on the way; use https:// where you can"
            );
        }
        let client = Client::builder()
            .user_agent(concat!("boxoffice/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect would send a command, or its token, to another place.
            .redirect(Policy::none());
        let client = match is_loopback(&parsed) {
            true => client.no_proxy(),
            false => client,
        };
        Ok(Self {
            client: client.build().context("preparing the HTTP client")?,
            base: parsed.as_str().trim_end_matches('/').to_owned(),
            host,
            token: token.map(|token| token.trim().to_owned()),
        })
    }

    /// Sends a request with a JSON body and returns the JSON of a success.
    ///
    /// # Errors
    /// The host's error if it refuses; the cause if it cannot be reached.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let body = body.map(|body| ("application/json", body.to_string().into_bytes()));
        self.send(method, path, body, ANSWER_TIMEOUT).await
    }

    /// Sends a file and returns the JSON of a success.
    ///
    /// # Errors
    /// Those of [`Self::call`].
    #[cfg(feature = "plugins")]
    pub(super) async fn upload(
        &self,
        path: &str,
        content_type: &'static str,
        bytes: Vec<u8>,
    ) -> anyhow::Result<Value> {
        let body = Some((content_type, bytes));
        self.send(Method::POST, path, body, UPLOAD_TIMEOUT).await
    }

    /// All items of a list, page after page.
    pub(super) async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        self.each(path, PageRequest::LIMIT_MAX, |item| {
            items.push(item);
            Ok(())
        })
        .await?;
        Ok(items)
    }

    /// Shows each item of a list, page after page of so many items.
    pub(super) async fn each(
        &self,
        path: &str,
        limit: u32,
        mut show: impl FnMut(Value) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut page_path = format!("{path}?limit={limit}");
        loop {
            let mut page = self.call(Method::GET, &page_path, None).await?;
            let Value::Array(items) = page["items"].take() else {
                bail!(
                    "{} sent a list without items; is it a Boxoffice host?",
                    self.host
                );
            };
            items.into_iter().try_for_each(&mut show)?;
            let Some(cursor) = page["nextCursor"].as_str() else {
                return Ok(());
            };
            page_path = format!("{path}?limit={limit}&cursor={}", percent_encoded(cursor));
        }
    }

    /// Streams the body of a success to a file, and tells of each piece.
    ///
    /// # Errors
    /// Those of [`Self::call`], and if the response is interrupted or stalls.
    pub(super) async fn download(
        &self,
        path: &str,
        file: &mut File,
        mut arrived: impl FnMut(&[u8]),
    ) -> anyhow::Result<()> {
        // Time limits for the head and for each piece, none for the whole: a large backup may take long.
        let slow = |_| anyhow::anyhow!("{} sent nothing for a while", self.host);
        let asked = self.ask(Method::GET, path, None, None);
        let mut answer = timeout(ANSWER_TIMEOUT, asked).await.map_err(slow)??;
        if !answer.status().is_success() {
            return self.read(answer).await.map(drop);
        }
        while let Some(piece) = timeout(ANSWER_TIMEOUT, answer.chunk())
            .await
            .map_err(slow)?
            .context("the host closed the connection")?
        {
            file.write_all(&piece).await.context("writing the answer")?;
            arrived(&piece);
        }
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Vec<u8>)>,
        time_max: Duration,
    ) -> anyhow::Result<Value> {
        let answer = self.ask(method, path, body, Some(time_max)).await?;
        self.read(answer).await
    }

    /// Sends a request and returns the head of the response.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Vec<u8>)>,
        time_max: Option<Duration>,
    ) -> anyhow::Result<Response> {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .header(header::ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some((content_type, body)) = body {
            request = request
                .header(header::CONTENT_TYPE, content_type)
                .body(body);
        }
        if let Some(time_max) = time_max {
            request = request.timeout(time_max);
        }
        let request = request
            .build()
            .context("the token or URL holds characters that no request can carry")?;
        let answer = self.client.execute(request).await;
        answer.map_err(|error| self.unreachable(error))
    }

    /// The error for a missing response, with advice.
    fn unreachable(&self, error: reqwest::Error) -> anyhow::Error {
        if error.is_timeout() {
            return anyhow::anyhow!("{} did not answer in time", self.base);
        }
        let error = anyhow::Error::new(error.without_url());
        // reqwest hides the TLS library's own error type.
        let hint = match format!("{error:#}").contains("invalid peer certificate") {
            true => {
                " (this machine does not trust its certificate: add the authority to the system's, or name its file in \
                 SSL_CERT_FILE)"
            }
            false => "",
        };
        error.context(format!("talking to {}{hint}", self.base))
    }

    /// Reads the JSON of a success, or what went wrong.
    async fn read(&self, mut answer: Response) -> anyhow::Result<Value> {
        let status = answer.status();
        if let (true, Some(place)) = (
            status.is_redirection(),
            answer.headers().get(header::LOCATION),
        ) {
            let place = String::from_utf8_lossy(place.as_bytes()).into_owned();
            bail!(
                "{} answered {status} and names {place:?}: give --url the address that it moved to",
                self.host
            );
        }
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.context("reading the answer")? {
            if bytes.len() + piece.len() > ANSWER_BYTES_MAX {
                bail!(
                    "{} sent more than {ANSWER_BYTES_MAX} bytes; is it a Boxoffice host?",
                    self.host
                );
            }
            bytes.extend_from_slice(&piece);
        }
        if status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
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
            _ => bail!("{} answered {status}; is it a Boxoffice host?", self.host),
        }
    }
}

/// A text member of a response; empty if it is not a text.
pub(super) fn text<'a>(answer: &'a Value, member: &str) -> &'a str {
    answer[member].as_str().unwrap_or_default()
}

/// Returns whether a URL is of this machine, where the connection is direct.
fn is_loopback(url: &Url) -> bool {
    routes::is_loopback(url.host_str().unwrap_or_default())
}

/// A URL for a message, without the part before `@`, which may be a password.
fn without_user(url: &Url) -> String {
    let mut shown = url.clone();
    // Both fail only for URLs that cannot have these parts.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.to_string()
}

/// A text encoded as a query parameter.
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
    fn urls_are_http_or_https_with_a_host() {
        for (url, base, host) in [
            (
                "http://127.0.0.1:8080/tickets/",
                "http://127.0.0.1:8080/tickets",
                "127.0.0.1",
            ),
            (
                "https://tickets.example",
                "https://tickets.example",
                "tickets.example",
            ),
        ] {
            let remote = Remote::new(url, None).unwrap();
            assert_eq!((remote.base.as_str(), remote.host.as_str()), (base, host));
        }
        for bad in [
            "127.0.0.1:8080",
            "/x",
            "ftp://x",
            "https://x?a=b",
            "https://",
            "",
        ] {
            assert!(Remote::new(bad, None).is_err(), "{bad:?} must be refused");
        }
        let refused = Remote::new("http://ann:secret@x", None).unwrap_err();
        assert!(!format!("{refused:#}").contains("secret"), "{refused:#}");
    }

    #[test]
    fn loopback_has_many_names() {
        for (url, expected) in [
            ("http://localhost:1", true),
            ("http://127.0.0.2", true),
            ("http://[::1]:8080", true),
            ("http://localhost.example", false),
            ("http://192.0.2.1", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn cursors_travel_encoded() {
        assert_eq!(percent_encoded("aZ9-._~=&+/é"), "aZ9-._~%3D%26%2B%2F%C3%A9");
    }
}
