//! Mechanisms that several areas of modules use, without rules of any of them.
//!
//! Called by modules.

mod retry;

pub(in crate::modules) use retry::Attempts;
