//! `boxoffice tenant`: tenants and the senders of their mails.

use axum::http::Method;
use boxoffice_engine::{Caller, CreateTenant, EmailAddress, Label, TenantId, TenantSettings};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Place, each_page, open, print, print_rows, text};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum TenantCommand {
    /// Creates a tenant.
    Add(AddArgs),
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

#[derive(Debug, Args)]
pub(in crate::cli) struct AddArgs {
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
}

/// `boxoffice tenant …`.
pub(in crate::cli) async fn tenant(command: TenantCommand) -> anyhow::Result<()> {
    match command {
        TenantCommand::Add(args) => add(args).await,
        TenantCommand::Sender {
            id,
            mail_from,
            place,
        } => set_sender(&TenantId::parse(&id)?, mail_from, &place).await,
        TenantCommand::List { place } => list(&place).await,
    }
}

async fn add(args: AddArgs) -> anyhow::Result<()> {
    let name = args.name.unwrap_or_else(|| args.id.clone());
    if let Some(remote) = args.place.remote.remote()? {
        let body = json!({
            "id": args.id,
            "name": name,
            "currency": args.currency,
            "organizersMayRegister": args.organizers_may_register,
        });
        let made = remote
            .call(Method::POST, "/api/operator/tenants", Some(body))
            .await?;
        return print(text(&made, "id"));
    }
    let command = CreateTenant {
        id: TenantId::parse(&args.id)?,
        name: Label::parse("name", &name)?,
        currency: args.currency,
        settings: TenantSettings {
            organizers_may_register: args.organizers_may_register,
            ..TenantSettings::default()
        },
    };
    let opened = open(&args.place.store, "tenant add").await?;
    let tenants = opened.engine.tenants();
    let made = tenants.create(&Caller::operator(), command).await?;
    print(made.id.as_str())
}

async fn list(place: &Place) -> anyhow::Result<()> {
    if let Some(remote) = place.remote.remote()? {
        let tenants = remote.list("/api/operator/tenants").await?;
        return print_rows(&tenants, &["id", "currency", "name"]);
    }
    let opened = open(&place.store, "tenant list").await?;
    let (tenants, caller) = (opened.engine.tenants(), Caller::operator());
    each_page(
        async |request| Ok(tenants.list(&caller, request).await?),
        |tenant| {
            let (id, currency, name) = (&tenant.id, &tenant.currency, &tenant.name);
            print(&format!("{id}\t{currency}\t{name}"))
        },
    )
    .await
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
