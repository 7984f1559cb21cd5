//! Tests of tenants, accounts and sessions, and of embedding.

mod confirmations;
mod embed;
mod operators;
mod sessions;
mod sign_ups;
mod tenants;
mod verification;
