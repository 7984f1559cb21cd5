//! Tests of mails: what customers hear, and how deliveries reach them.

mod announcements;
mod calendar;
mod customer_mails;
mod deaths;
mod fairness;
mod lanes;
mod lossy_queue;
mod mail_commits;
mod mail_replies;
mod mail_server;
mod memory_queue;
mod nats_access;
mod nats_workers;
mod queue;
mod reminders;
mod schedules;
mod unsubscribe;
mod waitlist_mails;
mod workers;
