//! Tests of events and what is sold for them.

mod copies;
mod lifecycle;
mod lists;
mod search;
mod shown;
mod ticket_types;
