//! Tests of events and what is sold for them.

mod lifecycle;
mod lists;
mod ticket_types;
