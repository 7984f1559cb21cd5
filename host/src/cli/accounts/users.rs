//! `boxoffice user`: a tenant's users.

use axum::http::Method;
use boxoffice_engine::{Caller, CreateUser, EmailAddress, Label, TenantId, UserFilter, UserRole};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Account, Place, each_page, open, print, print_rows, show_new_password, text};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum UserCommand {
    /// Creates a user. Without --password-stdin a password is generated and printed once.
    Add(AddArgs),
    /// Lists a tenant's users: id, role, e-mail, name, separated by tabs.
    List {
        /// The tenant's name.
        #[arg(long)]
        tenant: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AddArgs {
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
}

/// `boxoffice user …`.
pub(in crate::cli) async fn user(command: UserCommand) -> anyhow::Result<()> {
    match command {
        UserCommand::Add(args) => add(args).await,
        UserCommand::List { tenant, place } => list(TenantId::parse(&tenant)?, &place).await,
    }
}

async fn add(args: AddArgs) -> anyhow::Result<()> {
    let (password, is_new) = args.account.password()?;
    let (tenant, role) = (
        TenantId::parse(&args.tenant)?,
        args.role.parse::<UserRole>()?,
    );
    let (email, name) = (
        EmailAddress::parse("email", &args.account.email)?,
        Label::parse("name", &args.account.name)?,
    );
    let id = if let Some(remote) = args.place.remote.remote()? {
        let body = json!({
            "email": email.as_str(), "name": name.as_str(), "password": password, "role": role.as_str(),
        });
        let made = remote
            .call(Method::POST, &users_path(&tenant), Some(body))
            .await?;
        text(&made, "id").to_owned()
    } else {
        let opened = open(&args.place.store, "user add").await?;
        let command = CreateUser {
            email,
            name,
            password: Some(password.clone()),
            role,
        };
        let (users, caller) = (opened.engine.users(), Caller::operator().within(tenant));
        users.create(&caller, command).await?.id.to_string()
    };
    print(&id)?;
    show_new_password(&password, is_new)
}

async fn list(tenant: TenantId, place: &Place) -> anyhow::Result<()> {
    if let Some(remote) = place.remote.remote()? {
        let users = remote.list(&users_path(&tenant)).await?;
        return print_rows(&users, &["id", "role", "email", "name"]);
    }
    let opened = open(&place.store, "user list").await?;
    let (users, caller) = (opened.engine.users(), Caller::operator().within(tenant));
    each_page(
        async |request| Ok(users.list(&caller, UserFilter::default(), request).await?),
        |user| {
            let (id, role, email, name) = (&user.id, &user.role, &user.email, &user.name);
            print(&format!("{id}\t{role}\t{email}\t{name}"))
        },
    )
    .await
}

fn users_path(tenant: &TenantId) -> String {
    format!("/api/operator/tenants/{tenant}/users")
}
