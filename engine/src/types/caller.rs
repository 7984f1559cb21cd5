//! The caller: the first argument of every use case.

use std::borrow::Cow;

use super::{
    ApiKeyId, EmailAddress, Idempotency, Scope, Scopes, SessionId, SessionOwner, TenantId, UserId,
    UserRole,
};
use crate::error::{Error, Result};

/// The role of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Not signed in; sees what is public.
    Anonymous,
    /// Books tickets.
    Customer,
    /// Works at the door and reads bookings.
    Staff,
    /// Runs events of their own.
    Organizer,
    /// Runs the whole tenant.
    Owner,
    /// Code that embeds the engine, with all rights in one tenant.
    Platform,
    /// A program of the tenant, with the scopes of its API key.
    ApiKey,
    /// Runs the installation; belongs to no tenant.
    Operator,
}

impl From<UserRole> for Role {
    fn from(role: UserRole) -> Self {
        match role {
            UserRole::Customer => Self::Customer,
            UserRole::Staff => Self::Staff,
            UserRole::Organizer => Self::Organizer,
            UserRole::Owner => Self::Owner,
        }
    }
}

/// The caller of a use case, and its tenant. The engine trusts it: authenticate before you make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    tenant: Option<TenantId>,
    user: Option<UserId>,
    role: Role,
    /// The operator's address, if it is known.
    operator: Option<EmailAddress>,
    /// The request's idempotency key, if it has one.
    idempotency: Option<Idempotency>,
    /// The session of the token that they presented, if any.
    session: Option<SessionId>,
    /// Whether the user's address is confirmed; `None` if that was not read.
    email_confirmed: Option<bool>,
    /// The API key that was presented, and its scopes, if any.
    api_key: Option<(ApiKeyId, Scopes)>,
}

impl Caller {
    fn of(role: Role) -> Self {
        Self {
            tenant: None,
            user: None,
            role,
            operator: None,
            idempotency: None,
            session: None,
            email_confirmed: None,
            api_key: None,
        }
    }

    /// A signed-in user of a tenant, as the transport authenticated them.
    pub fn user(tenant: TenantId, user: UserId, role: UserRole) -> Self {
        Self {
            tenant: Some(tenant),
            user: Some(user),
            ..Self::of(role.into())
        }
    }

    /// A visitor of a tenant who is not signed in.
    pub fn anonymous(tenant: TenantId) -> Self {
        Self {
            tenant: Some(tenant),
            ..Self::of(Role::Anonymous)
        }
    }

    /// Trusted embedding code with all rights in this tenant.
    ///
    /// An unknown name is not refused here; the use case returns `not-found`.
    pub fn platform(tenant: &str) -> Self {
        Self {
            tenant: Some(TenantId::trusted(tenant)),
            ..Self::of(Role::Platform)
        }
    }

    /// A program of a tenant with an API key, as the transport authenticated it. It may do what its scopes name.
    pub fn api_key(tenant: TenantId, key: ApiKeyId, scopes: Scopes) -> Self {
        Self {
            tenant: Some(tenant),
            api_key: Some((key, scopes)),
            ..Self::of(Role::ApiKey)
        }
    }

    /// The API key that was presented, if any.
    pub fn api_key_id(&self) -> Option<ApiKeyId> {
        self.api_key.map(|(key, _)| key)
    }

    /// The caller of a use case that API keys with this scope may call. A key that has it acts with all rights in its tenant
    /// there; everywhere else it is refused. Other callers stay as they are.
    ///
    /// # Errors
    /// `forbidden` names the scope that a key lacks.
    pub(crate) fn scoped(&self, scope: Scope) -> Result<Cow<'_, Self>> {
        let mut caller = Cow::Borrowed(self);
        if let (Role::ApiKey, Some((_, scopes))) = (self.role, self.api_key) {
            if !scopes.has(scope) {
                return Err(Error::forbidden(format!(
                    "This API key needs the scope {scope} for that."
                )));
            }
            caller.to_mut().role = Role::Platform;
        }
        Ok(caller)
    }

    /// An operator of the installation. Acts outside tenants, or in one with [`Caller::within`].
    pub fn operator() -> Self {
        Self::of(Role::Operator)
    }

    /// Adds the address of the operator's account, which the audit log shows.
    pub fn operator_named(email: EmailAddress) -> Self {
        Self {
            operator: Some(email),
            ..Self::operator()
        }
    }

    /// Adds the session of the token that was presented.
    #[must_use]
    pub fn in_session(&self, session: SessionId) -> Self {
        Self {
            session: Some(session),
            ..self.clone()
        }
    }

    /// Adds whether the user's address is confirmed. Use cases then do not read it again.
    #[must_use]
    pub(crate) fn with_email_confirmed(&self, is_confirmed: bool) -> Self {
        Self {
            email_confirmed: Some(is_confirmed),
            ..self.clone()
        }
    }

    /// Whether the user's address is confirmed; `None` if that was not read.
    pub(crate) fn email_confirmed(&self) -> Option<bool> {
        self.email_confirmed
    }

    /// Returns whether the user's address is known to be unconfirmed: see
    /// [`Users::with_confirmation`](crate::Users::with_confirmation).
    pub fn is_unconfirmed(&self) -> bool {
        self.email_confirmed == Some(false)
    }

    /// The session of the token that was presented. Trusted code has none.
    pub fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// The owner of the caller's own sessions.
    ///
    /// # Errors
    /// `not-authenticated` if nobody is signed in, `forbidden` for trusted code without a user or operator.
    pub(crate) fn session_owner(&self) -> Result<SessionOwner> {
        if let (Role::Operator, Some(email)) = (self.role, &self.operator) {
            return Ok(SessionOwner::Operator(email.clone()));
        }
        Ok(SessionOwner::User {
            user: self.acting_user()?,
            tenant: self.tenant()?.clone(),
        })
    }

    /// The operator's address, if it is known.
    pub fn operator_email(&self) -> Option<&EmailAddress> {
        self.operator.as_ref()
    }

    /// The operator outside tenants again. Other callers stay in their tenant.
    #[must_use]
    pub fn outside_tenants(&self) -> Self {
        match self.role {
            Role::Operator => Self {
                tenant: None,
                ..self.clone()
            },
            _ => self.clone(),
        }
    }

    /// The operator in a tenant. Other callers stay in their tenant.
    #[must_use]
    pub fn within(&self, tenant: TenantId) -> Self {
        match self.role {
            Role::Operator => Self {
                tenant: Some(tenant),
                ..self.clone()
            },
            _ => self.clone(),
        }
    }

    /// The same trusted caller, acting for one of the tenant's users.
    #[must_use]
    pub fn on_behalf_of(&self, user: UserId) -> Self {
        Self {
            user: Some(user),
            email_confirmed: None,
            ..self.clone()
        }
    }

    /// Adds the idempotency key of one request. A repetition within 24 hours gets the first answer, and nothing happens
    /// twice. Use cases that create or change something honour it; reads ignore it.
    #[must_use]
    pub fn with_idempotency(&self, idempotency: Idempotency) -> Self {
        Self {
            idempotency: Some(idempotency),
            ..self.clone()
        }
    }

    /// The request's idempotency key, if it has one.
    pub fn idempotency(&self) -> Option<&Idempotency> {
        self.idempotency.as_ref()
    }

    /// The owner of the request's key: the acting user, or all programs with this role. `None` if nobody is signed in.
    pub(crate) fn principal(&self) -> Option<String> {
        match (self.user, self.role) {
            (_, Role::Anonymous) => None,
            (Some(user), _) => Some(user.ulid().to_string()),
            (None, Role::Operator) => Some(match &self.operator {
                Some(email) => format!("operator {email}"),
                None => "operator".to_owned(),
            }),
            (None, _) => Some(match self.api_key {
                Some((key, _)) => format!("key {key}"),
                None => "platform".to_owned(),
            }),
        }
    }

    /// The caller's role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The acting user, if there is one.
    pub fn user_id(&self) -> Option<UserId> {
        self.user
    }

    /// The tenant the caller acts in.
    ///
    /// # Errors
    /// `not-found` for an operator outside tenants.
    pub fn tenant(&self) -> Result<&TenantId> {
        self.tenant
            .as_ref()
            .ok_or_else(|| Error::not_found("tenant", ""))
    }

    /// The acting user.
    ///
    /// # Errors
    /// `not-authenticated` if nobody is signed in, `forbidden` for trusted code without a user.
    pub fn acting_user(&self) -> Result<UserId> {
        match (self.user, self.role) {
            (_, Role::ApiKey) => Err(not_for_keys()),
            (Some(user), _) => Ok(user),
            (None, Role::Anonymous) => Err(sign_in()),
            (None, _) => Err(Error::forbidden(
                "This is done for a user: name one with `on_behalf_of`, or sign in as one.",
            )),
        }
    }

    /// Refuses callers who are not signed in.
    pub(crate) fn require_signed_in(&self) -> Result<()> {
        if self.role == Role::Anonymous {
            Err(sign_in())
        } else {
            Ok(())
        }
    }

    /// Refuses callers whose role is not in `roles`. Trusted code of the tenant and operators pass.
    pub(crate) fn require_any(&self, roles: &[Role], to: &'static str) -> Result<()> {
        self.require_signed_in()?;
        let trusted = matches!(self.role, Role::Platform | Role::Operator);
        if trusted || roles.contains(&self.role) {
            Ok(())
        } else if self.role == Role::ApiKey {
            Err(not_for_keys())
        } else {
            Err(Error::forbidden(to))
        }
    }

    /// Returns whether the caller is a program with a scope that reads what is sold: bookings, or events in order to change them.
    pub(crate) fn is_key_for_sales(&self) -> bool {
        let scopes = self.api_key.map(|(_, scopes)| scopes);
        scopes
            .is_some_and(|scopes| scopes.has(Scope::BookingsRead) || scopes.has(Scope::EventsWrite))
    }

    /// Refuses everybody but the event's organizer, the tenant's owners and trusted code.
    pub(crate) fn require_manager(&self, organizer: Option<UserId>) -> Result<()> {
        match self.role {
            Role::Owner | Role::Platform | Role::Operator => Ok(()),
            Role::Organizer if organizer.is_some() && organizer == self.user => Ok(()),
            Role::Anonymous => Err(sign_in()),
            Role::ApiKey => Err(not_for_keys()),
            _ => Err(Error::forbidden(
                "Only the event's organizer and the tenant's owners may do this.",
            )),
        }
    }

    /// Refuses everybody but those who manage the event and the tenant's staff.
    pub(crate) fn require_manager_or_staff(&self, organizer: Option<UserId>) -> Result<()> {
        if self.role == Role::Staff {
            Ok(())
        } else {
            self.require_manager(organizer)
        }
    }

    /// Refuses everybody but operators.
    pub(crate) fn require_operator(&self) -> Result<()> {
        self.require_signed_in()?;
        if self.role == Role::Operator {
            Ok(())
        } else {
            Err(Error::forbidden(
                "Only an operator of this installation may do this.",
            ))
        }
    }
}

fn not_for_keys() -> Error {
    Error::forbidden("No API key may do this: sign in as a user.")
}

fn sign_in() -> Error {
    Error::new(
        crate::error::ErrorCode::NotAuthenticated,
        "Sign in and send the token with the request.",
    )
}
