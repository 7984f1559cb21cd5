//! Changes of what a booking carries beside its tickets. They do not touch the event's inventory: the booking's own row is the guard.
//!
//! Called by app_modules. Calls the bookings repository.

use super::{ATTEMPTS_MAX, BookingsModule, reference_taken};
use crate::{
    error::{Error, Result},
    modules::{
        repositories::{REFERENCE_TAKEN, STALE_BOOKING, StepError},
        support::Attempts,
    },
    types::{Booking, BookingDetails, BookingId, TenantId},
};

impl BookingsModule {
    /// Writes what `change` makes of a booking's details, as they are now.
    ///
    /// # Errors
    /// Those of `change`, `not-found`, `reference-taken`, `conflict-try-again`.
    pub(crate) async fn change_details(
        &self,
        tenant: &TenantId,
        id: BookingId,
        change: impl Fn(&Booking) -> Result<Option<Box<BookingDetails>>>,
    ) -> Result<Booking> {
        let mut attempts = Attempts::new("change_booking", ATTEMPTS_MAX);
        while attempts.next().await.is_some() {
            let before = self.repository.find(tenant, id).await?;
            let before = before.ok_or_else(|| Error::not_found("booking", id))?;
            let after = Booking {
                details: change(&before)?,
                ..before.clone()
            };
            if after.details == before.details {
                return Ok(after);
            }
            match self
                .repository
                .change_details(tenant, (&before, &after), self.context.now())
                .await
            {
                Ok(()) => return Ok(after),
                // Reading again settles a lost answer: the booking has these details then.
                Err(StepError::Conflict | StepError::Lost(_) | StepError::Exists(_)) => {}
                Err(error) if error.is_guard(STALE_BOOKING) => {}
                Err(error) if error.is_guard(REFERENCE_TAKEN) => {
                    let details = after.details.as_ref();
                    let reference = details.and_then(|details| details.reference.as_ref());
                    return Err(match reference {
                        Some(reference) => reference_taken("booking", reference),
                        None => error.into(),
                    });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }
}
