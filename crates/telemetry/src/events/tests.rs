use waxseal_queue::{Downgrade, Origin, PolicyFact, PolicySource, TableName, Trouble};
use waxseal_types::{ConnectionId, EnhancedStatus};

use super::*;
use crate::fixture::{account, at, connection, destination, envelope, facts, no_such_user, refused, reply};

const HEAD: &str = r#""queue_id":"dZCyJSqXd","sender":"a@example.org""#;
const TAIL: &str =
    r#""message_id":"<1@example.org>","size":1234,"client":"client.example.org[192.0.2.200]","recipients":2"#;
const TRACE: &str = r#""trace_id":"000000000000000000000000000000ab"}"#;

fn check(event: &Event<'_>, expected: &[String]) {
    let mut lines = String::new();
    write(&mut lines, event);
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    for line in lines.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn queued_mail_has_a_line_for_each_recipient() {
    let (envelope, destination) = (envelope(0xab), destination());
    let event =
        Event::Queued { envelope: &envelope, destination: &destination, recipients: &[0, 1], at: at(3) };
    let line = |recipient| {
        format!(
            r#"{{"time":"2026-11-21T08:30:00.003000Z","event":"queued",{HEAD},"recipient":"{recipient}","nexthop":"example.com",{TAIL},"delay_ms":3,{TRACE}"#
        )
    };
    check(&event, &[line("b@example.com"), line("c@example.com")]);
}

#[test]
fn each_recipient_has_the_attempts_before_its_end_and_its_end() {
    let account = account(0xab);
    let attempt = |recipient| {
        format!(
            r#"{{"time":"2026-11-21T08:35:00.030000Z","event":"attempt",{HEAD},"recipient":"{recipient}","nexthop":"example.com","host":"mx1.example.com","address":"192.0.2.1","port":25,"dsn":"4.4.1","reason":"connect to mx1.example.com[192.0.2.1]:25: Connection refused","attempt":2,{TAIL},"delay_ms":300030,{TRACE}"#
        )
    };
    let end = |word, recipient, rest| {
        format!(
            r#"{{"time":"2026-11-21T08:35:00.201000Z","event":"{word}",{HEAD},"recipient":"{recipient}","nexthop":"example.com","host":"mx2.example.com","address":"2001:db8::2","port":25,{rest},"attempt":2,{TAIL},"delay_ms":300201,{TRACE}"#
        )
    };
    let delivered = r#""dsn":"2.0.0","reply":"250 2.0.0 taken as X1""#;
    let bounced = r#""dsn":"5.1.1","reply":"550 5.1.1 no such \"user\"","reason":"host mx2.example.com[2001:db8::2] said: 550 5.1.1 no such \"user\" (in reply to RCPT TO)""#;
    let event = Event::Attempted { account: &account, next_attempt: Some(at(900_000)) };
    check(
        &event,
        &[
            attempt("b@example.com"),
            end("delivered", "b@example.com", delivered),
            attempt("c@example.com"),
            end("bounced", "c@example.com", bounced),
        ],
    );
}

#[test]
fn a_deferred_recipient_says_when_it_is_tried_again() {
    let mut account = account(0xab);
    account.connections.truncate(1);
    let outcome = Outcome::Deferred(refused());
    account.results = vec![RecipientResult { index: 1, outcome, connection: Some(0) }];
    let line = format!(
        r#"{{"time":"2026-11-21T08:35:00.201000Z","event":"deferred",{HEAD},"recipient":"c@example.com","nexthop":"example.com","host":"mx1.example.com","address":"192.0.2.1","port":25,"dsn":"4.4.1","reason":"connect to mx1.example.com[192.0.2.1]:25: Connection refused","attempt":2,"next_attempt":"2026-11-21T08:45:00.000000Z",{TAIL},"delay_ms":300201,{TRACE}"#
    );
    check(&Event::Attempted { account: &account, next_attempt: Some(at(900_000)) }, &[line]);
}

#[test]
fn mail_that_never_came_to_a_connection_has_no_host() {
    let mut account = account(0xab);
    account.connections.clear();
    let outcome = Outcome::Deferred(refused());
    account.results = vec![RecipientResult { index: 0, outcome, connection: None }];
    let mut lines = String::new();
    write(&mut lines, &Event::Attempted { account: &account, next_attempt: None });
    let value: serde_json::Value = serde_json::from_str(&lines).unwrap();
    for absent in ["host", "address", "port", "next_attempt", "tls"] {
        assert!(value.get(absent).is_none(), "{absent}");
    }
    assert_eq!(value["nexthop"], "example.com");
}

#[test]
fn recipients_that_no_connection_settled_have_all_failed_ones_before() {
    let mut account = account(0xab);
    account.connections[1].failure = Some(refused());
    let outcome = Outcome::Deferred(refused());
    account.results = vec![RecipientResult { index: 0, outcome, connection: None }];
    let mut lines = String::new();
    write(&mut lines, &Event::Attempted { account: &account, next_attempt: None });
    let hosts: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|value| format!("{} {}", value["event"], value["host"]).replace('"', ""))
        .collect();
    assert_eq!(hosts, ["attempt mx1.example.com", "attempt mx2.example.com", "deferred mx2.example.com"]);
}

#[test]
fn mail_settled_without_an_attempt_says_how() {
    let (envelope, destination, failure) = (envelope(0xab), destination(), no_such_user());
    let words = [
        (Settled::Expired, "expired"),
        (Settled::Bounced, "bounced"),
        (Settled::Deferred, "deferred"),
        (Settled::Removed, "removed"),
    ];
    for (how, word) in words {
        for destination in [None, Some(&destination)] {
            let event = Event::Settled {
                envelope: &envelope,
                destination,
                recipients: &[1],
                how,
                failure: &failure,
                attempts: 4,
                at: at(1000),
            };
            let nexthop = if destination.is_some() { r#""nexthop":"example.com","# } else { "" };
            let line = format!(
                r#"{{"time":"2026-11-21T08:30:01.000000Z","event":"{word}",{HEAD},"recipient":"c@example.com",{nexthop}"dsn":"5.1.1","reply":"550 5.1.1 no such \"user\"","reason":"host mx2.example.com[2001:db8::2] said: 550 5.1.1 no such \"user\" (in reply to RCPT TO)","attempt":4,{TAIL},"delay_ms":1000,{TRACE}"#
            );
            check(&event, &[line]);
        }
    }
}

#[test]
fn the_null_sender_is_empty() {
    let mut message = (*envelope(0xab)).clone();
    message.sender = None;
    message.message_id = None;
    let event = Event::Queued {
        envelope: &Arc::new(message),
        destination: &destination(),
        recipients: &[0],
        at: at(0),
    };
    let mut lines = String::new();
    write(&mut lines, &event);
    let value: serde_json::Value = serde_json::from_str(&lines).unwrap();
    assert_eq!(value["sender"], "");
    assert!(value.get("message_id").is_none());
}

#[test]
fn the_tls_object_tells_the_policy_and_what_the_connection_had() {
    let policy = Policy { level: TlsLevel::Dane, source: &"/etc/waxseal/tls_policy:12" };
    let clear = connection("mx.example.com", "192.0.2.1", 0, 1);
    let sealed = Connection {
        id: Some(ConnectionId(1)),
        tls: Some(facts()),
        status: TlsStatus::Verified,
        matched: Some("TLSA 3 1 1 0123ABCD".to_owned()),
        injected: 3,
        ..clear.clone()
    };
    let downgraded =
        Connection { level: TlsLevel::May, downgrade: Some(Downgrade::NotOffered), ..clear.clone() };
    let head = r#""policy":"dane","policy_source":"/etc/waxseal/tls_policy:12""#;
    let table = [
        (None, format!(r#"{{{head},"level":"dane","status":"none"}}"#)),
        (Some(&clear), format!(r#"{{{head},"level":"dane","status":"none"}}"#)),
        (
            Some(&sealed),
            format!(
                r#"{{{head},"level":"dane","status":"verified","protocol":"TLSv1.3","cipher":"TLS_AES_256_GCM_SHA384","sni":"mx2.example.com","resumed":false,"matched":"TLSA 3 1 1 0123ABCD","injected":3}}"#
            ),
        ),
        (
            Some(&downgraded),
            format!(r#"{{{head},"level":"may","status":"none","downgrade":"{}"}}"#, Downgrade::NotOffered),
        ),
    ];
    for (connection, expected) in table {
        let mut line = String::new();
        let mut object = Object::begin(&mut line);
        security(&mut object, &policy, connection);
        object.end();
        assert_eq!(line, expected);
    }
}

#[test]
fn the_policy_of_an_account_comes_with_the_entry_that_it_stands_in() {
    let mut account = account(0xab);
    let entry = Origin::new(
        TableName::new("texthash:/etc/waxseal/tls_policy"),
        "/etc/waxseal/tls_policy:12",
        "example.com",
    );
    let sources =
        [(PolicySource::Entry(entry), "/etc/waxseal/tls_policy:12"), (PolicySource::Default, "default")];
    account.connections.remove(0);
    account.results.truncate(1);
    account.results[0].connection = Some(0);
    for (source, words) in sources {
        let nexthop = "example.com".to_owned();
        account.policies = vec![PolicyFact { level: TlsLevel::Dane, source, nexthop }];
        let tls = format!(
            r#"{{"policy":"dane","policy_source":"{words}","level":"dane","status":"verified","protocol":"TLSv1.3","cipher":"TLS_AES_256_GCM_SHA384","sni":"mx2.example.com","resumed":false,"matched":"TLSA 3 1 1 0123ABCD"}}"#
        );
        let line = format!(
            r#"{{"time":"2026-11-21T08:35:00.201000Z","event":"delivered",{HEAD},"recipient":"b@example.com","nexthop":"example.com","host":"mx2.example.com","address":"2001:db8::2","port":25,"dsn":"2.0.0","reply":"250 2.0.0 taken as X1","attempt":2,"tls":{tls},{TAIL},"delay_ms":300201,{TRACE}"#
        );
        check(&Event::Attempted { account: &account, next_attempt: None }, &[line]);
    }
}

#[test]
fn a_hostile_server_writes_no_line_of_its_own() {
    let mut account = account(0xab);
    let words = reply(
        550,
        Some(EnhancedStatus::permanent(1, 1)),
        "5.1.1 \"}\n{\"event\":\"delivered\"}\x1b[2J\u{9b}\u{202e}",
    );
    let reason = words.to_string();
    let (status, trouble) = (words.enhanced(), Trouble::Refused);
    let failure = Failure { status, reason: reason.clone(), reply: Some(words), trouble };
    account.connections[1].matched = Some(reason.clone());
    account.results =
        vec![RecipientResult { index: 0, outcome: Outcome::Bounced(failure), connection: Some(1) }];
    let mut lines = String::new();
    write(&mut lines, &Event::Attempted { account: &account, next_attempt: None });
    assert_eq!(lines.lines().count(), 2);
    let last = lines.lines().last().unwrap();
    assert!(!last.chars().any(crate::json::is_hidden));
    let value: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!((&value["event"], &value["reason"]), (&"bounced".into(), &reason.into()));
}
