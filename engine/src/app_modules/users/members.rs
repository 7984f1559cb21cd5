//! Use cases of who works for a tenant: invitations, roles and suspensions.
//!
//! Called by hosts. Calls the tenants, users and sessions modules.

use std::borrow::Cow;

use super::{
    Users,
    accounts::{require_purpose, require_same_tenant},
};
use crate::{
    error::{Error, Result},
    modules::link_owner,
    types::{
        AccountLink, AccountLinkPurpose, AuditEntry, Caller, ChangeMember, Invitation, Invite,
        Role, Scope, SessionOwner, User, UserId, UserRole,
    },
};

const OWNERS_ONLY: &str = "Only an owner of this tenant may do this.";

impl Users {
    /// Invites somebody to work for the tenant, for its owners: the address gets a link that is valid for a week. Inviting an
    /// address again renews its invitation, with another name and role if they differ; an address gets at most five such mails a
    /// day. A tenant has at most 100 invitations that wait.
    ///
    /// # Errors
    /// `forbidden`; `field-invalid` for a customer, whom nobody invites; `email-taken` if an account owns the address: change its
    /// role; `too-many-invitations`, `too-many-requests`, `links-off`, `conflict-try-again`, `not-found` for an unknown tenant.
    pub async fn invite(&self, caller: &Caller, command: Invite) -> Result<Invitation> {
        caller.require_any(&[Role::Owner], OWNERS_ONLY)?;
        if command.role == UserRole::Customer {
            return Err(Error::field(
                "role",
                "Somebody is invited as staff, organizer or owner; customers sign up themselves.",
            ));
        }
        self.require_links()?;
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?.id;
        let who = self.0.audited_name(caller).await?;
        let audit = |invitation: &Invitation| self.of_invitation(who, "invite", invitation);
        let users = &self.0.modules.users;
        users
            .invite(&tenant, command, caller.user_id(), audit)
            .await
    }

    /// Lists the invitations that wait for an answer, the newest first, the expired ones included, for the tenant's owners.
    ///
    /// # Errors
    /// `forbidden`, `not-found` for an unknown tenant.
    pub async fn invitations(&self, caller: &Caller) -> Result<Vec<Invitation>> {
        caller.require_any(&[Role::Owner], OWNERS_ONLY)?;
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?.id;
        self.0.modules.users.invitations(&tenant).await
    }

    /// Withdraws an invitation, for the tenant's owners: its links become invalid.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, also if it was accepted.
    pub async fn withdraw_invitation(&self, caller: &Caller, user: UserId) -> Result<()> {
        caller.require_any(&[Role::Owner], OWNERS_ONLY)?;
        let who = self.0.audited_name(caller).await?;
        let audit = |one: &Invitation| self.of_invitation(who, "withdraw-invitation", one);
        let users = &self.0.modules.users;
        users.withdraw(caller.tenant()?, user, audit).await
    }

    /// Accepts the invitation of a link with a password: 8 to 200 characters. The account owns its address from then on. Of several
    /// concurrent calls with one link one succeeds.
    ///
    /// # Errors
    /// `link-invalid` if the link is expired, used, withdrawn, for something else, or of another tenant than the caller's, or if
    /// another account owns the address by now; `field-invalid`.
    pub async fn accept_invitation(
        &self,
        caller: &Caller,
        link: &AccountLink,
        password: String,
    ) -> Result<()> {
        require_purpose(link, AccountLinkPurpose::AcceptInvitation)?;
        require_same_tenant(caller, link)?;
        let modules = &self.0.modules;
        modules.users.reset_password(link, password).await?;
        modules.sessions.forget(&link_owner(link));
        Ok(())
    }

    /// Changes a user's role, or suspends them, or ends that, for the tenant's owners. It counts within a second at every host. A
    /// suspension ends their sessions; API keys that they made stay. A tenant that has an owner keeps one who may sign in.
    /// Metadata alone may also be changed by programs that may see customers.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, `last-owner`, `conflict-try-again`; `field-invalid` for an owner without a confirmed address, or
    /// metadata that are too large.
    pub async fn change_member(
        &self,
        caller: &Caller,
        user: UserId,
        change: ChangeMember,
    ) -> Result<User> {
        let caller = match change.changes_rights() {
            true => Cow::Borrowed(caller),
            false => caller.scoped(Scope::Customers)?,
        };
        caller.require_any(&[Role::Owner], OWNERS_ONLY)?;
        let tenant = caller.tenant()?;
        let who = match change.changes_rights() {
            true => self.0.audited_name(&caller).await?,
            // Nobody audits metadata.
            false => String::new(),
        };
        let audit = |before: &User, after: &User| AuditEntry {
            at: self.0.context.now(),
            who: who.clone(),
            action: "change-user".to_owned(),
            subject: format!("user {user}"),
            why: change_in_words(before, after),
            count: None,
        };
        let modules = &self.0.modules;
        let changed = modules.users.change_member((tenant, user), &change, audit);
        let changed = changed.await?;
        if change.changes_rights() {
            modules.sessions.forget(&SessionOwner::User {
                tenant: tenant.clone(),
                user,
            });
        }
        Ok(changed)
    }

    fn of_invitation(&self, who: String, action: &str, invitation: &Invitation) -> AuditEntry {
        AuditEntry {
            at: self.0.context.now(),
            who,
            action: action.to_owned(),
            subject: format!("invitation {} ({})", invitation.user, invitation.role),
            why: String::new(),
            count: None,
        }
    }
}

fn change_in_words(before: &User, after: &User) -> String {
    let mut words = Vec::new();
    if before.role != after.role {
        words.push(format!("{} is {} now", before.role, after.role));
    }
    match (before.is_suspended, after.is_suspended) {
        (false, true) => words.push("suspended".to_owned()),
        (true, false) => words.push("no longer suspended".to_owned()),
        _ => {}
    }
    words.join(", ")
}
