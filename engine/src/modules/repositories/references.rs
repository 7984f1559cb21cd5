//! The write of references, which no two objects of a tenant share. Called by the repositories of bookings and events; calls models.

use super::{db::Script, models::ReferenceRow};

/// The word of a guard: another object has the reference.
pub(in crate::modules) const REFERENCE_TAKEN: &str = "reference-taken";

/// Adds the reference of an object: 1 row. The transaction fails with the guard [`REFERENCE_TAKEN`] if another object has it.
pub(in crate::modules::repositories) fn add_reference(
    script: &mut Script,
    table: &'static str,
    row: Option<ReferenceRow>,
) {
    let Some(row) = row else {
        return;
    };
    let id = script.bind(row.id.clone());
    script.push(format!(
        "IF record::exists({id}) {{ THROW '{REFERENCE_TAKEN}' }}"
    ));
    script.insert(table, [row]);
}
