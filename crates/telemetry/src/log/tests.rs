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
             message-id=<1@example.org>, nexthop=example.com"
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
