//! `boxoffice tenant|user|operator`: accounts, in the store or through a running host.
//!
//! Called by the program. Calls the engine's use cases as an operator, or the same over REST.

use std::io::{self, Read as _};

use anyhow::{Context as _, bail};
use axum::http::Method;
use boxoffice_engine::{
    AddOperator, Caller, CreateTenant, CreateUser, EmailAddress, Label, Page, PageRequest,
    SetOperatorPassword, TenantId, TenantSettings, UserRole,
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    StoreArgs, print,
    remote::{Remote, RemoteArgs, percent_encoded, text},
    store::{self, Opened},
};
use crate::{
    assembly::Mails,
    config::{Config, data_folder::generated_password},
    telemetry,
};

/// The store or host of a command.
#[derive(Debug, Clone, Args)]
pub(super) struct Place {
    #[command(flatten)]
    pub(super) store: StoreArgs,
    #[command(flatten)]
    pub(super) remote: RemoteArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Creates a tenant.
    Add {
        /// Its name in host names and headers: 1 to 63 lower-case letters, digits and inner hyphens.
        id: String,
        /// What people call it [default: the same].
        #[arg(long)]
        name: Option<String>,
        /// ISO 4217 code of its prices.
        #[arg(long, default_value = "EUR")]
        currency: String,
        /// Allows anybody to register as an organizer.
        #[arg(long)]
        organizers_may_register: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Sets the sender's address of a tenant's mails. The domain must allow this installation's mail servers to
    /// send for it (SPF, DKIM).
    Sender {
        /// The tenant's name.
        id: String,
        /// The address; without it the installation's.
        #[arg(long, value_name = "ADDRESS")]
        mail_from: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Lists all tenants: id, currency, name, separated by tabs.
    List {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Creates a user. Without --password-stdin a password is generated and printed once.
    Add {
        #[command(flatten)]
        account: Account,
        /// The tenant's name.
        #[arg(long)]
        tenant: String,
        /// owner, organizer, staff or customer.
        #[arg(long, default_value = "customer")]
        role: String,
        #[command(flatten)]
        place: Place,
    },
    /// Lists a tenant's users: id, role, e-mail, name, separated by tabs.
    List {
        /// The tenant's name.
        #[arg(long)]
        tenant: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Operators are created in the store only: whoever may write there is trusted anyway. No token can create operators or set
/// another operator's password.
#[derive(Debug, Subcommand)]
pub(super) enum OperatorCommand {
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

/// The new account.
#[derive(Debug, Clone, Args)]
pub(super) struct Account {
    /// Their address and login.
    #[arg(long)]
    email: String,
    /// Their display name.
    #[arg(long)]
    name: String,
    /// Reads the password from the first line of stdin.
    #[arg(long)]
    password_stdin: bool,
}

impl Account {
    /// The password, and whether it was generated and must be shown.
    fn password(&self) -> anyhow::Result<(String, bool)> {
        if self.password_stdin {
            let [password] = lines_from_stdin()?;
            Ok((password, false))
        } else {
            Ok((generated_password(), true))
        }
    }
}

/// `boxoffice tenant …`.
pub(super) async fn tenant(command: TenantCommand) -> anyhow::Result<()> {
    match command {
        TenantCommand::Add {
            id,
            name,
            currency,
            organizers_may_register,
            place,
        } => {
            let name = name.unwrap_or_else(|| id.clone());
            if let Some(remote) = place.remote.remote()? {
                let body = json!({
                    "id": id, "name": name, "currency": currency, "organizersMayRegister": organizers_may_register,
                });
                let made = remote
                    .call(Method::POST, "/api/operator/tenants", Some(body))
                    .await?;
                return print(text(&made, "id"));
            }
            let command = CreateTenant {
                id: TenantId::parse(&id)?,
                name: Label::parse("name", &name)?,
                currency,
                settings: TenantSettings {
                    organizers_may_register,
                    ..TenantSettings::default()
                },
            };
            let opened = open(&place.store, "tenant add").await?;
            let made = opened
                .engine
                .tenants()
                .create(&Caller::operator(), command)
                .await?;
            print(made.id.as_str())
        }
        TenantCommand::Sender {
            id,
            mail_from,
            place,
        } => set_sender(&TenantId::parse(&id)?, mail_from, &place).await,
        TenantCommand::List { place } => {
            if let Some(remote) = place.remote.remote()? {
                let tenants = remote.list("/api/operator/tenants").await?;
                return print_rows(&tenants, &["id", "currency", "name"]);
            }
            let opened = open(&place.store, "tenant list").await?;
            let (tenants, caller) = (opened.engine.tenants(), Caller::operator());
            each_page(
                async |request| Ok(tenants.list(&caller, request).await?),
                |tenant| {
                    print(&format!(
                        "{}\t{}\t{}",
                        tenant.id, tenant.currency, tenant.name
                    ))
                },
            )
            .await
        }
    }
}

/// Prints the effective address, or nothing for the installation's.
async fn set_sender(
    tenant: &TenantId,
    mail_from: Option<String>,
    place: &Place,
) -> anyhow::Result<()> {
    let address = mail_from
        .map(|text| EmailAddress::parse("mail-from", &text))
        .transpose()?;
    let in_force = if let Some(remote) = place.remote.remote()? {
        let path = format!("/api/operator/tenants/{tenant}/sender");
        let body = json!({ "mailFrom": address });
        let answer = remote.call(Method::PUT, &path, Some(body)).await?;
        text(&answer, "mailFrom").to_owned()
    } else {
        let opened = open(&place.store, "tenant sender").await?;
        let caller = Caller::operator().within(tenant.clone());
        let tenants = opened.engine.tenants();
        let tenant = tenants.set_mail_from(&caller, address).await?;
        tenant
            .mail_from
            .map_or_else(String::new, |address| address.to_string())
    };
    print(&in_force)
}

/// `boxoffice user …`.
pub(super) async fn user(command: UserCommand) -> anyhow::Result<()> {
    match command {
        UserCommand::Add {
            account,
            tenant,
            role,
            place,
        } => {
            let (password, is_new) = account.password()?;
            let (tenant, role) = (TenantId::parse(&tenant)?, role.parse::<UserRole>()?);
            let (email, name) = (
                EmailAddress::parse("email", &account.email)?,
                Label::parse("name", &account.name)?,
            );
            let id = if let Some(remote) = place.remote.remote()? {
                let body = json!({
                    "email": email.as_str(), "name": name.as_str(), "password": password, "role": role.as_str(),
                });
                let made = remote
                    .call(Method::POST, &users_path(&tenant), Some(body))
                    .await?;
                text(&made, "id").to_owned()
            } else {
                let opened = open(&place.store, "user add").await?;
                let command = CreateUser {
                    email,
                    name,
                    password: Some(password.clone()),
                    role,
                };
                opened
                    .engine
                    .users()
                    .create(&Caller::operator().within(tenant), command)
                    .await?
                    .id
                    .to_string()
            };
            print(&id)?;
            show_new_password(&password, is_new)
        }
        UserCommand::List { tenant, place } => {
            let tenant = TenantId::parse(&tenant)?;
            if let Some(remote) = place.remote.remote()? {
                let users = remote.list(&users_path(&tenant)).await?;
                return print_rows(&users, &["id", "role", "email", "name"]);
            }
            let opened = open(&place.store, "user list").await?;
            let (users, caller) = (opened.engine.users(), Caller::operator().within(tenant));
            each_page(
                async |request| Ok(users.list(&caller, request).await?),
                |user| {
                    print(&format!(
                        "{}\t{}\t{}\t{}",
                        user.id, user.role, user.email, user.name
                    ))
                },
            )
            .await
        }
    }
}

/// `boxoffice operator …`.
pub(super) async fn operator(command: OperatorCommand) -> anyhow::Result<()> {
    match command {
        OperatorCommand::Add { account, store } => {
            let (password, is_new) = account.password()?;
            let command = AddOperator {
                email: EmailAddress::parse("email", &account.email)?,
                name: Label::parse("name", &account.name)?,
                password: password.clone(),
            };
            let opened = open(&store, "operator add").await?;
            let made = opened
                .engine
                .operators()
                .add(&Caller::operator(), command)
                .await?;
            print(made.email.as_str())?;
            show_new_password(&password, is_new)
        }
        OperatorCommand::List { place } => {
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
        OperatorCommand::Remove { email, place } => {
            let email = EmailAddress::parse("email", &email)?;
            if let Some(remote) = place.remote.remote()? {
                let email = percent_encoded(email.as_str());
                let path = format!("/api/operator/operators/{email}");
                remote.call(Method::DELETE, &path, None).await?;
                return Ok(());
            }
            let opened = open(&place.store, "operator remove").await?;
            let operators = opened.engine.operators();
            Ok(operators.remove(&Caller::operator(), &email).await?)
        }
        OperatorCommand::Password {
            email,
            password_stdin,
            place,
        } => set_operator_password(email, password_stdin, &place).await,
        OperatorCommand::Release { place } => {
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
        OperatorCommand::Login { url, email } => {
            let [password] = lines_from_stdin()?;
            let body = json!({ "email": email, "password": password });
            let answer = Remote::new(&url, None)?
                .call(Method::POST, "/api/operator/login", Some(body))
                .await?;
            print(text(&answer, "token"))
        }
    }
}

async fn set_operator_password(
    email: Option<String>,
    is_given: bool,
    place: &Place,
) -> anyhow::Result<()> {
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

/// Opens the store for a short command.
pub(super) async fn open(store: &StoreArgs, command: &str) -> anyhow::Result<Opened> {
    let config = Config::load(&store.flags())?;
    // A short command logs only errors; the configured level is for hosts.
    telemetry::start_lines("warn,surrealkv=error", config.logs.format);
    store::open(&config, Mails::LeftToOthers, command, None, None).await
}

async fn each_page<T>(
    list: impl AsyncFn(PageRequest) -> anyhow::Result<Page<T>>,
    show: impl Fn(&T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut cursor = None;
    loop {
        let page = list(PageRequest {
            cursor,
            limit: PageRequest::LIMIT_MAX,
        })
        .await?;
        page.items.iter().try_for_each(&show)?;
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

fn print_rows(items: &[Value], members: &[&str]) -> anyhow::Result<()> {
    items.iter().try_for_each(|item| {
        let row: Vec<&str> = members.iter().map(|member| text(item, member)).collect();
        print(&row.join("\t"))
    })
}

fn users_path(tenant: &TenantId) -> String {
    format!("/api/operator/tenants/{tenant}/users")
}

/// The second line that `add` prints: the password cannot be read later.
fn show_new_password(password: &str, is_new: bool) -> anyhow::Result<()> {
    if is_new {
        print(&format!("password: {password}"))
    } else {
        Ok(())
    }
}

/// The first lines of stdin, each a password.
fn lines_from_stdin<const N: usize>() -> anyhow::Result<[String; N]> {
    let mut text = String::new();
    // 200 characters are allowed, so a kilobyte each is enough.
    io::stdin()
        .take(1_024 * N as u64)
        .read_to_string(&mut text)
        .context("reading the password from stdin")?;
    let lines: Vec<String> = text.lines().take(N).map(str::to_owned).collect();
    match <[String; N]>::try_from(lines) {
        Ok(lines) if lines.iter().all(|line| !line.is_empty()) => Ok(lines),
        _ if N == 1 => bail!(
            "stdin holds no password; send one line, for example: printf %s \"$PASSWORD\" | boxoffice …"
        ),
        _ => bail!("stdin must hold {N} lines: the present password, and the new one"),
    }
}
