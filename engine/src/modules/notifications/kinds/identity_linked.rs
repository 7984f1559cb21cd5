//! An identity was linked with an account: its owner is told, in case it was somebody else.

use super::{Audience, Kind, KindTemplates, templates};

pub(super) struct IdentityLinked;

impl Kind for IdentityLinked {
    fn audience(&self) -> Audience {
        Audience::Users
    }

    fn templates(&self) -> KindTemplates {
        templates!("identity-linked")
    }
}
