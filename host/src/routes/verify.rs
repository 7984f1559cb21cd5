//! The page behind the link with which customers confirm their address: without signing in, for whoever holds one.
//!
//! Called by the URL table. A GET only shows a button: programs that scan mails follow every link. Calls the engine's users.

use axum::{extract::State, response::Response};
use boxoffice_engine::{Caller, Engine, Error, ErrorCode, User, UserRole};

use super::{
    controllers::problem::Problem,
    extract::Id,
    html,
    unsubscribe::{POLICY, Token},
};
use crate::auth::MailLinks;

/// Shows the address with a button that confirms it. Changes nothing.
pub(super) async fn show(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    Id(Token(token)): Id<Token>,
) -> Result<Response, Problem> {
    let (_, user) = read(&engine, links.as_ref(), &token).await?;
    if user.email_verified {
        return Ok(done(&user));
    }
    let main = format!(
        "<h1>Your address</h1>\n<p>Is {} yours?</p>\n<form method=\"post\" action=\"{}\"><button>Yes, it is</button></form>",
        html::escaped(user.email.as_str()),
        html::escaped(&token),
    );
    Ok(page(&main))
}

/// Confirms the address. Again is as good as once.
pub(super) async fn confirm(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    Id(Token(token)): Id<Token>,
) -> Result<Response, Problem> {
    let (caller, user) = read(&engine, links.as_ref(), &token).await?;
    engine.users().verify(&caller, &user.email).await?;
    Ok(done(&user))
}

/// Whom the link was sent to, if it was, and the address is still theirs: its signature vouches for that.
async fn read(
    engine: &Engine,
    links: Option<&MailLinks>,
    token: &str,
) -> Result<(Caller, User), Error> {
    let no_good = || {
        Error::new(
            ErrorCode::NotFound,
            "This link is not complete, or no longer good; sign in to get another.",
        )
    };
    let links = links.ok_or_else(no_good)?;
    let (tenant, customer) = MailLinks::claimed(token).ok_or_else(no_good)?;
    let caller = Caller::user(tenant, customer, UserRole::Customer);
    let user = match engine.users().me(&caller).await {
        Ok(user) if links.proves(token, &user.email) => user,
        Err(error) if error.code() != ErrorCode::NotFound => return Err(error),
        _ => return Err(no_good()),
    };
    Ok((caller, user))
}

fn done(user: &User) -> Response {
    let email = html::escaped(user.email.as_str());
    page(&format!(
        "<h1>Your address</h1>\n<p>{email} is confirmed. You can close this page.</p>"
    ))
}

fn page(main: &str) -> Response {
    html::page("Your address", "../docs/pages.css", POLICY, main)
}
