//! An API key was made: the tenant's owners are told, in case none of them did it.

use super::{Audience, Kind, KindTemplates, templates};

pub(super) struct ApiKeyCreated;

impl Kind for ApiKeyCreated {
    fn audience(&self) -> Audience {
        Audience::Users
    }

    fn templates(&self) -> KindTemplates {
        templates!("api-key-created")
    }
}
