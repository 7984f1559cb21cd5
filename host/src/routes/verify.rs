//! The page of the link to confirm an address: for everybody who has the link, without signing in.
//!
//! Called by the URL table. A GET only shows a form, because programs that scan mails follow every link. The link proves that somebody reads the
//! address's mails, not that they signed up, so the form asks for the account's password, or for a new one. Calls the
//! engine's users.

use axum::{body::Bytes, extract::State, http::StatusCode, response::Response};
use boxoffice_engine::{Caller, Confirmation, Engine, Error, ErrorCode, User, UserRole};

use super::{
    extract::Id,
    html,
    problem::Problem,
    unsubscribe::{POLICY, Token},
};
use crate::auth::MailLinks;

/// Largest form that is read: two passwords of 200 characters, each of 4 bytes in 3 characters, and their names.
const FORM_BYTES_MAX: usize = 8 * 1024;

/// Shows the address with a form that confirms it. Changes nothing.
pub(super) async fn show(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    Id(Token(token)): Id<Token>,
) -> Result<Response, Problem> {
    let (caller, user) = read(&engine, links.as_ref(), &token).await?;
    if user.email_verified {
        return Ok(done(&user));
    }
    let needs_password = engine.users().needs_password_to_confirm(&caller).await?;
    Ok(form(&user, &token, needs_password, None))
}

/// Confirms the address. Idempotent.
pub(super) async fn confirm(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    Id(Token(token)): Id<Token>,
    body: Bytes,
) -> Result<Response, Problem> {
    let (caller, user) = read(&engine, links.as_ref(), &token).await?;
    if user.email_verified {
        return Ok(done(&user));
    }
    let users = engine.users();
    match users.confirm(&caller, &user.email, said(&body)?).await {
        Ok(user) => Ok(done(&user)),
        Err(error) => {
            let said = match error.code() {
                ErrorCode::WrongCredentials => {
                    "This is not the password that was chosen. Try again, or choose a new one."
                }
                ErrorCode::FieldInvalid | ErrorCode::EmailTaken => error.detail(),
                _ => return Err(error.into()),
            };
            let needs_password = users.needs_password_to_confirm(&caller).await?;
            let mut page = form(&user, &token, needs_password, Some(said));
            *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(page)
        }
    }
}

/// The content of a form: one of its two fields (`application/x-www-form-urlencoded`).
fn said(body: &[u8]) -> Result<Confirmation, Error> {
    if body.len() > FORM_BYTES_MAX {
        return Err(Error::field(
            "password",
            "A password has 8 to 200 characters.",
        ));
    }
    let field = |name: &str| {
        let mut fields = form_urlencoded::parse(body);
        let value = fields.find(|(own, value)| own == name && !value.is_empty());
        value.map(|(_, value)| value.into_owned())
    };
    Ok(match (field("newPassword"), field("password")) {
        (Some(password), _) => Confirmation::NewPassword(password),
        (None, Some(password)) => Confirmation::Password(password),
        (None, None) => Confirmation::Link,
    })
}

/// The user of the link, proven by its signature, if the address is still theirs.
async fn read(
    engine: &Engine,
    links: Option<&MailLinks>,
    token: &str,
) -> Result<(Caller, User), Error> {
    let no_good = || {
        Error::new(
            ErrorCode::NotFound,
            "This link is incomplete or no longer valid; sign in to get another.",
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

/// The address, and a form for each way to confirm it.
fn form(user: &User, token: &str, needs_password: bool, said: Option<&str>) -> Response {
    let email = html::escaped(user.email.as_str());
    let token = html::escaped(token);
    let said = said.map_or_else(String::new, |said| {
        format!(
            "<p role=\"alert\"><strong>{}</strong></p>\n",
            html::escaped(said)
        )
    });
    let forms = match needs_password {
        false => {
            format!("<form method=\"post\" action=\"{token}\"><button>Yes, it is</button></form>")
        }
        true => format!(
            "<form method=\"post\" action=\"{token}\">\n<p><label>The password that you chose when you signed up:<br>\
             <input type=\"password\" name=\"password\" autocomplete=\"current-password\" required></label></p>\n\
             <button>Yes, it is mine</button>\n</form>\n\
             <p>You do not know it, or somebody else signed up with your address? Choose a new one. The account is then yours \
             alone.</p>\n\
             <form method=\"post\" action=\"{token}\">\n<p><label>New password, 8 characters or more:<br>\
             <input type=\"password\" name=\"newPassword\" autocomplete=\"new-password\" minlength=\"8\" \
                 required></label></p>\n\
             <button>Take this password</button>\n</form>"
        ),
    };
    page(&format!(
        "<h1>Your address</h1>\n{said}<p>Is {email} yours?</p>\n{forms}"
    ))
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
