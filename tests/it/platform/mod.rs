//! Tests of tenants, accounts and sessions, and of embedding.

mod accounts;
mod confirmations;
mod embed;
mod erasures;
mod looks;
mod members;
mod oidc;
mod operators;
mod passwords;
mod personal_data;
mod sessions;
mod sign_ups;
mod teams;
mod tenants;
mod verification;
