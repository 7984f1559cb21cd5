//! Goal: programs hear of every change of a tenant's objects once, whole, without gaps, and in the order of each object's versions.
//!
//! Method: the life of each object, compared with what the API answers (`objects`); engines on one SurrealDB server that number at the
//! same time while they are dropped (`hosts`); the API's pages and stream (`doors`).

mod doors;
mod hosts;
mod objects;
