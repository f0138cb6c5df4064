//! Findings about tables: each names its line.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use waxseal_policy::{
    Concern, MatchNames, Origin, PolicyError, Route, RouteLookup, Settings, Step, TableName, TlsPolicy,
    findings,
};
use waxseal_types::{DigestAlgorithm, Mailbox, NextHop, Protocol};

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

#[test]
fn each_kind_of_finding_names_its_line() {
    use Concern::{Dangerous, Idle, Invalid, Loss, Lowered, Unreachable};
    let pin = format!("texthash:/t a.test fingerprint match={}", "ab".repeat(16));
    let pin = [pin.as_str()];
    let table: Vec<(&str, Settings, &[&str], Vec<(usize, Concern, &str)>)> = vec![
        (
            "nothing to say",
            Settings::default(),
            &["texthash:/t a.test secure", "texthash:/t .b.test dane", "texthash:/t [c.test]:587 verify"],
            vec![],
        ),
        (
            "hostname in secure",
            Settings::default(),
            &["texthash:/t a.test secure match=hostname:nexthop"],
            vec![(1, Dangerous, "forge MX")],
        ),
        (
            "not for hosts in brackets",
            Settings::default(),
            &["texthash:/t [mx.a.test] secure match=hostname"],
            vec![],
        ),
        (
            "verify without DNSSEC",
            blind(),
            &["texthash:/t a.test verify", "texthash:/t [mx.a.test]:25 verify"],
            vec![(1, Dangerous, "dns.dnssec is off")],
        ),
        ("verify by fixed names", blind(), &["texthash:/t a.test verify match=mx.a.test"], vec![]),
        (
            "dane without DNSSEC",
            blind(),
            &["texthash:/t a.test dane", "texthash:/t b.test dane-only"],
            vec![(1, Lowered, "as may"), (2, Invalid, "mail waits")],
        ),
        ("md5", md5(), &pin, vec![(1, Dangerous, "md5")]),
        (
            "short digest",
            Settings::default(),
            &["texthash:/t a.test fingerprint match=ab:cd"],
            vec![(1, Idle, "has 2 octets")],
        ),
        (
            "no name",
            Settings::default(),
            &["texthash:/t a.test secure match=mx.a.test."],
            vec![(1, Idle, "\"mx.a.test.\""), (1, Invalid, "no certificate")],
        ),
        (
            "old versions",
            Settings::default(),
            &["texthash:/t a.test encrypt protocols=!SSLv2:!SSLv3"],
            vec![(1, Loss, "never offered")],
        ),
        (
            "null ciphers",
            Settings::default(),
            &["texthash:/t a.test may ciphers=null"],
            vec![(1, Loss, "null")],
        ),
        (
            "old grade",
            Settings::default(),
            &["texthash:/t a.test may ciphers=export"],
            vec![(1, Loss, "means medium")],
        ),
        (
            "misspelt cipher",
            Settings::default(),
            &["texthash:/t a.test may exclude=RC4:aNull:3DES"],
            vec![(1, Idle, "\"aNull\"")],
        ),
        (
            "raw keys",
            Settings::default(),
            &["texthash:/t a.test may enable_rpk=yes"],
            vec![(1, Loss, "RFC 7250")],
        ),
        (
            "STS patterns",
            Settings::default(),
            &["texthash:/t a.test secure policy_type=sts mx_host_pattern=mx.a.test match=mx.a.test"],
            vec![(1, Loss, "mx_host_pattern")],
        ),
        (
            "ignored",
            Settings::default(),
            &["texthash:/t a.test none match=a"],
            vec![(1, Idle, "ignored at level none")],
        ),
        (
            "never asked for",
            Settings::default(),
            &[
                "texthash:/t *.a.test may",
                "texthash:/t u@a.test may",
                "texthash:/t a.test. may",
                "texthash:/t smtp:[a.test] may",
                "texthash:/t inet:a.test:24 may",
            ],
            vec![
                (1, Unreachable, "*.a.test"),
                (2, Unreachable, "addresses"),
                (3, Unreachable, "dot"),
                (4, Unreachable, "route"),
                (5, Unreachable, "inet:"),
            ],
        ),
        (
            "shadowed",
            Settings::default(),
            &["texthash:/t a.test may", "texthash:/u A.test secure", "texthash:/u b.test may"],
            vec![(2, Unreachable, "t:1")],
        ),
        (
            "same rule twice",
            Settings::default(),
            &["regexp:/t /a/ may", "regexp:/t /b/ may", "pcre:/t /a/ may", "regexp:/t /a/ secure"],
            vec![(4, Unreachable, "t:1")],
        ),
        (
            "rules behind one for all",
            Settings::default(),
            &[
                "regexp:/t /a/ may",
                "regexp:/t /./ encrypt",
                "regexp:/t /b/ secure",
                "texthash:/u c.test secure",
            ],
            vec![(2, Unreachable, "2 lines")],
        ),
        (
            "parents beside one for all",
            Settings::default(),
            &["texthash:/t .a.test secure", "static:may * may"],
            vec![(1, Unreachable, "t:2 answers every next hop")],
        ),
        (
            "invalid ones are told elsewhere",
            Settings::default(),
            &["texthash:/t a.test secure math=x"],
            vec![],
        ),
    ];
    for (what, settings, lines, expected) in table {
        let found = findings::of_entries(&settings, Protocol::Smtp, &entries(lines));
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{what}: {told:#?}");
        for (finding, (line, concern, word)) in found.iter().zip(expected) {
            assert_eq!(
                (finding.place(), finding.remark.concern),
                (format!("t:{line}").as_str(), concern),
                "{what}: {told:#?}"
            );
            assert!(finding.to_string().contains(word), "{what}: {finding} has no {word:?}");
        }
    }
}

#[test]
fn the_default_level_is_looked_at() {
    let mut settings = blind();
    settings.smtp.level = waxseal_types::TlsLevel::Secure;
    settings.smtp.secure_cert_match = MatchNames::hostname();
    let found = findings::of_default(&settings, Protocol::Smtp);
    assert_eq!((found.len(), found[0].remark.concern, found[0].place()), (1, Concern::Dangerous, "default"));
    assert!(findings::of_default(&Settings::default(), Protocol::Smtp).is_empty());
}

/// Answers from the entries alone.
struct Known<'a>(&'a Settings, &'a [(String, Origin)]);

impl findings::Ask for Known<'_> {
    fn policy(&mut self, nexthop: &NextHop) -> Result<TlsPolicy, PolicyError> {
        let entry = self.1.iter().find(|(_, origin)| *origin.key == *nexthop.as_str());
        let (value, origin) = entry
            .cloned()
            .unwrap_or_else(|| (self.0.smtp.level.to_string(), Origin::new(TableName::new("d"), "d:1", "")));
        TlsPolicy::of_entry(self.0, Protocol::Smtp, &value, origin)
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
        let found = findings::of_detours(settings, Protocol::Smtp, &entries, &mut Known(settings, &entries));
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
