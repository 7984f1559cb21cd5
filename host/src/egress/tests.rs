//! The connector against servers that misbehave, and names that lie.
//!
//! 127.0.0.2 plays the public internet, and 127.0.0.1 the host's own network; Linux answers at both.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;

const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const PRIVATE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A server that reads what comes first and answers with `reply`.
struct Server {
    port: u16,
    /// What came first on each connection.
    seen: Arc<std::sync::Mutex<Vec<Vec<u8>>>>,
    task: JoinHandle<()>,
}

impl Server {
    async fn at<F: Future<Output = ()> + Send>(
        address: IpAddr,
        port: u16,
        reply: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind((address, port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let own = seen.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 4_096];
                let count = stream.read(&mut head).await.unwrap_or(0);
                head.truncate(count);
                own.lock().unwrap().push(head);
                reply(stream).await;
            }
        });
        Self { port, seen, task }
    }

    /// A server that answers with these bytes and closes.
    async fn saying(address: IpAddr, port: u16, text: impl Into<Vec<u8>>) -> Self {
        let text = Arc::new(text.into());
        let reply = move |mut stream: TcpStream| {
            let text = text.clone();
            async move {
                let _ = stream.write_all(&text).await;
            }
        };
        Self::at(address, port, reply).await
    }

    fn connections(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    fn first(&self) -> Vec<u8> {
        self.seen.lock().unwrap()[0].clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connector with these answers to look-ups, one after another, the last one from then on; and how often it asked.
fn resolving(answers: Vec<Vec<IpAddr>>) -> (Egress, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let own = asked.clone();
    let look_up: LookUp = Arc::new(move |_| {
        let turn = own.fetch_add(1, Ordering::Relaxed);
        let answer = answers[turn.min(answers.len() - 1)].clone();
        Box::pin(async move { Ok(answer) })
    });
    let egress = Egress(Arc::new(Connector {
        allowed: HashSet::new(),
        resolver: CheckedResolver {
            look_up,
            is_public: |address| address == PUBLIC,
        },
        time_max: Duration::from_secs(2),
        requests: Semaphore::new(2),
        checked: OnceLock::new(),
        unchecked: OnceLock::new(),
    }));
    (egress, asked)
}

/// Asks a URL past the checks of scheme and port, which only allowed hosts are exempt from.
async fn ask(egress: &Egress, url: &str) -> Result<Vec<u8>, EgressError> {
    let target = Target {
        url: url.parse().unwrap(),
        is_allowed: false,
    };
    let fetched = timeout(egress.0.time_max, egress.fetch(target)).await;
    fetched.map_err(|_| EgressError::Time)?
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn the_address_that_was_checked_is_connected_to() {
    let public = Server::saying(PUBLIC, 0, ok("public")).await;
    let private = Server::saying(PRIVATE, public.port, ok("secret")).await;
    let (egress, asked) = resolving(vec![vec![PUBLIC], vec![PRIVATE]]);
    let url = format!("http://id.example.org:{}/keys", public.port);
    assert_eq!(ask(&egress, &url).await.unwrap(), b"public");
    assert_eq!(asked.load(Ordering::Relaxed), 1, "one look-up");
    let head = String::from_utf8(public.first()).unwrap();
    let host = format!("host: id.example.org:{}\r\n", public.port);
    assert!(head.starts_with("GET /keys HTTP/1.1\r\n"), "{head}");
    assert!(head.to_ascii_lowercase().contains(&host), "{head}");
    // The second request looks up again, and finds the private address: nothing was kept open.
    assert_eq!(ask(&egress, &url).await, Err(EgressError::Address));
    assert_eq!(
        (asked.load(Ordering::Relaxed), private.connections()),
        (2, 0)
    );
}

#[tokio::test]
async fn one_private_address_among_public_ones_spoils_all() {
    let private = Server::saying(PRIVATE, 0, ok("secret")).await;
    let url = format!("http://id.example.org:{}/", private.port);
    for answer in [vec![PUBLIC, PRIVATE], vec![PRIVATE, PUBLIC], vec![]] {
        let (egress, _) = resolving(vec![answer]);
        assert_eq!(ask(&egress, &url).await, Err(EgressError::Address));
    }
    assert_eq!(private.connections(), 0);
}

#[tokio::test]
async fn the_name_goes_into_the_handshake_of_tls() {
    let server = Server::saying(PUBLIC, 0, "").await;
    let (egress, _) = resolving(vec![vec![PUBLIC]]);
    let url = format!("https://id.example.org:{}/", server.port);
    assert_eq!(ask(&egress, &url).await, Err(EgressError::Connection));
    let hello = server.first();
    // A handshake record, with the server's name in clear (RFC 6066, 3).
    assert_eq!(hello[0], 22);
    let name = b"id.example.org";
    assert!(hello.windows(name.len()).any(|part| part == name));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let private = Server::saying(PRIVATE, 0, ok("secret")).await;
    for status in [301, 302, 303, 307, 308] {
        let to = format!("http://127.0.0.1:{}/", private.port);
        let reply =
            format!("HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        let server = Server::saying(PUBLIC, 0, reply).await;
        let (egress, _) = resolving(vec![vec![PUBLIC]]);
        let url = format!("http://id.example.org:{}/", server.port);
        assert_eq!(ask(&egress, &url).await, Err(EgressError::Status(status)));
    }
    assert_eq!(private.connections(), 0);
}

#[tokio::test]
async fn an_endless_body_is_cut() {
    let endless = |mut stream: TcpStream| async move {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut sent = stream.write_all(head).await;
        let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
        while sent.is_ok() {
            sent = stream.write_all(chunk.as_bytes()).await;
        }
    };
    let server = Server::at(PUBLIC, 0, endless).await;
    let (egress, _) = resolving(vec![vec![PUBLIC]]);
    let url = format!("http://id.example.org:{}/", server.port);
    assert_eq!(ask(&egress, &url).await, Err(EgressError::Size));
    // The longest body passes, and one more byte does not.
    for (bytes, passes) in [(BODY_BYTES_MAX, true), (BODY_BYTES_MAX + 1, false)] {
        let server = Server::saying(PUBLIC, 0, ok(&"x".repeat(bytes))).await;
        let url = format!("http://id.example.org:{}/", server.port);
        assert_eq!(ask(&egress, &url).await.is_ok(), passes, "{bytes}");
    }
}

#[tokio::test]
async fn a_slow_server_is_given_up() {
    let slow = |mut stream: TcpStream| async move {
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
            .await;
        // Until the connector hangs up.
        let _ = stream.read(&mut [0; 1]).await;
    };
    let server = Server::at(PUBLIC, 0, slow).await;
    let (egress, _) = resolving(vec![vec![PUBLIC]]);
    let url = format!("http://id.example.org:{}/", server.port);
    assert_eq!(ask(&egress, &url).await, Err(EgressError::Time));
}

#[tokio::test]
async fn a_huge_head_is_refused() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(1_000));
    for reply in [long, many] {
        let server = Server::saying(PUBLIC, 0, reply).await;
        let (egress, _) = resolving(vec![vec![PUBLIC]]);
        let url = format!("http://id.example.org:{}/", server.port);
        assert_eq!(ask(&egress, &url).await, Err(EgressError::Connection));
    }
}

#[tokio::test]
async fn urls_that_lead_elsewhere_are_refused_without_a_look_up() {
    let egress = Egress::default();
    let long = format!("https://id.example.org/{}", "x".repeat(URL_BYTES_MAX));
    for url in [
        "",
        "id.example.org",
        "https://",
        "http://id.example.org/",
        "ftp://id.example.org/",
        "file:///etc/passwd",
        "gopher://id.example.org/",
        "https://id.example.org:8443/",
        "https://id.example.org:80/",
        "https://user@id.example.org/",
        "https://user:secret@id.example.org/",
        "https://id.example.org@127.0.0.1/",
        "https://id.example.org/#fragment",
        "https://id.example.org\\@127.0.0.1/",
        "https://id.example.org/ x",
        "https://id.exa\tmple.org/",
        "https://ıd.example.org/",
        "https://localhost/",
        "https://localhost./",
        "https://db/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://127.0.1/",
        "https://0177.0.0.1/",
        "https://0x7f.0.0.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://017700000001/",
        "https://127.0.0.1./",
        "https://0/",
        "https://0.0.0.0/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://2852039166/",
        "https://0xa9fea9fe/",
        "https://192.168.0.1/",
        "https://100.100.100.200/",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[0:0:0:0:0:ffff:a9fe:a9fe]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[fd00:ec2::254]/",
        "https://[fe80::1]/",
        "https://[fe80::1%25eth0]/",
        "https://[fec0::1]/",
        "https://[ff02::1]/",
        "https://%31%32%37.0.0.1/",
        "https://１２７.0.0.1/",
        "https://256.256.256.256/",
        &long,
    ] {
        let refused = egress.get(url).await;
        assert!(
            matches!(refused, Err(EgressError::Url(_))),
            "{url}: {refused:?}"
        );
    }
    for url in [
        "https://id.example.org",
        "https://id.example.org:443/realms/north?x=y",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]/",
    ] {
        assert!(egress.target(url).is_ok(), "{url}");
    }
}

#[tokio::test]
async fn an_allowed_host_is_exempt_at_its_port_alone() {
    let server = Server::saying(PRIVATE, 0, ok("yes")).await;
    let port = server.port;
    let egress = Egress::allowing([format!("127.0.0.1:{port}").as_str()]).unwrap();
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(egress.get(&url).await.unwrap(), b"yes");
    for url in [
        format!("http://127.0.0.1:{}/", port ^ 1),
        format!("http://localhost:{port}/"),
        format!("ftp://127.0.0.1:{port}/"),
    ] {
        let refused = egress.get(&url).await;
        assert!(
            matches!(refused, Err(EgressError::Url(_))),
            "{url}: {refused:?}"
        );
    }
    for bad in [
        "",
        "id",
        "id:",
        "id:0",
        "id:65536",
        "ID:80",
        "http://id:80",
        ":80",
        "a b:80",
    ] {
        assert_eq!(Egress::allowing([bad]).unwrap_err(), bad);
    }
}

#[tokio::test]
async fn requests_at_once_are_bounded() {
    let (egress, _) = resolving(vec![vec![PUBLIC]]);
    let taken = egress.0.requests.acquire_many(2).await.unwrap();
    let url = "https://id.example.org/";
    assert_eq!(egress.get(url).await, Err(EgressError::Busy));
    drop(taken);
    assert_ne!(egress.get(url).await, Err(EgressError::Busy));
}
