//! The plugin's log, which its tenant reads: 8 KiB a call are kept.
//!
//! Used by plugins; calls the host, or stderr where the plugin's rules are tested natively.

use crate::bindings::policy::boxoffice::plugin::host::LogLevel as Level;

/// Notes what only helps to find a fault.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Notes what happened.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Notes what should not happen.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Notes what went wrong.
pub fn error(message: &str) {
    write(Level::Error, message);
}

#[cfg(target_family = "wasm")]
fn write(level: Level, message: &str) {
    crate::bindings::policy::boxoffice::plugin::host::log(level, message);
}

#[cfg(not(target_family = "wasm"))]
fn write(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}
