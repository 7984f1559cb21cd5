//! Somebody signed up with the address of an account that is there: its owner hears of it.

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
