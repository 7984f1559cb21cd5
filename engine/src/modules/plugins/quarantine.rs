//! Quarantine: when an export of a plugin is not called because it failed too often, when it is tried again, and that its
//! tenant's owners hear of it. One export's failures say nothing about the others.
//!
//! Called by the policy check and by the delivery of mails. Calls the plugins repository.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

use super::{PluginsModule, SetRequest};
use crate::{
    error::{Error, ErrorCode, Result},
    locked::Locked as _,
    modules::repositories::{NewMails, QuarantineNotice},
    ports::HookFailure,
    types::{
        ActivePlugin, DeliveryBatch, ExportQuarantine, NotedFailure, NotificationId,
        NotificationKind, PluginExport, PluginHash, PluginQuarantine, PluginSet, TenantId, User,
        UserId, UserRole,
    },
};

/// Different customers whose calls must fail before an export is put into quarantine: one alone can't close a sale.
const WITNESSES: usize = 5;
/// The same for accounts that do not count in full. They count only while no call succeeds, so that an export that
/// fails for some is not quarantined for all.
const STRANGERS: usize = 50;
/// How long a failed call counts.
const FAILURES_COUNT_FOR: SignedDuration = SignedDuration::from_mins(10);
/// How long the same process does not record a customer's failure again, so that retries in a loop write nothing.
const FAILURE_NOTED_FOR: Duration = Duration::from_secs(5);
/// First pause before an export in quarantine is tried again. It doubles with each failed try.
const TRY_PAUSE_MIN: SignedDuration = SignedDuration::from_secs(30);
/// Longest pause between two tries.
const TRY_PAUSE_MAX: SignedDuration = SignedDuration::from_mins(15);
/// How long a try lasts before another request may make the next: more than a call may take.
const TRY_LASTS: SignedDuration = SignedDuration::from_secs(30);
/// How long an ended quarantine is remembered. A new one within that time continues with its longer pauses.
const REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(1);
/// How long owners are not notified again.
const TOLD_FOR: SignedDuration = SignedDuration::from_hours(1);
/// Characters of a failure in the notification; the log has more.
const REASON_MAX: usize = 500;
/// From this age on an account counts as evidence of a failure. Accounts are free to make, but age is not.
const WITNESS_AGE_MIN: SignedDuration = SignedDuration::from_hours(24);

impl PluginsModule {
    /// Returns whether this process has not recorded a customer's failure lately.
    pub(crate) fn is_failure_new(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        export: PluginExport,
        customer: UserId,
    ) -> bool {
        let mut failures = self.failures.locked();
        let key = (tenant.clone(), plugin.version, export, customer);
        let is_new = failures
            .get(&key)
            .is_none_or(|noted| noted.elapsed() >= FAILURE_NOTED_FOR);
        if is_new {
            failures.insert(key, Instant::now());
        }
        is_new
    }

    /// Records that an export failed for a customer. Once it failed for enough of
    /// them within ten minutes, at whichever hosts, it is put into quarantine. Returns whether that happened now.
    pub(crate) async fn note_failure(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        export: PluginExport,
        (customer, is_witness): (UserId, bool),
        reason: &str,
    ) -> Result<bool> {
        let version = plugin.version;
        let at = self.context.now();
        let since = at
            .saturating_sub(FAILURES_COUNT_FOR)
            .map_err(Error::internal)?;
        let failure = NotedFailure {
            version,
            export,
            customer,
            is_witness,
            at,
        };
        let failed = self
            .repository
            .note_failure(tenant, &failure, since, WITNESSES + STRANGERS)
            .await?;
        if !is_witness {
            self.strangers
                .locked()
                .insert((tenant.clone(), version, export), Instant::now());
        }
        if failed.witnesses < WITNESSES && failed.strangers < STRANGERS {
            return Ok(false);
        }
        self.begin_quarantine(tenant, plugin, export, reason, at)
            .await?;
        // Afterwards the count starts again.
        self.repository
            .forget_failures(tenant, version, export, false)
            .await?;
        Ok(true)
    }

    /// Puts an export into quarantine, and tells the tenant's owners unless they heard of it lately.
    async fn begin_quarantine(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        export: PluginExport,
        reason: &str,
        at: Timestamp,
    ) -> Result<()> {
        let version = plugin.version;
        let seen = self.repository.set(tenant).await?;
        let notice = match opened(&seen, version, export, reason, at) {
            Some(opened) if opened.told_at == at => {
                let quarantine = PluginQuarantine {
                    plugin: plugin.name.clone(),
                    version,
                    export,
                    reason: opened.reason.clone(),
                    at,
                    next_try_at: opened.next_try_at,
                };
                Some(self.notice(tenant, quarantine).await?)
            }
            _ => None,
        };
        // Whoever is first writes the set and the mails; others find it in quarantine, and write and tell nothing.
        self.change_telling(tenant, SetRequest::default(), notice.as_ref(), |plugins| {
            for plugin in plugins.iter_mut().filter(|own| own.version == version) {
                open(plugin, export, reason, at);
            }
            Ok(())
        })
        .await?;
        self.context.outbox_added.notify_one();
        Ok(())
    }

    /// Records that an export succeeded: earlier failures of accounts that do not count in full are dropped.
    pub(crate) async fn note_answer(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        export: PluginExport,
    ) -> Result<()> {
        let version = plugin.version;
        // Only a process that recorded such failures writes.
        let noted = self
            .strangers
            .locked()
            .remove(&(tenant.clone(), version, export));
        match noted {
            Some(_) => {
                let repository = &self.repository;
                repository
                    .forget_failures(tenant, version, export, true)
                    .await
            }
            None => Ok(()),
        }
    }

    /// Claims the next try of an export in quarantine, if it is due. One request of all hosts gets it.
    pub(crate) async fn claim_try(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        export: PluginExport,
    ) -> Result<bool> {
        let now = self.context.now();
        let until = later(now, TRY_LASTS);
        let is_claimed = AtomicBool::new(false);
        self.change(tenant, SetRequest::default(), |plugins| {
            is_claimed.store(false, Ordering::SeqCst);
            each(plugins, plugin.version, export, |quarantine| {
                if quarantine.next_try_at <= now {
                    quarantine.next_try_at = until;
                    is_claimed.store(true, Ordering::SeqCst);
                }
            });
            Ok(())
        })
        .await?;
        Ok(is_claimed.load(Ordering::SeqCst))
    }

    /// Ends a quarantine after a successful try.
    pub(crate) async fn end_quarantine(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        export: PluginExport,
    ) -> Result<()> {
        let now = self.context.now();
        let ended = self.change(tenant, SetRequest::default(), |plugins| {
            each(plugins, plugin.version, export, |quarantine| {
                quarantine.ended_at = Some(now);
            });
            Ok(())
        });
        ended.await.map(drop)
    }

    /// Records a failed try: the next pause is longer.
    pub(crate) async fn note_failed_try(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        export: PluginExport,
        reason: &str,
    ) -> Result<()> {
        let now = self.context.now();
        let noted = self.change(tenant, SetRequest::default(), |plugins| {
            each(plugins, plugin.version, export, |quarantine| {
                quarantine.failed_tries = quarantine.failed_tries.saturating_add(1);
                quarantine.next_try_at = later(now, pause(quarantine.failed_tries));
                quarantine.reason = shortened(reason);
            });
            Ok(())
        });
        noted.await.map(drop)
    }

    /// A mail to each of the tenant's owners, the first 32: as many as one batch holds.
    async fn notice(
        &self,
        tenant: &TenantId,
        quarantine: PluginQuarantine,
    ) -> Result<QuarantineNotice> {
        let owners = self
            .repository
            .owners(tenant, DeliveryBatch::DELIVERIES_MAX)
            .await?;
        let notification = NotificationId::from_ulid(self.context.next_id());
        let what = (notification, NotificationKind::PluginQuarantined);
        Ok(QuarantineNotice {
            notification,
            mails: NewMails::to_users(tenant, what, &owners, quarantine.at),
            quarantine,
        })
    }
}

/// The quarantine that opening one would create in this set; `None` if the version is not active any more.
fn opened(
    set: &PluginSet,
    version: PluginHash,
    export: PluginExport,
    reason: &str,
    now: Timestamp,
) -> Option<ExportQuarantine> {
    let mut plugin = set
        .plugins
        .iter()
        .find(|own| own.version == version)?
        .clone();
    open(&mut plugin, export, reason, now);
    plugin.quarantine(export).cloned()
}

/// Opens the quarantine of an export, unless it is open. One that ended lately continues.
fn open(plugin: &mut ActivePlugin, export: PluginExport, reason: &str, now: Timestamp) {
    let is_old = |own: &ExportQuarantine| {
        own.ended_at
            .is_some_and(|ended_at| now.duration_since(ended_at) >= REMEMBERED_FOR)
    };
    plugin.quarantines.retain(|own| !is_old(own));
    let known = plugin
        .quarantines
        .iter_mut()
        .find(|own| own.export == export);
    match known {
        Some(own) if own.ended_at.is_some() => {
            own.failed_tries = own.failed_tries.saturating_add(1);
            own.since = now;
            own.reason = shortened(reason);
            own.next_try_at = later(now, pause(own.failed_tries));
            own.ended_at = None;
            if now.duration_since(own.told_at) >= TOLD_FOR {
                own.told_at = now;
            }
        }
        Some(_) => {}
        None => plugin.quarantines.push(ExportQuarantine {
            export,
            since: now,
            reason: shortened(reason),
            next_try_at: later(now, pause(0)),
            failed_tries: 0,
            ended_at: None,
            told_at: now,
        }),
    }
}

/// Changes the open quarantine of an export, wherever this version is active.
fn each(
    plugins: &mut [ActivePlugin],
    version: PluginHash,
    export: PluginExport,
    change: impl Fn(&mut ExportQuarantine),
) {
    plugins
        .iter_mut()
        .filter(|own| own.version == version)
        .flat_map(|own| own.quarantines.iter_mut())
        .filter(|own| own.export == export && own.ended_at.is_none())
        .for_each(change);
}

/// The pause after this number of failed tries.
fn pause(failed_tries: u32) -> SignedDuration {
    let doubled = 1_i32.checked_shl(failed_tries.min(16)).unwrap_or(i32::MAX);
    TRY_PAUSE_MIN.saturating_mul(doubled).min(TRY_PAUSE_MAX)
}

fn later(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

fn shortened(reason: &str) -> String {
    reason.chars().take(REASON_MAX).collect()
}

/// Returns whether the account itself shows that it was not made for this purpose.
pub(crate) fn is_known_account(user: &User, now: Timestamp) -> bool {
    user.external_id.is_some()
        || matches!(user.role, UserRole::Owner | UserRole::Staff)
        || now.duration_since(user.created_at) >= WITNESS_AGE_MIN
}

/// The refusal while an export is in quarantine.
pub(crate) fn quarantined(
    plugin: &ActivePlugin,
    export: PluginExport,
    next_try_at: Timestamp,
    now: Timestamp,
) -> Error {
    let seconds = now.duration_until(next_try_at).as_secs().max(0);
    let wait = Duration::from_secs(u64::try_from(seconds).unwrap_or(0) + 1);
    Error::new(
        ErrorCode::PolicyUnavailable,
        format!(
            "The organizer's policy failed for several customers and is in quarantine. It is tried again from {next_try_at:.0} on; nothing was changed."
        ),
    )
    .retry_after(wait)
    .caused_by(HookFailure::Failed(format!(
        "{} of the plugin {} is in quarantine",
        export.as_str(),
        plugin.name
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound() {
        let seconds: Vec<_> = [0, 1, 2, 4, 5, 1_000]
            .map(|tries| pause(tries).as_secs())
            .into();
        assert_eq!(seconds, [30, 60, 120, 480, 900, 900]);
    }
}
