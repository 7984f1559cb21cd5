//! An LRU cache: a map with a limit that evicts the least recently used entries.
//!
//! Called by the modules of events, notifications, plugins, tenants, users and sessions.

use std::{collections::HashMap, hash::Hash};

/// A cache of at most this many entries.
pub(in crate::modules) struct LruCache<K, V> {
    entries: HashMap<K, Entry<V>>,
    entries_max: usize,
    uses: u64,
}

struct Entry<V> {
    value: V,
    used: u64,
}

impl<K: Eq + Hash + Clone, V> LruCache<K, V> {
    pub(in crate::modules) fn new(entries_max: usize) -> Self {
        Self {
            entries: HashMap::new(),
            entries_max,
            uses: 0,
        }
    }

    pub(in crate::modules) fn get(&mut self, key: &K) -> Option<&mut V> {
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.uses;
        Some(&mut entry.value)
    }

    pub(in crate::modules) fn insert(&mut self, key: K, value: V) {
        self.uses += 1;
        if self.entries.len() >= self.entries_max && !self.entries.contains_key(&key) {
            self.make_room();
        }
        let used = self.uses;
        self.entries.insert(key, Entry { value, used });
    }

    /// Removes a key. Returns its value.
    pub(in crate::modules) fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key).map(|entry| entry.value)
    }

    /// The value of a key, created if there is none.
    pub(in crate::modules) fn get_or_insert_with(
        &mut self,
        key: &K,
        make: impl FnOnce() -> V,
    ) -> &mut V {
        if !self.entries.contains_key(key) {
            self.insert(key.clone(), make());
        }
        self.uses += 1;
        let entry = self.entries.get_mut(key).expect("it was put in above");
        entry.used = self.uses;
        &mut entry.value
    }

    /// Keeps the values for which this returns true.
    pub(in crate::modules) fn retain(&mut self, is_kept: impl Fn(&V) -> bool) {
        self.entries.retain(|_, entry| is_kept(&entry.value));
    }

    pub(in crate::modules) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }

    /// Evicts an eighth at a time, so that the search for the oldest is rare.
    fn make_room(&mut self) {
        let mut uses: Vec<u64> = self.entries.values().map(|entry| entry.used).collect();
        let count = (uses.len() / 8).min(uses.len().saturating_sub(1));
        let (_, newest_forgotten, _) = uses.select_nth_unstable(count);
        let limit = *newest_forgotten;
        self.entries.retain(|_, entry| entry.used > limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_longest_makes_room() {
        let mut recent = LruCache::new(16);
        for number in 0..16 {
            recent.insert(number, number);
        }
        assert_eq!(recent.get(&0), Some(&mut 0));
        recent.insert(16, 16);
        assert_eq!(recent.get(&1), None, "the oldest");
        assert_eq!(recent.get(&0), Some(&mut 0), "asked for meanwhile");
        assert_eq!(recent.get(&16), Some(&mut 16));
        for number in 0..1_000 {
            *recent.get_or_insert_with(&number, || 0) += 1;
            assert!(recent.iter().count() <= 16);
        }
    }
}
