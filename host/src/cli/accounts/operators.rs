//! `boxoffice operator`: those who run the installation.

use axum::http::Method;
use boxoffice_engine::{AddOperator, Caller, EmailAddress, Label, SetOperatorPassword};
use clap::Subcommand;
use serde_json::json;

use super::{Account, Place, lines_from_stdin, open, print, print_rows, show_new_password, text};
use crate::{
    cli::{
        StoreArgs,
        remote::{Remote, percent_encoded},
    },
    config::data_folder::generated_password,
};

/// Operators are created in the store only: whoever may write there is trusted anyway. No token can create operators or set
/// another operator's password.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum OperatorCommand {
    /// Creates an operator, in the store only. Without --password-stdin a password is generated and printed once.
    Add {
        #[command(flatten)]
        account: Account,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Lists operators: e-mail, name, separated by a tab.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Removes an operator. Their sessions end within a second at every host.
    Remove {
        /// The operator's address.
        #[arg(long)]
        email: String,
        #[command(flatten)]
        place: Place,
    },
    /// Sets an operator's password and ends their sessions. In the store, of any operator: without --password-stdin it is generated
    /// and printed once. At a running host, of the token's owner: the first line of stdin is then the old password.
    Password {
        /// The operator's address; in the store only.
        #[arg(long, required_unless_present = "url", conflicts_with = "url")]
        email: Option<String>,
        /// Reads the new password from the first line of stdin, or from the second after the old password.
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Releases the mails of a restored store.
    Release {
        #[command(flatten)]
        place: Place,
    },
    /// Signs in at a running host with the password from stdin, and prints a token for --token.
    Login {
        /// The host.
        #[arg(long, value_name = "URL")]
        url: String,
        /// The operator.
        #[arg(long)]
        email: String,
    },
}

/// `boxoffice operator …`.
pub(in crate::cli) async fn operator(command: OperatorCommand) -> anyhow::Result<()> {
    match command {
        OperatorCommand::Add { account, store } => add(&account, &store).await,
        OperatorCommand::List { place } => list(&place).await,
        OperatorCommand::Remove { email, place } => {
            remove(&EmailAddress::parse("email", &email)?, &place).await
        }
        OperatorCommand::Password {
            email,
            password_stdin,
            place,
        } => set_password(email, password_stdin, &place).await,
        OperatorCommand::Release { place } => release(&place).await,
        OperatorCommand::Login { url, email } => login(&url, &email).await,
    }
}

async fn add(account: &Account, store: &StoreArgs) -> anyhow::Result<()> {
    let (password, is_new) = account.password()?;
    let command = AddOperator {
        email: EmailAddress::parse("email", &account.email)?,
        name: Label::parse("name", &account.name)?,
        password: password.clone(),
    };
    let opened = open(store, "operator add").await?;
    let operators = opened.engine.operators();
    let made = operators.add(&Caller::operator(), command).await?;
    print(made.email.as_str())?;
    show_new_password(&password, is_new)
}

async fn list(place: &Place) -> anyhow::Result<()> {
    if let Some(remote) = place.remote.remote()? {
        let path = "/api/operator/operators";
        let answer = remote.call(Method::GET, path, None).await?;
        let operators = answer["items"].as_array();
        let operators = operators.map(Vec::as_slice).unwrap_or_default();
        return print_rows(operators, &["email", "name"]);
    }
    let opened = open(&place.store, "operator list").await?;
    let operators = opened.engine.operators().list(&Caller::operator()).await?;
    operators
        .iter()
        .try_for_each(|operator| print(&format!("{}\t{}", operator.email, operator.name)))
}

async fn remove(email: &EmailAddress, place: &Place) -> anyhow::Result<()> {
    if let Some(remote) = place.remote.remote()? {
        let email = percent_encoded(email.as_str());
        let path = format!("/api/operator/operators/{email}");
        remote.call(Method::DELETE, &path, None).await?;
        return Ok(());
    }
    let opened = open(&place.store, "operator remove").await?;
    let operators = opened.engine.operators();
    Ok(operators.remove(&Caller::operator(), email).await?)
}

async fn release(place: &Place) -> anyhow::Result<()> {
    let released_at = match place.remote.remote()? {
        Some(remote) => {
            let path = "/api/operator/restoration/release";
            let answer = remote.call(Method::POST, path, None).await?;
            text(&answer, "releasedAt").to_owned()
        }
        None => {
            let opened = open(&place.store, "operator release").await?;
            let operators = opened.engine.operators();
            let restoration = operators.release(&Caller::operator()).await?;
            let released_at = restoration.released_at;
            released_at.map(|at| at.to_string()).unwrap_or_default()
        }
    };
    print(&released_at)
}

async fn login(url: &str, email: &str) -> anyhow::Result<()> {
    let [password] = lines_from_stdin()?;
    let body = json!({ "email": email, "password": password });
    let answer = Remote::new(url, None)?
        .call(Method::POST, "/api/operator/login", Some(body))
        .await?;
    print(text(&answer, "token"))
}

async fn set_password(email: Option<String>, is_given: bool, place: &Place) -> anyhow::Result<()> {
    let Some(remote) = place.remote.remote()? else {
        let email = EmailAddress::parse("email", &email.unwrap_or_default())?;
        let password = match is_given {
            true => lines_from_stdin::<1>()?.concat(),
            false => generated_password(),
        };
        let command = SetOperatorPassword {
            email,
            password: password.clone(),
            present: None,
        };
        let opened = open(&place.store, "operator password").await?;
        let operators = opened.engine.operators();
        operators.set_password(&Caller::operator(), command).await?;
        return show_new_password(&password, !is_given);
    };
    let (present, password) = match is_given {
        true => lines_from_stdin().map(|[present, password]| (present, password))?,
        false => (lines_from_stdin::<1>()?.concat(), generated_password()),
    };
    let body = json!({ "presentPassword": present, "password": password });
    let path = "/api/operator/password";
    remote.call(Method::PUT, path, Some(body)).await?;
    show_new_password(&password, !is_given)
}
