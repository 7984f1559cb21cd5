//! A clock that tests move.

use std::{sync::Mutex, time::Duration};

use boxoffice_engine::ports::Clock;
use jiff::Timestamp;

/// A clock that stands still until it is moved.
pub struct FakeClock(Mutex<Timestamp>);

impl FakeClock {
    /// Stands at this moment (RFC 3339).
    ///
    /// # Panics
    /// When that is no moment.
    pub fn at(moment: &str) -> Self {
        Self(Mutex::new(
            moment.parse().expect("a moment as RFC 3339 has it"),
        ))
    }

    /// Moves on by this much.
    ///
    /// # Panics
    /// When that leaves the calendar.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().expect("no holder panics");
        *now = now.checked_add(by).expect("tests stay within the calendar");
    }

    /// Is set back, as a machine's clock may be.
    ///
    /// # Panics
    /// When that leaves the calendar.
    pub fn set_back(&self, by: Duration) {
        let mut now = self.0.lock().expect("no holder panics");
        *now = now.checked_sub(by).expect("tests stay within the calendar");
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("no holder panics")
    }
}
