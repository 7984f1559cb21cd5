//! Goal: whoever booked gets the receipt by mail, and the credit note, each once and with a page to print; a tenant may switch that off.
//!
//! Method: an engine in memory with its worker; mails are read as a mail program reads them.

use boxoffice_engine::{BookTickets, CancelTickets, UserRole, ports::Clock as _};
use boxoffice_tests::{Patience, TestPlatform, assert_verified, create_priced_event, wait_for};

use super::{page_in, pages_of, settings, wait_for_numbers};

/// The files of all mails so far, and to whom they went.
fn files(platform: &TestPlatform) -> Vec<(String, Vec<String>, String)> {
    let mails = platform.mails();
    let mut files: Vec<_> = mails
        .iter()
        .filter_map(|mail| {
            let (name, page) = page_in(&std::fs::read(&mail.path).expect("a mail file"))?;
            Some((name, mail.to.clone(), page))
        })
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_and_each_of_its_refunds_bring_a_mail_with_a_page() {
    let platform = TestPlatform::new().await;
    platform.may_owe();
    let tenant = platform.tenant("north").await;
    let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
    settings(&platform.engine, &tenant, |receipts| receipts.is_on = true).await;
    let now = platform.clock.now();
    let event = create_priced_event(&platform.engine, &organizer, now, 100, 500).await;
    let ann = platform.customer(&tenant, "ann").await;
    let bookings = platform.engine.bookings();
    let booked = bookings.book_tickets(&ann, BookTickets::general(event.id, 3));
    let booking = booked.await.expect("a booking");
    // Two refunds before anything is numbered: three receipts of one booking are numbered at once.
    for number in [1, 2] {
        let one = CancelTickets {
            tickets: Some(vec![number]),
            ..CancelTickets::all(booking.id)
        };
        let cancelled = bookings.cancel_tickets(&ann, one).await;
        cancelled.expect("a cancellation");
    }
    let worker = platform.engine.worker().spawn();
    let all = wait_for_numbers(&platform.engine, &tenant, 3).await;
    let found = wait_for(Patience::WORK, "three mails with pages", || async {
        let found = files(&platform);
        (found.len() >= 3).then_some(found)
    })
    .await;
    let names: Vec<&String> = found.iter().map(|(name, ..)| name).collect();
    assert_eq!(names, pages_of(&all).iter().collect::<Vec<_>>());
    for (name, to, page) in &found {
        assert_eq!(to, &["ann@north.test"]);
        let number = name.trim_end_matches(".html");
        let total = match number.starts_with("R-") {
            true => "15.00 EUR",
            false => "5.00 EUR",
        };
        for part in [number, total, "<bdi>ann</bdi>", "<style>"] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
    assert_verified(&platform.engine).await;
    assert!(worker.drain(std::time::Duration::from_secs(10)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_may_keep_receipts_out_of_mails() {
    let platform = TestPlatform::new().await;
    let tenant = platform.tenant("north").await;
    let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
    settings(&platform.engine, &tenant, |receipts| {
        receipts.is_on = true;
        receipts.send_by_mail = false;
    })
    .await;
    let now = platform.clock.now();
    let event = create_priced_event(&platform.engine, &organizer, now, 100, 500).await;
    let ann = platform.customer(&tenant, "ann").await;
    platform.book(&ann, event.id, 1).await;
    platform.drain().await;
    let all = wait_for_numbers(&platform.engine, &tenant, 1).await;
    assert_eq!(all[0].notification, None);
    platform.drain().await;
    // The confirmation, and nothing else.
    assert_eq!(platform.settle().await.len(), 1);
}
