//! Requests with an Idempotency-Key: executed once, then answered from the record.
//!
//! A step writes the record of its request in its own transaction ([`KeyedRequest::recorded`]); the record's id is the key,
//! so one of two concurrent requests finds it taken. Called by app_modules. Calls the idempotency repository.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    repositories::{IdempotencyRepository, SystemScope},
    request_hash,
};
use crate::{
    error::Result,
    types::{
        Caller, Idempotency, IdempotencyKey, KeyedRequest, RecordedAnswer, RecordedRequest,
        RequestKey, RequestRoute, TenantId,
    },
};

pub(crate) struct IdempotencyModule {
    repository: IdempotencyRepository,
}

impl IdempotencyModule {
    pub(super) fn new(repository: IdempotencyRepository) -> Self {
        Self { repository }
    }

    /// Runs a use case, unless the same request took effect before. Then `read` makes the answer from the record.
    ///
    /// After an error the record is read again: the request may be the second of two concurrent ones, and the first succeeded.
    /// `None` as tenant is for operators outside tenants.
    ///
    /// # Errors
    /// Those of the use case, and `idempotency-key-reused`.
    pub(crate) async fn once<'a, T>(
        &self,
        tenant: impl Into<Option<&'a TenantId>>,
        request: Option<&KeyedRequest>,
        read: impl FnOnce(RecordedAnswer) -> Result<T>,
        run: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let tenant = tenant.into();
        let Some(request) = request else {
            return run.await;
        };
        if let Some(answer) = self.answer(tenant, request).await? {
            return read(answer);
        }
        match run.await {
            Ok(done) => Ok(done),
            Err(refusal) => match self.answer(tenant, request).await? {
                Some(answer) => read(answer),
                None => Err(refusal),
            },
        }
    }

    /// The records of keys that there are.
    pub(crate) async fn recorded(
        &self,
        tenant: &TenantId,
        keys: &[RequestKey],
    ) -> Result<HashMap<RequestKey, RecordedRequest>> {
        self.repository.find_many(tenant, keys).await
    }

    async fn answer(
        &self,
        tenant: Option<&TenantId>,
        request: &KeyedRequest,
    ) -> Result<Option<RecordedAnswer>> {
        let (repository, key) = (&self.repository, &request.key);
        let recorded = match tenant {
            Some(tenant) => repository.find(tenant, key).await?,
            None => repository.find_outside(SystemScope::new(), key).await?,
        };
        let recorded = recorded.as_ref();
        recorded.map(|one| request.answer_of(one)).transpose()
    }
}

/// A row of an import, by its reference: the tenant's, whoever imports it.
pub(crate) fn imported_request(reference: IdempotencyKey, row: &Value) -> KeyedRequest {
    KeyedRequest {
        key: RequestKey {
            principal: "import".to_owned(),
            route: RequestRoute::Imports,
            key: reference.clone(),
        },
        hash: request_hash(row),
        idempotency: Idempotency::new(reference),
    }
}

/// A request to record: with the key of its command or its caller. `None` without a key, and without a caller.
/// `canonical` is the whole content of the request.
pub(crate) fn keyed(
    caller: &Caller,
    route: RequestRoute,
    named: Option<IdempotencyKey>,
    canonical: &Value,
) -> Option<KeyedRequest> {
    let idempotency = match named {
        Some(key) => Idempotency::new(key),
        None => caller.idempotency()?.clone(),
    };
    Some(KeyedRequest {
        key: RequestKey {
            principal: caller.principal()?,
            route,
            key: idempotency.key().clone(),
        },
        hash: request_hash(canonical),
        idempotency,
    })
}
