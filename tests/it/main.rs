//! The one integration test binary, with a folder for each area.
//!
//! Run by `tests/run.py`, which builds the programs and sets what the kit needs; `python3 tests/run.py FILTER`
//! runs the tests whose name holds FILTER.

mod architecture;
mod bookings;
mod changes;
mod events;
mod http;
mod notifications;
mod operations;
mod platform;
mod plugins;
mod public_api;
mod routes;
