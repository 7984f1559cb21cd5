//! The look of a tenant's mails and its links, as parts of its row; and the row of its logo.

use surrealdb::types::{Bytes, RecordId, SurrealValue, Value};

use super::keys::record;
use crate::types::{
    Brand, BrandColor, HttpsUrl, LinkTemplate, LogoFacts, Prose, TenantId, TenantLinks,
    TenantSettings,
};

/// A tenant's brand and links, unless they are the default ones.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct BrandRow {
    color: Option<String>,
    logo_url: Option<String>,
    footer: Option<String>,
    booking_url: Option<String>,
    offer_url: Option<String>,
    event_url: Option<String>,
}

impl BrandRow {
    pub(in crate::modules::repositories) fn of(settings: &TenantSettings) -> Option<Self> {
        let (brand, links) = (&settings.brand, &settings.links);
        let link = |link: &Option<LinkTemplate>| link.as_ref().map(|one| one.as_str().to_owned());
        let url = brand.logo_url.as_ref();
        let footer = brand.footer.as_ref();
        let is_default = *brand == Brand::default() && *links == TenantLinks::default();
        (!is_default).then(|| Self {
            color: brand.color.map(|color| color.to_string()),
            logo_url: url.map(|url| url.as_str().to_owned()),
            footer: footer.map(|footer| footer.as_str().to_owned()),
            booking_url: link(&links.booking),
            offer_url: link(&links.offer),
            event_url: link(&links.event),
        })
    }

    pub(in crate::modules::repositories) fn into_parts(self) -> (Brand, TenantLinks) {
        let brand = Brand {
            color: self.color.as_deref().and_then(BrandColor::read),
            logo_url: self.logo_url.map(HttpsUrl::stored),
            footer: self.footer.map(Prose::stored),
        };
        let links = TenantLinks {
            booking: self.booking_url.map(LinkTemplate::stored),
            offer: self.offer_url.map(LinkTemplate::stored),
            event: self.event_url.map(LinkTemplate::stored),
        };
        (brand, links)
    }
}

/// What a tenant's row says of its logo.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct LogoFactsRow {
    sha256: String,
    width: u32,
    height: u32,
}

impl LogoFactsRow {
    pub(in crate::modules::repositories) fn of(logo: &LogoFacts) -> Self {
        Self {
            sha256: logo.sha256.clone(),
            width: logo.width,
            height: logo.height,
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> LogoFacts {
        LogoFacts {
            sha256: self.sha256,
            width: self.width,
            height: self.height,
        }
    }
}

/// A tenant's uploaded logo.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct LogoRow {
    id: RecordId,
    bytes: Bytes,
}

impl LogoRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, sha256: &str) -> RecordId {
        let key = [tenant.as_str(), sha256].map(|part| Value::String(part.to_owned()));
        record("tenant_logo", key)
    }

    pub(in crate::modules::repositories) fn of(id: RecordId, bytes: &[u8]) -> Self {
        let bytes = Bytes::from(bytes.to_vec());
        Self { id, bytes }
    }

    pub(in crate::modules::repositories) fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_inner().to_vec()
    }
}
