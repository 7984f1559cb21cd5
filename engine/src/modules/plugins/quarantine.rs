//! When a plugin is set aside because it fails, and that its tenant's owners hear of it.
//!
//! Called by the gate and by the delivery of mails. Calls the plugins repository.

use std::time::{Duration, Instant};

use jiff::SignedDuration;

use super::{PluginsModule, locked};
use crate::{
    Result,
    modules::repositories::{NewMails, QuarantineNotice},
    types::{
        ActivePlugin, Block, NotificationId, NotificationKind, PluginQuarantine, TenantId, UserId,
    },
};

/// Different customers whose calls must fail before a plugin is set aside: one alone can't close a sale.
const FAILED_CUSTOMERS_MAX: usize = 5;
/// How long a failed call counts.
const FAILURES_COUNT_FOR: SignedDuration = SignedDuration::from_mins(10);
/// How long a customer's failure need not be noted again by the same process: who tries in a loop writes nothing.
const FAILURE_NOTED_FOR: Duration = Duration::from_secs(5);
/// Characters of a failure that owners are told; the log has more.
const REASON_MAX: usize = 500;

impl PluginsModule {
    /// Notes that a plugin failed for a customer. Once it failed for five within ten minutes, at whichever hosts, it is set
    /// aside: not asked any more, and what it would decide about is refused. Answers whether that happened now.
    pub(crate) async fn note_failure(
        &self,
        tenant: &TenantId,
        plugin: &ActivePlugin,
        customer: UserId,
        reason: &str,
    ) -> Result<bool> {
        let version = plugin.version;
        {
            let mut failures = locked(&self.failures);
            let key = (tenant.clone(), version, customer);
            if let Some(noted) = failures.get(&key)
                && noted.elapsed() < FAILURE_NOTED_FOR
            {
                return Ok(false);
            }
            failures.insert(key, Instant::now());
        }
        let at = self.surroundings.now();
        let since = at
            .saturating_sub(FAILURES_COUNT_FOR)
            .map_err(crate::Error::internal)?;
        let customers = self
            .repository
            .note_failure(tenant, version, customer, at, since, FAILED_CUSTOMERS_MAX)
            .await?;
        if customers < FAILED_CUSTOMERS_MAX {
            return Ok(false);
        }
        let quarantine = PluginQuarantine {
            plugin: plugin.name.clone(),
            version,
            reason: reason.chars().take(REASON_MAX).collect(),
            at,
        };
        // Whoever is first writes the set and the mails; others find it set aside, and write and tell nothing.
        let notice = self.notice(tenant, quarantine).await?;
        self.change_telling(tenant, Some(&notice), |plugins| {
            for plugin in plugins.iter_mut().filter(|own| own.version == version) {
                plugin.quarantined.get_or_insert((at, reason.to_owned()));
            }
            Ok(())
        })
        .await?;
        self.surroundings.owed.notify_one();
        // Whoever puts it into use again begins anew.
        self.repository.forget_failures(tenant, version).await?;
        Ok(true)
    }

    /// What a notification tells owners of a plugin that was set aside.
    pub(crate) async fn quarantine(
        &self,
        tenant: &TenantId,
        notification: NotificationId,
    ) -> Result<Option<PluginQuarantine>> {
        self.repository.find_quarantine(tenant, notification).await
    }

    /// A mail to each of the tenant's owners, the first 32: as many as one block holds.
    async fn notice(
        &self,
        tenant: &TenantId,
        quarantine: PluginQuarantine,
    ) -> Result<QuarantineNotice> {
        let owners = self.repository.owners(tenant, Block::ENTRIES_MAX).await?;
        let notification = NotificationId::from_ulid(self.surroundings.next_id());
        let what = (notification, NotificationKind::PluginQuarantined);
        Ok(QuarantineNotice {
            notification,
            mails: NewMails::to_users(tenant, what, &owners, quarantine.at),
            quarantine,
        })
    }
}
