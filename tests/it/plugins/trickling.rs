//! Goal: uploads that trickle are cut off, and until then they keep nobody out but their own tenant.
//!
//! Method: raw sockets of one tenant's owner that begin uploads and send nothing more; another tenant's owner uploads
//! meanwhile.

use std::time::Duration;

use boxoffice_tests::{
    Answer, Component, Hosted, TestPlatform, owner_of, plugin_host, plugin_settings,
};
use reqwest::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Far longer than a slow upload is read, or waits for a place.
const BOUND: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_trickle_keep_no_other_tenant_out_and_are_cut_off() {
    let runtime = plugin_host(plugin_settings());
    let platform = TestPlatform::with(|builder| builder.plugins(runtime)).await;
    for name in ["north", "south"] {
        let tenant = platform.tenant(name).await;
        owner_of(&platform.engine, &tenant).await;
    }
    let host = Hosted::start(platform.engine.clone()).await;
    let door = host.client();
    let slow = door.tenant("north").login("owner@north.test").await;
    let quick = door.tenant("south").login("owner@south.test").await.client;
    let address = door.base().trim_start_matches("http://").to_owned();
    let mut sockets = Vec::new();
    for number in 0..4 {
        let head = format!(
            "POST /api/plugins/slow-{number}/versions HTTP/1.1\r\nHost: {address}\r\nX-Tenant: north\r\n\
             Authorization: Bearer {}\r\nContent-Type: application/wasm\r\nContent-Length: 3000000\r\n\r\n\0asm",
            slow.token
        );
        let mut socket = TcpStream::connect(&address)
            .await
            .expect("the host listens");
        socket.write_all(head.as_bytes()).await.expect("it is read");
        sockets.push(socket);
    }
    // The first two are being read once the third waits; this one must not.
    for tickets in 1..=3 {
        let upload = Answer::of(
            quick
                .request(Method::POST, "/api/plugins/quick/versions")
                .header("Content-Type", "application/wasm")
                .body(Component::at_most(tickets)),
        );
        let answer = timeout(Duration::from_secs(4), upload).await;
        answer.expect("nobody keeps it out").expect(202);
    }
    for socket in &mut sockets {
        let mut byte = [0];
        let early = timeout(Duration::from_millis(1), socket.read(&mut byte)).await;
        assert!(early.is_err(), "an upload that trickles is over already");
    }
    let mut answers = Vec::new();
    for mut socket in sockets {
        let mut answer = vec![0; 2_048];
        let read = timeout(BOUND, socket.read(&mut answer)).await;
        let read = read.expect("it is cut off").expect("no reset");
        answers.push(String::from_utf8_lossy(&answer[..read]).into_owned());
    }
    for answer in &answers {
        let is_cut = answer.starts_with("HTTP/1.1 408") && answer.contains("upload-too-slow");
        let is_sent_away =
            answer.starts_with("HTTP/1.1 429") && answer.contains("too-many-requests");
        assert!(is_cut || is_sent_away, "{answer}");
    }
    assert!(
        answers
            .iter()
            .any(|answer| answer.starts_with("HTTP/1.1 408"))
    );
}
