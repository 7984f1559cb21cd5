//! A small payment provider that is late, sends notices again and out of order, and lies about amounts.
//!
//! It takes and pays back money in books of its own, and tells of each movement by a notice. A seed decides what it takes of
//! whom, and when which notice goes out how often. What it really took is what Boxoffice must come to in the end.

use std::collections::BTreeMap;

use boxoffice_engine::{NoticeKind, PaymentKey, TellPayment};
use jiff::Timestamp;
use rand::{Rng as _, rngs::StdRng, seq::SliceRandom as _};

/// What became of an attempt to pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Charge {
    /// The price was taken.
    Exact,
    /// The price was taken in two parts.
    InParts,
    /// Less than the price was taken.
    Short,
    /// More than the price was taken.
    Excess,
    /// The price was taken twice.
    Twice,
    /// Nothing was taken.
    Failed,
    /// It failed first and was taken then.
    FailedFirst,
    /// The price was taken and paid back at once.
    PaidBack,
}

impl Charge {
    /// Each in a share of a hundred.
    const SHARES: [(Self, u32); 8] = [
        (Self::Exact, 55),
        (Self::InParts, 8),
        (Self::Short, 6),
        (Self::Excess, 7),
        (Self::Twice, 8),
        (Self::Failed, 6),
        (Self::FailedFirst, 5),
        (Self::PaidBack, 5),
    ];
}

/// What the provider really has of a payment, in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProviderBooks {
    /// What it took.
    pub captured_minor: u64,
    /// What it paid back.
    pub refunded_minor: u64,
}

/// A payment provider.
pub struct TestProvider {
    name: String,
    random: StdRng,
    books: BTreeMap<PaymentKey, ProviderBooks>,
    /// Notices that go out still, each as often as it stands here.
    waiting: Vec<TellPayment>,
    notices: u64,
    now: Timestamp,
}

impl TestProvider {
    /// A provider of this name, whose whims follow from the random numbers.
    pub fn new(name: &str, random: StdRng, now: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            random,
            books: BTreeMap::new(),
            waiting: Vec::new(),
            notices: 0,
            now,
        }
    }

    /// The name of a payment of this provider.
    ///
    /// # Panics
    /// When the reference is none.
    pub fn key(&self, reference: &str) -> PaymentKey {
        PaymentKey {
            provider: self.name.parse().expect("a provider's name"),
            reference: reference.parse().expect("a reference"),
        }
    }

    /// Somebody pays a price. What the provider makes of it is left to chance.
    pub fn charge(&mut self, payment: &PaymentKey, price_minor: u64) -> Charge {
        let mut drawn = self.random.random_range(0..100);
        let charge = Charge::SHARES.iter().find(|(_, share)| {
            let is_it = drawn < *share;
            drawn = drawn.saturating_sub(*share);
            is_it
        });
        let charge = charge.map_or(Charge::Exact, |(charge, _)| *charge);
        let part = self.random.random_range(1..price_minor.max(2));
        match charge {
            Charge::Exact => self.take(payment, price_minor),
            Charge::InParts => {
                self.take(payment, part);
                self.take(payment, price_minor - part);
            }
            Charge::Short => self.take(payment, part),
            Charge::Excess => self.take(payment, price_minor + part),
            Charge::Twice => {
                self.take(payment, price_minor);
                self.take(payment, price_minor);
            }
            Charge::Failed => self.note(payment, NoticeKind::Failed, None),
            Charge::FailedFirst => {
                self.note(payment, NoticeKind::Failed, None);
                self.take(payment, price_minor);
            }
            Charge::PaidBack => {
                self.take(payment, price_minor);
                self.pay_back(payment, price_minor);
            }
        }
        charge
    }

    fn take(&mut self, payment: &PaymentKey, amount: u64) {
        self.books_of(payment).captured_minor += amount;
        self.note(payment, NoticeKind::Captured, Some(amount));
    }

    /// Pays money back.
    pub fn pay_back(&mut self, payment: &PaymentKey, amount: u64) {
        self.books_of(payment).refunded_minor += amount;
        self.note(payment, NoticeKind::Refunded, Some(amount));
    }

    fn books_of(&mut self, payment: &PaymentKey) -> &mut ProviderBooks {
        self.books.entry(payment.clone()).or_default()
    }

    /// Queues a notice: once, and at times twice or three times more.
    fn note(&mut self, payment: &PaymentKey, kind: NoticeKind, amount_minor: Option<u64>) {
        self.notices += 1;
        let notice = TellPayment {
            payment: payment.clone(),
            notice: format!("evt-{}", self.notices)
                .parse()
                .expect("a notice id"),
            kind,
            amount_minor,
            currency: None,
            at: self.now,
        };
        let times = match self.random.random_range(0..10) {
            0..7 => 1,
            7..9 => 2,
            _ => 3,
        };
        for _ in 0..times {
            self.waiting.push(notice.clone());
        }
    }

    /// A lie: a notice that went out with another amount.
    pub fn lie(&mut self, told: &TellPayment) -> TellPayment {
        let amount = told.amount_minor.unwrap_or(0) + self.random.random_range(1..1_000);
        TellPayment {
            amount_minor: Some(amount),
            ..told.clone()
        }
    }

    /// Takes some of the notices that wait, in any order; all of them if `all`.
    pub fn deliver(&mut self, all: bool) -> Vec<TellPayment> {
        self.waiting.shuffle(&mut self.random);
        let count = match all {
            true => self.waiting.len(),
            false => self.waiting.len() * self.random.random_range(0..=100) / 100,
        };
        self.waiting.drain(..count).collect()
    }

    /// What it really has of each payment.
    pub fn books(&self) -> &BTreeMap<PaymentKey, ProviderBooks> {
        &self.books
    }
}
