//! The tenant's configuration, from JSON to the plugin's type.
//!
//! Called before each call of a plugin; calls the log.

use serde::de::DeserializeOwned;

/// Reads the configuration, or ends the call.
///
/// A plugin that cannot read its rules must not decide by others: it says in its log what is wrong, and fails the call,
/// which refuses the booking.
pub(crate) fn read<C: DeserializeOwned>(config: &str) -> C {
    match serde_json::from_str(config) {
        Ok(read) => read,
        Err(error) => {
            crate::error(&format!("the configuration does not fit: {error}"));
            panic!("the configuration does not fit: {error}");
        }
    }
}
