//! The pages of the links to unsubscribe (RFC 8058): for everybody who has such a link, without signing in.
//!
//! Called by the URL table. A GET only shows a button, because programs that scan mails follow every link. A POST unsubscribes,
//! whatever its body, because mail programs send `List-Unsubscribe=One-Click` in different forms. Calls the
//! engine's subscriptions.

use axum::{extract::State, response::Response};
use boxoffice_engine::{Caller, Engine, Error, NotificationKind, SuppressionSource};

use super::{extract::Id, html, problem::Problem};
use crate::auth::{MailLinks, Unsubscription};

/// The policy of a page whose only button sends a form to this host.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

/// Shows the kind of mail, with a button to unsubscribe or, after that, to subscribe again. Changes nothing.
pub(super) async fn show(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    Id(Token(token)): Id<Token>,
) -> Result<Response, Problem> {
    let link = read(links.as_ref(), &token)?;
    let unsubscribed = engine.subscriptions().show(&caller(&link)).await?;
    if unsubscribed.contains(&link.kind) {
        done(&engine, &link, &token, "").await
    } else {
        asked(&engine, &link, &token, "", "Unsubscribe").await
    }
}

/// Unsubscribes. Idempotent.
pub(super) async fn unsubscribe(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    Id(Token(token)): Id<Token>,
) -> Result<Response, Problem> {
    let link = read(links.as_ref(), &token)?;
    set(&engine, &link, false).await?;
    done(&engine, &link, &token, "").await
}

/// Subscribes again.
pub(super) async fn subscribe_again(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    Id(Token(token)): Id<Token>,
) -> Result<Response, Problem> {
    let link = read(links.as_ref(), &token)?;
    set(&engine, &link, true).await?;
    asked(&engine, &link, &token, "../", "Unsubscribe after all").await
}

/// The text between `/unsubscribe/` and the next slash.
pub(super) struct Token(pub(super) String);

impl std::str::FromStr for Token {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(Self(text.to_owned()))
    }
}

fn read(links: Option<&MailLinks>, token: &str) -> Result<Unsubscription, Error> {
    links.and_then(|links| links.read(token)).ok_or_else(|| {
        Error::new(
            boxoffice_engine::ErrorCode::NotFound,
            "This link is incomplete or no longer valid; sign in to choose which mails you get.",
        )
    })
}

/// The customer of the link, proven by its signature.
fn caller(link: &Unsubscription) -> Caller {
    let role = boxoffice_engine::UserRole::Customer;
    Caller::user(link.tenant.clone(), link.customer, role)
}

async fn set(engine: &Engine, link: &Unsubscription, wants: bool) -> Result<(), Error> {
    engine
        .subscriptions()
        .set(&caller(link), link.kind, wants, SuppressionSource::Link)
        .await
}

/// The page with the button that unsubscribes. `up` leads from the page to the folder of `/unsubscribe/`.
async fn asked(
    engine: &Engine,
    link: &Unsubscription,
    token: &str,
    up: &str,
    button: &str,
) -> Result<Response, Problem> {
    let text = format!(
        "You get {} from {}.",
        words(link.kind),
        name(engine, link).await?
    );
    Ok(page(
        &text,
        &format!("{up}{token}"),
        button,
        &format!("{up}../docs/pages.css"),
    ))
}

/// The page after unsubscribing, with a button to subscribe again.
async fn done(
    engine: &Engine,
    link: &Unsubscription,
    token: &str,
    up: &str,
) -> Result<Response, Problem> {
    let text = format!(
        "You no longer get {} from {}. You still get mails about your bookings.",
        words(link.kind),
        name(engine, link).await?
    );
    let action = format!("{up}{token}/undo");
    Ok(page(
        &text,
        &action,
        "Subscribe again",
        &format!("{up}../docs/pages.css"),
    ))
}

fn page(text: &str, action: &str, button: &str, style: &str) -> Response {
    let main = format!(
        "<h1>Mails</h1>\n<p>{}</p>\n<form method=\"post\" action=\"{}\"><button>{}</button></form>",
        html::escaped(text),
        html::escaped(action),
        html::escaped(button),
    );
    html::page("Mails", style, POLICY, &main)
}

async fn name(engine: &Engine, link: &Unsubscription) -> Result<String, Problem> {
    let name = engine.tenants().show(&caller(link)).await?.name;
    // In isolates: a right-to-left name must not reorder the sentence around it (UAX #9).
    Ok(format!("\u{2068}{name}\u{2069}"))
}

/// The display name of a kind of mail.
fn words(kind: NotificationKind) -> &'static str {
    match kind {
        NotificationKind::EventReminder => "reminders of events that you booked",
        NotificationKind::EventAnnouncement => "announcements of organizers",
        _ => "these mails",
    }
}
