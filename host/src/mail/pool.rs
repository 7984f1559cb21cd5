//! A pool with a limited number of connections to one account.
//!
//! Called by the mailer. lettre's own pool limits the idle connections, not the open ones
//! (<https://github.com/lettre/lettre/issues/651>), and providers refuse accounts that open too many.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{connection::Connection, opener::Opener, settings::SmtpSettings};

use crate::locked::Locked as _;

/// The connections of one account, used and idle.
pub(super) struct Pool {
    opener: Opener,
    permits: Arc<Semaphore>,
    /// Last in, first out: a quiet account needs fewer connections, and the others time out.
    idle: Mutex<Vec<Connection>>,
    idle_max: Duration,
    mails_per_connection_max: u32,
    is_reaped: AtomicBool,
}

impl Pool {
    pub(super) fn new(opener: Opener, settings: &SmtpSettings) -> Arc<Self> {
        Arc::new(Self {
            opener,
            permits: Arc::new(Semaphore::new(settings.connections_max)),
            idle: Mutex::new(Vec::new()),
            idle_max: settings.idle_max,
            mails_per_connection_max: settings.mails_per_connection_max,
            is_reaped: AtomicBool::new(false),
        })
    }

    pub(super) fn opener(&self) -> &Opener {
        &self.opener
    }

    /// Waits for a permit to use one connection. Each holder has a time limit.
    pub(super) async fn lease(self: &Arc<Self>) -> Lease {
        let permit = self.permits.clone().acquire_owned().await;
        Lease {
            pool: self.clone(),
            _permit: permit.expect("the pool never closes its semaphore"),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.locked()
    }

    fn take_expired(&self) -> Vec<Connection> {
        let mut idle = self.idle();
        // The oldest are at the front.
        let fresh_from = idle
            .iter()
            .position(|connection| connection.idle() < self.idle_max);
        let expired = fresh_from.unwrap_or(idle.len());
        idle.drain(..expired).collect()
    }

    /// Closes idle connections once they are too old; ends when none is left.
    fn reap(self: &Arc<Self>) {
        if self.is_reaped.swap(true, Ordering::AcqRel) {
            return;
        }
        let (pool, pause) = (Arc::downgrade(self), self.idle_max);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                let Some(pool) = Weak::upgrade(&pool) else {
                    return;
                };
                for connection in pool.take_expired() {
                    connection.close().await;
                }
                // Both under the lock, so that a connection that is returned now starts another reaper.
                let idle = pool.idle();
                if idle.is_empty() {
                    pool.is_reaped.store(false, Ordering::Release);
                    return;
                }
            }
        });
    }
}

/// The permit to use one connection, idle or new.
pub(super) struct Lease {
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// An idle connection, if one is young enough.
    pub(super) fn take_idle(&mut self) -> Option<Connection> {
        let connection = self.pool.idle().pop()?;
        // Too old: dropped without QUIT, because servers close such connections too.
        (connection.idle() < self.pool.idle_max).then_some(connection)
    }

    /// Keeps a connection for the next mail, or closes it after its maximum of mails.
    pub(super) fn give_back(&mut self, connection: Connection) {
        if connection.is_usable() && connection.mails() < self.pool.mails_per_connection_max {
            self.pool.idle().push(connection);
            self.pool.reap();
        } else {
            // In the background: the next mail need not wait for QUIT.
            tokio::spawn(connection.close());
        }
    }
}
