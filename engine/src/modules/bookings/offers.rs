//! Offering tickets that became free to those who wait: which of them, and who is passed over and why.
//!
//! Called by the bookings and events modules, within the steps that free tickets. Calls the waitlist repository.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    counters::add_held,
    mails::mails_about,
    orders::{Order, Wanted, order, require_within_customer_limit, tickets_in},
};
use crate::modules::{
    ModuleContext,
    repositories::{HoldChange, InventoryChange, Offers, Waiter, WaitlistRepository},
    to_millisecond,
};
use crate::{
    error::{Error, ErrorCode, Result},
    types::{
        EventStatus, Hold, HoldId, HoldStatus, Inventory, LastChange, NotificationId,
        NotificationKind, TenantId, WaitlistEntry, WaitlistPass, WaitlistSkip,
    },
};

/// Makes offers.
#[derive(Clone)]
pub(in crate::modules) struct OfferMaker {
    pub(in crate::modules) repository: Arc<WaitlistRepository>,
    pub(in crate::modules) context: ModuleContext,
}

impl OfferMaker {
    /// Lets a step that frees tickets offer them. The change then holds them for who is next on the list. `ending` are holds
    /// that end in the same step; `rejected` is a customer whose offer a policy rejected.
    pub(in crate::modules) async fn offer(
        &self,
        tenant: &TenantId,
        change: &mut InventoryChange,
        ending: &[HoldId],
        rejected: Option<WaitlistSkip>,
    ) -> Result<Offers> {
        let inventory = &change.inventory;
        // No offers for cancelled events, or after the end of the sale.
        let is_on_sale = inventory.status == EventStatus::Published
            && inventory
                .ticket_types
                .iter()
                .any(|kind| change.at < kind.sales_close_at.unwrap_or(inventory.starts_at));
        let waiters = match inventory.waiting > 0 && inventory.available() > 0 && is_on_sale {
            true => {
                let most = WaitlistEntry::LOOKED_AT_MAX;
                let event = inventory.event;
                let is_limited = inventory.max_tickets_per_customer.is_some();
                let first = self.repository.first(tenant, event, (most, is_limited));
                first.await?
            }
            false => Vec::new(),
        };
        let mut pass = OfferPass {
            inventory: inventory.clone(),
            now: change.at,
            ending,
            holds: Vec::new(),
            taken: Vec::new(),
            skips: rejected.into_iter().collect(),
        };
        for waiter in waiters {
            if pass.inventory.available() == 0 {
                break;
            }
            pass.offer_to(waiter, self)?;
        }
        let holds = pass.holds.iter();
        let paths: Vec<_> = holds.map(|hold| hold.after.id.booking()).collect();
        let notification = NotificationId::from_ulid(self.context.next_id());
        let kind = NotificationKind::WaitingListOffer;
        let offers = Offers {
            mails: mails_about(tenant, notification, kind, &paths, change.at),
            holds: pass.holds,
            taken: pass.taken,
            look_again: next_offer_at(&pass.inventory, change.at),
            pass: (!pass.skips.is_empty()).then_some(WaitlistPass {
                revision: change.before.revision + 1,
                at: change.at,
                skips: pass.skips,
            }),
        };
        change.inventory = pass.inventory;
        Ok(offers)
    }
}

/// When more can be offered although nobody changes anything: with the next opening of a type's sale, as long as
/// somebody waits and tickets are left.
fn next_offer_at(inventory: &Inventory, now: Timestamp) -> Option<Timestamp> {
    let is_pointless = inventory.status != EventStatus::Published
        || inventory.waiting == 0
        || inventory.available() == 0;
    let opens = inventory.ticket_types.iter();
    let opens = opens.filter_map(|kind| kind.sales_open_at);
    opens.filter(|open| *open > now && !is_pointless).min()
}

/// One pass over the first entries of a list.
struct OfferPass<'a> {
    inventory: Inventory,
    now: Timestamp,
    ending: &'a [HoldId],
    holds: Vec<HoldChange>,
    taken: Vec<WaitlistEntry>,
    skips: Vec<WaitlistSkip>,
}

impl OfferPass<'_> {
    /// What an entry can be offered, or why it is passed over.
    fn order_of(&self, waiter: &Waiter) -> Result<Order> {
        let open = waiter.open_hold.filter(|hold| !self.ending.contains(hold));
        if open.is_some() {
            return Err(Error::new(
                ErrorCode::HoldExists,
                "They already hold tickets of this event.",
            ));
        }
        let wanted = Wanted {
            lines: &waiter.entry.lines,
            unit_prices_minor: None,
            expected_total_minor: None,
            is_complimentary: false,
        };
        let order = order(&self.inventory, &wanted, self.now)?;
        let tickets = (waiter.tickets, tickets_in(&order.lines));
        require_within_customer_limit(&self.inventory, tickets, false)?;
        Ok(order)
    }

    fn offer_to(&mut self, waiter: Waiter, offer_maker: &OfferMaker) -> Result<()> {
        let order = self.order_of(&waiter);
        let entry = waiter.entry;
        let order = match order {
            Ok(order) => order,
            Err(error) if error.code() == ErrorCode::Internal => return Err(error),
            Err(error) => {
                // Only those who manage the event read it.
                self.skips.push(skip(&entry, &error.telling_left()));
                return Ok(());
            }
        };
        let lasts = self
            .now
            .checked_add(offer_maker.context.settings.bookings.offer_duration);
        let lasts = lasts.map_err(Error::internal)?;
        let hold = Hold {
            id: HoldId::new(entry.event, entry.customer, offer_maker.context.next_id()),
            event: entry.event,
            customer: entry.customer,
            status: HoldStatus::Held,
            lines: order.lines,
            total_minor: order.total_minor,
            // Policies are asked when the offer is accepted.
            messages: Vec::new(),
            currency: self.inventory.currency.clone(),
            event_version: self.inventory.event_version,
            created_at: self.now,
            // At most until the sale of its tickets ends.
            expires_at: to_millisecond(lasts.min(order.sales_close_at)),
            extended: false,
            waitlist_number: Some(entry.number),
            ended_at: None,
            sale: None,
            details: entry.details.clone(),
            claims: Vec::new(),
            last_change: LastChange::default(),
        };
        self.inventory = add_held(self.inventory.clone(), &hold.lines);
        self.inventory.waiting = self.inventory.waiting.saturating_sub(1);
        self.holds.push(HoldChange {
            before: None,
            after: hold,
        });
        self.taken.push(entry);
        Ok(())
    }
}

fn skip(entry: &WaitlistEntry, error: &Error) -> WaitlistSkip {
    WaitlistSkip {
        number: entry.number,
        customer: entry.customer,
        tickets: entry.tickets(),
        reason: error.code(),
        detail: error.detail().to_owned(),
    }
}
