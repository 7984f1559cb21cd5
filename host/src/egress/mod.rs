//! The one place that opens connections to what a tenant names.
//!
//! Invariants: a name is looked up once for each request, and the connection goes to an address of that answer, all of which are
//! public ([`addresses`]). So a name that changes its answer leads nowhere else. HTTPS on port 443 alone, with the name as the
//! server's name in TLS and as `Host`; no redirects, no proxy; time, head and body are bounded. Hosts that the operator allows by
//! name and port are exempt from the checks of address, scheme and port, and from nothing else. Called by auth.

mod addresses;

use std::{
    collections::HashSet,
    error::Error as StdError,
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::future::BoxFuture;
use reqwest::{
    Client, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::ACCEPT,
    redirect::Policy,
};
use tokio::{sync::Semaphore, time::timeout};

use addresses::is_public;

/// Time limit of a request, the look-up of the name included. Somebody waits for it, and the host's own limit is 30 s.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Longest body. A key set with a hundred keys has 50 KiB.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Longest URL.
const URL_BYTES_MAX: usize = 1_000;
/// Requests at once: each may hold a thread that looks up a name, and a connection.
const REQUESTS_MAX: usize = 64;

/// Looks up the addresses of a name.
type LookUp = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Opens connections to what tenants name; cheap to clone.
#[derive(Clone)]
pub struct Egress(Arc<Connector>);

struct Connector {
    /// Names in lower case, and ports.
    allowed: HashSet<(String, u16)>,
    resolver: CheckedResolver,
    time_max: Duration,
    requests: Semaphore,
    /// Made when they are first used: both read the machine's certificate authorities.
    checked: OnceLock<Option<Client>>,
    unchecked: OnceLock<Option<Client>>,
}

impl Default for Egress {
    /// Connects to public addresses alone.
    fn default() -> Self {
        Self::with(HashSet::new())
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Egress")
            .field("allowed", &self.0.allowed)
            .finish_non_exhaustive()
    }
}

/// Why a request to what a tenant named has no answer. Its text is for the tenant, and says nothing of the network here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EgressError {
    /// The URL is refused before anything is asked.
    #[error("the URL is not allowed: {0}")]
    Url(&'static str),
    /// The name has no address, or one that is not public. Both look alike, so nobody learns names of the network here.
    #[error("the name has no public address")]
    Address,
    /// No connection, or it broke. A wrong certificate is this, too.
    #[error("it cannot be reached over HTTPS, or its certificate is not valid")]
    Connection,
    #[error("it took more than 10 seconds")]
    Time,
    #[error("it answered with status {0}; redirects are not followed")]
    Status(u16),
    #[error("its answer has more than 256 KiB")]
    Size,
    /// Too many requests go out from here.
    #[error("too many such requests are under way; try again")]
    Busy,
}

/// A URL that may be asked.
struct Target {
    url: Url,
    is_allowed: bool,
}

impl Egress {
    /// Connects to public addresses, and to hosts that the operator trusts: `HOST:PORT` each, whatever their addresses, also
    /// without TLS. For tests, development, and identity providers in the operator's own network.
    ///
    /// # Errors
    /// The entry that is not `HOST:PORT`, with the host in lower case.
    pub fn allowing<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let hosts = hosts.into_iter().map(|text| {
            let parsed = text.rsplit_once(':').and_then(|(host, port)| {
                let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"/@?#\\".contains(&byte);
                let is_host = !host.is_empty()
                    && host.bytes().all(is_plain)
                    && *host == host.to_ascii_lowercase();
                let port: u16 = port.parse().ok().filter(|port| *port > 0)?;
                is_host.then(|| (host.to_owned(), port))
            });
            parsed.ok_or_else(|| text.to_owned())
        });
        Ok(Self::with(hosts.collect::<Result<_, _>>()?))
    }

    fn with(allowed: HashSet<(String, u16)>) -> Self {
        let resolver = CheckedResolver {
            look_up: Arc::new(|name| Box::pin(look_up(name))),
            is_public,
        };
        Self(Arc::new(Connector {
            allowed,
            resolver,
            time_max: TIME_MAX,
            requests: Semaphore::new(REQUESTS_MAX),
            checked: OnceLock::new(),
            unchecked: OnceLock::new(),
        }))
    }

    /// GETs a document.
    ///
    /// # Errors
    /// [`EgressError`]; also for every status but 200.
    pub(crate) async fn get(&self, url: &str) -> Result<Vec<u8>, EgressError> {
        let target = self.target(url)?;
        let _permit = self
            .0
            .requests
            .try_acquire()
            .map_err(|_| EgressError::Busy)?;
        let fetched = timeout(self.0.time_max, self.fetch(target)).await;
        fetched.map_err(|_| EgressError::Time)?
    }

    /// Checks a URL, without asking anybody.
    fn target(&self, text: &str) -> Result<Target, EgressError> {
        let refused = |why| Err(EgressError::Url(why));
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
        if text.len() > URL_BYTES_MAX || !text.bytes().all(is_plain) {
            return refused("it has at most 1,000 visible ASCII characters");
        }
        let Ok(url) = text.parse::<Url>() else {
            return refused("it is https://HOST, perhaps with a path");
        };
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return refused("it has no user, password or fragment");
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let port = url.port_or_known_default().unwrap_or_default();
        let is_allowed = self.0.allowed.contains(&(host.clone(), port));
        if is_allowed && matches!(url.scheme(), "https" | "http") {
            return Ok(Target { url, is_allowed });
        }
        if url.scheme() != "https" {
            return refused("it begins with https://");
        }
        if port != 443 {
            return refused("its port is 443");
        }
        // The parser has made one spelling of all that IPv4 addresses have.
        let address = match host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        };
        let is_usable = match address {
            Some(address) => (self.0.resolver.is_public)(address),
            // A name of one label is one of the network here.
            None => host.trim_end_matches('.').contains('.'),
        };
        match is_usable {
            true => Ok(Target { url, is_allowed }),
            false => refused("its host is a public name or address"),
        }
    }

    async fn fetch(&self, target: Target) -> Result<Vec<u8>, EgressError> {
        let client = match target.is_allowed {
            true => self.0.unchecked.get_or_init(|| client(None)),
            false => {
                let resolver = &self.0.resolver;
                self.0.checked.get_or_init(|| client(Some(resolver)))
            }
        };
        let client = client.as_ref().ok_or(EgressError::Connection)?;
        let request = client.get(target.url).header(ACCEPT, "application/json");
        let mut response = request.send().await.map_err(failure)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(EgressError::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failure)? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(EgressError::Size);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// A client that looks names up with this resolver; without one it is for allowed hosts.
///
/// HTTP/1.1, whose head is bounded at 100 fields and 400 KiB. Each request has its own connection, so that each is checked.
fn client(resolver: Option<&CheckedResolver>) -> Option<Client> {
    let builder = Client::builder()
        .user_agent(concat!("boxoffice/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .http1_only()
        .pool_max_idle_per_host(0);
    let builder = match resolver {
        Some(resolver) => builder.dns_resolver(Arc::new(resolver.clone())),
        None => builder,
    };
    let made = builder.build();
    let log = |error: &reqwest::Error| {
        tracing::error!(%error, "no connections to what tenants name can be made");
    };
    made.inspect_err(log).ok()
}

fn failure(error: reqwest::Error) -> EgressError {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
    while let Some(one) = cause {
        if one.is::<NotPublic>() {
            return EgressError::Address;
        }
        cause = one.source();
    }
    EgressError::Connection
}

/// Looks names up, and answers with their addresses if all of them are public.
#[derive(Clone)]
struct CheckedResolver {
    look_up: LookUp,
    is_public: fn(IpAddr) -> bool,
}

/// A name has no address, or one that is not public.
#[derive(Debug, thiserror::Error)]
#[error("no public address")]
struct NotPublic;

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (asking, is_public) = ((self.look_up)(name.as_str().to_owned()), self.is_public);
        Box::pin(async move {
            // An unknown name looks like one of the network here.
            let found = asking.await.unwrap_or_default();
            // One bad address spoils all: which of them is tried depends on the network.
            if found.is_empty() || !found.iter().copied().all(is_public) {
                return Err(NotPublic.into());
            }
            // The URL's port takes the place of this one.
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(found) as Addrs)
        })
    }
}

async fn look_up(name: String) -> io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
    Ok(found.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests;
