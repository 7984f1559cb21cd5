//! Goal: what a host and a worker tell Prometheus is complete and bounded, and no alert that is shipped watches a metric
//! that does not exist.
//!
//! Method: a host of this process is asked for things that are there and things that are not, and then for its metrics; the
//! names in `deploy/alerts.yaml` are looked up in them. Then a worker process is asked at its own door.

use std::collections::BTreeSet;

use boxoffice_tests::{
    Client, Config, Hosted, Patience, Program, SurrealServer, TempFolder, TestPlatform, wait_until,
    workspace_root,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_are_counted_by_pattern_and_alerts_watch_what_is_there() {
    let platform = TestPlatform::new().await;
    platform.tenant("north").await;
    let hosted = Hosted::start(platform.engine.clone()).await;
    let client = hosted.client();
    for number in 0..20 {
        let path = format!("/api/events/01jzzzzzzzzzzzzzzzzzzzzz{number:02}");
        assert_eq!(client.get(&path).await.status, 404);
        assert_eq!(client.get(&format!("/nowhere/{number}")).await.status, 404);
    }
    let text = metrics(&client).await;
    let pattern = "boxoffice_http_requests_total{method=\"GET\",route=\"/api/events/{id}\",status=\"404\"} 20";
    assert!(text.contains(pattern), "{text}");
    assert!(text.contains("route=\"none\",status=\"404\"} 20"), "{text}");
    let routes = text
        .lines()
        .filter(|line| line.starts_with("boxoffice_http_requests_total"));
    assert!(routes.count() <= 3, "paths are no labels: {text}");

    let alerts = workspace_root().join("deploy/alerts.yaml");
    let alerts = std::fs::read_to_string(alerts).expect("the alerts");
    let words = alerts.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let named: BTreeSet<&str> = words
        .filter(|word| word.starts_with("boxoffice_"))
        .collect();
    assert!(named.len() >= 7, "{named:?}");
    for name in named {
        let is_there = |line: &str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        assert!(
            text.lines().any(is_there),
            "an alert watches {name}, which nobody tells"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_tells_at_a_port_apart() {
    let folder = TempFolder::new("host-metrics");
    let data = folder.join("data");
    let config = Config::default()
        .text("store", "url", &data.display().to_string())
        .with_key()
        .quick()
        .write(&folder, "boxoffice.toml");
    let host = Program::serve(&config).await;
    let client = host.client();
    // Where the API is, there are none.
    client.get("/metrics").await.problem(404, "not-found");
    let line = "metrics are served";
    let is_told = || async { host.output().contains(line) };
    wait_until(Patience::WORK, "the place of the metrics", is_told).await;
    let said = host.output();
    let place = said
        .split(line)
        .nth(1)
        .and_then(|rest| rest.split("http://").nth(1));
    let place: String = place
        .expect("an address")
        .chars()
        .take_while(|letter| letter.is_ascii_digit() || ".:".contains(*letter))
        .collect();
    let apart = Client::new(format!("http://{place}"));
    let text = metrics(&apart).await;
    assert!(text.contains("route=\"none\",status=\"404\"} 1"), "{text}");
    // And nothing else.
    assert_eq!(apart.get("/api/events").await.status, 404);
    host.stop().await;

    // `dev` is for one machine, where one port is simpler.
    let dev = Program::dev(&folder.join("dev")).await;
    metrics(&dev.client()).await;
    dev.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_tells_at_its_own_door() {
    let server = SurrealServer::start().await;
    let folder = TempFolder::new("worker-metrics");
    let config = Config::remote(&server)
        .mail_folder(&folder.join("mails"))
        .write(&folder, "boxoffice.toml");
    let worker = Program::worker(&config).await;
    wait_until(Patience::WORK, "its own sign of life", || async {
        metrics(&worker.client())
            .await
            .contains("boxoffice_workers_alive 1.0")
    })
    .await;
    worker.stop().await;
}

async fn metrics(client: &Client) -> String {
    let answer = client.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    assert!(answer.text.ends_with("# EOF\n"), "{}", answer.text);
    answer.text
}
