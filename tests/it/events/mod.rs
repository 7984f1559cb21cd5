//! Tests of events and what is sold for them.

mod lifecycle;
mod ticket_types;
