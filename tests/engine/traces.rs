//! One message's trace from its client's hands to its bounce, as a collector gets it.

use std::{sync::Arc, time::Duration};

use opentelemetry_proto::tonic::trace::v1::Span;
use waxseal_queue::{Several, Sink};
use waxseal_queue_manager::Engine;
use waxseal_telemetry::{Settings, Telemetry};
use waxseal_testbed::{Peer, within};
use waxseal_tests::{Collector, LIMIT, World, attributes};
use waxseal_types::TlsLevel;

/// W3C Trace Context §3.2: version, trace, the client's span, sampled.
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "b7ad6b7169203331";

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// What a collector got of a message that no server takes and whose sender is told in the end; and what that was told. The message came with
/// `header`, from a client that is in `trusted` or not.
async fn told(trusted: &[&str], header: &str) -> (Vec<Span>, String) {
    let busy = Peer::builder().reply_to_rcpt("450 4.2.0 come again").start().await.expect("starts");
    let home = Peer::builder().start().await.expect("starts");
    let mut world =
        World::new(&busy.nexthop(), TlsLevel::May).routes(&[&format!("a.test smtp:{}", home.nexthop())]);
    world.settings.queue.maximal_lifetime = Duration::from_millis(700);
    world.settings.intake.trace_from =
        trusted.iter().map(|network| network.parse().expect("a network")).collect();
    let mut collector = Collector::start().await;
    let settings = Settings { otlp_endpoint: Some(collector.endpoint.clone()), ..Settings::default() };
    let telemetry = Arc::new(Telemetry::start(settings).expect("starts"));
    let sinks = vec![Arc::clone(&telemetry) as Arc<dyn Sink>, Arc::clone(&world.recorder) as Arc<dyn Sink>];
    let started = Engine::start(world.settings.clone(), Arc::new(Several::of(sinks)));
    let engine = within(LIMIT, started).await.expect("starts");
    world.submit(&engine, "a@a.test", &["b@b.test"], &format!("{header}Subject: x\n\nx\n")).await;
    let bounce = within(LIMIT, home.wait_for(1)).await[0].text();
    assert!(engine.shut_down().await);
    tokio::task::spawn_blocking(move || telemetry.shutdown()).await.expect("it ends");
    (collector.spans(), bounce)
}

#[actix_rt::test]
async fn a_trusted_clients_trace_goes_on_through_intake_attempts_and_bounce() {
    let header = format!("Traceparent: {PARENT}\nTracestate: a=b\n");
    let (spans, bounce) = told(&["127.0.0.0/8"], &header).await;
    assert!(!bounce.contains(CLIENT) && !bounce.to_lowercase().contains("tracestate"), "removed:\n{bounce}");
    for span in &spans {
        assert_eq!(hex(&span.trace_id), TRACE, "{}", span.name);
    }
    let of = |name: &str| {
        let mut found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
        found.sort_by_key(|span| span.start_time_unix_nano);
        found
    };
    let intakes = of("intake");
    let [message, notification] = intakes[..] else { panic!("two intakes, not {}", intakes.len()) };
    assert_eq!(hex(&message.parent_span_id), CLIENT, "the client's span is above all");
    assert_eq!(notification.parent_span_id, message.span_id, "the bounce is below its message");
    let linked = |span: &Span| span.links.iter().map(|link| link.span_id.clone()).collect::<Vec<_>>();
    assert_eq!(linked(notification), std::slice::from_ref(&message.span_id));
    let attempts = of("attempt");
    let (ours, theirs): (Vec<&Span>, Vec<&Span>) =
        attempts.into_iter().partition(|span| span.parent_span_id == message.span_id);
    assert!(ours.len() >= 2, "{} attempts", ours.len());
    assert!(linked(ours[0]).is_empty(), "nothing was tried before the first");
    for pair in ours.windows(2) {
        assert_eq!(
            linked(pair[1]),
            std::slice::from_ref(&pair[0].span_id),
            "each is linked to the one before"
        );
        assert_eq!(attributes(pair[0])["error.type"], "4.2.0");
    }
    let [last] = theirs[..] else { panic!("the bounce went at once: {}", theirs.len()) };
    assert_eq!(last.parent_span_id, notification.span_id);
    assert!(!attributes(last).contains_key("error.type"), "it was delivered");
}

#[actix_rt::test]
async fn a_stranger_begins_no_trace_of_ours() {
    let (spans, bounce) = told(&[], &format!("Traceparent: {PARENT}\n")).await;
    assert!(bounce.contains(PARENT), "what means nothing to us stays as it is");
    assert!(!spans.is_empty());
    let own = hex(&spans[0].trace_id);
    assert_ne!(own, TRACE);
    for span in &spans {
        assert_eq!(hex(&span.trace_id), own, "{}", span.name);
        assert_ne!(hex(&span.parent_span_id), CLIENT);
    }
}
