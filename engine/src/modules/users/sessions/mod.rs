//! The rules of sessions, for users and operators: opening, rotating, ending, and the caller of a request.
//!
//! Called by app_modules. Calls the sessions repository.

use std::time::Duration;

use jiff::Timestamp;

use super::principals::{Principals, Revocable};
use crate::modules::{
    ModuleContext,
    repositories::{SessionScope, SessionsRepository, SystemScope},
};
use crate::{
    error::{Error, ErrorCode, Result},
    types::{Label, ListedSession, Principal, SessionId, SessionOwner, SessionRecord},
};

/// Longest lifetime of a user's session.
const USER_SESSION_LASTS: Duration = Duration::from_secs(30 * 24 * 3600);
/// Longest lifetime of an operator's session: a working day, because it gives access to the whole installation.
const OPERATOR_SESSION_LASTS: Duration = Duration::from_secs(12 * 3600);
/// How long a refresh token is accepted after its successor was made: tabs refresh at the same time, and responses get lost.
const GRACE: Duration = Duration::from_secs(30);
/// Generations that are accepted within that time. A client that refreshes more often has read the responses.
const GRACE_GENERATIONS_MAX: usize = 8;
/// Most sessions of one account; another one ends the oldest. The size of a page, and the limit of ending all of them.
const SESSIONS_MAX: usize = 100;
/// Attempts against others that rotate the same session. One of them succeeds each time.
const TRIES_MAX: u32 = 16;

pub(crate) struct SessionsModule {
    repository: SessionsRepository,
    principals: Principals<SessionId, Principal>,
    /// Held while sessions are ended, because all of these write the head of the log. Only avoids conflicts within a process.
    ending: tokio::sync::Mutex<()>,
    context: ModuleContext,
}

impl SessionsModule {
    pub(in crate::modules) fn new(repository: SessionsRepository, context: ModuleContext) -> Self {
        Self {
            repository,
            principals: Principals::new(),
            ending: tokio::sync::Mutex::new(()),
            context,
        }
    }

    /// The epoch of an account's sessions, if the account exists.
    pub(crate) async fn epoch(&self, owner: &SessionOwner) -> Result<Option<Option<String>>> {
        self.repository.epoch(scope_of(owner)).await
    }

    /// Opens a session of an account, in the epoch of the moment when its password was checked.
    pub(crate) async fn open(
        &self,
        owner: &SessionOwner,
        epoch: Option<String>,
        device: Option<Label>,
    ) -> Result<(SessionId, SessionRecord)> {
        let now = self.context.now();
        let id = SessionId::from_ulid(self.context.next_id());
        let lasts = match owner {
            SessionOwner::User { .. } => USER_SESSION_LASTS,
            SessionOwner::Operator(_) => OPERATOR_SESSION_LASTS,
        };
        let record = SessionRecord {
            generation: 0,
            rotated_at: vec![now],
            opened_at: now,
            expires_at: now.checked_add(lasts).map_err(Error::internal)?,
            epoch,
            device,
        };
        // One more than allowed, to find those that must end. Two concurrent sign-ins may leave one too many until the next.
        let others = self
            .repository
            .insert(scope_of(owner), id, &record, 2 * SESSIONS_MAX)
            .await?;
        if let Some(too_many) = others.get(SESSIONS_MAX - 1..)
            && !too_many.is_empty()
        {
            self.end_these(owner, too_many).await?;
        }
        Ok((id, record))
    }

    /// Checks a refresh token's generation; see `Sessions::rotate`.
    pub(crate) async fn rotate(
        &self,
        owner: &SessionOwner,
        id: SessionId,
        generation: u32,
    ) -> Result<SessionRecord> {
        // One of several concurrent callers rotates; the others find what it wrote.
        for _ in 0..TRIES_MAX {
            let now = self.context.now();
            let found = self.repository.find(scope_of(owner), id).await?;
            let Some((seen, _)) = found.filter(|(seen, _)| now < seen.expires_at) else {
                return Err(session_ended());
            };
            match judge(&seen, generation, now) {
                Judgement::Next(next) => {
                    let scope = scope_of(owner);
                    if self.repository.rotate(scope, id, generation, &next).await? {
                        return Ok(next);
                    }
                }
                Judgement::Same => return Ok(seen),
                Judgement::Stolen => {
                    self.end_these(owner, &[id]).await?;
                    tracing::warn!(session = %id, "a refresh token was used twice; its session was ended");
                    return Err(session_ended());
                }
            }
        }
        Err(Error::new(
            ErrorCode::ConflictTryAgain,
            "This token is being used several times at once; try again.",
        ))
    }

    /// Exchanges the current generation of a session for the next one, for whoever proved more than a refresh token does.
    pub(crate) async fn renew(&self, owner: &SessionOwner, id: SessionId) -> Result<SessionRecord> {
        let found = self.repository.find(scope_of(owner), id).await?;
        let (seen, _) = found.ok_or_else(session_ended)?;
        self.rotate(owner, id, seen.generation).await
    }

    /// Ends all sessions of an account except one.
    pub(crate) async fn end_others(&self, owner: &SessionOwner, keep: SessionId) -> Result<()> {
        let _turn = self.ending.lock().await;
        let epoch = self.next_epoch();
        let ended = self.repository.end_all(scope_of(owner), Some(keep), &epoch);
        ended.await?;
        self.principals.forget(|known| known.owner == *owner);
        Ok(())
    }

    /// Ends a session. Returns false if it was not there.
    pub(crate) async fn end(&self, owner: &SessionOwner, id: SessionId) -> Result<bool> {
        self.end_these(owner, &[id]).await
    }

    /// Ends all sessions of an account, also those that are being opened at this moment.
    pub(crate) async fn end_all(&self, owner: &SessionOwner) -> Result<()> {
        let _turn = self.ending.lock().await;
        let epoch = self.next_epoch();
        let ended = self.repository.end_all(scope_of(owner), None, &epoch);
        ended.await?;
        self.principals.forget(|known| known.owner == *owner);
        Ok(())
    }

    /// The valid sessions of an account, newest first.
    pub(crate) async fn list(&self, owner: &SessionOwner) -> Result<Vec<ListedSession>> {
        let now = self.context.now();
        let sessions = self.repository.list(scope_of(owner), SESSIONS_MAX).await?;
        let listed = sessions.into_iter().map(|(id, session)| ListedSession {
            id,
            opened_at: session.opened_at,
            refreshed_at: newest(&session),
            expires_at: session.expires_at,
            device: session.device,
        });
        Ok(listed.filter(|session| now < session.expires_at).collect())
    }

    /// The owner of a session, if it is valid.
    pub(crate) async fn principal(
        &self,
        owner: &SessionOwner,
        id: SessionId,
    ) -> Result<Option<Principal>> {
        let read = async {
            let found = self.repository.find(scope_of(owner), id).await?;
            Ok(found.map(|(_, principal)| principal))
        };
        let found = self.principals.find(&self.repository, id, read).await?;
        let now = self.context.now();
        // The store knows the id; the token names the owner.
        Ok(found.filter(|principal| principal.owner == *owner && now < principal.expires_at))
    }

    /// Removes from the cache what another module has ended.
    pub(crate) fn forget(&self, owner: &SessionOwner) {
        self.principals.forget(|known| known.owner == *owner);
    }

    /// The id of an account's next epoch.
    pub(crate) fn next_epoch(&self) -> String {
        self.context.next_id().to_string()
    }

    async fn end_these(&self, owner: &SessionOwner, ids: &[SessionId]) -> Result<bool> {
        let _turn = self.ending.lock().await;
        let was_there = self.repository.end(scope_of(owner), ids).await?;
        self.principals.forget(|known| known.owner == *owner);
        Ok(was_there)
    }
}

impl Revocable for Principal {
    fn owner_name(&self) -> String {
        self.owner.to_string()
    }
}

/// The validity of a refresh token.
#[derive(Debug, PartialEq, Eq)]
enum Judgement {
    /// It is the current one, with its successor.
    Next(SessionRecord),
    /// It was the current one a moment ago: the current one is returned.
    Same,
    /// It was used before: somebody else may have a copy.
    Stolen,
}

fn judge(seen: &SessionRecord, generation: u32, now: Timestamp) -> Judgement {
    let is_recent = |at: &Timestamp| now.duration_since(*at).unsigned_abs() <= GRACE;
    if generation == seen.generation {
        let mut rotated_at = vec![now];
        rotated_at.extend(seen.rotated_at.iter().copied().filter(is_recent));
        rotated_at.truncate(GRACE_GENERATIONS_MAX);
        return Judgement::Next(SessionRecord {
            generation: generation + 1,
            rotated_at,
            ..seen.clone()
        });
    }
    // The number of generations since then; the oldest of them replaced this one.
    let since = seen.generation.checked_sub(generation);
    let place = since.and_then(|since| usize::try_from(since).ok());
    let replaced_at = place.and_then(|since| seen.rotated_at.get(since - 1));
    match replaced_at {
        Some(at) if is_recent(at) => Judgement::Same,
        _ => Judgement::Stolen,
    }
}

fn newest(session: &SessionRecord) -> Timestamp {
    let newest = session.rotated_at.first();
    newest.copied().unwrap_or(session.opened_at)
}

fn scope_of(owner: &SessionOwner) -> SessionScope<'_> {
    match owner {
        SessionOwner::User { tenant, .. } => SessionScope::Tenant(tenant, owner),
        SessionOwner::Operator(_) => SessionScope::System(SystemScope::new(), owner),
    }
}

fn session_ended() -> Error {
    Error::new(
        ErrorCode::SessionEnded,
        "This session has ended; sign in again.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("a time")
    }

    fn opened() -> SessionRecord {
        SessionRecord {
            generation: 0,
            rotated_at: vec![at(0)],
            opened_at: at(0),
            expires_at: at(1_000_000),
            epoch: None,
            device: None,
        }
    }

    fn next(seen: &SessionRecord, now: i64) -> SessionRecord {
        match judge(seen, seen.generation, at(now)) {
            Judgement::Next(next) => next,
            other => panic!("the current generation has a successor: {other:?}"),
        }
    }

    #[test]
    fn generations_are_accepted_for_a_while_after_their_successor_began() {
        let first = next(&opened(), 100);
        assert_eq!(first.generation, 1);
        assert_eq!(judge(&first, 0, at(130)), Judgement::Same);
        assert_eq!(judge(&first, 0, at(131)), Judgement::Stolen);
        // A tab that is two generations behind, within the time.
        let second = next(&first, 110);
        assert_eq!(judge(&second, 0, at(130)), Judgement::Same);
        assert_eq!(judge(&second, 0, at(131)), Judgement::Stolen);
        assert_eq!(judge(&second, 1, at(140)), Judgement::Same);
        assert_eq!(judge(&second, 3, at(110)), Judgement::Stolen, "never made");
    }

    #[test]
    fn what_is_kept_of_generations_is_bounded() {
        let mut seen = opened();
        for step in 0..100 {
            seen = next(&seen, 50);
            assert!(seen.rotated_at.len() <= GRACE_GENERATIONS_MAX, "{step}");
        }
        assert_eq!(judge(&seen, 92, at(50)), Judgement::Same);
        assert_eq!(judge(&seen, 91, at(50)), Judgement::Stolen);
        assert_eq!(next(&seen, 1_000).rotated_at, [at(1_000)]);
    }
}
