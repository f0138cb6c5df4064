use std::sync::{Arc, Mutex};

use waxseal_queue::Downgrade;
use waxseal_types::TlsLevel;

use super::*;
use crate::fixture::{account, at, envelope, no_such_user, refused};

const ID: &str = "dZCyJSqXd";

#[test]
fn postfix_operators_find_their_way() {
    let mut account = account(1);
    let line =
        |account: &Account, number: usize| Delivery { account, result: &account.results[number] }.to_string();
    let relay = "relay=mx2.example.com[2001:db8::2]:25, delay=300.20";
    let tls = "tls=verified TLSv1.3 TLS_AES_256_GCM_SHA384 (dane, TLSA 3 1 1 0123ABCD)";
    assert_eq!(
        line(&account, 0),
        format!("{ID}: to=<b@example.com>, {relay}, dsn=2.0.0, status=sent (250 2.0.0 taken as X1), {tls}")
    );
    let reason = no_such_user().reason;
    assert_eq!(
        line(&account, 1),
        format!("{ID}: to=<c@example.com>, {relay}, dsn=5.1.1, status=bounced ({reason}), {tls}")
    );
    account.connections[1].tls = None;
    account.connections[1].status = waxseal_types::TlsStatus::None;
    account.connections[1].matched = None;
    account.connections[1].level = TlsLevel::May;
    account.connections[1].downgrade = Some(Downgrade::NotOffered);
    assert!(line(&account, 0).ends_with(&format!("tls=none (may, {})", Downgrade::NotOffered)));
    account.results[0] =
        RecipientResult { index: 0, outcome: Outcome::Deferred(refused()), connection: None };
    account.connections.clear();
    let reason = refused().reason;
    let expected =
        format!("{ID}: to=<b@example.com>, relay=none, delay=300.20, dsn=4.4.1, status=deferred ({reason})");
    assert_eq!(line(&account, 0), expected);
}

#[test]
fn mail_that_comes_in_and_mail_without_an_attempt_have_lines() {
    let envelope = envelope(1);
    assert_eq!(
        Queued { envelope: &envelope, nexthop: "example.com" }.to_string(),
        format!(
            "{ID}: from=<a@example.org>, size=1234, nrcpt=2, client=client.example.org[192.0.2.200], \
             message-id=<1@example.org>, nexthop=example.com, trace=00000000000000000000000000000001"
        )
    );
    let failure = refused();
    let to = Some(&envelope.recipients[0].mailbox);
    let line = SettledLine { envelope: &envelope, to, how: Settled::Expired, failure: &failure, at: at(10) };
    let expected = format!(
        "{ID}: to=<b@example.com>, relay=none, delay=0.01, dsn=4.4.1, status=expired ({})",
        failure.reason
    );
    assert_eq!(line.to_string(), expected);
}

#[test]
fn a_log_line_is_one_line_whatever_a_stranger_says() {
    let table = [
        ("plain é 漢", "plain é 漢"),
        ("a\r\nb", "a\\u{d}\\u{a}b"),
        ("\x1b[2J\u{9b}31m\u{202e}", "\\u{1b}[2J\\u{9b}31m\\u{202e}"),
        ("\0", "\\u{0}"),
    ];
    for (words, expected) in table {
        assert_eq!(Clean(words).to_string(), expected);
    }
}

#[test]
fn a_misspelt_level_is_told() {
    for good in ["info", "WARN", "off", "info,waxseal_dns=debug", "waxseal_queue=trace, error"] {
        assert!(filter(good).is_ok(), "{good}");
    }
    for bad in ["", "inof", "info,", "waxseal_dns", "waxseal_dns=loud"] {
        assert!(matches!(filter(bad), Err(Error::Level { text, .. }) if text == bad), "{bad}");
    }
}

#[derive(Debug, Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl io::Write for Text {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(level: Level, event: &Event<'_>) -> Vec<String> {
    let text = Text::default();
    let writer = text.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || log(event));
    let text = text.0.lock().unwrap();
    String::from_utf8_lossy(&text).lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn what_needs_the_operator_is_louder_than_what_is_daily_work() {
    let mut account = account(1);
    account.connections[1].injected = 9;
    account.connections[0].chain = vec!["subject CN=evil\n".to_owned()];
    let attempted = Event::Attempted { account: &account, next_attempt: None };
    let injected = logged(Level::WARN, &attempted);
    assert_eq!(injected.len(), 1, "{injected:?}");
    assert!(injected[0].starts_with(&format!(
        "WARN waxseal_telemetry: {ID}: mx2.example.com[2001:db8::2]:25: 9 octets in clear"
    )));
    let all = logged(Level::INFO, &attempted);
    assert_eq!(all.len(), 5, "{all:?}");
    assert!(all[2].ends_with("mx1.example.com[192.0.2.1]:25 presented subject CN=evil\\u{a}"), "{all:?}");
    let died = logged(Level::ERROR, &Event::ServiceDied { service: "dns", wait: 4 });
    assert_eq!(died, ["ERROR waxseal_telemetry: service dns has died; it is started again in 4 s"]);
    let destination = crate::fixture::destination();
    let dead = logged(Level::WARN, &Event::DestinationDead { destination: &destination, until: at(0) });
    assert_eq!(dead.len(), 1);
}

#[test]
fn a_finished_line_is_cleaned_as_a_whole() {
    let table: [(&[u8], &str); 5] = [
        (b"INFO plain words\n", "INFO plain words\n"),
        (b"two\nlines\n", "two\\u{a}lines\n"),
        (b"\x1b[31mred\n", "\\u{1b}[31mred\n"),
        ("ünï\u{202e}\n".as_bytes(), "ünï\\u{202e}\n"),
        (b"no \xff end", "no \u{fffd} end"),
    ];
    for (line, expected) in table {
        let mut written = Vec::new();
        assert_eq!(std::io::Write::write(&mut CleanLines(&mut written), line).unwrap(), line.len());
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }
}
