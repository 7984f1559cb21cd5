//! Tests of running the program: failures, backups, configuration and observation.

mod backups;
mod clock;
mod config;
mod crash;
mod dashboard;
mod data_folder;
mod imports;
mod kills;
mod metrics;
mod traces;
mod verify;
