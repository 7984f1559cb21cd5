//! A tenant's feed of changes, read to its end and checked: no gaps, and each object's versions in order.

use std::collections::BTreeMap;

use boxoffice_engine::{Caller, Change, ChangeCursor, ChangeFilter, Engine};

use super::Patience;

/// A reader of a tenant's feed that keeps what it read.
#[derive(Debug, Default)]
pub struct FeedReader {
    /// The changes so far, in order.
    pub changes: Vec<Change>,
    after: Option<ChangeCursor>,
    versions: BTreeMap<String, u64>,
}

impl FeedReader {
    /// Reads to the end of the feed as it is now.
    ///
    /// # Panics
    /// When the engine refuses, a number is missing or comes twice, or an object's version does not follow the last one.
    pub async fn read_on(&mut self, engine: &Engine, caller: &Caller) {
        loop {
            let feed = engine.changes();
            let all = ChangeFilter::default();
            let page = feed.read(caller, self.after.as_ref(), &all, 97);
            let page = page.await.expect("a page of changes");
            for change in page.changes {
                self.take(change);
            }
            self.after = Some(page.next);
            if !page.has_more {
                return;
            }
        }
    }

    fn take(&mut self, change: Change) {
        let expected = self.changes.len() as u64 + 1;
        assert_eq!(change.cursor.sequence, expected, "a gap, or a number twice");
        let object = object_of(&change);
        let before = self.versions.insert(object.clone(), change.version);
        assert_eq!(
            change.version,
            before.unwrap_or(0) + 1,
            "the version of {object} at {}",
            change.cursor
        );
        self.changes.push(change);
    }

    /// Reads until there are as many changes. A worker must run.
    ///
    /// # Panics
    /// As [`FeedReader::read_on`], or after the bound.
    pub async fn read_until(&mut self, engine: &Engine, caller: &Caller, changes: usize) {
        let what = format!("{changes} changes");
        let found = tokio::time::timeout(Patience::WORK, async {
            loop {
                self.read_on(engine, caller).await;
                if self.changes.len() >= changes {
                    return;
                }
                super::pass_time(std::time::Duration::from_millis(10)).await;
            }
        });
        found.await.unwrap_or(());
        assert!(
            self.changes.len() >= changes,
            "waited in vain for {what}: {:?}",
            self.kinds_of("")
        );
    }

    /// The names of the changes of objects whose names begin so, in order.
    pub fn kinds_of(&self, object: &str) -> Vec<&'static str> {
        let kinds = self.changes.iter().map(|change| change.kind.as_str());
        kinds.filter(|kind| kind.starts_with(object)).collect()
    }

    /// The last change of each object, by its name and id.
    pub fn last(&self) -> BTreeMap<String, &Change> {
        let changes = self.changes.iter();
        changes.map(|change| (object_of(change), change)).collect()
    }
}

fn object_of(change: &Change) -> String {
    let kind = change.kind.as_str();
    let object = kind.split_once('.').map_or(kind, |(object, _)| object);
    format!("{object} {}", change.id)
}
