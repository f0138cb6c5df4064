//! transport(5): keys, their order, and what entries leave open.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use waxseal_policy::{
    ClientSettings, Origin, PolicyError, Route, RouteKind, RouteLookup, Settings, Step, TableAnswer,
    TableName, Tables, Transport, check_transport, find_service, parse_hop,
};
use waxseal_types::{Domain, Mailbox, Protocol, Service};

fn route(
    settings: &Settings,
    to: &str,
    entries: &[(&str, &str)],
) -> (Result<Route, PolicyError>, Vec<String>) {
    let mut lookup = RouteLookup::new(settings, &Mailbox::new(to).unwrap());
    let mut asked = Vec::new();
    loop {
        let answer = match lookup.step() {
            Step::Done(result) => return (result, asked),
            Step::NeedKey { table, key } => {
                asked.push(key.to_owned());
                let found = entries.iter().find(|(known, _)| *known == key);
                found.map_or(TableAnswer::Absent, |(_, value)| TableAnswer::Found {
                    value: (*value).to_owned(),
                    origin: Origin::new(table.clone(), "transport:1", key),
                })
            }
        };
        lookup.answer(answer);
    }
}

fn settings() -> Settings {
    Settings { transport_maps: vec![TableName::new("t")], ..Settings::default() }
}

/// A route in one line.
fn shown(route: Result<Route, PolicyError>) -> String {
    match route.map(|route| route.kind) {
        Ok(RouteKind::Deliver { service, nexthop, alternatives }) => {
            let more: String = alternatives.iter().map(|hop| format!(" {hop}")).collect();
            format!("{} {nexthop}{more}", service.as_str())
        }
        Ok(RouteKind::Error(status, text)) => format!("error {status} {text}"),
        Ok(RouteKind::Retry(status, text)) => format!("retry {status} {text}"),
        Ok(RouteKind::Discard(text)) => format!("discard {text}"),
        Err(error) => format!("{} {}", error.status(), error.reason),
    }
}

#[test]
fn keys_go_from_the_whole_address_to_the_star() {
    let asked = route(&settings(), "User+Ext@Sub.Example.com", &[]).1;
    assert_eq!(
        asked,
        ["User+Ext@sub.example.com", "User@sub.example.com", "sub.example.com", ".example.com", ".com", "*"]
    );
    let whole = Settings { recipient_delimiter: String::new(), ..settings() };
    assert_eq!(route(&whole, "a+b@example.com", &[]).1, ["a+b@example.com", "example.com", ".com", "*"]);
    assert_eq!(route(&settings(), "a@[192.0.2.1]", &[]).1, ["a@[192.0.2.1]", "[192.0.2.1]", "*"]);
    assert_eq!(
        route(&whole, "a@sub.bücher.example", &[]).1,
        [
            "a@sub.bücher.example",
            "a@sub.xn--bcher-kva.example",
            "sub.bücher.example",
            "sub.xn--bcher-kva.example",
            ".bücher.example",
            ".xn--bcher-kva.example",
            ".example",
            "*"
        ]
    );
    let dash = Settings { recipient_delimiter: "-".into(), ..settings() };
    for whole in ["owner-list@a.test", "list-request@a.test", "mailer-daemon@a.test", "-x@a.test"] {
        assert_eq!(route(&dash, whole, &[]).1.len(), 4, "{whole}");
    }
}

#[test]
fn an_entry_says_transport_and_next_hop_or_leaves_them_open() {
    let table = [
        ("smtp:[mx.example.net]:25", "smtp [mx.example.net]:25"),
        ("relay:example.net", "smtp example.net"),
        ("smtp:[MX.example.net]:smtp, example.net:587", "smtp [mx.example.net]:smtp example.net:587"),
        ("smtp:", "smtp example.com"),
        ("smtp", "smtp example.com"),
        (":example.net", "smtp example.net"),
        (":", "smtp [relay.example.org]"),
        ("lmtp:inet:mx.example.net:24", "lmtp mx.example.net:24"),
        ("lmtp:[mx.example.net]", "lmtp [mx.example.net]"),
        ("lmtp:unix:/run/dovecot/lmtp", "lmtp unix:/run/dovecot/lmtp"),
        ("error:5.1.2 no such place", "error 5.1.2 no such place"),
        ("error:closed", "error 5.0.0 closed"),
        ("error:", "error 5.0.0 mail for this address bounces"),
        ("retry:5.3.0 wait", "retry 4.3.0 wait"),
        ("retry:4.4.1 wait", "retry 4.4.1 wait"),
        ("discard:", "discard "),
        ("smtp:unix:/run/x", "4.3.5 bad next hop \"unix:/run/x\": SMTP does not go over unix-domain sockets"),
        ("smtp:[mx", "4.3.5 bad next hop \"[mx\": brackets do not match in next hop \"[mx\""),
        ("local:", "4.3.5 transport \"local\" is none of lmtp, relay, smtp, error, retry and discard"),
    ];
    let settings = Settings { relayhost: vec!["[relay.example.org]".parse().unwrap()], ..settings() };
    for (value, expected) in table {
        let got = route(&settings, "a@example.com", &[("example.com", value)]).0;
        let origin = got.as_ref().map_or_else(|error| error.origin.clone(), |route| route.origin.clone());
        assert_eq!(shown(got), expected, "{value}");
        assert_eq!(origin.unwrap().to_string(), "transport:1");
    }
}

#[test]
fn without_an_entry_the_relayhost_or_the_domain_gets_the_mail() {
    assert_eq!(shown(route(&settings(), "a@Example.com.", &[]).0), "smtp example.com");
    assert_eq!(shown(route(&settings(), "a@[IPv6:2001:db8::1]", &[]).0), "smtp [ipv6:2001:db8::1]");
    let relay = Settings {
        relayhost: vec!["a.test".parse().unwrap(), "[b.test]:587".parse().unwrap()],
        ..settings()
    };
    assert_eq!(shown(route(&relay, "a@example.com", &[]).0), "smtp a.test [b.test]:587");
    assert!(shown(route(&settings(), "postmaster", &[]).0).starts_with("4.3.5 the recipient has no domain"));
    let named = Settings { hostname: Some(Domain::new("host.example.com").unwrap()), ..settings() };
    assert_eq!(shown(route(&named, "postmaster", &[]).0), "smtp host.example.com");
}

#[test]
fn default_transport_says_how_mail_without_entry_goes() {
    let with = |transport: &str, relayhost: &[&str]| Settings {
        default_transport: transport.into(),
        relayhost: relayhost.iter().map(|hop| hop.parse().unwrap()).collect(),
        ..settings()
    };
    let table: &[(&str, &[&str], &str)] = &[
        ("smtp", &[], "smtp example.com"),
        ("smtp:", &["[r.test]"], "smtp [r.test]"),
        // Its next hop comes before relayhost.
        ("smtp:[gw.test]:587", &["[r.test]"], "smtp [gw.test]:587"),
        ("relay", &[], "smtp example.com"),
        ("lmtp:unix:/run/lmtp", &[], "lmtp unix:/run/lmtp"),
        ("lmtp:inet:localhost:24", &[], "lmtp localhost:24"),
        ("error:5.1.2 closed", &["[r.test]"], "error 5.1.2 closed"),
        ("retry:later", &[], "retry 4.0.0 later"),
        ("discard", &[], "discard "),
        ("slow", &[], "4.3.5 transport \"slow\" is none of lmtp, relay, smtp, error, retry and discard"),
    ];
    for (transport, relayhost, expected) in table {
        let settings = with(transport, relayhost);
        assert_eq!(shown(route(&settings, "a@example.com", &[]).0), *expected, "{transport}");
        let good = check_transport(&settings, transport);
        assert_eq!(good.is_err(), expected.starts_with("4.3.5"), "{transport}");
        // transport(5): a null transport and a null next hop change nothing.
        let entry = route(&settings, "a@example.com", &[("example.com", ":")]).0;
        assert_eq!(shown(entry), *expected, "{transport}");
    }
    // A null transport with a next hop changes only that.
    let lmtp = with("lmtp:inet:localhost:24", &[]);
    let entry = |value| shown(route(&lmtp, "a@example.com", &[("example.com", value)]).0);
    assert_eq!(
        (entry(":b.test:2424"), entry("smtp:")),
        ("lmtp b.test:2424".into(), "smtp example.com".into())
    );
}

#[test]
fn relay_domains_have_a_transport_of_their_own() {
    let mut settings = Settings {
        relay_transport: "lmtp:unix:/run/lmtp".into(),
        relayhost: vec!["[r.test]".parse().unwrap()],
        ..settings()
    };
    settings.relay_domains.names = vec![Domain::new("named.test").unwrap()];
    settings.relay_domains.tables = vec![TableName::new("t")];
    let entries = &[("tabled.test", "anything")];
    let table = [
        ("a@named.test", "lmtp unix:/run/lmtp"),
        ("a@sub.Named.test", "lmtp unix:/run/lmtp"),
        ("a@unnamed.test", "smtp [r.test]"),
        ("a@sub.tabled.test", "lmtp unix:/run/lmtp"),
        ("a@tabled.test.example", "smtp [r.test]"),
        ("a@[192.0.2.1]", "smtp [r.test]"),
    ];
    settings.transport_maps = Vec::new();
    for (to, expected) in table {
        assert_eq!(shown(route(&settings, to, entries).0), expected, "{to}");
    }
    // A table that fails is not one without the domain.
    let mut lookup = RouteLookup::new(&settings, &Mailbox::new("a@example.com").unwrap());
    assert!(matches!(lookup.step(), Step::NeedKey { key: "example.com", .. }));
    lookup.answer(TableAnswer::TempFail("gone".into()));
    assert!(matches!(lookup.step(), Step::Done(Err(_))));
    // As long as both come to the same, nobody asks.
    settings.relay_transport = "relay".into();
    assert_eq!(route(&settings, "a@tabled.test", entries), route(&settings, "a@tabled.test", &[]));
}

#[test]
fn fallback_relays_are_the_last_alternatives() {
    let mut settings = settings();
    settings.smtp.fallback_relay = vec!["[f.test]".parse().unwrap()];
    settings.lmtp.fallback_relay = vec!["[l.test]".parse().unwrap()];
    let entry = |value| shown(route(&settings, "a@example.com", &[("example.com", value)]).0);
    assert_eq!(entry("smtp:a.test, b.test"), "smtp a.test b.test [f.test]");
    assert_eq!(entry("smtp:[f.test]"), "smtp [f.test]");
    assert_eq!(entry("lmtp:inet:a.test"), "lmtp a.test [l.test]");
    assert_eq!(entry("lmtp:unix:/run/lmtp"), "lmtp unix:/run/lmtp", "as Postfix, which says so in a warning");
}

#[test]
fn a_service_has_fallback_relays_of_its_own() {
    let mut settings = settings();
    settings.smtp.fallback_relay = vec!["[f.test]".parse().unwrap()];
    let secure = Service::named(Protocol::Smtp, "secure-smtp");
    settings.transports.insert("secure-smtp".into(), Transport::Deliver(secure.clone()));
    let entry =
        |settings: &Settings, value| shown(route(settings, "a@example.com", &[("example.com", value)]).0);
    // One that is named, and whose settings are nowhere, is nobody's: the main service does not step in.
    assert_eq!(entry(&settings, "secure-smtp:b.test"), "4.3.5 there is no service secure-smtp");
    settings.services.insert(secure, ClientSettings::default());
    assert_eq!(entry(&settings, "secure-smtp:b.test"), "secure-smtp b.test");
    assert_eq!(entry(&settings, "smtp:b.test"), "smtp b.test [f.test]");
    settings.default_transport = "secure-smtp".into();
    assert_eq!(entry(&settings, ":b.test"), "secure-smtp b.test");
}

#[test]
fn a_service_that_cannot_be_carried_out_parks_its_mail() {
    let mut settings = settings();
    settings.transports.insert("slow".into(), Transport::Deliver(Service::SMTP));
    settings.transports.insert("relay".into(), Transport::Refused("it has a policy of its own".into()));
    let entry = |value| shown(route(&settings, "a@example.com", &[("example.com", value)]).0);
    assert_eq!(entry("slow:b.test"), "smtp b.test");
    assert_eq!(entry("relay:b.test"), "4.3.5 it has a policy of its own");
}

#[test]
fn the_cases_of_postfix_transport_test() {
    // trivial-rewrite/transport.in, with channels that exist here: `smtp` for channel0, `lmtp` for the others.
    let wildcard: &[(&str, &str)] = &[("*", "smtp:nexthop0"), ("rcpt1@example1.com", "lmtp:nexthop1")];
    let subdomain: &[(&str, &str)] = &[("example", ":example-result"), (".example", ":dot-example-result")];
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let table: &[Case<'_>] = &[
        (wildcard, "rcpt1+ext1@example1.com", "lmtp nexthop1"),
        (wildcard, "rcpt2@example2", "smtp nexthop0"),
        (&[("*", "lmtp")], "rcpt2@example2", "lmtp example2"),
        (&[("*", ":nexthop0")], "rcpt2@example2", "smtp nexthop0"),
        (&[("*", ":")], "rcpt2@example2", "smtp example2"),
        (subdomain, "foo@example", "smtp example-result"),
        (subdomain, "foo@sub.example", "smtp dot-example-result"),
        (subdomain, "foo@sub.sub.example", "smtp dot-example-result"),
        (subdomain, "plain1+ext@other-example", "smtp other-example"),
    ];
    for (entries, to, expected) in table {
        assert_eq!(shown(route(&settings(), to, entries).0), *expected, "{to}");
    }
    assert_eq!(Protocol::Lmtp.as_str(), "lmtp");
}

#[test]
fn a_transport_table_that_fails_parks_the_recipient() {
    let settings = settings();
    let mut lookup = RouteLookup::new(&settings, &Mailbox::new("a@example.com").unwrap());
    lookup.answer(TableAnswer::TempFail("gone".into()));
    let Step::Done(Err(error)) = lookup.step() else { panic!() };
    assert_eq!(
        (error.status().to_string().as_str(), error.reason.as_str()),
        ("4.3.5", "table t lookup error: gone")
    );
}

/// Tables with these entries.
struct Entries(&'static [(&'static str, &'static str)]);

impl Tables for Entries {
    fn find<'a>(
        &'a self,
        table: &'a TableName,
        key: &'a str,
    ) -> Pin<Box<dyn Future<Output = TableAnswer> + Send + 'a>> {
        let found = self.0.iter().find(|(known, _)| *known == key);
        Box::pin(core::future::ready(match found {
            None => TableAnswer::Absent,
            Some((_, "fails")) => TableAnswer::TempFail("gone".into()),
            Some((_, value)) => TableAnswer::Found {
                value: (*value).into(),
                origin: Origin::new(table.clone(), "transport:1", key),
            },
        }))
    }

    fn generation(&self) -> u64 {
        0
    }
}

/// Two services of master.cf beside the main ones.
fn with_services() -> Settings {
    let mut settings = settings();
    for (name, protocol) in [("sealed", Protocol::Smtp), ("store", Protocol::Lmtp)] {
        let service = Service::named(protocol, name);
        settings.services.insert(service.clone(), ClientSettings::default());
        settings.transports.insert(name.into(), Transport::Deliver(service));
    }
    settings
}

/// Nothing here waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("it waits"),
    }
}

#[test]
fn a_next_hop_has_the_service_that_mail_goes_there_by() {
    let plain = with_services();
    let sealed = Settings { default_transport: "sealed".into(), ..with_services() };
    let relayed = Settings {
        default_transport: "sealed".into(),
        relayhost: vec!["[mx.relay.test]:587".parse().unwrap()],
        ..with_services()
    };
    let entries = Entries(&[
        ("partner.test", "sealed:"),
        ("moved.test", "sealed:[mx.moved.test]"),
        ("broken.test", "fails"),
        ("refused.test", "error:no"),
    ]);
    for (settings, nexthop, expected) in [
        (&plain, "partner.test", "sealed partner.test"),
        (&plain, "other.test", "smtp other.test"),
        (&plain, "[mx.moved.test]", "smtp [mx.moved.test]"),
        (&plain, "refused.test", "smtp refused.test"),
        (&plain, "broken.test", "4.3.5 table t lookup error: gone"),
        (&sealed, "other.test", "sealed other.test"),
        (&sealed, "[192.0.2.1]:25", "sealed [192.0.2.1]:25"),
        (&relayed, "[mx.relay.test]:587", "sealed [mx.relay.test]:587"),
    ] {
        let found = at_once(find_service(settings, &entries, &nexthop.parse().unwrap()));
        assert_eq!(shown(found), expected, "{nexthop}");
    }
    let all = Entries(&[("*", "store:[127.0.0.1]:24")]);
    let found = at_once(find_service(&plain, &all, &"[127.0.0.1]:24".parse().unwrap()));
    assert_eq!(shown(found), "store [127.0.0.1]:24");
}

#[test]
fn a_next_hop_can_be_named_with_its_transport() {
    let settings = with_services();
    for (text, expected) in [
        ("example.com", Ok((None, "example.com"))),
        ("[mx.example.com]:587", Ok((None, "[mx.example.com]:587"))),
        ("sealed:example.com", Ok((Some("sealed"), "example.com"))),
        ("sealed:[192.0.2.1]:2525", Ok((Some("sealed"), "[192.0.2.1]:2525"))),
        ("relay:25", Ok((None, "relay:25"))),
        ("unix:/run/lmtp", Ok((Some("lmtp"), "unix:/run/lmtp"))),
        ("store:unix:/run/lmtp", Ok((Some("store"), "unix:/run/lmtp"))),
        ("sealed:unix:/run/lmtp", Err(())),
        ("unknown:example.com", Err(())),
        ("sealed:", Err(())),
        ("", Err(())),
    ] {
        let found = parse_hop(&settings, text);
        let found =
            found.as_ref().map(|(service, hop)| (service.as_ref().map(Service::as_str), hop.as_str()));
        assert_eq!(found.map_err(|_| ()), expected, "{text}");
    }
}
