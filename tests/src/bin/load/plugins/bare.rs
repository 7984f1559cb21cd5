//! The same components called with nothing but wasmtime: a fresh store, an instance, a call, and gone.
//!
//! No slot, no meter, no thread of its own, no bound, no conversion: the least that a call of a component can cost here.

use std::sync::Arc;

use anyhow::Context as _;
use boxoffice_engine::ports::{
    BookingRequest, PluginRequest, RenderRequest, RequestCustomer, RequestEvent, RequestLine,
};
use boxoffice_wit::host::{
    policy::{
        Policy as PolicyWorld,
        boxoffice::plugin::{host, types},
        exports::boxoffice::plugin::booking_policy as policy,
    },
    template::exports::boxoffice::plugin::notification_template as template,
};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    component::{Component, ComponentExportIndex, HasSelf, InstancePre, Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// An engine of wasmtime as the plugin host has it.
pub(super) struct Bare {
    engine: Engine,
    linker: Linker<State>,
    with_limits: bool,
}

/// A component that can be called, and what it is asked.
#[derive(Clone)]
pub(super) struct Callable {
    engine: Engine,
    pre: InstancePre<State>,
    export: ComponentExportIndex,
    question: Arc<Question>,
    with_limits: bool,
}

enum Question {
    Booking(Box<policy::BookingRequest>, String),
    Render(template::RenderRequest, String),
}

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl types::Host for State {}

impl host::Host for State {
    fn log(&mut self, _: host::LogLevel, _: String) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl Bare {
    /// Compiles a component, and remembers what it is to be asked.
    pub(super) fn compile(
        &self,
        bytes: &[u8],
        request: &PluginRequest,
        config: &str,
    ) -> anyhow::Result<Callable> {
        let component = Component::from_binary(&self.engine, bytes).map_err(ours)?;
        let config = config.to_owned();
        let (interface, function, question) = match request {
            PluginRequest::ValidateBooking(request) => (
                "booking-policy",
                "validate-booking",
                Question::Booking(Box::new(booking(request)), config),
            ),
            PluginRequest::Render(request) => (
                "notification-template",
                "render",
                Question::Render(render(request), config),
            ),
            PluginRequest::ValidateCancellation(_) => anyhow::bail!("no fixture is a cancellation"),
        };
        let interface = format!(
            "{}/{interface}@{}",
            boxoffice_wit::PACKAGE,
            boxoffice_wit::version()
        );
        let instance = component
            .get_export_index(None, interface.as_str())
            .with_context(|| format!("no export {interface}"))?;
        let export = component
            .get_export_index(Some(&instance), function)
            .with_context(|| format!("no export {function}"))?;
        Ok(Callable {
            pre: self.linker.instantiate_pre(&component).map_err(ours)?,
            engine: self.engine.clone(),
            export,
            question: Arc::new(question),
            with_limits: self.with_limits,
        })
    }

    /// Makes one: with fuel and epochs, as hosts compile plugins, or without.
    pub(super) fn new(with_limits: bool) -> anyhow::Result<Self> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(64)
            .total_stacks(64)
            .max_core_instances_per_component(64)
            .total_core_instances(64 * 64)
            .max_memories_per_component(3)
            .total_memories(64 * 3)
            .max_tables_per_component(16)
            .total_tables(64 * 16)
            .table_elements(10_000)
            .max_memory_size(32 * 1024 * 1024)
            .linear_memory_keep_resident(2 * 1024 * 1024)
            .table_keep_resident(16 * 1024)
            .pagemap_scan(Enabled::Auto);
        let mut config = Config::new();
        config
            .consume_fuel(with_limits)
            .epoch_interruption(with_limits)
            .concurrency_support(false)
            .memory_init_cow(true)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config).map_err(ours)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker).map_err(ours)?;
        PolicyWorld::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut State| state)
            .map_err(ours)?;
        Ok(Self {
            engine,
            linker,
            with_limits,
        })
    }
}

impl Callable {
    /// Makes one call. Not on a thread that runs async work: WASI may want to wait.
    pub(super) fn call(&self) -> anyhow::Result<()> {
        let state = State {
            wasi: WasiCtx::builder().build(),
            table: ResourceTable::new(),
        };
        let mut store = Store::new(&self.engine, state);
        if self.with_limits {
            store.set_fuel(1_000_000_000).map_err(ours)?;
            store.set_epoch_deadline(1_000_000);
        }
        let instance = self.pre.instantiate(&mut store).map_err(ours)?;
        match &*self.question {
            Question::Booking(request, config) => {
                let function = instance
                    .get_typed_func::<(&policy::BookingRequest, &str), (policy::Decision,)>(
                        &mut store,
                        &self.export,
                    )
                    .map_err(ours)?;
                function.call(&mut store, (request, config)).map_err(ours)?;
            }
            Question::Render(request, config) => {
                let function = instance
                    .get_typed_func::<(&template::RenderRequest, &str), (Result<template::Rendered, String>,)>(
                        &mut store,
                        &self.export,
                    )
                    .map_err(ours)?;
                let (answer,) = function.call(&mut store, (request, config)).map_err(ours)?;
                answer.map_err(anyhow::Error::msg)?;
            }
        }
        Ok(())
    }
}

fn ours(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}

fn booking(request: &BookingRequest) -> policy::BookingRequest {
    policy::BookingRequest {
        event: event(&request.event),
        lines: request.lines.iter().map(line).collect(),
        customer: customer(&request.customer),
        channel: request.channel.clone(),
        seller: None,
        details: types::BookingDetails {
            reference: None,
            metadata: Vec::new(),
            codes: request.details.codes.clone(),
            // No fixture that is measured has answers or attendees.
            answers: Vec::new(),
            attendees: Vec::new(),
        },
        now: types::Moment {
            utc: request.now.utc.clone(),
            local: request.now.local.clone(),
        },
    }
}

fn render(request: &RenderRequest) -> template::RenderRequest {
    template::RenderRequest {
        kind: request.kind.clone(),
        locale: request.locale.clone(),
        data_json: request.data.to_string(),
    }
}

fn event(event: &RequestEvent) -> types::Event {
    let kinds = event.ticket_types.iter();
    types::Event {
        id: event.id.clone(),
        version: event.version,
        title: event.title.clone(),
        starts_at: event.starts_at.clone(),
        ends_at: event.ends_at.clone(),
        time_zone: event.time_zone.clone(),
        location: event.location.clone(),
        currency: event.currency.clone(),
        ticket_types: kinds
            .map(|kind| types::TicketType {
                id: kind.id.clone(),
                name: kind.name.clone(),
                price_minor: kind.price_minor,
                metadata: Vec::new(),
            })
            .collect(),
        reference: event.reference.clone(),
        metadata: Vec::new(),
    }
}

fn line(line: &RequestLine) -> types::Line {
    types::Line {
        ticket_type: line.ticket_type.clone(),
        quantity: line.quantity,
        unit_price_minor: line.unit_price_minor,
    }
}

fn customer(customer: &RequestCustomer) -> types::Customer {
    types::Customer {
        pseudonym: customer.pseudonym.clone(),
        tickets_in_event: customer.tickets_in_event,
        email: customer.email.clone(),
        name: customer.name.clone(),
    }
}
