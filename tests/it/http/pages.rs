//! Goal: the pages for people work without the network: each loads only files of this host, and `/` links only to what this
//! host has.
//!
//! Method: the real router, at its root and below a prefix; every link and file that a page names is fetched. Chromium opens the
//! same pages in `tests/browser/dashboard.mjs`.

use boxoffice_host::{DemoAccess, DemoSignIn, RouterOptions, router};
use boxoffice_tests::{Answer, Client, Hosted, TempFolder, TestPlatform};
use reqwest::Method;
use tokio::task::JoinHandle;

/// The page at a path, as text.
async fn page(client: &Client, path: &str) -> String {
    let answer = client.request(Method::GET, path).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.expect("text")
}

/// The values of an attribute, in order.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!("{attribute}=\"");
    html.split(start.as_str())
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[tokio::test]
async fn the_api_page_loads_only_files_of_this_host_and_runs_no_inline_script() {
    let platform = TestPlatform::new().await;
    let hosted = Hosted::start(platform.engine.clone()).await;
    let door = hosted.client();
    let html = page(&door, "/docs").await;
    let files: Vec<&str> = [values(&html, "src"), values(&html, "href")].concat();
    for needed in ["docs/swagger-ui-bundle.js", "docs/docs.js", "openapi.json"] {
        assert!(files.contains(&needed), "{needed}");
    }
    for file in files {
        assert!(!file.contains("//"), "{file} is another host's");
        page(&door, &format!("/{file}")).await;
    }
    let docs = Answer::of(door.request(Method::GET, "/docs")).await;
    let policy = docs.header("content-security-policy");
    assert!(policy.contains("script-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let library = door.request(Method::GET, "/docs/swagger-ui.css");
    let kept = Answer::of(library).await;
    assert_eq!(kept.header("cache-control"), "public, max-age=3600");
    let none = door.get("/docs/none.js").await;
    none.problem(404, "not-found");
}

#[tokio::test]
async fn the_start_page_links_to_what_this_host_has() {
    let platform = TestPlatform::new().await;
    let mails = TempFolder::new("start-page");
    let demo = DemoAccess {
        tenant: "demo".to_owned(),
        sign_ins: vec![DemoSignIn {
            role: "customer".to_owned(),
            email: "customer@demo.test".to_owned(),
            password: "a<b".to_owned(),
        }],
        commands_title: "Book".to_owned(),
        commands: "curl \"$URL\"".to_owned(),
    };
    let development = RouterOptions {
        mails_folder: Some(mails.path().to_owned()),
        demo: Some(demo),
        ..RouterOptions::default()
    };
    for (options, links, is_demo) in [(RouterOptions::default(), 4, false), (development, 5, true)]
    {
        let hosted = Hosted::with_options(platform.engine.clone(), options).await;
        let html = page(&hosted.client(), "/").await;
        let hrefs = values(&html, "href");
        assert_eq!(hrefs.len(), links + 1, "{hrefs:?}, the style among them");
        for href in hrefs {
            page(&hosted.client(), href).await;
        }
        assert_eq!(html.contains("customer@demo.test"), is_demo);
        assert_eq!(html.contains("a&lt;b"), is_demo);
        assert_eq!(html.contains("curl &quot;$URL&quot;"), is_demo);
        // A page of the web that has its own name point to this machine reads no password.
        let door = hosted.client();
        let rebound = door
            .request(Method::GET, "/")
            .header("Host", "tickets.example");
        let rebound = Answer::of(rebound).await;
        assert_eq!(rebound.status, 200);
        assert!(rebound.text.contains("href=\"/admin\""), "{}", rebound.text);
        assert!(!rebound.text.contains("a&lt;b"), "{}", rebound.text);
    }
}

/// The router below the prefix `/tickets`, and the task that serves it.
async fn below_tickets(platform: &TestPlatform) -> (Client, JoinHandle<std::io::Result<()>>) {
    let inner = router(platform.engine.clone(), RouterOptions::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("loopback has free ports");
    let address = listener.local_addr().expect("it is bound");
    let app = axum::Router::new().nest("/tickets", inner);
    let served = tokio::spawn(async move { axum::serve(listener, app).await });
    (Client::new(format!("http://{address}")), served)
}

#[tokio::test]
async fn the_start_page_knows_its_prefix() {
    let platform = TestPlatform::new().await;
    let (door, served) = below_tickets(&platform).await;
    let html = page(&door, "/tickets").await;
    for href in values(&html, "href") {
        assert!(href.starts_with("/tickets/"), "{href}");
        page(&door, href).await;
    }
    served.abort();
}

#[tokio::test]
async fn the_console_loads_only_files_of_this_host_below_its_prefix() {
    let platform = TestPlatform::new().await;
    let (door, served) = below_tickets(&platform).await;
    for path in [
        "/tickets/admin",
        "/tickets/admin/queues",
        "/tickets/admin/keys",
    ] {
        let html = page(&door, path).await;
        let named = [values(&html, "src"), values(&html, "href")].concat();
        let files: Vec<&str> = named
            .into_iter()
            .filter(|name| !name.starts_with('#'))
            .collect();
        assert!(files.len() >= 4, "{files:?}");
        for file in files {
            assert!(file.starts_with("/tickets/admin"), "{file}");
            page(&door, file).await;
        }
        assert!(
            !html.contains("<style") && !html.contains("style=\""),
            "{html}"
        );
    }
    // Each section's module, and what it loads.
    let shell = page(&door, "/tickets/admin/assets/shell.js").await;
    let modules = shell.split("import(\"./").skip(1);
    let modules: Vec<&str> = modules.filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(modules.len(), 7, "{modules:?}");
    for module in modules {
        let text = page(&door, &format!("/tickets/admin/assets/{module}")).await;
        for part in text.split("from \"./").skip(1) {
            let part = part.split('"').next().expect("a name");
            page(&door, &format!("/tickets/admin/assets/{part}")).await;
        }
    }
    for path in ["/tickets/admin/nowhere", "/tickets/admin/assets/none.js"] {
        assert_eq!(door.get(path).await.status, 404, "{path}");
    }
    served.abort();
}
