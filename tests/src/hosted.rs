//! The host's router over an engine of this process, on a real port: for tests of the API that need no process of
//! their own.

use std::net::SocketAddr;

use boxoffice_engine::Engine;
use boxoffice_host::{MailLinks, RouterOptions, SealedTicketCodes, TokenKey, TokenKeys, router};
use tokio::task::JoinHandle;

use crate::Client;

/// A router that is being served. Dropping it stops serving.
pub struct Hosted {
    task: JoinHandle<()>,
    address: SocketAddr,
}

impl Hosted {
    /// Serves an engine with the default options, keys that are the same for all, nobody throttled.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(engine: Engine) -> Self {
        Self::with_options(engine, Self::options()).await
    }

    /// The same, with the links of the engine's mails.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start_with_links(engine: Engine, links: MailLinks) -> Self {
        let options = RouterOptions {
            links: Some(links),
            ..Self::options()
        };
        Self::with_options(engine, options).await
    }

    /// The options of [`Self::start`], to change some of them.
    ///
    /// # Panics
    /// Never: the key is long enough.
    pub fn options() -> RouterOptions {
        let key = TokenKey {
            id: "tests".to_owned(),
            secret: vec![7; 32],
        };
        RouterOptions {
            keys: TokenKeys::new(vec![key]).expect("a key that is long enough"),
            throttle_logins: false,
            client_requests_per_minute: None,
            tenant_requests_per_minute: None,
            open_metrics: true,
            ..RouterOptions::default()
        }
    }

    /// Serves an engine.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn with_options(engine: Engine, options: RouterOptions) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has free ports");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let service = router(engine, options).into_make_service_with_connect_info::<SocketAddr>();
        let task = tokio::spawn(async move {
            axum::serve(listener, service)
                .await
                .expect("serving a bound listener does not end");
        });
        Self { task, address }
    }

    /// A client of it, nobody signed in.
    pub fn client(&self) -> Client {
        Client::new(format!("http://{}", self.address))
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Links in mails under a key that is the same for all tests.
///
/// # Panics
/// When the address is none.
pub fn mail_links(public_url: &str) -> MailLinks {
    let key = TokenKey {
        id: "links".to_owned(),
        secret: vec![7; 32],
    };
    MailLinks::new(public_url, vec![key]).expect("an address and a key")
}

/// Codes of tickets under a key that is the same for all tests.
///
/// # Panics
/// Never: the key is long enough.
pub fn ticket_codes() -> SealedTicketCodes {
    let key = TokenKey {
        id: "tests".to_owned(),
        secret: vec![11; 32],
    };
    SealedTicketCodes::new(vec![key]).expect("a key that is long enough")
}
