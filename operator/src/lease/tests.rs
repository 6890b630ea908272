//! Replicas against a fake API server, on a paused clock: a test of minutes takes milliseconds.

use std::future::pending;

use axum::http::StatusCode;
use futures::FutureExt as _;
use tokio::time::sleep;

use super::fake::{Fault as ServerFault, Server};
use super::*;

fn held_by(identity: &str) -> Lease {
    // A clock that is far ahead: what counts is what the replica sees itself.
    step::claimed(None, identity, Timestamp::now() + k8s_openapi::jiff::SignedDuration::from_hours(24))
}

async fn leader(server: &Server, identity: &str) -> Leadership {
    Leadership::acquire(server.client(), "system", identity, pending(), |_| {}).await.unwrap()
}

fn stored_holder(server: &Server) -> Option<String> {
    server.lease().as_ref().and_then(holder).map(str::to_owned)
}

/// How long until a leader knows that it has lost, and why.
async fn lost(leadership: &Leadership) -> (Duration, Loss) {
    let start = Instant::now();
    let loss = leadership.lost().await;
    (start.elapsed(), loss)
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_not_there_is_created_and_kept() {
    let server = Server::default();
    let leadership = leader(&server, "one").await;
    let created = server.lease().unwrap();
    sleep(Duration::from_secs(61)).await;

    let renewed = server.lease().unwrap();
    assert_eq!(server.writes(), 13, "one claim and a renewal every five seconds");
    assert!(step::same_tenure(&created, &renewed));
    let spec = renewed.spec.unwrap();
    assert_eq!((spec.lease_duration_seconds, spec.lease_transitions), (Some(15), Some(0)));
    assert!(spec.renew_time.unwrap().0 > spec.acquire_time.unwrap().0);
    assert_eq!(leadership.lost().now_or_never(), None);
}

#[tokio::test(start_paused = true)]
async fn a_silent_holder_is_followed_after_its_duration_whatever_its_clock_says() {
    let server = Server::default();
    server.store(Some(held_by("dead")));
    let start = Instant::now();
    let mut told = Vec::new();
    let standby = |standby: &Standby| told.push(standby.clone());
    let leadership = Leadership::acquire(server.client(), "system", "two", pending(), standby).await;
    assert!(leadership.is_some());
    assert_eq!(start.elapsed().as_secs(), 15);
    assert_eq!(server.lease().unwrap().spec.unwrap().lease_transitions, Some(1));
    assert!(told.iter().all(|told| *told == Standby::Behind { holder: "dead".to_owned() }), "{told:?}");
    assert!(!told.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_renews_keeps_others_waiting_until_their_shutdown() {
    let server = Server::default();
    server.store(Some(held_by("one")));
    server.fail(Some(ServerFault::Renewing("one")));
    let shutdown = sleep(Duration::from_mins(5));
    let leadership = Leadership::acquire(server.client(), "system", "two", shutdown, |_| {}).await;
    assert!(leadership.is_none());
    assert_eq!(server.writes(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_writes_second_waits() {
    for before in [None, Some(step::released(&held_by("zero"), Timestamp::now()))] {
        let server = Server::default();
        server.store(before);
        server.fail(Some(ServerFault::Overtaken(Box::new(held_by("one")))));
        let shutdown = sleep(Duration::from_secs(10));
        let leadership = Leadership::acquire(server.client(), "system", "two", shutdown, |_| {}).await;
        assert!(leadership.is_none());
        assert_eq!(stored_holder(&server).as_deref(), Some("one"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_under_the_same_name_goes_on_at_once() {
    let server = Server::default();
    server.store(Some(held_by("one")));
    let start = Instant::now();
    let _leadership = leader(&server, "one").await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(server.lease().unwrap().spec.unwrap().lease_transitions, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_may_not_read_the_lease_says_so_and_goes_on_trying() {
    let server = Server::default();
    server.fail(Some(ServerFault::Refuse(StatusCode::FORBIDDEN)));
    let mut told = Vec::new();
    let leadership = {
        let standby = |standby: &Standby| {
            told.push(standby.clone());
            if told.len() == 3 {
                server.fail(None);
            }
        };
        Leadership::acquire(server.client(), "system", "one", pending(), standby).await
    };
    assert!(leadership.is_some());
    let Standby::Unreachable { reason } = &told[0] else { panic!("{told:?}") };
    assert!(reason.contains("Forbidden"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_not_the_holders_is_no_loss() {
    let server = Server::default();
    let leadership = leader(&server, "one").await;
    // An annotation by somebody else, and a renewal that arrives while its answer does not.
    server.store(server.lease());
    sleep(Duration::from_secs(20)).await;
    server.fail(Some(ServerFault::AnswerLost));
    sleep(Duration::from_mins(1)).await;
    assert_eq!(leadership.lost().now_or_never(), None);
    assert_eq!(stored_holder(&server).as_deref(), Some("one"));
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_passes_in_time_is_no_loss() {
    let server = Server::default();
    let leadership = leader(&server, "one").await;
    server.fail(Some(ServerFault::Refuse(StatusCode::INTERNAL_SERVER_ERROR)));
    sleep(Duration::from_secs(8)).await;
    server.fail(None);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(leadership.lost().now_or_never(), None);
}

#[tokio::test(start_paused = true)]
async fn failing_renewals_are_a_loss_ten_seconds_after_the_last_good_one() {
    for (fault, reason) in [
        (ServerFault::Refuse(StatusCode::INTERNAL_SERVER_ERROR), "InternalError"),
        (ServerFault::Silent, "did not answer in time"),
    ] {
        let server = Server::default();
        let leadership = leader(&server, "one").await;
        server.fail(Some(fault));
        let (took, loss) = lost(&leadership).await;
        assert_eq!(took.as_secs(), LOST_AFTER.as_secs());
        let Loss::NotRenewed { reason: told } = loss else { panic!("{loss:?}") };
        assert!(told.contains(reason), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_anothers_is_a_loss_at_the_next_renewal() {
    let loss = |holder: &str| Loss::Taken { holder: holder.to_owned() };
    let same = Loss::SameIdentity { identity: "one".to_owned() };
    let cleared = step::released(&held_by("one"), Timestamp::now());
    for (stored, expected) in [
        (Some(held_by("two")), loss("two")),
        (Some(cleared), loss("nobody")),
        (Some(held_by("one")), same),
        (None, Loss::Deleted),
    ] {
        let server = Server::default();
        let leadership = leader(&server, "one").await;
        server.store(stored.clone());
        let (took, loss) = lost(&leadership).await;
        assert_eq!((took.as_secs(), loss), (RENEW_EVERY.as_secs(), expected));
        // A lost lease is not given back: it is another's.
        let after = server.lease();
        leadership.release().await;
        assert_eq!(server.lease(), after);
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_lets_another_lead_at_its_next_look() {
    let server = Server::default();
    let one = leader(&server, "one").await;
    let other = server.clone();
    let two = tokio::spawn(async move { leader(&other, "two").await });
    sleep(Duration::from_mins(1)).await;
    assert!(!two.is_finished());

    // Somebody's annotation must not be in the way.
    server.store(server.lease());
    let start = Instant::now();
    one.release().await;
    assert_eq!(stored_holder(&server), None);
    let two = two.await.unwrap();
    assert!(start.elapsed() <= LOOK_EVERY, "{:?}", start.elapsed());
    assert_eq!(server.lease().unwrap().spec.unwrap().lease_transitions, Some(1));
    assert_eq!(two.lost().now_or_never(), None);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_is_not_answered_ends_all_the_same() {
    let server = Server::default();
    let leadership = leader(&server, "one").await;
    server.fail(Some(ServerFault::Silent));
    let start = Instant::now();
    leadership.release().await;
    assert_eq!(start.elapsed().as_secs(), API_TIMEOUT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_leadership_stops_renewing_and_releases_nothing() {
    let server = Server::default();
    drop(leader(&server, "one").await);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(server.writes(), 1);
    assert_eq!(stored_holder(&server).as_deref(), Some("one"));
}
