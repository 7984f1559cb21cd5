//! Somebody signed up with the address of an existing account: its owner is told.

use super::{Audience, Kind, KindTemplates, templates};

pub(super) struct SignUpNotice;

impl Kind for SignUpNotice {
    fn audience(&self) -> Audience {
        Audience::Users
    }

    fn templates(&self) -> KindTemplates {
        templates!("sign-up-notice")
    }
}
