//! The one integration test binary, its modules by subject.
//!
//! Run by `tests/run.py`, which builds the programs and sets what the kit needs; `python3 tests/run.py FILTER`
//! runs the tests whose name holds FILTER.

mod announcements;
mod api;
mod architecture;
mod backups;
mod bookings;
mod calendar;
mod cancellations;
mod check_ins;
mod clock;
mod config;
mod connections;
mod crash;
mod customer_mails;
mod dashboard;
mod data_folder;
mod embed;
mod events;
mod fairness;
mod flow;
mod holds;
mod http;
mod http_edges;
mod kills;
mod lanes;
mod lossy_queue;
mod lost_answers;
mod mail;
mod mail_replies;
mod mail_workers;
mod metrics;
mod nats_access;
mod nats_workers;
mod plugin_guests;
mod plugin_projects;
mod plugin_push;
mod plugins;
mod properties;
mod public_api;
mod queue;
mod race;
mod reminders;
mod routes;
mod schedules;
mod sessions;
mod tenants;
mod ticket_types;
mod traces;
mod unsubscribe;
mod verification;
mod verify;
mod waitlist;
mod waitlist_mails;
