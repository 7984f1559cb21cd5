//! The pages behind the links with which customers unsubscribe (RFC 8058): without signing in, for whoever holds one.
//!
//! Called by the URL table. A GET only shows a button: programs that scan mails follow every link. A POST does it,
//! whatever its body, as mail programs send `List-Unsubscribe=One-Click` in the one or the other form. Calls the
//! engine's subscriptions.

use axum::{extract::State, response::Response};
use boxoffice_engine::{Caller, Engine, Error, NotificationKind, SuppressionSource};

use super::{controllers::problem::Problem, extract::Id, html};
use crate::auth::{MailLinks, Unsubscription};

/// A page whose only button sends a form back to where it came from.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

/// Shows what the link is for, with a button for it or, once that is done, for the way back. Changes nothing.
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

/// Unsubscribes. Again is as good as once.
pub(super) async fn unsubscribe(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    Id(Token(token)): Id<Token>,
) -> Result<Response, Problem> {
    let link = read(links.as_ref(), &token)?;
    set(&engine, &link, false).await?;
    done(&engine, &link, &token, "").await
}

/// Takes it back.
pub(super) async fn subscribe_again(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    Id(Token(token)): Id<Token>,
) -> Result<Response, Problem> {
    let link = read(links.as_ref(), &token)?;
    set(&engine, &link, true).await?;
    asked(&engine, &link, &token, "../", "Unsubscribe after all").await
}

/// What stands between `/unsubscribe/` and the next slash, whatever it is.
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

/// The customer whom the link was sent to: its signature vouches for that.
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

/// The page that says it is done, with the button that takes it back.
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
    // In isolates: a name that runs from right to left must not reorder the sentence around it (UAX #9).
    Ok(format!("\u{2068}{name}\u{2069}"))
}

/// What readers call a kind of mail.
fn words(kind: NotificationKind) -> &'static str {
    match kind {
        NotificationKind::EventReminder => "reminders of events that you booked",
        NotificationKind::EventAnnouncement => "announcements of organizers",
        _ => "these mails",
    }
}
