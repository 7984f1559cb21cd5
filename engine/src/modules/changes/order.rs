//! The order of steps: after the steps that their objects' earlier changes were made in. Pure.

use std::collections::HashMap;

use ulid::Ulid;

use crate::modules::repositories::PendingStep;

/// Puts steps into an order in which each follows those of them that it has to follow, and as many as fit a bound of changes; at
/// least one. What is left out follows nothing that comes before it.
pub(super) fn in_order(steps: Vec<PendingStep>, changes_max: usize) -> (Vec<PendingStep>, bool) {
    let ids: Vec<Ulid> = steps.iter().map(|step| step.step).collect();
    let mut waiting: HashMap<Ulid, PendingStep> =
        steps.into_iter().map(|step| (step.step, step)).collect();
    let (mut ordered, mut changes) = (Vec::with_capacity(ids.len()), 0);
    for id in ids {
        // What has to come first, nearest last.
        let mut stack = vec![id];
        while let Some(top) = stack.last().copied() {
            let Some(step) = waiting.get(&top) else {
                stack.pop();
                continue;
            };
            let first = step.after.iter().find(|before| {
                // A step that changes an object twice follows itself.
                **before != top && waiting.contains_key(before) && !stack.contains(before)
            });
            if let Some(first) = first {
                stack.push(*first);
                continue;
            }
            stack.pop();
            if let Some(step) = waiting.remove(&top) {
                if !ordered.is_empty() && changes + step.len() > changes_max {
                    return (ordered, true);
                }
                changes += step.len();
                ordered.push(step);
            }
        }
    }
    (ordered, false)
}
