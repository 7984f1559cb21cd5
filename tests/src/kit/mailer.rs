//! A mailer that keeps mails in memory, and holds them back when a test wants that.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use boxoffice_engine::ports::{MailOutcome, Mailer, OutgoingMail};
use tokio::sync::watch;

use super::pass_time;

/// Keeps every mail, the same one twice if it is sent twice. Clones share what they keep.
#[derive(Clone)]
pub struct MemoryMailer {
    sent: Arc<Mutex<Vec<OutgoingMail>>>,
    waiting: Arc<AtomicUsize>,
    is_open: watch::Sender<bool>,
    takes: Duration,
    connections: usize,
}

impl Default for MemoryMailer {
    fn default() -> Self {
        Self::new(8, Duration::ZERO)
    }
}

impl MemoryMailer {
    /// Sends this many mails at once, each of which takes so long, as on a wire.
    pub fn new(connections: usize, takes: Duration) -> Self {
        Self {
            sent: Arc::default(),
            waiting: Arc::default(),
            is_open: watch::Sender::new(true),
            takes,
            connections,
        }
    }

    /// Holds back mails from now on.
    pub fn hold(&self) {
        self.is_open.send_replace(false);
    }

    /// Sends what was held back, and what comes.
    pub fn release(&self) {
        self.is_open.send_replace(true);
    }

    /// How many mails are held back or on the wire.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// How many mails were sent.
    pub fn count(&self) -> usize {
        self.kept().len()
    }

    /// How many of the mails that were sent have this in their source.
    pub fn count_with(&self, text: &str) -> usize {
        let has_text = |mail: &&OutgoingMail| String::from_utf8_lossy(&mail.bytes).contains(text);
        self.kept().iter().filter(has_text).count()
    }

    /// What was sent, in order.
    pub fn sent(&self) -> Vec<OutgoingMail> {
        self.kept().clone()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<OutgoingMail>> {
        self.sent.lock().expect("no holder panics")
    }
}

#[async_trait]
impl Mailer for MemoryMailer {
    async fn send(&self, mail: &OutgoingMail) -> MailOutcome {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut is_open = self.is_open.subscribe();
        let opened = is_open.wait_for(|is_open| *is_open).await;
        drop(opened.expect("this mailer has the sender"));
        if !self.takes.is_zero() {
            // A wire takes its time.
            pass_time(self.takes).await;
        }
        self.kept().push(mail.clone());
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        MailOutcome::Sent {
            reply: "250 kept".to_owned(),
        }
    }

    fn concurrency(&self) -> usize {
        self.connections
    }
}
