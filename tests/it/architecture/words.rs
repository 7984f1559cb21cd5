//! Goal: one standard term for each thing; the words that were given up for it do not come back.
//!
//! Method: identifiers are looked for in code and phrases in comments, and a finding names place and replacement. The
//! glossary in ARCHITECTURE says what the terms mean.

use super::source::SourceFile;

/// A word that is not used, where, and what is said instead.
struct Banned {
    folder: &'static str,
    word: &'static str,
    instead: &'static str,
}

const fn banned(folder: &'static str, word: &'static str, instead: &'static str) -> Banned {
    Banned {
        folder,
        word,
        instead,
    }
}

const IDENTIFIERS: &[Banned] = &[
    banned("", "Sights", "PolicySnapshots"),
    banned("", "DispatchSight", "DeliveryOverview"),
    banned("", "LaneSight", "LaneStatus"),
    banned("", "WorkerSight", "WorkerStatus"),
    banned("", "WholeLooks", "FullScanSchedule"),
    banned("", "RelayWindow", "RelayScanCursor"),
    banned("", "Attendance", "WorkerLiveness"),
    banned("", "attendance", "worker_liveness"),
    banned("engine/", "Recent", "LruCache"),
    banned("engine/", "gate", "policy_check"),
    banned("engine/", "pass_gate", "check_policies"),
    banned("engine/", "Turn", "InventoryLock"),
    banned("engine/", "Door", "BookingIntent"),
    banned("engine/", "placing", "planner"),
    banned("engine/", "GroupQuestion", "GroupQuery"),
    banned("engine/", "work_off", "drain"),
    banned("engine/", "DecideAgain", "PolicyStale"),
    banned("engine/", "has_moved", "is_stale"),
    banned("engine/", "Offering", "OfferMaker"),
    banned("", "dispatch", "delivery_admin"),
    banned("", "Steering", "NotificationCommand"),
    banned("", "troubles", "failed_batches"),
    banned("host/", "desk", "dashboard_session"),
    banned("engine/", "scenes", "mail_source"),
    banned("engine/", "TenantWords", "TenantTemplates"),
    banned("engine/", "Letter", "PendingMail"),
    banned("engine/", "taken_back", "remove_sold"),
    banned("engine/", "let_go", "remove_held"),
    banned("engine/", "has_credit", "has_room"),
    banned("engine/", "Block", "DeliveryBatch"),
    banned("engine/", "came_to", "record_outcome"),
    banned("engine/", "is_doubtful", "is_uncertain"),
    banned("engine/", "reopened", "retry_generation"),
    banned("engine/", "Owed", "OutboxEntry"),
    banned("engine/", "owed", "outbox"),
    banned("engine/", "owed_at", "outbox_due_at"),
    banned("engine/", "add_owed", "add_outbox"),
    banned("engine/", "remove_owed", "remove_outbox"),
    banned("engine/", "no_longer_owed", "remove_outbox"),
    banned("engine/", "Surroundings", "ModuleContext"),
    banned("engine/", "Inner", "EngineContext"),
    banned("engine/", "Found", "LookupResult"),
    banned("engine/", "Brought", "PluginReadiness"),
    banned("engine/", "introduce", "attach_identity"),
    banned("", "set_aside", "end_unsent, quarantined"),
    banned("engine/", "besides", "without_accepted"),
    banned("host/", "HolderNote", "LockOwner"),
    banned("nats/", "Trouble", "BrokerError"),
    banned("", "asks_to_verify", "require_email_verification"),
    banned("", "hold_lasts", "hold_duration"),
    banned("", "offer_lasts", "offer_duration"),
    banned("", "update_merge", "update_merge_window"),
    banned("", "lane_waiting_max", "event_queue_max"),
    banned("host/", "LeftToOthers", "MailRole::None"),
    banned("host/", "Shares", "FairShare"),
    banned("host/", "CompileLine", "CompileQueue"),
    banned("host/", "PluginSeen", "PluginSample"),
    banned("host/", "Standing", "RateLimitState"),
    banned("nats/", "Standing", "StreamState"),
    banned("nats/", "say", "send"),
    banned("", "bulk_window_blocks", "bulk_window_batches"),
    banned("tests/", "Crowd", "LoadFixture"),
    banned("tests/", "House", "EventFixture"),
    banned("tests/", "World", "Context"),
    banned("tests/", "Scene", "Fixture"),
];

const PHRASES: &[Banned] = &[
    banned("", "Answers whether", "Returns whether"),
    banned("", "called off", "cancelled"),
    banned("", "mails to many", "bulk mails"),
    banned("", "behind the answer", "in the background"),
    banned("", "hurries", "makes faster"),
    banned("", "set aside", "quarantined"),
    banned("", "the gate", "the policy check"),
];

/// Every use of a word that was given up: place, word, replacement.
fn uses(file: &SourceFile) -> Vec<String> {
    // This file names them.
    if file.path == "tests/it/architecture/words.rs" || !file.path.ends_with(".rs") {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut add = |banned: &Banned, line: usize| {
        let (word, instead) = (banned.word, banned.instead);
        found.push(format!("{}:{line}: `{word}` is `{instead}`", file.path));
    };
    for banned in IDENTIFIERS.iter().filter(|one| file.is_in(one.folder)) {
        let lines = file.lines_with(&[banned.word]);
        lines.into_iter().for_each(|line| add(banned, line));
    }
    for banned in PHRASES {
        for (number, line) in file.text.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            if is_comment && line.contains(banned.word) {
                add(banned, number + 1);
            }
        }
    }
    found
}

#[test]
fn the_sources_use_the_standard_words() {
    let files = super::workspace_files();
    let found: Vec<String> = files.iter().flat_map(uses).collect();
    assert!(
        found.is_empty(),
        "{} words are not standard:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn a_word_that_was_given_up_is_named_with_its_place_and_its_replacement() {
    let text = "//! Answers whether it is so.\nuse x::Owed;\n/// `Owed` in words, and the string below, are no code.\nconst X: &str = \"Owed\";\n";
    let found = uses(&SourceFile::new("engine/src/x.rs", text));
    let expected = [
        "engine/src/x.rs:2: `Owed` is `OutboxEntry`",
        "engine/src/x.rs:1: `Answers whether` is `Returns whether`",
    ];
    assert_eq!(found, expected);
    let elsewhere = SourceFile::new("host/src/x.rs", "use x::Owed;\n");
    assert!(uses(&elsewhere).is_empty(), "the word is the engine's");
}
