//! Goal: on the program's own listener a request is framed in one way only, however it is written; an answer that comes
//! before its request was read either says that the connection ends or lets the next request through; and whoever sends too
//! much reads the refusal.
//!
//! Method: raw sockets to `boxoffice dev`, since no client library sends such requests.

use std::time::Duration;

use boxoffice_tests::{Client, Program, TempFolder};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::http::edges::{spoken, statuses};

/// Far longer than any of these answers takes.
const BOUND: Duration = Duration::from_secs(60);
const LIVE: &str = "GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

async fn dev() -> (Program, TempFolder) {
    let folder = TempFolder::new("connections");
    (Program::dev(folder.path()).await, folder)
}

async fn connect(client: &Client) -> TcpStream {
    let address = client.base().trim_start_matches("http://");
    TcpStream::connect(address).await.expect("the host listens")
}

/// Reads one answer whose body has a length; its head, and its body.
async fn one_answer(stream: &mut TcpStream) -> (String, String) {
    let mut received = Vec::new();
    let head_ends = loop {
        let mut piece = [0; 4096];
        let read = timeout(BOUND, stream.read(&mut piece))
            .await
            .expect("in time");
        let read = read.expect("no reset");
        assert_ne!(
            read,
            0,
            "closed after {}",
            String::from_utf8_lossy(&received)
        );
        received.extend_from_slice(&piece[..read]);
        if let Some(at) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8_lossy(&received[..head_ends]).to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).expect("a length");
    let length: usize = length
        .split("\r\n")
        .next()
        .unwrap_or("")
        .parse()
        .expect("a number");
    let mut body = received.split_off(head_ends);
    let here = body.len();
    body.resize(length, 0);
    stream
        .read_exact(&mut body[here..])
        .await
        .expect("the rest");
    (head, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn a_request_is_framed_in_one_way_only() {
    let (program, _folder) = dev().await;
    let client = program.client();
    let smuggled = "GET /health/ready HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = |bytes: usize| format!("Content-Length: {bytes}\r\n");
    let chunked = "Transfer-Encoding: chunked\r\n".to_owned();
    for framing in [
        length(5) + &chunked,
        chunked.clone() + &length(5),
        chunked.to_ascii_uppercase() + "content-LENGTH: 5\r\n",
        length(5) + &length(5),
        length(5) + &length(60),
        "Content-Length: +5\r\n".to_owned(),
        "Content-Length: 5, 5\r\n".to_owned(),
        "Content-Length: 0x5\r\n".to_owned(),
        "Transfer-Encoding: gzip, chunked\r\n".to_owned(),
        "Transfer-Encoding: identity\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        chunked.clone() + &chunked,
        "Transfer-Encoding : chunked\r\n".to_owned(),
        "Transfer-Encoding:\r\n chunked\r\n".to_owned(),
        "Transfer-Encoding: \x0bchunked\r\n".to_owned(),
    ] {
        let request =
            format!("POST /health/live HTTP/1.1\r\nHost: a\r\n{framing}\r\n0\r\n\r\n{smuggled}");
        let received = timeout(BOUND, spoken(&client, request.as_bytes())).await;
        let received = received.expect("the connection ends");
        assert_eq!(statuses(&received), [400], "{framing:?}: {received}");
    }
    // In one way, both are read.
    for (framing, body) in [(length(4), "null"), (chunked, "4\r\nnull\r\n0\r\n\r\n")] {
        let request = format!(
            "POST /api/auth/login HTTP/1.1\r\nHost: a\r\nX-Tenant: demo\r\n\
             Content-Type: application/json\r\n{framing}Connection: close\r\n\r\n{body}"
        );
        let received = spoken(&client, request.as_bytes()).await;
        assert_eq!(statuses(&received), [422], "{received}");
    }
    program.stop().await;
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_turn() {
    let (program, _folder) = dev().await;
    let client = program.client();
    let health = "GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST /api/auth/login HTTP/1.1\r\nHost: a\r\nX-Tenant: demo\r\n\
                Content-Type: application/json\r\nContent-Length: 4\r\n\r\nnull";
    let all = format!("\r\n{health}{post}{health}{LIVE}");
    let received = spoken(&client, all.as_bytes()).await;
    assert_eq!(statuses(&received), [200, 422, 200, 200], "{received}");
    // The same bytes one by one.
    let mut stream = connect(&client).await;
    stream.set_nodelay(true).expect("a socket");
    for byte in all.bytes() {
        stream.write_all(&[byte]).await.expect("the host reads");
    }
    let mut received = String::new();
    stream.read_to_string(&mut received).await.expect("answers");
    assert_eq!(statuses(&received), [200, 422, 200, 200], "{received}");
    // Too many and too long headers are refused as before.
    let many = (0..200).fold(String::new(), |all, number| {
        all + &format!("X-{number}: a\r\n")
    });
    let long = format!("X-Long: {}\r\n", "a".repeat(200_000));
    for headers in [many, long] {
        let request = format!("GET /health/live HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        let received = spoken(&client, request.as_bytes()).await;
        assert_eq!(statuses(&received), [431], "{received}");
    }
    program.stop().await;
}

#[tokio::test]
async fn an_early_answer_lets_the_next_request_through_or_says_that_it_does_not() {
    let (program, _folder) = dev().await;
    let client = program.client();
    let refused = |headers: &str, bytes: usize| {
        format!(
            "POST /api/operator/tenants HTTP/1.1\r\nHost: a\r\nX-Tenant: demo\r\nContent-Type: application/json\r\n\
             {headers}Content-Length: {bytes}\r\n\r\n"
        )
    };
    // Short bodies are read on behind the refusal, also those that come a moment later.
    let mut stream = connect(&client).await;
    for _ in 0..3 {
        stream
            .write_all(refused("", 20).as_bytes())
            .await
            .expect("the host reads");
        stream.write_all(&[b' '; 20]).await.expect("the host reads");
        let (head, body) = one_answer(&mut stream).await;
        assert!(head.starts_with("http/1.1 401"), "{head}{body}");
        assert!(!head.contains("connection: close"), "{head}");
    }
    stream
        .write_all(LIVE.as_bytes())
        .await
        .expect("the host reads");
    assert!(one_answer(&mut stream).await.0.starts_with("http/1.1 200"));

    // What is long, what does not come, and what waits to be asked for: the connection ends, and the answer says so.
    for (headers, bytes) in [("", 10_000_000), ("", 20), ("Expect: 100-continue\r\n", 20)] {
        let mut stream = connect(&client).await;
        let request = refused(headers, bytes);
        stream
            .write_all(request.as_bytes())
            .await
            .expect("the host reads");
        let (head, body) = one_answer(&mut stream).await;
        assert!(
            head.starts_with("http/1.1 401"),
            "{bytes} {headers}: {head}{body}"
        );
        assert!(
            head.contains("connection: close"),
            "{bytes} {headers}: {head}"
        );
        let mut rest = Vec::new();
        let end = timeout(BOUND, stream.read_to_end(&mut rest)).await;
        assert_eq!(end.expect("in time").expect("no reset"), 0);
    }
    program.stop().await;
}

#[tokio::test]
async fn who_sends_too_much_reads_the_refusal() {
    let (program, _folder) = dev().await;
    let client = program.client();
    for (path, status) in [
        ("/api/operator/tenants", 401),
        ("/api/bookings", 413),
        ("/api/auth/login", 413),
        ("/api/none", 404),
        ("/api/plugins/x/versions", 401),
    ] {
        let bytes = 8 << 20;
        let mut stream = connect(&client).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nX-Tenant: demo\r\nContent-Type: application/json\r\n\
             Content-Length: {bytes}\r\n\r\n"
        );
        stream
            .write_all(head.as_bytes())
            .await
            .expect("the host reads");
        // As most clients do: everything is written before anything is read.
        let body = vec![b' '; bytes];
        let written = timeout(BOUND, stream.write_all(&body)).await;
        written.expect("in time").expect("no reset while writing");
        let (head, body) = one_answer(&mut stream).await;
        assert!(
            head.starts_with(&format!("http/1.1 {status}")),
            "{path}: {head}{body}"
        );
        assert!(head.contains("connection: close"), "{path}: {head}");
    }
    // Nothing of it is in the way of stopping.
    program.stop().await;
}
