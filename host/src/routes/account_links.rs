//! The pages of the links to choose a new password, to move an account to another address, and to accept an invitation: for
//! everybody who has the link, without signing in.
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
    Shared,
    extract::{Id, SignInOrigin},
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
    show_form(
        &engine,
        links.as_ref(),
        AccountLinkPurpose::ResetPassword,
        &token,
    )
    .await
}

/// Sets the new password, once.
pub(super) async fn set_password(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    Id(Token(token)): Id<Token>,
    body: Bytes,
) -> Result<Response, Problem> {
    let purpose = AccountLinkPurpose::ResetPassword;
    take_password(&engine, links.as_ref(), purpose, &token, &body).await
}

/// Shows the form for the password of whoever was invited. Changes nothing.
pub(super) async fn show_invitation(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    Id(Token(token)): Id<Token>,
) -> Result<Response, Problem> {
    show_form(
        &engine,
        links.as_ref(),
        AccountLinkPurpose::AcceptInvitation,
        &token,
    )
    .await
}

/// Accepts an invitation, once.
pub(super) async fn accept_invitation(
    State(engine): State<Engine>,
    State(links): State<Option<MailLinks>>,
    Id(Token(token)): Id<Token>,
    body: Bytes,
) -> Result<Response, Problem> {
    let purpose = AccountLinkPurpose::AcceptInvitation;
    take_password(&engine, links.as_ref(), purpose, &token, &body).await
}

async fn show_form(
    engine: &Engine,
    links: Option<&MailLinks>,
    purpose: AccountLinkPurpose,
    token: &str,
) -> Result<Response, Problem> {
    match linked_address(engine, links, purpose, token).await {
        Ok(email) => Ok(password_form(purpose, email.as_str(), token, None)),
        Err(error) => over(purpose, error),
    }
}

async fn take_password(
    engine: &Engine,
    links: Option<&MailLinks>,
    purpose: AccountLinkPurpose,
    token: &str,
    body: &[u8],
) -> Result<Response, Problem> {
    let (caller, link) = match read(links, purpose, token) {
        Ok(read) => read,
        Err(error) => return over(purpose, error),
    };
    let users = engine.users();
    let email = match users.linked_address(&caller, &link).await {
        Ok(email) => email,
        Err(error) => return over(purpose, error),
    };
    let password = field(body, "newPassword");
    let (outcome, done) = match purpose {
        AccountLinkPurpose::AcceptInvitation => (
            users.accept_invitation(&caller, &link, password).await,
            "<p>Welcome. Sign in with your address and this password from now on.</p>",
        ),
        AccountLinkPurpose::ResetPassword | AccountLinkPurpose::ChangeEmail => (
            users.reset_password(&caller, &link, password).await,
            "<p>Your password is changed, and all devices are signed out. Sign in with the new one.</p>",
        ),
    };
    match outcome {
        Ok(()) => Ok(page(purpose, done)),
        Err(error) if error.code() == ErrorCode::FieldInvalid => {
            let said = Some(error.detail());
            let mut page = password_form(purpose, email.as_str(), token, said);
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
        Ok(email) => Ok(email_form(email.as_str(), &token, None)),
        Err(error) => over(purpose, error),
    }
}

/// Moves the account to the new address, once, if the password is right. Wrong ones count as those of sign-ins do.
pub(super) async fn change_email(
    State(shared): State<Shared>,
    Id(Token(token)): Id<Token>,
    origin: SignInOrigin,
    body: Bytes,
) -> Result<Response, Problem> {
    let Shared {
        engine,
        links,
        sign_in,
        ..
    } = shared;
    let purpose = AccountLinkPurpose::ChangeEmail;
    let (caller, link) = match read(links.as_ref(), purpose, &token) {
        Ok(read) => read,
        Err(error) => return over(purpose, error),
    };
    let users = engine.users();
    let new = match users.linked_address(&caller, &link).await {
        Ok(new) => new,
        Err(error) => return over(purpose, error),
    };
    let counted = sign_in.begin(Some(&link.tenant), &new, &origin)?;
    let password = field(&body, "password");
    let outcome = users.change_email(&caller, &link, password).await;
    counted.settle(&outcome);
    match outcome {
        Ok(user) => {
            let email = html::escaped(user.email.as_str());
            let done = format!("<p>Your address is {email} now. Sign in with it from now on.</p>");
            Ok(page(purpose, &done))
        }
        Err(error) if error.code() == ErrorCode::WrongCredentials => {
            let said = Some("This is not the account's password.");
            let mut page = email_form(new.as_str(), &token, said);
            *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(page)
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

/// A field of a form (`application/x-www-form-urlencoded`); empty if there is none.
fn field(body: &[u8], name: &str) -> String {
    if body.len() > FORM_BYTES_MAX {
        return String::new();
    }
    let mut fields = form_urlencoded::parse(body);
    let field = fields.find(|(own, _)| own == name);
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

fn password_form(
    purpose: AccountLinkPurpose,
    email: &str,
    token: &str,
    said: Option<&str>,
) -> Response {
    let (email, token) = (html::escaped(email), html::escaped(token));
    let said = alert(said);
    let (asked, label) = match purpose {
        AccountLinkPurpose::AcceptInvitation => (
            format!("You are invited to work here. Choose a password for {email} to accept."),
            "Password",
        ),
        AccountLinkPurpose::ResetPassword | AccountLinkPurpose::ChangeEmail => (
            format!("Choose a new password for {email}. All devices are signed out then."),
            "New password",
        ),
    };
    page(
        purpose,
        &format!(
            "{said}<p>{asked}</p>\n\
             <form method=\"post\" action=\"{token}\">\n\
             <p><label>{label}, 8 characters or more:<br>\
             <input type=\"password\" name=\"newPassword\" autocomplete=\"new-password\" minlength=\"8\" \
                 required></label></p>\n\
             <button>Take this password</button>\n</form>"
        ),
    )
}

fn email_form(email: &str, token: &str, said: Option<&str>) -> Response {
    let (email, token, said) = (html::escaped(email), html::escaped(token), alert(said));
    page(
        AccountLinkPurpose::ChangeEmail,
        &format!(
            "{said}<p>Is {email} your new address? You sign in with it then.</p>\n\
             <form method=\"post\" action=\"{token}\">\n\
             <p><label>The account's password:<br>\
             <input type=\"password\" name=\"password\" autocomplete=\"current-password\" required></label></p>\n\
             <button>Yes, it is</button>\n</form>"
        ),
    )
}

fn alert(said: Option<&str>) -> String {
    said.map_or_else(String::new, |said| {
        format!(
            "<p role=\"alert\"><strong>{}</strong></p>\n",
            html::escaped(said)
        )
    })
}

fn page(purpose: AccountLinkPurpose, main: &str) -> Response {
    let title = match purpose {
        AccountLinkPurpose::ResetPassword => "Your password",
        AccountLinkPurpose::ChangeEmail => "Your address",
        AccountLinkPurpose::AcceptInvitation => "Your invitation",
    };
    let main = format!("<h1>{title}</h1>\n{main}");
    html::page(title, "../docs/pages.css", POLICY, &main)
}
