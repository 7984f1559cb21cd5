//! Storage steps that make an account for an identity of an OpenID provider. Called by the users module; calls models.

use jiff::Timestamp;

use super::{
    identities::{IdentityStep, add_identity, outcome},
    notifications::NewMails,
    sign_ups::sign_up_script,
    users::{UsersRepository, insertion},
};
use crate::{
    error::Result,
    types::{CheckedIdToken, LinkedIdentity, User, VerificationRequest},
};

/// An account that is made for an identity.
pub(in crate::modules) struct IdentityAccount<'a> {
    pub(in crate::modules) user: &'a User,
    pub(in crate::modules) identity: &'a LinkedIdentity,
    pub(in crate::modules) token: Option<&'a CheckedIdToken>,
}

impl UsersRepository {
    /// Writes an account that owns its address, with its identity: at most 7 rows.
    pub(in crate::modules) async fn insert_with_identity(
        &self,
        account: &IdentityAccount<'_>,
    ) -> Result<IdentityStep> {
        let mut script = insertion(account.user, None, None)?;
        add_identity(&mut script, account.user, account.identity, account.token);
        outcome(self.db.run_retrying(&script).await)
    }

    /// Writes an account that waits for its address to be confirmed, with its identity and a mail to the address, as
    /// [`UsersRepository::sign_up`] does: at most 9 rows.
    pub(in crate::modules) async fn sign_up_with_identity(
        &self,
        account: &IdentityAccount<'_>,
        asked: &VerificationRequest,
        mails: &NewMails,
        notice: Option<Timestamp>,
    ) -> Result<IdentityStep> {
        let mut script = sign_up_script(account.user, None, asked, mails, notice)?;
        add_identity(&mut script, account.user, account.identity, account.token);
        outcome(self.db.run_retrying(&script).await)
    }
}
