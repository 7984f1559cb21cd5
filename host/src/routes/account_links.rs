//! The pages of the links to choose a new password and to move an account to another address: for everybody who has the link,
//! without signing in.
//!
//! Called by the URL table. A GET only shows a form, because programs that scan mails follow every link. Calls the engine's
//! users.

use axum::{
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use boxoffice_engine::{
    AccountLink, AccountLinkPurpose, Caller, EmailAddress, Engine, Error, ErrorCode,
};

use super::{
    extract::Id,
    html,
    problem::Problem,
    unsubscribe::{POLICY, Token},
};
use crate::auth::MailLinks;

/// Largest form that is read: a password of 200 characters, each of 4 bytes in 3 characters, and its name.
const FORM_BYTES_MAX: usize = 4 * 1024;

/// Shows the form for a new password. Changes nothing.
pub(super) async fn show_password(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    Id(Token(token)): Id<Token>,
) -> Result<Response, Problem> {
    let purpose = AccountLinkPurpose::ResetPassword;
    match linked_address(&engine, links.as_ref(), purpose, &token).await {
        Ok(email) => Ok(password_form(email.as_str(), &token, None)),
        Err(error) => over(purpose, error),
    }
}

/// Sets the new password, once.
pub(super) async fn set_password(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    Id(Token(token)): Id<Token>,
    body: Bytes,
) -> Result<Response, Problem> {
    let purpose = AccountLinkPurpose::ResetPassword;
    let (caller, link) = match read(links.as_ref(), purpose, &token) {
        Ok(read) => read,
        Err(error) => return over(purpose, error),
    };
    let users = engine.users();
    let email = match users.linked_address(&caller, &link).await {
        Ok(email) => email,
        Err(error) => return over(purpose, error),
    };
    match users
        .reset_password(&caller, &link, new_password(&body))
        .await
    {
        Ok(()) => Ok(page(
            purpose,
            "<p>Your password is changed, and all devices are signed out. Sign in with the new one.</p>",
        )),
        Err(error) if error.code() == ErrorCode::FieldInvalid => {
            let mut page = password_form(email.as_str(), &token, Some(error.detail()));
            *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(page)
        }
        Err(error) => over(purpose, error),
    }
}

/// Shows the new address with a button that confirms it. Changes nothing.
pub(super) async fn show_email(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    Id(Token(token)): Id<Token>,
) -> Result<Response, Problem> {
    let purpose = AccountLinkPurpose::ChangeEmail;
    match linked_address(&engine, links.as_ref(), purpose, &token).await {
        Ok(email) => Ok(email_form(email.as_str(), &token)),
        Err(error) => over(purpose, error),
    }
}

/// Moves the account to the new address, once.
pub(super) async fn change_email(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    Id(Token(token)): Id<Token>,
) -> Result<Response, Problem> {
    let purpose = AccountLinkPurpose::ChangeEmail;
    let (caller, link) = match read(links.as_ref(), purpose, &token) {
        Ok(read) => read,
        Err(error) => return over(purpose, error),
    };
    match engine.users().change_email(&caller, &link).await {
        Ok(user) => {
            let email = html::escaped(user.email.as_str());
            let done = format!("<p>Your address is {email} now. Sign in with it from now on.</p>");
            Ok(page(purpose, &done))
        }
        Err(error) => over(purpose, error),
    }
}

/// The address that a link is for.
async fn linked_address(
    engine: &Engine,
    links: Option<&MailLinks>,
    purpose: AccountLinkPurpose,
    token: &str,
) -> Result<EmailAddress, Error> {
    let (caller, link) = read(links, purpose, token)?;
    engine.users().linked_address(&caller, &link).await
}

/// The content of a link, proven by its signature, and a caller of its tenant.
fn read(
    links: Option<&MailLinks>,
    purpose: AccountLinkPurpose,
    token: &str,
) -> Result<(Caller, AccountLink), Error> {
    let link = links.and_then(|links| links.read_account(purpose, token));
    let link = link.ok_or_else(|| {
        Error::new(
            ErrorCode::LinkInvalid,
            "This link is incomplete; copy all of it from the mail.",
        )
    })?;
    Ok((Caller::anonymous(link.tenant.clone()), link))
}

/// The new password of a form (`application/x-www-form-urlencoded`); empty if there is none.
fn new_password(body: &[u8]) -> String {
    if body.len() > FORM_BYTES_MAX {
        return String::new();
    }
    let mut fields = form_urlencoded::parse(body);
    let field = fields.find(|(name, _)| name == "newPassword");
    field.map_or_else(String::new, |(_, value)| value.into_owned())
}

/// The page of a link that does nothing any more, for people; other errors are problems.
fn over(purpose: AccountLinkPurpose, error: Error) -> Result<Response, Problem> {
    let is_over = matches!(
        error.code(),
        ErrorCode::LinkInvalid | ErrorCode::EmailTaken | ErrorCode::NotFound
    );
    if !is_over {
        return Err(error.into());
    }
    let said = format!(
        "<p role=\"alert\"><strong>{}</strong></p>",
        html::escaped(error.detail())
    );
    let status = Problem::from(error).into_response().status();
    let mut page = page(purpose, &said);
    *page.status_mut() = status;
    Ok(page)
}

fn password_form(email: &str, token: &str, said: Option<&str>) -> Response {
    let (email, token) = (html::escaped(email), html::escaped(token));
    let said = said.map_or_else(String::new, |said| {
        format!(
            "<p role=\"alert\"><strong>{}</strong></p>\n",
            html::escaped(said)
        )
    });
    page(
        AccountLinkPurpose::ResetPassword,
        &format!(
            "{said}<p>Choose a new password for {email}. All devices are signed out then.</p>\n\
             <form method=\"post\" action=\"{token}\">\n\
             <p><label>New password, 8 characters or more:<br>\
             <input type=\"password\" name=\"newPassword\" autocomplete=\"new-password\" minlength=\"8\" \
                 required></label></p>\n\
             <button>Take this password</button>\n</form>"
        ),
    )
}

fn email_form(email: &str, token: &str) -> Response {
    let (email, token) = (html::escaped(email), html::escaped(token));
    page(
        AccountLinkPurpose::ChangeEmail,
        &format!(
            "<p>Is {email} your new address? You sign in with it then.</p>\n\
             <form method=\"post\" action=\"{token}\"><button>Yes, it is</button></form>"
        ),
    )
}

fn page(purpose: AccountLinkPurpose, main: &str) -> Response {
    let title = match purpose {
        AccountLinkPurpose::ResetPassword => "Your password",
        AccountLinkPurpose::ChangeEmail => "Your address",
    };
    let main = format!("<h1>{title}</h1>\n{main}");
    html::page(title, "../docs/pages.css", POLICY, &main)
}
