//! Many plugins in memory, and the way from an upload to a booking that was decided.

use std::time::Instant;

use boxoffice_engine::{
    ActivatePlugin, BookTickets, Caller, Engine, PluginHash, PluginName, PluginState, TenantId,
    UploadPlugin, UserId,
    ports::{LoadPurpose, PluginRef, PluginRequest, PluginRuntime as _},
};
use boxoffice_tests::{TempFolder, create_event, organizer_and_tenant, owner_of, using};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::PluginsArguments;
use crate::cpu;

const PLUGINS_OF_A_TENANT: usize = 10;
/// Times that each example is uploaded; the median is told.
const UPLOADS: u32 = 5;

/// Loads as many different plugins as asked for, ten for each tenant.
pub(super) async fn memory(arguments: &PluginsArguments) -> anyhow::Result<Value> {
    let example = arguments.example("early-bird-price")?;
    let host = arguments.host()?;
    let (before, _) = cpu::resident_bytes()?;
    let begun = Instant::now();
    for number in 0..arguments.plugins {
        let bytes = example.numbered(u32::try_from(number)?);
        let plugin = PluginRef {
            tenant: TenantId::parse(&format!("tenant-{}", number / PLUGINS_OF_A_TENANT))?,
            hash: PluginHash::of(&bytes),
        };
        let bytes: std::sync::Arc<[u8]> = bytes.into();
        host.load(&plugin, std::sync::Arc::new(bytes), LoadPurpose::Use)
            .await?;
    }
    let (after, highest) = cpu::resident_bytes()?;
    Ok(json!({
        "plugins": arguments.plugins,
        "tenants": arguments.plugins.div_ceil(PLUGINS_OF_A_TENANT),
        "sizeBytesOfEach": example.bytes.len(),
        "residentBytesBefore": before,
        "residentBytesAfter": after,
        "residentBytesHighest": highest,
        "bytesForEach": after.saturating_sub(before) / arguments.plugins.max(1) as u64,
        "secondsToCompileAll": begun.elapsed().as_secs_f64(),
    }))
}

/// Uploads every example and tells how long it takes until it is taken, ready, in use, and asked for a booking.
pub(super) async fn activation(arguments: &PluginsArguments) -> anyhow::Result<Value> {
    let folder = TempFolder::new("plugins");
    let engine = Engine::builder()
        .embedded(folder.join("activation"))
        .plugins(arguments.host()?)
        .build()
        .await?;
    let mut report = Vec::new();
    for (number, example) in arguments.examples()?.iter().enumerate() {
        let (tenant, organizer, _) =
            organizer_and_tenant(&engine, &format!("tenant-{number}")).await;
        let event = create_event(&engine, &organizer, Timestamp::now(), 1_000).await;
        let owner = owner_of(&engine, &tenant).await;
        let decides = matches!(example.request, PluginRequest::ValidateBooking(_));
        let mut steps: [Vec<f64>; 4] = Default::default();
        for upload in 0..UPLOADS {
            let begun = Instant::now();
            let millis = || begun.elapsed().as_secs_f64() * 1e3;
            let name = PluginName::parse("name", &example.name)?;
            let bytes = example.numbered(upload).into();
            let version = engine
                .plugins()
                .upload(&owner, UploadPlugin { name, bytes })
                .await?;
            steps[0].push(millis());
            wait_until_ready(&engine, &owner, version.hash).await?;
            steps[1].push(millis());
            let command = ActivatePlugin {
                config: Some(example.config.clone()),
                ..using(&example.name, version.hash)
            };
            engine.plugins().activate(&owner, command).await?;
            steps[2].push(millis());
            if decides {
                let customer: UserId = format!("01{upload:024}").parse()?;
                let caller = Caller::platform(tenant.as_str()).on_behalf_of(customer);
                // Some examples refuse it: that is a decision, too.
                let answer = engine
                    .bookings()
                    .book_tickets(&caller, BookTickets::general(event.id, 1))
                    .await;
                if let Err(error) = answer {
                    anyhow::ensure!(
                        error.code().as_str() == "policy-rejected",
                        "{}: {error}",
                        example.name
                    );
                }
                steps[3].push(millis());
            }
        }
        let [taken, ready, in_use, decided] = steps.map(median);
        report.push(json!({
            "plugin": example.name,
            "sizeBytes": example.bytes.len(),
            "takenAfterMillis": taken,
            "readyAfterMillis": ready,
            "inUseAfterMillis": in_use,
            "firstDecisionAfterMillis": decided,
        }));
    }
    Ok(report.into())
}

async fn wait_until_ready(
    engine: &Engine,
    owner: &Caller,
    version: PluginHash,
) -> anyhow::Result<()> {
    loop {
        match engine.plugins().show(owner, version).await?.state {
            PluginState::Ready => return Ok(()),
            PluginState::Rejected { reason, .. } => anyhow::bail!(reason),
            PluginState::Compiling => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
        }
    }
}

fn median(mut millis: Vec<f64>) -> Option<f64> {
    millis.sort_by(f64::total_cmp);
    millis
        .get(millis.len() / 2)
        .map(|time| (time * 10.0).round() / 10.0)
}
