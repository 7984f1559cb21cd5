//! Tests of who gets tickets, at which price, and gives them back.

mod cancellations;
mod check_ins;
mod claims;
mod customer_limits;
mod details;
mod flow;
mod holds;
mod idempotency;
mod known_inventories;
mod lost_answers;
mod numbers;
mod payments;
mod properties;
mod quotes;
mod race;
mod receipts;
mod requests;
mod sales;
mod store_commits;
mod ticket_pages;
mod transfers;
mod waitlist;
mod who_booked;
