//! What bookings cost that carry answers and metadata, claim of counters, or get receipts, beside plain ones; and what quotes cost. Each
//! kind has a store of its own, and all take turns.

use async_trait::async_trait;
use boxoffice_engine::{
    ActivatePlugin, AnswerKind, AnswerValue, Answers, Claim, Engine, EventStatus, Label, Metadata,
    NewBookingDetails, NewTicketType, PluginHash, Question, UpdateEvent, UpdateTenant,
    ports::{BookingView, Decision, HookFailure, Policy},
};
use boxoffice_tests::{TempFolder, owner_of, using};
use serde_json::Value;

use super::{
    PluginsArguments,
    bookings::{Fixture, in_turns},
};

/// What a native policy claims.
#[derive(Clone, Copy)]
enum Claims {
    None,
    /// Of one counter, which all bookings share.
    Shared,
    /// Of a counter for each customer.
    PerCustomer,
}

#[async_trait]
impl Policy for Claims {
    async fn validate_booking(&self, request: &BookingView) -> Result<Decision, HookFailure> {
        let key = match self {
            Self::None => return Ok(Decision::Accept),
            Self::Shared => "quota".to_owned(),
            Self::PerCustomer => format!("customer:{}", request.customer.pseudonym),
        };
        let claim = Claim {
            key: key.parse().map_err(|_| HookFailure::Failed(key))?,
            limit: u32::MAX,
            amount: 1,
        };
        Ok(Decision::claiming(request, vec![claim]))
    }
}

pub(super) async fn run(arguments: &PluginsArguments) -> anyhow::Result<Value> {
    let folder = TempFolder::new("carried");
    let mut scenes = Vec::new();
    for (name, policy) in [
        ("plain", None),
        ("10 answers, 5 keys of metadata", None),
        ("receipts", None),
        ("native policy", Some(Claims::None)),
        ("native policy, one claim", Some(Claims::Shared)),
        (
            "native policy, a claim per customer",
            Some(Claims::PerCustomer),
        ),
        ("quotes, native policy", Some(Claims::None)),
        ("quotes, built-in policy", None),
    ] {
        let mut builder = Engine::builder().embedded(folder.join(name));
        if let Some(policy) = policy {
            builder = builder.policy(policy);
        }
        let engine = builder.build().await?;
        let mut scene = Fixture::of(&engine, "north").await;
        scene.is_quoted = name.starts_with("quotes");
        match name {
            "10 answers, 5 keys of metadata" => ask_questions(&mut scene).await?,
            "receipts" => switch_receipts_on(&scene).await?,
            "quotes, built-in policy" => activate_early_bird(&scene).await?,
            _ => {}
        }
        scenes.push((name, scene));
    }
    in_turns(arguments, &scenes).await
}

/// Lets the event ask ten questions, which each booking answers.
async fn ask_questions(scene: &mut Fixture) -> anyhow::Result<()> {
    let events = scene.engine.events();
    let mut event = events.show(&scene.organizer, scene.event()).await?.event;
    let question = |number| -> anyhow::Result<Question> {
        Ok(Question {
            id: format!("question-{number}").parse()?,
            label: Label::parse("label", "What do you think of it?")?,
            kind: AnswerKind::Text,
            choices: Vec::new(),
            required: true,
            per_ticket: false,
            ticket_types: Vec::new(),
        })
    };
    event.details.questions = (0..10).map(question).collect::<anyhow::Result<_>>()?;
    let types = event.ticket_types.iter().map(|kind| NewTicketType {
        id: Some(kind.id.clone()),
        name: kind.name.clone(),
        price_minor: kind.price_minor,
        ..NewTicketType::general(kind.capacity)
    });
    let questions = event.details.questions.iter();
    let answer = |question: &Question| {
        let answer = AnswerValue::Text("As good as the last time.".to_owned());
        (question.id.clone(), answer)
    };
    let keys = (0..5).map(|number| (format!("key-{number}"), "a value of some length".to_owned()));
    scene.details = NewBookingDetails {
        answers: Some(Answers::new(questions.map(answer).collect())),
        metadata: Some(Metadata::parse("metadata", keys.collect())?),
        ..NewBookingDetails::default()
    };
    let command = UpdateEvent {
        event: event.id,
        expected_version: event.version,
        ticket_types: types.collect(),
        details: event.details,
        status: EventStatus::Published,
        total_tickets: None,
        max_tickets_per_customer: None,
        cancellation_terms: event.cancellation_terms,
        notify_customers: Some(false),
    };
    events.update(&scene.organizer, command).await?;
    Ok(())
}

async fn switch_receipts_on(scene: &Fixture) -> anyhow::Result<()> {
    let owner = owner_of(&scene.engine, &scene.tenant).await;
    let tenants = scene.engine.tenants();
    let mut tenant = tenants.settings(&owner).await?;
    tenant.settings.receipts.is_on = true;
    let command = UpdateTenant {
        expected_version: tenant.version,
        name: tenant.name,
        settings: tenant.settings,
    };
    tenants.update(&owner, command).await?;
    Ok(())
}

async fn activate_early_bird(scene: &Fixture) -> anyhow::Result<()> {
    let owner = owner_of(&scene.engine, &scene.tenant).await;
    let prices =
        r#"{"prices": [{"until": {"daysBeforeStart": 7}, "price": {"priceMinor": 1800}}]}"#;
    let command = ActivatePlugin {
        version: None,
        config: Some(prices.to_owned()),
        ..using("boxoffice.early-bird", PluginHash::of(&[]))
    };
    scene.engine.plugins().activate(&owner, command).await?;
    Ok(())
}
