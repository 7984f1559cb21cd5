//! The demo tenant of `boxoffice dev`: its users and event, created once, and the welcome.
//!
//! Called by dev. Calls the engine's use cases, as an embedding program would.

use std::path::PathBuf;

use boxoffice_engine::{
    AddOperator, Caller, CreateEvent, CreateTenant, CreateUser, EmailAddress, Engine, Event,
    EventFilter, EventStatus, Label, PageRequest, Prose, Result, TenantId, TenantSettings, User,
    UserFilter, UserRole,
};
use jiff::{Span, Timestamp};

use super::serve::Welcome;
use crate::{
    config::data_folder::DevSecrets,
    routes::{DemoAccess, DemoSignIn},
};

const TENANT: &str = "demo";
const OPERATOR: &str = "operator@boxoffice.test";
const EVENT_TITLE: &str = "Demo night";
/// Tickets of the demo event: enough to try things, few enough to sell it out.
const EVENT_TICKETS: u32 = 500;

/// The process's data for the welcome.
pub(super) struct Place {
    /// The data folder.
    pub(super) folder: PathBuf,
    /// Where mails are written, if they are.
    pub(super) mails: Option<PathBuf>,
    /// Whether the secrets are new.
    pub(super) secrets_are_new: bool,
    /// Whether only this machine can open the pages.
    pub(super) is_loopback: bool,
}

/// The demo tenant.
pub(super) struct Demo {
    event: Event,
    /// Whether the accounts existed before, and so have the passwords of older secrets.
    accounts_are_old: bool,
}

/// Creates the missing parts of the demo tenant.
///
/// # Errors
/// The engine's, if the store fails.
pub(super) async fn ensure(engine: &Engine, secrets: &DevSecrets) -> Result<Demo> {
    let tenant = TenantId::parse(TENANT)?;
    let command = CreateTenant {
        id: tenant.clone(),
        name: Label::parse("name", "Demo")?,
        currency: "EUR".to_owned(),
        settings: TenantSettings {
            organizers_may_register: true,
            ..TenantSettings::default()
        },
    };
    engine
        .tenants()
        .ensure(&Caller::operator(), command)
        .await?;

    // Listing first costs no password hash, as trying to make them again would.
    let caller = Caller::platform(TENANT);
    let there = engine
        .users()
        .list(
            &caller,
            UserFilter::default(),
            PageRequest::parse(None, Some(100))?,
        )
        .await?
        .items;
    let mut users = Vec::new();
    for (role, name, password) in [
        (UserRole::Owner, "Olga Owner", &secrets.owner_password),
        (
            UserRole::Organizer,
            "Otto Organizer",
            &secrets.organizer_password,
        ),
        (
            UserRole::Customer,
            "Carla Customer",
            &secrets.customer_password,
        ),
    ] {
        users.push(ensure_user(engine, &caller, &there, role, name, password).await?);
    }
    ensure_operator(engine, &secrets.operator_password).await?;
    let event = ensure_event(engine, &tenant, &users[1]).await?;
    Ok(Demo {
        event,
        accounts_are_old: !there.is_empty(),
    })
}

/// What is printed and shown at `/`. Passwords are shown there only if they are right and no other machine can open it.
pub(super) fn welcome(demo: &Demo, secrets: &DevSecrets, place: &Place, url: &str) -> Welcome {
    let access = access(demo, secrets, url);
    let folder = place.folder.display();
    let (mails, read_mail) = match &place.mails {
        Some(mails) => (
            format!("{url}/dev/mails  (files in {})", mails.display()),
            format!("The confirmation is at {url}/dev/mails a moment later."),
        ),
        None => (
            "over SMTP, as configured".to_owned(),
            "The confirmation goes out over SMTP.".to_owned(),
        ),
    };
    let doubt = if place.secrets_are_new && demo.accounts_are_old {
        "\n  These passwords are new, but the accounts are older and keep those they were made with; start with an\n  \
         empty folder to get new accounts.\n"
    } else {
        ""
    };
    let sign_ins: String = (access.sign_ins.iter())
        .map(|one| format!("  {:<10} {:<24} {}\n", one.role, one.email, one.password))
        .collect();
    let text = format!(
        "\n\n  Start here {url}/\n  \
           API docs   {url}/docs\n  \
           Console    {url}/admin\n  \
           Mails      {mails}\n  \
           Data       {folder}\n\n\
         Sign-ins of tenant `{TENANT}` and of the operator, kept in {folder}/secrets.toml:\n{sign_ins}{doubt}\n\
         {title}:\n\n{commands}\n\n{read_mail}",
        title = access.commands_title,
        commands = access.commands,
    );
    Welcome {
        text,
        demo: (place.is_loopback && doubt.is_empty()).then_some(access),
    }
}

fn access(demo: &Demo, secrets: &DevSecrets, url: &str) -> DemoAccess {
    let sign_in = |role: &str, email: String, password: &str| DemoSignIn {
        role: role.to_owned(),
        email,
        password: password.to_owned(),
    };
    let user = |role: UserRole, password| sign_in(role.as_str(), email(role), password);
    DemoAccess {
        tenant: TENANT.to_owned(),
        sign_ins: vec![
            user(UserRole::Owner, &secrets.owner_password),
            user(UserRole::Organizer, &secrets.organizer_password),
            user(UserRole::Customer, &secrets.customer_password),
            sign_in("operator", OPERATOR.to_owned(), &secrets.operator_password),
        ],
        commands_title: format!("Book 2 tickets for \"{EVENT_TITLE}\" as the customer"),
        commands: curl(demo, secrets, url),
    }
}

/// Commands for a plain shell; passwords are letters and digits, so nothing needs escaping.
fn curl(demo: &Demo, secrets: &DevSecrets, url: &str) -> String {
    let (email, password) = (email(UserRole::Customer), &secrets.customer_password);
    let event = demo.event.id;
    format!(
        "TOKEN=$(curl -s {url}/api/auth/login -H 'X-Tenant: {TENANT}' -H 'Content-Type: application/json' \\\n  \
           -d '{{\"email\":\"{email}\",\"password\":\"{password}\"}}' | sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/')\n\
         curl -s {url}/api/bookings -H 'X-Tenant: {TENANT}' -H 'Content-Type: application/json' \\\n  \
           -H \"Authorization: Bearer $TOKEN\" -d '{{\"eventId\":\"{event}\",\"numTickets\":2}}'"
    )
}

fn email(role: UserRole) -> String {
    // `.test` never leaves this machine (RFC 6761).
    format!("{role}@demo.test")
}

async fn ensure_user(
    engine: &Engine,
    caller: &Caller,
    there: &[User],
    role: UserRole,
    name: &str,
    password: &str,
) -> Result<User> {
    let email = EmailAddress::parse("email", &email(role))?;
    if let Some(user) = there.iter().find(|user| user.email == email) {
        return Ok(user.clone());
    }
    let name = Label::parse("name", name)?;
    engine
        .users()
        .create(
            caller,
            CreateUser {
                email,
                name,
                password: Some(password.to_owned()),
                role,
            },
        )
        .await
}

async fn ensure_operator(engine: &Engine, password: &str) -> Result<()> {
    let email = EmailAddress::parse("email", OPERATOR)?;
    let caller = Caller::operator();
    if engine
        .operators()
        .list(&caller)
        .await?
        .iter()
        .any(|operator| operator.email == email)
    {
        return Ok(());
    }
    let name = Label::parse("name", "Operator")?;
    engine
        .operators()
        .add(
            &caller,
            AddOperator {
                email,
                name,
                password: password.to_owned(),
            },
        )
        .await
        .map(drop)
}

/// The demo event if it can still be booked, else a new one.
async fn ensure_event(engine: &Engine, tenant: &TenantId, organizer: &User) -> Result<Event> {
    let caller = Caller::user(tenant.clone(), organizer.id, organizer.role);
    let soon = Timestamp::now() + Span::new().hours(1);
    let is_fit = |event: &Event| {
        event.details.title.as_str() == EVENT_TITLE
            && event.organizer == Some(organizer.id)
            && event.tickets_sold + event.tickets_held + 2 <= event.total_tickets
    };
    let filter = EventFilter {
        status: Some(EventStatus::Published),
        starts_from: Some(soon),
        ..EventFilter::default()
    };
    let mut cursor = None;
    // Ten pages are enough for a demo; beyond them another demo event does no harm.
    for _ in 0..10 {
        let page = PageRequest::parse(cursor, Some(100))?;
        let page = engine.events().list(&caller, filter.clone(), page).await?;
        if let Some(event) = page.items.into_iter().map(|seen| seen.event).find(is_fit) {
            return Ok(event);
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    engine.events().create(&caller, demo_event()?).await
}

fn demo_event() -> Result<CreateEvent> {
    // At a full hour a month ahead: far enough that the demo outlives a few weeks of restarts.
    let in_a_month = Timestamp::now().as_second() + 30 * 86_400;
    let starts_at = Timestamp::from_second(in_a_month - in_a_month % 3_600)
        .map_err(boxoffice_engine::Error::internal)?;
    let title = Label::parse("title", EVENT_TITLE)?;
    let mut event = CreateEvent::general(title, starts_at, EVENT_TICKETS);
    let details = &mut event.details;
    let description = "An evening that shows how booking works.";
    details.description = Prose::parse("description", description)?;
    details.ends_at = Some(starts_at + Span::new().hours(3));
    details.time_zone = "Europe/Berlin".to_owned();
    details.location = Some(Label::parse("location", "Town Hall, Main Street 1")?);
    Ok(event)
}
