//! The page at `/`: links to everything that a person may open, and in development how to sign in and book.

use std::{fmt::Write as _, net::IpAddr};

use axum::{
    extract::{Request, State},
    http::{header::HOST, uri::Authority},
    response::Response,
};

use super::{Parts, api::TokenIssuer, extract::Prefix, html};

/// What `/` shows of a demo tenant, to anybody who opens it by a name of this machine. Only for development.
#[derive(Debug, Clone)]
pub struct DemoAccess {
    /// The tenant of the sign-ins.
    pub tenant: String,
    /// The sign-ins: the tenant's, and the operator's.
    pub sign_ins: Vec<DemoSignIn>,
    /// What the commands do, as a heading.
    pub commands_title: String,
    /// Commands for a shell.
    pub commands: String,
}

/// One sign-in of a demo tenant.
#[derive(Debug, Clone)]
pub struct DemoSignIn {
    /// The role, as the API names it.
    pub role: String,
    /// The address.
    pub email: String,
    /// The password.
    pub password: String,
}

/// Returns the page at `/`.
pub(super) fn show(parts: Parts, demo: State<Option<DemoAccess>>, request: &Request) -> Response {
    let Prefix(prefix) = Prefix::of(request.extensions());
    let mut main = String::from(
        "<h1>Boxoffice</h1>\n<p>This server books tickets for events, for many organizers at once, and mails their \
         customers. Programs use its REST API; people start here.</p>\n<dl>\n",
    );
    let links = [
        (true, "docs", "API docs", "Read and try every operation."),
        (parts.mails, "dev/mails", "Mails", "Read what was sent."),
        (
            parts.issuer == TokenIssuer::Own,
            "admin",
            "Console",
            "See what is sold and mailed, and manage plugins and keys.",
        ),
        (
            true,
            "openapi.json",
            "OpenAPI",
            "Generate a client from the description.",
        ),
        (
            true,
            "health/ready",
            "Status",
            "See whether the server is ready.",
        ),
    ];
    for (_, path, name, text) in links.iter().filter(|(is_here, ..)| *is_here) {
        let href = html::escaped(&format!("{prefix}/{path}"));
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(main, "<dt><a href=\"{href}\">{name}</a><dd>{text}");
    }
    main.push_str("</dl>\n");
    // Under any other name it may be a page of the web that had its own name point here.
    let host = request.headers().get(HOST);
    let host = host.and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let demo = demo.0.as_ref();
    if let Some(demo) = demo.filter(|_| host.is_some_and(|host| is_loopback(host.host()))) {
        show_demo(&mut main, demo);
    }
    let style = format!("{prefix}/docs/pages.css");
    html::page("Boxoffice", &style, html::OWN_POLICY, &main)
}

/// Returns whether a host in a URL is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_own = |address: IpAddr| address.is_loopback();
    host == "localhost" || address.parse().is_ok_and(is_own)
}

fn show_demo(main: &mut String, demo: &DemoAccess) {
    let _ = writeln!(
        main,
        "<h2>Sign in</h2>\n<p>These accounts belong to the tenant <code>{}</code>; the operator looks after the whole \
         installation.</p>\n<div class=\"wide\" tabindex=\"0\"><table>\n<tr><th>Role<th>E-mail<th>Password",
        html::escaped(&demo.tenant),
    );
    for sign_in in &demo.sign_ins {
        let _ = writeln!(
            main,
            "<tr><td>{}<td><code>{}</code><td><code>{}</code>",
            html::escaped(&sign_in.role),
            html::escaped(&sign_in.email),
            html::escaped(&sign_in.password),
        );
    }
    let _ = writeln!(
        main,
        "</table></div>\n<h2>{}</h2>\n<pre tabindex=\"0\">{}</pre>",
        html::escaped(&demo.commands_title),
        html::escaped(&demo.commands),
    );
}
