//! The trace of a delivery says what it rested on.

use std::{collections::BTreeMap, fs, net::TcpListener, path::Path, process::Command, time::Duration};

use waxseal_queue::{Account, Event, Sink as _};
use waxseal_telemetry::{Protocol, Settings, Telemetry, metrics::Page};
use waxseal_testbed::within;
use waxseal_tests::{Collector, LIMIT, attributes};
use waxseal_types::{TlsLevel, TraceContext};

use crate::ground::{DEST, Dns, Ground, HOST, PKI, Records, Way, letter, server, sha256, zone};

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

/// A DANE delivery by a policy of a table, as the account has it; its trace has this number.
async fn delivered(trace_id: u128) -> Account {
    let ground = Ground::new([server(&PKI.leaf)]).await;
    let zone = zone(1).ta(HOST, ground.port());
    let dns = Dns::start(Way::Validate, &zone).await;
    let lane = dns.lane(TlsLevel::May, ground.port()).policies(&["x.test none", "d.test dane-only"]);
    let mut letter = letter(Duration::ZERO);
    letter.envelope.trace = TraceContext { trace_id, span_id: 5, sampled: true, parent_id: 0 };
    lane.deliver(&letter, &[DEST]).await
}

/// Tells a collector of it, and metrics as well; gives the spans that were lost.
async fn tell(account: &Account, endpoint: String, protocol: Protocol) -> u64 {
    let settings = Settings { otlp_endpoint: Some(endpoint), otlp_protocol: protocol, ..Settings::default() };
    let telemetry = Telemetry::start(settings).expect("starts");
    let queued = Event::Queued {
        envelope: &account.envelope,
        destination: &account.destination,
        recipients: &[0],
        at: account.started,
    };
    telemetry.event(queued);
    telemetry.event(Event::Attempted { account, next_attempt: None });
    let mut page = Page::new(account.ended, account.started);
    telemetry.read(&mut page);
    telemetry.export(page);
    let ended = tokio::task::spawn_blocking(move || {
        telemetry.shutdown();
        telemetry
    });
    ended.await.expect("ends").lost_spans()
}

#[tokio::test]
async fn a_collector_gets_the_whole_trace_of_a_dane_delivery() {
    let account = delivered(0xda4e).await;
    let mut collector = Collector::start().await;
    assert_eq!(tell(&account, collector.endpoint.clone(), Protocol::Http).await, 0);

    let spans = collector.spans();
    assert!(spans.iter().all(|span| span.trace_id == 0xda4e_u128.to_be_bytes()));
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    let expected =
        ["intake", "queue", "attempt", "dns", "policy", "dns", "dns", "connect", "tls", "transaction"];
    let (mut sorted, mut wanted) = (names.clone(), expected.to_vec());
    sorted.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(sorted, wanted, "{names:?}");
    let ids: Vec<_> = spans.iter().map(|span| &span.span_id).collect();
    let orphan = spans.iter().find(|s| !s.parent_span_id.is_empty() && !ids.contains(&&s.parent_span_id));
    assert_eq!(orphan, None, "every span hangs on one of the trace");

    let find = |name: &str, with: &str| -> BTreeMap<&str, String> {
        let fits = |span: &&_| attributes(span).values().any(|value| value.contains(with));
        attributes(spans.iter().filter(|span| span.name == name).find(fits).expect(with))
    };
    let matched = hex(&sha256(PKI.authority.intermediate_der()));
    let table = [
        ("policy", "dane-only", "waxseal.tls.policy_source", "test:2".to_owned()),
        ("dns", "MX", "dns.question.name", DEST.to_owned()),
        ("dns", "MX", "waxseal.dns.security", "secure".to_owned()),
        ("dns", "A/AAAA", "dns.question.name", HOST.to_owned()),
        ("dns", "A/AAAA", "waxseal.dns.security", "secure".to_owned()),
        ("dns", "TLSA", "waxseal.dns.security", "secure".to_owned()),
        ("dns", "TLSA", "dns.answers", matched.clone()),
        ("tls", "dane-only", "waxseal.tls.status", "verified".to_owned()),
        ("tls", "dane-only", "waxseal.tls.matched", matched),
        ("tls", "dane-only", "tls.server.hash.sha256", hex(&sha256(PKI.leaf.der()))),
        ("tls", "dane-only", "waxseal.tls.certificates", hex(&sha256(PKI.leaf.public_key()))),
        ("transaction", "dane-only", "waxseal.reply", "250".to_owned()),
    ];
    for (span, with, key, value) in table {
        let found = find(span, with);
        let has = found.get(key).is_some_and(|text| text.to_uppercase().contains(&value.to_uppercase()));
        assert!(has, "{span}: {key} should be {value} in {found:#?}");
    }
}

/// Runs to its end, or the test fails with what it said.
fn run(command: &mut Command) {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The program of a collector that somebody else wrote, from PyPI.
fn rotel(folder: &Path) -> std::path::PathBuf {
    let python = folder.join("venv/bin/python");
    run(Command::new("python3").args(["-m", "venv"]).arg(folder.join("venv")));
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "rotel==0.0.1a15"]));
    let found = "import pathlib, rotel; print(pathlib.Path(rotel.__file__).parent / 'rotel-agent')";
    let output = Command::new(&python).args(["-c", found]).output().expect("python runs");
    String::from_utf8_lossy(&output.stdout).trim().into()
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").to_string()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv and pip, and PyPI"]
async fn a_real_collector_takes_traces_and_metrics_over_both_protocols() {
    let folder = tempfile::tempdir().expect("a folder");
    let agent = rotel(folder.path());
    let (http, grpc) = (free_address(), free_address());
    let log = folder.path().join("log");
    let mut collector = Command::new(agent)
        .args(["start", "--exporter", "blackhole", "--debug-log", "traces", "--debug-log", "metrics"])
        .args([
            "--debug-log-verbosity",
            "detailed",
            "--otlp-http-endpoint",
            &http,
            "--otlp-grpc-endpoint",
            &grpc,
        ])
        .stdout(fs::File::create(&log).expect("ours"))
        .stderr(fs::File::create(folder.path().join("errors")).expect("ours"))
        .spawn()
        .expect("it starts");
    for (trace_id, address, protocol) in [(0xaaaa, &http, Protocol::Http), (0xbbbb, &grpc, Protocol::Grpc)] {
        let listens = async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        within(LIMIT, listens).await;
        let from = fs::read_to_string(&log).expect("ours").len();
        let account = delivered(trace_id).await;
        assert_eq!(tell(&account, format!("http://{address}"), protocol).await, 0, "{protocol:?}");
        let trace = format!("{trace_id:032x}");
        let wanted = [trace.as_str(), "waxseal.tls.matched", "test:2", "waxseal.attempts"];
        let seen = async {
            loop {
                let said = fs::read_to_string(&log).expect("ours");
                if wanted.iter().all(|word| said[from..].contains(word)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        within(LIMIT, seen).await;
    }
    collector.kill().expect("it runs");
    collector.wait().expect("it has ended");
}
