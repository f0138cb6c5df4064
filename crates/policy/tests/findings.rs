//! Findings about tables: each names its line.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use waxseal_policy::{
    Concern, MatchNames, Origin, PolicyError, Route, RouteLookup, Settings, Step, TableName, TlsPolicy,
    findings,
};
use waxseal_types::{DigestAlgorithm, Mailbox, NextHop, Service};

/// Entries of tables named in the lines: `table key value`.
fn entries(lines: &[&str]) -> Vec<(String, Origin)> {
    let entry = |(at, line): (usize, &&str)| {
        let mut words = line.splitn(3, ' ');
        let (table, key, value) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        (value.to_owned(), Origin::new(TableName::new(table), &format!("t:{}", at + 1), key))
    };
    lines.iter().enumerate().map(entry).collect()
}

fn blind() -> Settings {
    let mut settings = Settings::default();
    settings.smtp.dane_blind = Some("dns.dnssec is off".into());
    settings
}

fn md5() -> Settings {
    let mut settings = Settings::default();
    settings.smtp.fingerprint_digest = DigestAlgorithm::Md5;
    settings
}

/// Entries, and all that is said of them: `line concern some-of-the-words`.
type Row<'a> = (&'a [&'a str], &'a [&'a str]);

fn check(settings: &Settings, rows: &[Row<'_>]) {
    for (lines, expected) in rows {
        let found = findings::of_entries(settings, &Service::SMTP, &entries(lines));
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{lines:?}: {told:#?}");
        for (finding, expected) in found.iter().zip(*expected) {
            let mut words = expected.splitn(3, ' ');
            let (line, concern, text) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            let got = (finding.place(), finding.remark.concern.as_str());
            assert_eq!(got, (format!("t:{line}").as_str(), concern), "{lines:?}: {told:#?}");
            assert!(finding.to_string().contains(text), "{lines:?}: {finding} has no {text:?}");
        }
    }
}

#[test]
fn what_promises_more_than_it_gives() {
    check(
        &Settings::default(),
        &[
            (&["t a.test secure", "t .b.test dane", "t [c.test]:587 verify"], &[]),
            (&["t a.test secure match=hostname:nexthop"], &["1 dangerous forge MX"]),
            // The operator's word, not that of DNS.
            (&["t [mx.a.test] secure match=hostname"], &[]),
            (&["t a.test fingerprint match=ab:cd"], &["1 idle has 2 octets"]),
            (
                &["t a.test secure match=mx.a.test."],
                &["1 idle \"mx.a.test.\"", "1 invalid no certificate can match"],
            ),
            // Those are told as what they are.
            (&["t a.test secure math=x"], &[]),
        ],
    );
    check(
        &blind(),
        &[
            (&["t a.test verify", "t [mx.a.test]:25 verify"], &["1 dangerous dns.dnssec is off"]),
            (&["t a.test verify match=mx.a.test"], &[]),
            (&["t a.test dane", "t b.test dane-only"], &["1 lowered as may", "2 invalid mail waits"]),
        ],
    );
    let pin = format!("t a.test fingerprint match={}", "ab".repeat(16));
    check(&md5(), &[(&[&pin], &["1 dangerous md5"])]);
}

#[test]
fn what_means_less_than_in_postfix_or_nothing() {
    check(
        &Settings::default(),
        &[
            (&["t a.test encrypt protocols=!SSLv2:!SSLv3"], &["1 loss never offered"]),
            (&["t a.test encrypt protocols=>=TLSv1.2"], &[]),
            (&["t a.test may ciphers=null"], &["1 loss without encryption"]),
            (&["t a.test may ciphers=export"], &["1 loss means medium"]),
            (&["t a.test may exclude=RC4:aNull:3DES+RSA"], &["1 idle \"aNull\""]),
            (&["t a.test may enable_rpk=yes", "t b.test secure enable_rpk=yes"], &["1 loss RFC 7250"]),
            (
                &["t a.test secure policy_type=sts mx_host_pattern=mx.a.test match=mx.a.test"],
                &["1 loss mx_host_pattern"],
            ),
            (&["t a.test none match=a"], &["1 idle ignored at level none"]),
        ],
    );
}

#[test]
fn what_no_lookup_comes_to() {
    check(
        &Settings::default(),
        &[
            (
                &[
                    "t *.a.test may",
                    "t u@a.test may",
                    "t a.test. may",
                    "t smtp:[a.test] may",
                    "t inet:a.test:24 may",
                ],
                &[
                    "1 unreachable *.a.test",
                    "2 unreachable addresses",
                    "3 unreachable dot",
                    "4 unreachable route",
                    "5 unreachable inet:",
                ],
            ),
            (&["t a.test may", "u A.test secure", "u b.test may"], &["2 unreachable t:1"]),
            (
                &["regexp:/t /a/ may", "regexp:/t /b/ may", "pcre:/t /a/ may", "regexp:/t /a/ secure"],
                &["4 unreachable t:1"],
            ),
            (
                &["regexp:/t /a/ may", "regexp:/t /./ encrypt", "regexp:/t /b/ secure", "u c.test secure"],
                &["2 unreachable 2 lines"],
            ),
            (&["t .a.test secure", "static:may * may"], &["1 unreachable t:2 answers every next hop"]),
        ],
    );
}

#[test]
fn the_default_level_is_looked_at() {
    let mut settings = blind();
    settings.smtp.level = waxseal_types::TlsLevel::Secure;
    settings.smtp.secure_cert_match = MatchNames::hostname();
    let found = findings::of_default(&settings, &Service::SMTP);
    assert_eq!((found.len(), found[0].remark.concern, found[0].place()), (1, Concern::Dangerous, "default"));
    assert!(findings::of_default(&Settings::default(), &Service::SMTP).is_empty());
}

/// Answers from the entries alone.
struct Known<'a>(&'a Settings, &'a [(String, Origin)]);

impl findings::Ask for Known<'_> {
    fn policy(&mut self, service: &Service, nexthop: &NextHop) -> Result<TlsPolicy, PolicyError> {
        let entry = self.1.iter().find(|(_, origin)| *origin.key == *nexthop.as_str());
        let (value, origin) = entry
            .cloned()
            .unwrap_or_else(|| (self.0.smtp.level.to_string(), Origin::new(TableName::new("d"), "d:1", "")));
        TlsPolicy::of_entry(self.0, service, &value, origin)
    }

    fn route(&mut self, recipient: &Mailbox) -> Result<Route, PolicyError> {
        match RouteLookup::new(self.0, recipient).step() {
            Step::Done(route) => route,
            Step::NeedKey { .. } => unreachable!("there are no transport tables"),
        }
    }
}

#[test]
fn destinations_that_a_relay_would_lower_are_named() {
    let entries = entries(&[
        "texthash:/t a.test secure",
        "texthash:/t .b.test encrypt",
        "texthash:/t [r.test]:587 encrypt",
        "texthash:/t c.test may",
    ]);
    let told = |settings: &Settings| {
        let found = findings::of_detours(settings, &Service::SMTP, &entries, &mut Known(settings, &entries));
        found
            .iter()
            .map(|finding| (finding.place().to_owned(), finding.remark.text.clone()))
            .collect::<Vec<_>>()
    };
    let mut settings = Settings::default();
    assert_eq!(told(&settings), []);

    settings.smtp.fallback_relay = vec!["[r.test]:587".parse().unwrap()];
    let found = told(&settings);
    assert_eq!(found.iter().map(|(place, _)| place.as_str()).collect::<Vec<_>>(), ["t:1"], "{found:?}");
    assert!(
        found[0].1.contains("fallback relay [r.test]:587: secure is demanded here, encrypt there (t:3)"),
        "{found:?}"
    );

    settings.smtp.fallback_relay = vec!["plain.test".parse().unwrap()];
    let places: Vec<String> = told(&settings).into_iter().map(|(place, _)| place).collect();
    assert_eq!(places, ["t:1", "t:2", "t:3"]);

    settings.smtp.fallback_relay.clear();
    settings.relayhost = vec!["[r.test]:587".parse().unwrap(), "plain.test".parse().unwrap()];
    let found = told(&settings);
    assert_eq!(
        found.iter().map(|(place, _)| place.as_str()).collect::<Vec<_>>(),
        ["t:1", "t:1", "t:2"],
        "{found:?}"
    );
    assert!(found[0].1.contains("mail for a.test goes to [r.test]:587 (relayhost)"), "{found:?}");
}

#[test]
fn examples_stand_for_keys_and_plain_patterns() {
    let entries = entries(&[
        "texthash:/t a.test may",
        "texthash:/t .b.test may",
        "texthash:/t [c.test]:25 may",
        "regexp:/r /^mx\\.d\\.test$/ may",
        "pcre:/r /\\.e\\.test$/i may",
        "pcre:/r /^(a|b)$/ may",
        "pcre:/r /^\\d$/ may",
        "cidr:/r 192.0.2.0/24 may",
        "static:may * may",
        "texthash:/t u@a.test may",
    ]);
    let examples = findings::examples(entries.iter().map(|(_, origin)| origin));
    let hops: Vec<&str> = examples.hops.iter().map(|(hop, _)| hop.as_str()).collect();
    assert_eq!(
        hops,
        [
            "a.test",
            "any.b.test",
            "[c.test]:25",
            "mx.d.test",
            "any.e.test",
            "192.0.2.0",
            "any.example.invalid"
        ]
    );
    assert_eq!(examples.hops[1].1.as_deref(), Some(".b.test"));
    let without: Vec<&str> = examples.without.iter().map(|origin| &*origin.place).collect();
    assert_eq!(without, ["t:6", "t:7"]);
}
