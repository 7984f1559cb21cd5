//! An HTTP client that knows the API's ways, asserts what it expects, and shows the answer when that is wrong.

use std::{panic::Location, time::Duration};

use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};

use crate::{PASSWORD, documented::assert_documented};

/// Long enough for a request that waits behind hundreds of others in a debug build.
const ANSWER_BOUND: Duration = Duration::from_secs(120);

/// Speaks to one host as one caller; cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    tenant: Option<String>,
    token: Option<String>,
}

impl Client {
    /// A client without a tenant and a token; `base` is like `http://127.0.0.1:8080`.
    ///
    /// # Panics
    /// When the HTTP library cannot be set up.
    pub fn new(base: impl Into<String>) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(ANSWER_BOUND)
            .build();
        Self {
            http: http.expect("the HTTP library starts"),
            base: base.into(),
            tenant: None,
            token: None,
        }
    }

    /// The same client, naming this tenant in every request.
    #[must_use]
    pub fn tenant(&self, tenant: &str) -> Self {
        Self {
            tenant: Some(tenant.to_owned()),
            ..self.clone()
        }
    }

    /// The same client with this access token.
    #[must_use]
    pub fn token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// The same client without a token.
    #[must_use]
    pub fn without_token(&self) -> Self {
        Self {
            token: None,
            ..self.clone()
        }
    }

    /// The same caller at another address, after a restart or at another host.
    #[must_use]
    pub fn at(&self, other: &Client) -> Self {
        Self {
            base: other.base.clone(),
            ..self.clone()
        }
    }

    /// The address it speaks to.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Begins a request, for what the short forms below do not cover.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(tenant) = &self.tenant {
            request = request.header("X-Tenant", tenant);
        }
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// GETs.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    /// POSTs a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(&body)).await
    }

    /// POSTs a JSON body under an `Idempotency-Key`.
    pub async fn post_once(&self, path: &str, key: &str, body: Value) -> Answer {
        Answer::of(
            self.request(Method::POST, path)
                .header("Idempotency-Key", key)
                .json(&body),
        )
        .await
    }

    /// POSTs nothing.
    pub async fn post_empty(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::POST, path)).await
    }

    /// PUTs a JSON body, naming the version that was seen.
    pub async fn put(&self, path: &str, etag: &str, body: Value) -> Answer {
        Answer::of(
            self.request(Method::PUT, path)
                .header("If-Match", etag)
                .json(&body),
        )
        .await
    }

    /// PATCHes with a merge patch (RFC 7396), naming the version that was seen.
    pub async fn patch(&self, path: &str, etag: &str, body: Value) -> Answer {
        Answer::of(
            self.request(Method::PATCH, path)
                .header("If-Match", etag)
                .json(&body),
        )
        .await
    }

    /// DELETEs, naming the version that was seen.
    pub async fn delete(&self, path: &str, etag: &str) -> Answer {
        Answer::of(self.request(Method::DELETE, path).header("If-Match", etag)).await
    }

    /// Signs somebody up and answers them signed in. The name is made from the address.
    ///
    /// # Panics
    /// When the host refuses.
    pub async fn register(&self, email: &str, role: &str) -> Account {
        let name = email.split('@').next().unwrap_or(email);
        let body = json!({"email": email, "name": name, "password": PASSWORD, "role": role});
        Account::of(
            self,
            self.post("/api/auth/register", body).await.expect(201),
        )
    }

    /// Signs somebody in who has the kit's password.
    ///
    /// # Panics
    /// When the host refuses.
    pub async fn login(&self, email: &str) -> Account {
        let body = json!({"email": email, "password": PASSWORD});
        Account::of(self, self.post("/api/auth/login", body).await.expect(200))
    }

    /// All items of a list, page by page.
    ///
    /// # Panics
    /// When a page is refused.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let from = cursor
                .map(|cursor| format!("&cursor={cursor}"))
                .unwrap_or_default();
            let page = self
                .get(&format!("{path}?limit=100{from}"))
                .await
                .expect(200);
            items.extend(
                page["items"]
                    .as_array()
                    .expect("a list has items")
                    .iter()
                    .cloned(),
            );
            match page["nextCursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return items,
            }
        }
    }
}

/// Somebody signed in.
#[derive(Clone)]
pub struct Account {
    /// Speaks as them.
    pub client: Client,
    /// The access token.
    pub token: String,
    /// The refresh token.
    pub refresh_token: String,
    /// Their id.
    pub id: String,
    /// Their address.
    pub email: String,
}

impl Account {
    /// The password of every account that the kit makes.
    pub const PASSWORD: &'static str = PASSWORD;

    fn of(client: &Client, session: Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a session has this text").to_owned();
        let token = text(&session["token"]);
        Self {
            client: client.token(&token),
            token,
            refresh_token: text(&session["refreshToken"]),
            id: text(&session["user"]["id"]),
            email: text(&session["user"]["email"]),
        }
    }
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
    request: String,
}

impl Answer {
    /// Sends a request and reads its answer.
    ///
    /// # Panics
    /// When there is no answer, or a refusal that the API's description does not name.
    pub async fn of(request: RequestBuilder) -> Self {
        Self::try_of(request)
            .await
            .unwrap_or_else(|error| panic!("no answer: {error:?}"))
    }

    /// Sends a request and reads its answer; an error when there is none, as after a crash.
    ///
    /// # Errors
    /// When the connection fails before the answer is complete.
    ///
    /// # Panics
    /// When the request cannot be built, or at a refusal that the API's description does not name.
    pub async fn try_of(request: RequestBuilder) -> Result<Self, reqwest::Error> {
        let (client, request) = request.build_split();
        let request = request.expect("tests build valid requests");
        let (method, url) = (request.method().clone(), request.url().clone());
        let shown = format!("{method} {url}");
        let response = client.execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        if status >= 400 {
            assert_documented(method.as_str(), url.path(), status, &text);
        }
        Ok(Self {
            status,
            headers,
            text,
            request: shown,
        })
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| {
            panic!(
                "{} answered {} with no JSON ({error}): {}",
                self.request, self.status, self.text
            )
        })
    }

    /// A header's text, empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }

    /// The body as JSON (null if empty), after checking the status.
    ///
    /// # Panics
    /// When the status is another one, showing the answer.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(
            self.status, status,
            "{} answered {} instead of {status}: {}",
            self.request, self.status, self.text
        );
        if self.text.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// The problem (RFC 9457), after checking its status, its code and that it is complete.
    ///
    /// # Panics
    /// When the answer is anything else, showing it.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Problem {
        let at = Location::caller();
        let shown = format!(
            "{at}: {} answered {}: {}",
            self.request, self.status, self.text
        );
        assert_eq!(self.status, status, "status; {shown}");
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "content type; {shown}"
        );
        let body = self.json();
        assert_eq!(body["code"], code, "code; {shown}");
        assert_eq!(body["status"], status, "status member; {shown}");
        assert_eq!(body["type"], format!("/errors/{code}"), "type; {shown}");
        for member in ["title", "detail", "instance", "requestId"] {
            let complete = body[member].as_str().is_some_and(|text| !text.is_empty());
            assert!(complete, "member {member} is missing; {shown}");
        }
        if status == 401 {
            assert!(
                self.header("www-authenticate").starts_with("Bearer"),
                "WWW-Authenticate; {shown}"
            );
        }
        Problem { body, shown }
    }
}

/// A problem that has been checked for completeness.
pub struct Problem {
    body: Value,
    shown: String,
}

impl Problem {
    /// Checks which field it names.
    ///
    /// # Panics
    /// When it names another one, or none.
    #[track_caller]
    pub fn at_field(self, field: &str) -> Self {
        assert_eq!(self.body["field"], field, "field; {}", self.shown);
        self
    }

    /// A member of it.
    pub fn member(&self, name: &str) -> &Value {
        &self.body[name]
    }
}
