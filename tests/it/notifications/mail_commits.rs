//! Goal: a booking, its mail and the numbers of its changes wait for the disk once each.
//!
//! Method: an engine on an embedded store, with a worker that writes mails into a folder, counts its commits.

use boxoffice_engine::{BookTickets, Caller, ChangeFilter, Engine, ports::FolderMailer};
use boxoffice_tests::{
    Patience, TempFolder, count_mails, create_event, drain, email, ensure_customer,
    organizer_and_tenant, quick_settings,
};
use futures::StreamExt as _;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_booking_its_mail_and_its_number_in_the_feed_are_three_commits() {
    let folder = TempFolder::new("commits");
    let mails = folder.join("mails");
    let builder = Engine::builder()
        .embedded(folder.join("store"))
        .mailer(FolderMailer::open(&mails).expect("the folder is ours"))
        .settings(quick_settings());
    let engine = builder.build().await.expect("an embedded engine");
    let (tenant, organizer, _) = organizer_and_tenant(&engine, "north").await;
    let event = create_event(&engine, &organizer, jiff::Timestamp::now(), 100).await;
    let customer = ensure_customer(&engine, &tenant, "ann", email("ann", &tenant)).await;
    let commits = || engine.counts().store_commits;
    let worker = engine.worker().spawn();
    let kinds = ChangeFilter::of_types(["booking.*"]).expect("a type");
    let owner = Caller::platform("north");
    let told = engine.changes().stream(&owner, None, kinds);
    let mut told = Box::pin(told.expect("allowed"));
    let mut book = async || {
        let order = BookTickets::general(event.id, 2);
        let booking = engine.bookings().book_tickets(&customer, order).await;
        booking.expect("tickets are left");
        drain(&engine).await;
        told.next().await.expect("no end").expect("a change");
    };
    // The first one waits for what a worker does once at its start, too.
    book().await;
    for round in 1..=3 {
        let before = commits();
        book().await;
        let all = "for a booking, its mail, and its number in the feed";
        assert_eq!(commits() - before, 3, "{all}");
        assert_eq!(count_mails(&mails), 1 + round);
    }
    assert!(worker.drain(Patience::START).await);
}
