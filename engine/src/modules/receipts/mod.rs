//! Receipts of bookings and credit notes of refunds.
//!
//! The step of a booking or refund writes that one is due (`modules/bookings/receipts.rs`); `numbering` gives numbers, a batch of a
//! tenant in one transaction; `amounts` computes what they say. A receipt that is not numbered yet is shown as it would be numbered
//! now. Called by app_modules and the worker's use cases; calls the receipts, bookings, events, users and tenants repositories.

pub(in crate::modules) mod amounts;
mod numbering;

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use jiff::{Zoned, tz::TimeZone};
use tokio::sync::OnceCell;

use super::{
    ModuleContext,
    repositories::{
        BackupsRepository, BookingsRepository, EventsRepository, ReceiptsRepository,
        TenantsRepository, UsersRepository,
    },
    support::due_scan::DueScanCursor,
};
use crate::{
    error::{Error, Result},
    types::{
        Booking, BookingReceipt, EventId, Label, Page, PageRequest, ReceiptId, ReceiptIssuer,
        ReceiptLine, ReceiptPlace, ReceiptRecipient, Tenant, TenantId, TicketTypeId, User, UserId,
        known_zone,
    },
};
use amounts::{TaxedLine, amounts, indexes};

pub(crate) struct ReceiptsModule {
    repository: ReceiptsRepository,
    bookings: Arc<BookingsRepository>,
    events: Arc<EventsRepository>,
    others: OtherRepositories,
    cursor: DueScanCursor,
    /// What a restored store has in its numbers; empty in any other. It does not change while the store is open.
    series: OnceCell<String>,
    context: ModuleContext,
}

/// What is read of other areas.
pub(in crate::modules) struct OtherRepositories {
    pub(in crate::modules) users: UsersRepository,
    pub(in crate::modules) tenants: TenantsRepository,
    pub(in crate::modules) backups: BackupsRepository,
}

/// What receipts say beside their amounts, read once for a batch of a tenant.
struct Sources {
    tenant: Tenant,
    /// Titles and ticket types, by event and the version of it that was booked.
    events: HashMap<(EventId, u64), BookedEvent>,
    users: HashMap<UserId, User>,
    /// Now in the tenant's zone.
    now: Zoned,
}

struct BookedEvent {
    title: Label,
    types: Vec<(TicketTypeId, Label)>,
}

impl ReceiptsModule {
    pub(in crate::modules) fn new(
        repository: ReceiptsRepository,
        bookings: Arc<BookingsRepository>,
        events: Arc<EventsRepository>,
        others: OtherRepositories,
        context: ModuleContext,
    ) -> Self {
        Self {
            repository,
            bookings,
            events,
            others,
            cursor: DueScanCursor::default(),
            series: OnceCell::new(),
            context,
        }
    }

    /// The receipt and the credit notes of a booking, in order. Those that are due come without numbers.
    pub(crate) async fn of_booking(
        &self,
        tenant: &TenantId,
        booking: &Booking,
    ) -> Result<Vec<BookingReceipt>> {
        let ids = indexes(booking).into_iter().map(|index| ReceiptId {
            booking: booking.id,
            index,
        });
        let ids: Vec<_> = ids.collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut numbered = self.repository.find_many(tenant, ids.clone()).await?;
        let year = self.year();
        let mut receipts = Vec::with_capacity(ids.len());
        let mut sources = None;
        let mut corrects = None;
        for id in ids {
            let receipt = match numbered.remove(&id) {
                Some(receipt) => Some(receipt.as_shown_in(year)),
                None => {
                    if sources.is_none() {
                        sources = Some(self.sources(tenant, [booking]).await?);
                    }
                    let compose =
                        |sources: &Sources| sources.compose(booking, id.index, corrects.clone());
                    sources.as_ref().and_then(compose)
                }
            };
            if let (0, Some(receipt)) = (id.index, &receipt) {
                corrects = receipt.number.as_ref().map(|number| number.text.clone());
            }
            receipts.extend(receipt);
        }
        Ok(receipts)
    }

    /// A receipt of a booking.
    pub(crate) async fn find(
        &self,
        tenant: &TenantId,
        booking: &Booking,
        id: ReceiptId,
    ) -> Result<Option<BookingReceipt>> {
        let all = self.of_booking(tenant, booking).await?;
        Ok(all.into_iter().find(|receipt| receipt.id == id))
    }

    /// A page of a tenant's numbered receipts in the order of numbers, all or those of a year.
    pub(crate) async fn list(
        &self,
        tenant: &TenantId,
        year: Option<i64>,
        page: &PageRequest,
    ) -> Result<Page<BookingReceipt>> {
        let after = page.position::<ReceiptPlace>()?;
        let rows = self.repository.list(tenant, (year, after), page).await?;
        let rows = page.cut(rows, |(place, _)| place.to_string());
        let ids = rows.items.iter().map(|(_, id)| *id);
        let mut found = self.repository.find_many(tenant, ids).await?;
        let shown_in = self.year();
        let items = rows.items.iter();
        let items = items.filter_map(|(_, id)| Some(found.remove(id)?.as_shown_in(shown_in)));
        Ok(Page {
            items: items.collect(),
            next: rows.next,
        })
    }

    /// The present year, UTC.
    fn year(&self) -> i16 {
        self.context.now().to_zoned(TimeZone::UTC).year()
    }

    /// Reads what receipts of these bookings say beside their amounts: an event and a user for each at most.
    async fn sources<'a>(
        &self,
        tenant: &TenantId,
        bookings: impl IntoIterator<Item = &'a Booking>,
    ) -> Result<Sources> {
        let found = self.others.tenants.find(tenant).await?;
        let found = found.ok_or_else(|| Error::not_found("tenant", tenant))?;
        let zone = known_zone(&found.settings.receipts.time_zone).unwrap_or(TimeZone::UTC);
        let (mut events, mut customers) = (HashMap::new(), Vec::new());
        for booking in bookings {
            customers.push(booking.customer);
            let key = (booking.event, booking.event_version);
            if let hash_map::Entry::Vacant(vacant) = events.entry(key) {
                vacant.insert(self.booked_event(tenant, key).await?);
            }
        }
        customers.sort_unstable();
        customers.dedup();
        let users = self.others.users.find_many(tenant, &customers).await?;
        Ok(Sources {
            now: self.context.now().to_zoned(zone),
            tenant: found,
            events,
            users: users.into_iter().map(|user| (user.id, user)).collect(),
        })
    }

    /// An event's title in a version of it, and the names of its ticket types.
    async fn booked_event(
        &self,
        tenant: &TenantId,
        (event, version): (EventId, u64),
    ) -> Result<BookedEvent> {
        let found = self.events.find(tenant, event).await?;
        let (stored, inventory) = found.ok_or_else(|| Error::not_found("event", event))?;
        let old = match stored.version == version {
            true => None,
            false => self.events.find_version(tenant, event, version).await?,
        };
        let types = inventory.ticket_types.into_iter();
        Ok(BookedEvent {
            title: old.unwrap_or(stored.details).title,
            types: types.map(|kind| (kind.id, kind.name)).collect(),
        })
    }
}

impl Sources {
    /// A receipt of a booking, without its number; `None` if the booking has none of this index. `corrects` is the number of the
    /// booking's receipt.
    fn compose(
        &self,
        booking: &Booking,
        index: u32,
        corrects: Option<String>,
    ) -> Option<BookingReceipt> {
        let amounts = amounts(booking, index)?;
        let event = self.events.get(&(booking.event, booking.event_version))?;
        let settings = &self.tenant.settings.receipts;
        let user = self.users.get(&booking.customer);
        let user = user.filter(|user| user.erased_at.is_none());
        let issuer = ReceiptIssuer {
            name: settings
                .issuer_name
                .clone()
                .unwrap_or_else(|| self.tenant.name.clone()),
            address: settings.issuer_address.clone(),
            tax_id: settings.tax_id.clone(),
            tax_name: settings.tax_name.clone(),
        };
        let keep_years = i16::try_from(settings.keep_names_years).unwrap_or(i16::MAX);
        let lines = amounts.lines.into_iter();
        Some(BookingReceipt {
            id: ReceiptId {
                booking: booking.id,
                index,
            },
            number: None,
            corrects: corrects.filter(|_| index > 0),
            booking_number: booking.number,
            booked_at: booking.created_at,
            cancelled_at: amounts.cancelled_at,
            event_title: event.title.clone(),
            recipient: user.map(|user| ReceiptRecipient {
                name: user.name.clone(),
                email: user.email.clone(),
            }),
            issuer,
            currency: booking.currency.clone(),
            lines: lines.map(|line| event.line(line)).collect(),
            total_minor: amounts.total_minor,
            taxes: amounts.taxes,
            names_until: self.now.year().saturating_add(keep_years),
            notification: None,
        })
    }
}

impl BookedEvent {
    fn line(&self, taxed: TaxedLine) -> ReceiptLine {
        let line = taxed.line;
        let mut types = self.types.iter();
        let name = types.find(|(id, _)| *id == line.ticket_type);
        ReceiptLine {
            name: match name {
                Some((_, name)) => name.clone(),
                None => Label::stored(line.ticket_type.as_str().to_owned()),
            },
            ticket_type: line.ticket_type,
            quantity: line.quantity,
            unit_price_minor: line.unit_price_minor,
            total_minor: taxed.total_minor,
            tax_basis_points: taxed.tax_basis_points,
        }
    }
}
