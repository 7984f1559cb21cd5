//! Numbering: gives receipts and credit notes that are due their numbers, in the order in which they became due.
//!
//! A batch of a tenant is one transaction. It compares the counter of the year and writes the next one, writes each receipt's row,
//! which exists once, and its mail, and removes what was due. So numbers have no gaps and no receipt gets two, however many hosts number at once
//! and wherever one is killed. Called by the worker's use cases. Calls the receipts, bookings and backups repositories.

use std::collections::{BTreeMap, HashMap};

use super::ReceiptsModule;
use crate::{
    error::{Error, Result},
    modules::{
        bookings::mails::mails_about,
        repositories::{
            CounterKey, DueKey, NewMails, NumberingStep, ReceiptCounter, STALE_COUNTER, StepError,
            SystemScope,
        },
        support::Attempts,
    },
    types::{
        Booking, BookingId, BookingReceipt, EventId, NotificationId, NotificationKind, PageRequest,
        ReceiptId, ReceiptKind, ReceiptNumber, Restoration, TenantId,
    },
};

/// Rows that are due and looked at in one pass, of all tenants.
const ROWS_MAX: u32 = 128;
/// Receipts that are numbered in one transaction: some 500 rows with their mails. A row has at most as many as a group has bookings.
const BATCH_MAX: usize = 128;
/// Attempts of one batch. Only other hosts cause more than one.
const ATTEMPTS_MAX: u32 = 8;
/// Years whose names are removed in one pass.
const YEARS_MAX: u32 = 16;
/// Receipts whose names are removed in one step.
const NAMES_MAX: u32 = 500;

/// The receipts of a batch, and the rows that say that they are due.
#[derive(Default)]
struct Batch {
    rows: Vec<(DueKey, Vec<ReceiptId>)>,
    /// Whether the tenant has more that are due.
    is_cut: bool,
}

impl ReceiptsModule {
    /// Numbers what is due: a batch of each tenant that has some. Returns whether there may be more now.
    pub(crate) async fn number_due(&self) -> Result<bool> {
        let now = self.context.now();
        let (scope, from) = (SystemScope::new(), self.cursor.begin(now));
        let (now, due) = self.repository.due(scope, (from, now), ROWS_MAX).await?;
        let first = due.first().map_or(now, |key| key.due_at);
        self.cursor.reached(from, first);
        if due.is_empty() {
            return Ok(false);
        }
        let mut more = due.len() == ROWS_MAX as usize;
        let mut tenants: BTreeMap<TenantId, Vec<DueKey>> = BTreeMap::new();
        for key in due {
            tenants.entry(key.tenant.clone()).or_default().push(key);
        }
        let mut has_numbered = false;
        for (tenant, keys) in tenants {
            match self.number_batch(&tenant, &keys).await {
                Ok((numbered, is_cut)) => {
                    has_numbered |= numbered;
                    more |= is_cut;
                }
                Err(error) => {
                    tracing::warn!(%tenant, error = ?error, "numbering receipts failed, will retry");
                }
            }
        }
        // What failed is due still, and would be looked at again at once.
        Ok(more && has_numbered)
    }

    /// Numbers a batch of a tenant. Returns whether it did something, and whether the tenant has more.
    async fn number_batch(&self, tenant: &TenantId, keys: &[DueKey]) -> Result<(bool, bool)> {
        let mut attempts = Attempts::new("number_receipts", ATTEMPTS_MAX);
        while attempts.next().await.is_some() {
            let batch = self.batch(tenant, keys).await?;
            let Some(step) = self.step(tenant, &batch).await? else {
                return Ok((false, batch.is_cut));
            };
            match self.repository.number(&step).await {
                Ok(()) => {
                    if !step.mails.outbox.is_empty() {
                        self.context.outbox_added.notify_one();
                    }
                    return Ok((true, batch.is_cut));
                }
                // Another host was first, or the answer was lost: reading again shows what is still due.
                Err(StepError::Conflict | StepError::Exists(_) | StepError::Lost(_)) => {}
                Err(error) if error.is_guard(STALE_COUNTER) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }

    /// The first rows of a tenant that are still due, as many as fit one transaction.
    async fn batch(&self, tenant: &TenantId, keys: &[DueKey]) -> Result<Batch> {
        let (mut batch, mut count) = (Batch::default(), 0);
        for (key, receipts) in self.repository.receipts_due(tenant, keys).await? {
            count += receipts.len();
            if count > BATCH_MAX && !batch.rows.is_empty() {
                batch.is_cut = true;
                break;
            }
            batch.rows.push((key, receipts));
        }
        Ok(batch)
    }

    /// What is written for a batch; `None` for nothing.
    async fn step(&self, tenant: &TenantId, batch: &Batch) -> Result<Option<NumberingStep>> {
        let ids: Vec<ReceiptId> = batch
            .rows
            .iter()
            .flat_map(|(_, ids)| ids)
            .copied()
            .collect();
        if ids.is_empty() {
            return Ok(None);
        }
        let mut bookings: Vec<BookingId> = ids.iter().map(|id| id.booking).collect();
        bookings.sort_unstable();
        bookings.dedup();
        let bookings = self.bookings.find_many(tenant, &bookings).await?;
        // The receipts that credit notes correct are read with them.
        let wanted = ids.iter().flat_map(|id| [*id, ReceiptId::of(id.booking)]);
        let mut wanted: Vec<_> = wanted.collect();
        wanted.sort_unstable();
        wanted.dedup();
        let known = self.repository.find_many(tenant, wanted).await?;
        let sources = self.sources(tenant, &bookings).await?;
        let key = CounterKey {
            tenant: tenant.clone(),
            year: i64::from(sources.now.year()),
            series: self.series().await?.to_owned(),
        };
        let before = self.repository.counter(&key).await?;
        let mut given = Given {
            bookings: bookings.iter().map(|one| (one.id, one)).collect(),
            sources: &sources,
            series: &key.series,
            known,
            after: before,
            receipts: Vec::new(),
        };
        let rows = batch.rows.iter();
        let done = rows.filter(|(_, ids)| given.number_row(ids));
        let done: Vec<_> = done.map(|(key, _)| key.clone()).collect();
        let (mut after, mut receipts) = (given.after, given.receipts);
        let mails = self.mails(&sources, &mut receipts);
        if !receipts.is_empty() {
            after.revision += 1;
        }
        Ok((!done.is_empty()).then_some(NumberingStep {
            key,
            before,
            after,
            receipts,
            mails,
            done,
            at: sources.now.timestamp(),
        }))
    }

    /// The mails with some receipts, one for each, unless the tenant wants none. Each notification is about one event and has
    /// receipts of one index, so none has two of a booking.
    fn mails(
        &self,
        sources: &super::Sources,
        receipts: &mut [(BookingReceipt, ReceiptNumber)],
    ) -> NewMails {
        let mut mails = NewMails::default();
        if !sources.tenant.settings.receipts.send_by_mail {
            return mails;
        }
        let mut groups: BTreeMap<(EventId, u32), Vec<&mut BookingReceipt>> = BTreeMap::new();
        for (receipt, _) in receipts {
            let user = sources.users.get(&receipt.customer());
            // Whoever was erased is told nothing.
            if user.is_some_and(|user| user.erased_at.is_none()) {
                let key = (receipt.event(), receipt.id.index);
                groups.entry(key).or_default().push(receipt);
            }
        }
        for group in groups.into_values() {
            let id = self.context.next_id();
            let id = NotificationId::from_ulid(id);
            let bookings: Vec<BookingId> = group.iter().map(|one| one.id.booking).collect();
            for receipt in group {
                receipt.notification = Some(id);
            }
            let (kind, now) = (NotificationKind::Receipt, sources.now.timestamp());
            mails = mails.and(mails_about(&sources.tenant.id, id, kind, &bookings, now));
        }
        mails
    }

    /// What this store has in its numbers. A restored store begins a new series: the one that was backed up may have given numbers
    /// since.
    async fn series(&self) -> Result<&str> {
        let read = || async {
            let restoration = self.others.backups.restoration(SystemScope::new()).await?;
            Ok::<_, Error>(
                restoration
                    .as_ref()
                    .map(Restoration::mark)
                    .unwrap_or_default(),
            )
        };
        Ok(self.series.get_or_try_init(read).await?.as_str())
    }

    /// Removes the customers' names from receipts of years for which they are not kept any more. Returns whether there may be more.
    pub(crate) async fn forget_names(&self) -> Result<bool> {
        let (scope, year) = (SystemScope::new(), i64::from(self.year()));
        let years = self
            .repository
            .with_old_names(scope, year, YEARS_MAX)
            .await?;
        for key in &years {
            self.forget_names_of(key).await?;
        }
        Ok(years.len() == YEARS_MAX as usize)
    }

    async fn forget_names_of(&self, key: &CounterKey) -> Result<()> {
        let page = PageRequest {
            cursor: None,
            limit: NAMES_MAX,
        };
        let mut after = None;
        loop {
            let range = (Some(key.year), after);
            let rows = self.repository.list(&key.tenant, range, &page).await?;
            let own = rows.iter().filter(|(place, _)| place.series == key.series);
            let ids: Vec<_> = own.map(|(_, id)| *id).collect();
            if !ids.is_empty() {
                self.repository.forget_names(&key.tenant, &ids).await?;
            }
            if rows.len() <= NAMES_MAX as usize {
                return self.repository.names_forgotten(key).await;
            }
            after = rows.into_iter().next_back().map(|(place, _)| place);
        }
    }
}

/// The receipts of a batch that have got numbers so far.
struct Given<'a> {
    bookings: HashMap<BookingId, &'a Booking>,
    sources: &'a super::Sources,
    series: &'a str,
    /// Those that are numbered, of this batch too.
    known: HashMap<ReceiptId, BookingReceipt>,
    after: ReceiptCounter,
    receipts: Vec<(BookingReceipt, ReceiptNumber)>,
}

impl Given<'_> {
    /// Numbers the receipts of a row. Returns whether all of them have numbers.
    fn number_row(&mut self, ids: &[ReceiptId]) -> bool {
        // All or none: a credit note waits for the receipt that it corrects, which another row has.
        let lacks_receipt = |id: &ReceiptId| id.index > 0 && self.corrected(*id).is_none();
        if ids.iter().any(lacks_receipt) {
            return false;
        }
        for id in ids {
            if !self.known.contains_key(id) {
                self.number(*id);
            }
        }
        true
    }

    /// The number of the receipt of the same booking.
    fn corrected(&self, id: ReceiptId) -> Option<String> {
        let receipt = self.known.get(&ReceiptId::of(id.booking))?;
        receipt.number.as_ref().map(|number| number.text.clone())
    }

    fn number(&mut self, id: ReceiptId) {
        let booking = self.bookings.get(&id.booking);
        let corrects = self.corrected(id);
        let composed =
            booking.and_then(|booking| self.sources.compose(booking, id.index, corrects));
        let Some(mut receipt) = composed else {
            // Bookings are never deleted. Nothing can be said of one that is gone, and the others must not wait for it.
            tracing::error!(receipt = %id, "a receipt is due of a booking that has none");
            return;
        };
        if let Some(corrected) = self.known.get(&ReceiptId::of(id.booking)) {
            receipt.recipient.clone_from(&corrected.recipient);
        }
        let sequence = match id.kind() {
            ReceiptKind::Receipt => &mut self.after.receipts,
            ReceiptKind::CreditNote => &mut self.after.credit_notes,
        };
        *sequence += 1;
        let settings = &self.sources.tenant.settings.receipts;
        let named = (id.kind(), settings.number_prefix.as_str());
        let number = ReceiptNumber::new(named, &self.sources.now, self.series, *sequence);
        let names_until = Some(i64::from(receipt.names_until));
        self.after.names_until = self.after.names_until.max(names_until);
        receipt.number = Some(number.clone());
        self.known.insert(id, receipt.clone());
        self.receipts.push((receipt, number));
    }
}
