//! The Boxoffice host.
