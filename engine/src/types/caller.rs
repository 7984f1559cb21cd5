//! Who asks: the first argument of every use case.

use super::{EmailAddress, Idempotency, SessionId, SessionOwner, TenantId, UserId, UserRole};
use crate::error::{Error, Result};

/// In which capacity somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Nobody signed in; sees what is public.
    Anonymous,
    /// Books tickets.
    Customer,
    /// Works at the door and reads bookings.
    Staff,
    /// Runs events of their own.
    Organizer,
    /// Runs the whole tenant.
    Owner,
    /// Code that embeds the engine and is trusted with a tenant.
    Platform,
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

/// Who asks, for which tenant. Whoever makes one vouches for it: the engine believes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    tenant: Option<TenantId>,
    user: Option<UserId>,
    role: Role,
    /// Who the operator is, where that is known.
    operator: Option<EmailAddress>,
    /// The key of the request that is being made, if it has one.
    idempotency: Option<Idempotency>,
    /// The session whose token they showed, if they showed one.
    session: Option<SessionId>,
    /// Whether the user's address is confirmed, where that was looked up; `None` where nobody looked.
    email_confirmed: Option<bool>,
}

impl Caller {
    /// A signed-in user of a tenant, as the transport authenticated them.
    pub fn user(tenant: TenantId, user: UserId, role: UserRole) -> Self {
        Self {
            tenant: Some(tenant),
            user: Some(user),
            role: role.into(),
            operator: None,
            idempotency: None,
            session: None,
            email_confirmed: None,
        }
    }

    /// Somebody who did not sign in, at a tenant's door.
    pub fn anonymous(tenant: TenantId) -> Self {
        Self {
            tenant: Some(tenant),
            user: None,
            role: Role::Anonymous,
            operator: None,
            idempotency: None,
            session: None,
            email_confirmed: None,
        }
    }

    /// Trusted embedding code with all rights in this tenant.
    ///
    /// A name that no tenant has is not refused here; the use case answers `not-found`.
    pub fn platform(tenant: &str) -> Self {
        Self {
            tenant: Some(TenantId::trusted(tenant)),
            user: None,
            role: Role::Platform,
            operator: None,
            idempotency: None,
            session: None,
            email_confirmed: None,
        }
    }

    /// The one who runs the installation; acts outside tenants, or in one with [`Caller::within`].
    pub fn operator() -> Self {
        Self {
            tenant: None,
            user: None,
            role: Role::Operator,
            operator: None,
            idempotency: None,
            session: None,
            email_confirmed: None,
        }
    }

    /// The same, by the address of their account, which the audit names.
    pub fn operator_named(email: EmailAddress) -> Self {
        Self {
            operator: Some(email),
            ..Self::operator()
        }
    }

    /// The same, by the token of this session.
    #[must_use]
    pub fn in_session(&self, session: SessionId) -> Self {
        Self {
            session: Some(session),
            ..self.clone()
        }
    }

    /// The same, of whose address it is known whether it is confirmed: use cases do not look again.
    #[must_use]
    pub(crate) fn with_email_confirmed(&self, is_confirmed: bool) -> Self {
        Self {
            email_confirmed: Some(is_confirmed),
            ..self.clone()
        }
    }

    /// Whether the user's address is confirmed, as far as that is known.
    pub(crate) fn email_confirmed(&self) -> Option<bool> {
        self.email_confirmed
    }

    /// Returns whether the user is known to be asked to confirm their address, and not to have done so: see
    /// [`Users::with_confirmation`](crate::Users::with_confirmation).
    pub fn is_unconfirmed(&self) -> bool {
        self.email_confirmed == Some(false)
    }

    /// The session whose token the caller showed. Trusted code has none.
    pub fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// Whose sessions are the caller's own.
    ///
    /// # Errors
    /// `not-authenticated` for nobody, `forbidden` for trusted code that named neither user nor operator.
    pub(crate) fn session_owner(&self) -> Result<SessionOwner> {
        if let (Role::Operator, Some(email)) = (self.role, &self.operator) {
            return Ok(SessionOwner::Operator(email.clone()));
        }
        Ok(SessionOwner::User {
            user: self.acting_user()?,
            tenant: self.tenant()?.clone(),
        })
    }

    /// The operator's address, where it is known.
    pub fn operator_email(&self) -> Option<&EmailAddress> {
        self.operator.as_ref()
    }

    /// The operator outside tenants again. Nobody else can leave their tenant: they stay where they are.
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

    /// The operator acting in a tenant. Nobody else can leave their tenant: they stay where they are.
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

    /// The same caller with the key of one request: sent again within 24 hours, it is answered as at first, without that
    /// anything happens twice. Use cases that make or change something mind it; those that only read do not.
    #[must_use]
    pub fn with_idempotency(&self, idempotency: Idempotency) -> Self {
        Self {
            idempotency: Some(idempotency),
            ..self.clone()
        }
    }

    /// The key of the request, if it has one.
    pub fn idempotency(&self) -> Option<&Idempotency> {
        self.idempotency.as_ref()
    }

    /// Whose keys a request's key is one of: the acting user's, or those of programs in this capacity. Nobody has none.
    pub(crate) fn principal(&self) -> Option<String> {
        match (self.user, self.role) {
            (_, Role::Anonymous) => None,
            (Some(user), _) => Some(user.ulid().to_string()),
            (None, Role::Operator) => Some(match &self.operator {
                Some(email) => format!("operator {email}"),
                None => "operator".to_owned(),
            }),
            (None, _) => Some("platform".to_owned()),
        }
    }

    /// In which capacity the caller asks.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The user who asks, if one is named.
    pub fn user_id(&self) -> Option<UserId> {
        self.user
    }

    /// The tenant the caller acts in.
    ///
    /// # Errors
    /// `not-found` for an operator who named none.
    pub fn tenant(&self) -> Result<&TenantId> {
        self.tenant
            .as_ref()
            .ok_or_else(|| Error::not_found("tenant", ""))
    }

    /// The user who acts.
    ///
    /// # Errors
    /// `not-authenticated` for nobody, `forbidden` for trusted code that named no user.
    pub fn acting_user(&self) -> Result<UserId> {
        match (self.user, self.role) {
            (Some(user), _) => Ok(user),
            (None, Role::Anonymous) => Err(sign_in()),
            (None, _) => Err(Error::forbidden(
                "This is done for a user: name one with `on_behalf_of`, or sign in as one.",
            )),
        }
    }

    /// Refuses callers who did not sign in.
    pub(crate) fn require_signed_in(&self) -> Result<()> {
        if self.role == Role::Anonymous {
            Err(sign_in())
        } else {
            Ok(())
        }
    }

    /// Refuses callers other than those in `roles`; trusted code of the tenant and operators pass.
    pub(crate) fn require_any(&self, roles: &[Role], to: &'static str) -> Result<()> {
        self.require_signed_in()?;
        let trusted = matches!(self.role, Role::Platform | Role::Operator);
        if trusted || roles.contains(&self.role) {
            Ok(())
        } else {
            Err(Error::forbidden(to))
        }
    }

    /// Refuses all but an event's own organizer, the tenant's owners and trusted code.
    pub(crate) fn require_manager(&self, organizer: Option<UserId>) -> Result<()> {
        match self.role {
            Role::Owner | Role::Platform | Role::Operator => Ok(()),
            Role::Organizer if organizer.is_some() && organizer == self.user => Ok(()),
            Role::Anonymous => Err(sign_in()),
            _ => Err(Error::forbidden(
                "Only the event's organizer and the tenant's owners may do this.",
            )),
        }
    }

    /// Refuses all but those who manage an event, and the tenant's staff.
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

fn sign_in() -> Error {
    Error::new(
        crate::error::ErrorCode::NotAuthenticated,
        "Sign in and send the token with the request.",
    )
}
