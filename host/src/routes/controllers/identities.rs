//! Signing in elsewhere: the tenant's identity provider, sign-in with its ID tokens, and the identities of an account.

use std::sync::Arc;

use axum::{
    Json as JsonAnswer,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use boxoffice_engine::{
    Caller, Engine, Error, ErrorCode, IdTokenAlgorithm, IdentityId, IdentityProvider,
    LinkedIdentity, Result, Session, SetIdentityProvider, VerifiedIdentity,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Answer,
    auth::{SignIn, TokensResponse},
    created, with_cookies,
};
use crate::routes::{
    choices,
    extract::{AsCaller, Id, Json, SignInOrigin, Visitor},
    refusals,
};

/// Most items of a list of algorithms: more than there are is a mistake.
const ALGORITHMS_MAX: usize = 16;
/// A shorter nonce can be guessed; a longer one is no nonce.
const NONCE_BYTES: std::ops::RangeInclusive<usize> = 16..=255;

/// An ID token of the tenant's identity provider.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct IdTokenRequest {
    /// The ID token: a signed JSON Web Token of at most 16 KiB.
    id_token: String,
    /// The nonce that the sign-in at the provider was begun with: 16 to 255 characters, random, and new for each sign-in.
    #[schema(example = "n-0S6_WzA2Mj-0S6_WzA2Mj")]
    nonce: String,
}

/// An ID token to link with the caller's account.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct LinkIdentityRequest {
    /// The ID token: a signed JSON Web Token of at most 16 KiB.
    id_token: String,
    /// The nonce that the sign-in at the provider was begun with: 16 to 255 characters.
    #[schema(example = "n-0S6_WzA2Mj-0S6_WzA2Mj")]
    nonce: String,
    /// The account's password, if it has one.
    current_password: Option<String>,
}

/// An identity that the account can sign in with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct IdentityResponse {
    /// Its id.
    id: String,
    /// The provider's issuer.
    issuer: String,
    /// The provider's name for the person.
    subject: String,
    /// When it was linked.
    #[schema(value_type = String, format = DateTime)]
    linked_at: Timestamp,
}

impl From<LinkedIdentity> for IdentityResponse {
    fn from(identity: LinkedIdentity) -> Self {
        Self {
            id: identity.id.to_string(),
            issuer: identity.issuer,
            subject: identity.subject,
            linked_at: identity.linked_at,
        }
    }
}

/// The identities of an account.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct IdentitiesResponse {
    /// All of them, in the order they were linked; at most 10.
    items: Vec<IdentityResponse>,
}

/// The OpenID provider that the tenant trusts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct IdentityProviderRequest {
    /// Its issuer, byte for byte as its tokens name it: `https://HOST`, perhaps with a path.
    #[schema(example = "https://id.example.org")]
    issuer: String,
    /// The client id that the provider gave the tenant: the audience of its ID tokens.
    client_id: String,
    /// Where its keys are; null or left out: where `ISSUER/.well-known/openid-configuration` says.
    jwks_url: Option<String>,
    /// What its ID tokens may be signed with; null or left out: `RS256` and `ES256`.
    #[schema(value_type = Option<Vec<choices::IdTokenAlgorithm>>)]
    algorithms: Option<Vec<String>>,
}

impl IdentityProviderRequest {
    fn command(self) -> Result<SetIdentityProvider> {
        let algorithms = match self.algorithms {
            None => IdTokenAlgorithm::DEFAULT.to_vec(),
            Some(names) if names.len() > ALGORITHMS_MAX => {
                return Err(Error::field("algorithms", "Name each algorithm once."));
            }
            Some(names) => {
                let parsed = names.iter().enumerate().map(|(index, name)| {
                    let algorithm: Result<IdTokenAlgorithm> = name.parse();
                    algorithm.map_err(|error| error.at_field(format!("algorithms[{index}]")))
                });
                parsed.collect::<Result<_>>()?
            }
        };
        Ok(SetIdentityProvider {
            issuer: self.issuer,
            client_id: self.client_id,
            jwks_url: self.jwks_url,
            algorithms,
        })
    }
}

/// The OpenID provider that the tenant trusts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct IdentityProviderResponse {
    /// Its issuer.
    issuer: String,
    /// The client id that the provider gave the tenant.
    client_id: String,
    /// Where its keys are; null: where its discovery document says.
    jwks_url: Option<String>,
    /// What its ID tokens may be signed with.
    #[schema(value_type = Vec<choices::IdTokenAlgorithm>)]
    algorithms: Vec<&'static str>,
    /// When it was set.
    #[schema(value_type = String, format = DateTime)]
    changed_at: Timestamp,
}

impl From<IdentityProvider> for IdentityProviderResponse {
    fn from(provider: IdentityProvider) -> Self {
        let algorithms = provider.algorithms.iter().map(|one| one.as_str());
        Self {
            algorithms: algorithms.collect(),
            issuer: provider.issuer,
            client_id: provider.client_id,
            jwks_url: provider.jwks_url,
            changed_at: provider.changed_at,
        }
    }
}

/// Signs somebody in with an ID token
///
/// Exchanges an ID token of the tenant's identity provider for a session of this host, once: a token that was exchanged is refused. It
/// is accepted for 10 minutes after its issue. The first sign-in makes a customer, whose address is confirmed if the provider says
/// `email_verified`. Otherwise it waits for a confirmation as after a sign-up. An account that has the address already is never
/// taken over (`identity-unlinked`): its user signs in to it and links the identity. Roles never come from tokens.
#[utoipa::path(post, path = "/api/auth/oidc", tag = "auth", operation_id = "sign_in_with_id_token",
    request_body = IdTokenRequest, security(()),
    responses((status = 200, body = TokensResponse), refusals::SignInWithIdToken))]
pub(in crate::routes) async fn sign_in(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    Visitor(caller): Visitor,
    origin: SignInOrigin,
    Json(request): Json<IdTokenRequest>,
) -> Answer<Response> {
    let tenant = caller.tenant()?;
    let counted = sign_in.begin_elsewhere(tenant, &origin)?;
    let outcome = exchange(&engine, &sign_in, &caller, &origin, request).await;
    counted.settle(&outcome);
    let session = outcome?;
    // A device is known by who proved to own the address.
    let cookie = match session.user.email_verified {
        true => sign_in.remember(Some(tenant), &session.user.email, &origin),
        false => None,
    };
    Ok(with_cookies(
        JsonAnswer(sign_in.tokens(session)?).into_response(),
        cookie,
    ))
}

async fn exchange(
    engine: &Engine,
    sign_in: &SignIn,
    visitor: &Caller,
    origin: &SignInOrigin,
    request: IdTokenRequest,
) -> Result<Session> {
    let identity = verified(engine, sign_in, visitor, &request.id_token, &request.nonce).await?;
    // What was verified here the engine takes from trusted code alone.
    let trusted = Caller::platform(visitor.tenant()?.as_str());
    if let Some(sign_ups) = &sign_in.sign_ups
        && !engine.users().knows_identity(&trusted, &identity).await?
    {
        sign_ups.take("sign-up", origin.address, 1)?;
    }
    let sessions = engine.sessions();
    let client = origin.client.clone();
    sessions.sign_in_with(&trusted, &identity, client).await
}

/// The identity of an ID token for the caller's tenant.
async fn verified(
    engine: &Engine,
    sign_in: &SignIn,
    caller: &Caller,
    id_token: &str,
    nonce: &str,
) -> Result<VerifiedIdentity> {
    if !NONCE_BYTES.contains(&nonce.len()) {
        return Err(Error::field("nonce", "A nonce has 16 to 255 characters."));
    }
    // Read each time: a provider that was removed signs nobody in.
    let trusted = Caller::platform(caller.tenant()?.as_str());
    let provider = engine.tenants().identity_provider(&trusted).await?;
    let provider = provider.ok_or_else(|| {
        Error::new(
            ErrorCode::IdentityProviderOff,
            "This tenant trusts no identity provider; sign in another way.",
        )
    })?;
    sign_in.id_tokens.verify(&provider, id_token, nonce).await
}

/// Links an identity with the caller's account
///
/// The account can then sign in with ID tokens of it. It may have one of each provider. An account with a password needs it here, and
/// wrong ones count as those of sign-ins do. An identity of another account is refused, unless that account was made by the identity
/// itself and its address was never confirmed: then the identity moves.
#[utoipa::path(post, path = "/api/auth/me/identities", tag = "auth", operation_id = "link_identity",
    request_body = LinkIdentityRequest,
    responses((status = 201, body = IdentityResponse), refusals::LinkIdentity))]
pub(in crate::routes) async fn link(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    AsCaller(caller): AsCaller,
    origin: SignInOrigin,
    Json(request): Json<LinkIdentityRequest>,
) -> Answer<Response> {
    let user = engine.users().me(&caller).await?;
    let counted = sign_in.begin(Some(&user.tenant), &user.email, &origin)?;
    let linking = async {
        let (token, nonce) = (&request.id_token, &request.nonce);
        let identity = verified(&engine, &sign_in, &caller, token, nonce).await?;
        let users = engine.users();
        users
            .link_identity(&caller, &identity, request.current_password)
            .await
    };
    let outcome = linking.await;
    counted.settle(&outcome);
    let identity = IdentityResponse::from(outcome?);
    let location = format!("/api/auth/me/identities/{}", identity.id);
    Ok(created(&location, identity))
}

/// Lists the identities of the caller's account
#[utoipa::path(get, path = "/api/auth/me/identities", tag = "auth", operation_id = "list_identities",
    responses((status = 200, body = IdentitiesResponse), refusals::Restricted))]
pub(in crate::routes) async fn list(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<JsonAnswer<IdentitiesResponse>> {
    let identities = engine.users().identities(&caller).await?;
    let items = identities.into_iter().map(IdentityResponse::from).collect();
    Ok(JsonAnswer(IdentitiesResponse { items }))
}

/// Unlinks an identity of the caller's account
///
/// It signs in no more; sessions go on. The only way to sign in to an account cannot be taken away (`last-sign-in`).
#[utoipa::path(delete, path = "/api/auth/me/identities/{id}", tag = "auth", operation_id = "unlink_identity",
    params(("id" = String, Path, description = "The identity's id")),
    responses((status = 204), refusals::UnlinkIdentity))]
pub(in crate::routes) async fn unlink(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(identity): Id<IdentityId>,
) -> Answer<StatusCode> {
    engine.users().unlink_identity(&caller, identity).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows the tenant's identity provider, for owners
#[utoipa::path(get, path = "/api/tenant/identity-provider", tag = "tenant", operation_id = "show_identity_provider",
    responses((status = 200, body = IdentityProviderResponse), refusals::Restricted))]
pub(in crate::routes) async fn show_provider(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<JsonAnswer<IdentityProviderResponse>> {
    let provider = engine.tenants().identity_provider(&caller).await?;
    let provider =
        provider.ok_or_else(|| Error::new(ErrorCode::NotFound, "No identity provider is set."))?;
    Ok(JsonAnswer(provider.into()))
}

/// Sets the tenant's identity provider, for owners
///
/// The provider's keys are read at once, so that wrong settings are refused. The host connects to public addresses over HTTPS on port
/// 443 only, follows no redirects, and waits 10 seconds at most. A tenant tries 20 settings at once, and as many again each hour.
/// Setting it again replaces it.
#[utoipa::path(put, path = "/api/tenant/identity-provider", tag = "tenant", operation_id = "set_identity_provider",
    request_body = IdentityProviderRequest,
    responses((status = 200, body = IdentityProviderResponse), refusals::RestrictedChange))]
pub(in crate::routes) async fn set_provider(
    State(engine): State<Engine>,
    State(sign_in): State<Arc<SignIn>>,
    AsCaller(caller): AsCaller,
    Json(request): Json<IdentityProviderRequest>,
) -> Answer<JsonAnswer<IdentityProviderResponse>> {
    let tenants = engine.tenants();
    // Only who may set it makes this host ask somebody.
    tenants.identity_provider(&caller).await?;
    let command = request.command()?;
    command.validate()?;
    let tenant = caller.tenant()?;
    if let Some(tries) = &sign_in.provider_tries {
        tries.take_for(tenant.as_str(), 1)?;
    }
    sign_in.id_tokens.try_settings(tenant, &command).await?;
    let provider = tenants.set_identity_provider(&caller, command).await?;
    Ok(JsonAnswer(provider.into()))
}

/// Removes the tenant's identity provider, for owners
///
/// Nobody signs in with its tokens from then on. Sessions go on, and the identities of accounts stay, for when it is set again.
#[utoipa::path(delete, path = "/api/tenant/identity-provider", tag = "tenant", operation_id = "remove_identity_provider",
    responses((status = 204), refusals::RestrictedChange))]
pub(in crate::routes) async fn remove_provider(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<StatusCode> {
    engine.tenants().remove_identity_provider(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}
