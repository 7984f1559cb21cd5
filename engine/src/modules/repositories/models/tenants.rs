//! The row of a tenant.

use surrealdb::types::{RecordId, SurrealValue, Value};

use super::keys::{at_millisecond, key_text, millisecond, record};
use crate::{
    Result,
    types::{EmailAddress, Label, Tenant, TenantId, TenantSettings},
};

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct TenantRow {
    pub(in crate::modules::repositories) id: RecordId,
    name: String,
    currency: String,
    organizers_may_register: bool,
    reply_to: Option<String>,
    created_at: i64,
}

impl TenantRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId) -> RecordId {
        record("tenant", [Value::String(tenant.as_str().to_owned())])
    }

    pub(in crate::modules::repositories) fn of(tenant: &Tenant) -> Self {
        Self {
            id: Self::key(&tenant.id),
            name: tenant.name.as_str().to_owned(),
            currency: tenant.currency.clone(),
            organizers_may_register: tenant.settings.organizers_may_register,
            reply_to: tenant
                .settings
                .reply_to
                .as_ref()
                .map(|address| address.as_str().to_owned()),
            created_at: millisecond(tenant.created_at),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<Tenant> {
        Ok(Tenant {
            id: TenantId::trusted(key_text(&self.id, 0)?),
            name: Label::stored(self.name),
            currency: self.currency,
            settings: TenantSettings {
                organizers_may_register: self.organizers_may_register,
                reply_to: self.reply_to.map(EmailAddress::stored),
            },
            created_at: at_millisecond(self.created_at)?,
        })
    }
}
