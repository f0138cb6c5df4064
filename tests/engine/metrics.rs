//! The numbers of a running engine, as Prometheus gets them.

use std::time::Duration;

use waxseal_telemetry::{
    Settings, Telemetry,
    metrics::{self as m, Number},
};
use waxseal_testbed::{Peer, within};
use waxseal_tests::{LIMIT, World};
use waxseal_types::TlsLevel;

#[actix_rt::test]
async fn an_engine_tells_its_numbers() {
    let peer = Peer::builder().start().await.expect("starts");
    let world = World::new(&peer.nexthop(), TlsLevel::None);
    let engine = world.start().await;
    let telemetry = Telemetry::start(Settings::default()).expect("nothing is configured");
    for _ in 0..3 {
        world.submit(&engine, "a@sender.test", &["b@example.test"], "Subject: one\r\n\r\ntext\r\n").await;
    }
    within(LIMIT, world.recorder.attempt(|account| account.results.len() == 1)).await;
    let readings = engine.readings().clone();
    let settled = async {
        loop {
            let page = readings.page(&telemetry).await;
            if page.number(&m::SPOOL_MESSAGES, &[]) == Some(Number::Whole(0)) {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let page = within(LIMIT, settled).await;
    let whole = |metric, labels: &[&str]| match page.number(metric, labels) {
        Some(Number::Whole(number)) => number,
        other => panic!("{other:?}"),
    };
    assert_eq!(whole(&m::INTAKE_MESSAGES, &["taken"]), 3);
    assert_eq!(whole(&m::SPOOL_RECORDS, &["message"]), 3);
    assert!(whole(&m::SPOOL_SYNCS, &[]) > 0 && whole(&m::SPOOL_FREE, &[]) > 0);
    assert_eq!(whole(&m::DANE_BLIND, &["off"]), 0);
    let text = page.prometheus();
    for line in [
        "waxseal_build{version=\"",
        "waxseal_spool_commit_duration_seconds_bucket{le=\"+Inf\"}",
        "waxseal_queue_destinations{state=\"alive\"}",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    engine.shut_down().await;
}
