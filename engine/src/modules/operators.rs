//! The rules of operators' accounts. Called by app_modules; calls the operators repository.

use std::sync::Arc;

use super::{
    ModuleContext,
    repositories::{OperatorRecord, OperatorsRepository, SystemScope},
    users::{email_taken, wrong_credentials},
};
use crate::modules::users::passwords::Passwords;
use crate::{
    error::{Error, Result},
    types::{AddOperator, EmailAddress, Login, Operator, SessionId},
};

pub(crate) struct OperatorsModule {
    repository: OperatorsRepository,
    passwords: Arc<Passwords>,
    context: ModuleContext,
}

impl OperatorsModule {
    pub(super) fn new(
        repository: OperatorsRepository,
        passwords: Arc<Passwords>,
        context: ModuleContext,
    ) -> Self {
        Self {
            repository,
            passwords,
            context,
        }
    }

    pub(crate) async fn add(&self, command: AddOperator) -> Result<Operator> {
        Passwords::check(&command.password)?;
        let hash = self.passwords.hash(command.password).await?;
        let operator = Operator {
            email: command.email,
            name: command.name,
            created_at: self.context.now(),
        };
        let epoch = self.context.next_id().to_string();
        let scope = SystemScope::new();
        match self
            .repository
            .insert(scope, &operator, hash, epoch)
            .await?
        {
            true => Ok(operator),
            false => Err(email_taken()),
        }
    }

    /// Checks an operator's address and password. Also returns the account's epoch.
    pub(crate) async fn check(&self, command: Login) -> Result<(Operator, Option<String>)> {
        let scope = SystemScope::new();
        let found = self.repository.find(scope, &command.email).await?;
        let hash = found.as_ref().map(|found| found.password_hash.clone());
        match (self.passwords.verify(command.password, hash).await?, found) {
            (true, Some(found)) => Ok((found.operator, found.session_epoch)),
            _ => Err(wrong_credentials()),
        }
    }

    pub(crate) async fn find(&self, email: &EmailAddress) -> Result<Option<Operator>> {
        let found = self.repository.find(SystemScope::new(), email).await?;
        Ok(found.map(|OperatorRecord { operator, .. }| operator))
    }

    pub(crate) async fn list(&self) -> Result<Vec<Operator>> {
        self.repository.list(SystemScope::new()).await
    }

    /// Sets a password, and ends all sessions except one. With the present password only if that is right.
    pub(crate) async fn set_password(
        &self,
        (email, present): (&EmailAddress, Option<String>),
        password: String,
        ending: (Option<SessionId>, &str),
    ) -> Result<()> {
        Passwords::check(&password)?;
        let scope = SystemScope::new();
        let seen = match present {
            None => None,
            Some(present) => {
                let found = self.repository.find(scope, email).await?;
                let seen = found.map(|found| found.password_hash);
                if !self.passwords.verify(present, seen.clone()).await? {
                    return Err(wrong_credentials());
                }
                seen
            }
        };
        let was_checked = seen.is_some();
        let hash = self.passwords.hash(password).await?;
        let set = self
            .repository
            .set_password(scope, email, (hash, seen), ending);
        match set.await? {
            // Another change came first, so the present password is wrong by now.
            false if was_checked => Err(wrong_credentials()),
            is_set => there(is_set, email),
        }
    }

    /// Removes an account, and ends its sessions.
    pub(crate) async fn remove(&self, email: &EmailAddress, epoch: &str) -> Result<()> {
        let scope = SystemScope::new();
        let removed = self.repository.remove(scope, email, epoch).await?;
        there(removed, email)
    }
}

fn there(is_there: bool, email: &EmailAddress) -> Result<()> {
    match is_there {
        true => Ok(()),
        false => Err(Error::not_found("operator", email)),
    }
}
