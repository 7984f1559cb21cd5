//! Use cases of the feed of changes. Called by hosts and platforms, and by the worker. Calls the changes module.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::{Stream, stream};

use crate::{
    context::EngineContext,
    error::{Error, Result},
    types::{Caller, Change, ChangeCursor, ChangeFilter, ChangePage, Role, Scope},
};

/// Changes that a stream reads at once.
const STREAM_PAGE: usize = 256;
/// How often a stream looks for what other processes have numbered.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Use cases of the feed of changes: what programs hear of a tenant's objects.
#[derive(Clone)]
pub struct Changes(pub(crate) Arc<EngineContext>);

impl Changes {
    /// Reads up to `limit` (1 to 1,000) changes after a cursor, for the tenant's owners and programs; without a cursor from the oldest
    /// change that is kept. A change can be read a moment after its step was committed.
    ///
    /// # Errors
    /// `forbidden`; `feed-restarted` and `changes-expired`, whose [`Fact::OldestCursor`](crate::Fact::OldestCursor) says where to go on;
    /// `field-invalid`.
    pub async fn read(
        &self,
        caller: &Caller,
        after: Option<&ChangeCursor>,
        filter: &ChangeFilter,
        limit: u32,
    ) -> Result<ChangePage> {
        let caller = authorised(caller)?;
        if !(1..=ChangePage::LIMIT_MAX).contains(&limit) {
            let rule = format!("A page has 1 to {} changes.", ChangePage::LIMIT_MAX);
            return Err(Error::field("limit", rule));
        }
        let changes = &self.0.modules.changes;
        let max = limit as usize;
        changes.read(caller.tenant()?, after, filter, max).await
    }

    /// Where the feed ends now: the cursor of a reader who wants later changes only.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn end(&self, caller: &Caller) -> Result<ChangeCursor> {
        let caller = authorised(caller)?;
        self.0.modules.changes.end(caller.tenant()?).await
    }

    /// All changes after a cursor, those to come included: the stream does not end by itself. After an error it goes on where it was;
    /// it ends with the errors of [`Changes::read`] that last. Each item has the cursor to go on after.
    ///
    /// The caller's rights are looked at once. Who streams for a session or an API key ends the stream with it.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn stream(
        &self,
        caller: &Caller,
        after: Option<ChangeCursor>,
        filter: ChangeFilter,
    ) -> Result<impl Stream<Item = Result<Change>> + Send + use<>> {
        let caller = authorised(caller)?;
        caller.tenant()?;
        let reader = Reader {
            context: self.0.clone(),
            caller,
            after,
            filter,
            read: VecDeque::new(),
            has_ended: false,
        };
        Ok(stream::unfold(reader, |mut reader| async move {
            let change = reader.next().await?;
            Some((change, reader))
        }))
    }
}

struct Reader {
    context: Arc<EngineContext>,
    caller: Caller,
    after: Option<ChangeCursor>,
    filter: ChangeFilter,
    read: VecDeque<Change>,
    has_ended: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Change>> {
        loop {
            if self.has_ended {
                return None;
            }
            if let Some(change) = self.read.pop_front() {
                return Some(Ok(change));
            }
            match self.read_page().await {
                Ok(true) => {}
                Ok(false) => self.context.modules.changes.wait_for_more(LOOK_EVERY).await,
                Err(error) => {
                    self.has_ended = !error.kind().is_passing();
                    return Some(Err(error));
                }
            }
        }
    }

    /// Reads on. Returns whether there may be more now.
    async fn read_page(&mut self) -> Result<bool> {
        let changes = &self.context.modules.changes;
        let tenant = self.caller.tenant()?;
        let page = changes.read(tenant, self.after.as_ref(), &self.filter, STREAM_PAGE);
        let page = page.await?;
        self.after = Some(page.next);
        self.read.extend(page.changes);
        Ok(page.has_more || !self.read.is_empty())
    }
}

fn authorised(caller: &Caller) -> Result<Caller> {
    let caller = caller.scoped(Scope::ChangesRead)?;
    caller.require_any(
        &[Role::Owner],
        "Only the tenant's owners and its programs read the feed of changes.",
    )?;
    Ok(caller.into_owned())
}

/// The worker's use cases of changes. Without authorisation, because only the engine's worker calls them.
#[derive(Clone)]
pub(crate) struct ChangeJobs(pub(crate) Arc<EngineContext>);

impl ChangeJobs {
    /// Numbers a batch of each tenant that has changes without numbers. Returns whether there may be more now.
    pub(crate) async fn number_pending(&self) -> Result<bool> {
        self.0.modules.changes.number_pending().await
    }

    /// Waits until a step of this process has told of changes.
    pub(crate) async fn wait_for_pending(&self) {
        self.0.modules.changes.wait_for_pending().await;
    }

    /// Forgets old changes of some tenants. Returns whether there may be more now.
    pub(crate) async fn forget_old(&self) -> Result<bool> {
        self.0.modules.changes.forget_old().await
    }
}
