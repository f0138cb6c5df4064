//! The lookup of TLS policies, as postconf(5) and the behaviour of Postfix have it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use waxseal_policy::{
    Origin, PolicyError, PolicyLookup, ServerName, Settings, Step, TableAnswer, TableName, TlsPolicy,
};
use waxseal_types::{AnchorFiles, Domain, NamePattern, Service, TlsDemand, TlsLevel};

/// Tables as lists of entries; a table named `down` fails.
type Content<'a> = &'a [(&'a str, &'a [(&'a str, &'a str)])];

/// Runs a lookup and notes the questions.
fn look_up(
    settings: &Settings,
    hop: &str,
    tables: Content<'_>,
) -> (Result<TlsPolicy, PolicyError>, Vec<String>) {
    let mut lookup = PolicyLookup::new(settings, &Service::SMTP, &hop.parse().unwrap());
    let mut asked = Vec::new();
    loop {
        let answer = match lookup.step() {
            Step::Done(result) => return (result, asked),
            Step::NeedKey { table, key } => {
                asked.push(format!("{table} {key}"));
                let entries = tables.iter().find(|(name, _)| *name == table.as_str()).unwrap().1;
                match entries.iter().position(|(known, _)| *known == key) {
                    _ if table.as_str() == "down" => TableAnswer::TempFail("gone".into()),
                    None => TableAnswer::Absent,
                    Some(at) => TableAnswer::Found {
                        value: entries[at].1.into(),
                        origin: Origin::new(table.clone(), &format!("{table}:{}", at + 1), key),
                    },
                }
            }
        };
        lookup.answer(answer);
    }
}

fn settings(tables: &[&str]) -> Settings {
    let mut settings = Settings::default();
    settings.smtp.policy_maps = tables.iter().map(|name| TableName::new(name)).collect();
    settings
}

/// The policy of an entry.
fn entry(value: &str) -> Result<TlsPolicy, PolicyError> {
    look_up(&settings(&["t"]), "example.com", &[("t", &[("example.com", value)])]).0
}

#[test]
fn the_key_is_the_next_hop_as_written_and_only_plain_domains_have_parents() {
    let table: &[(&str, &[&str])] = &[
        ("a.b.example", &["a.b.example", ".b.example", ".example"]),
        ("A_b.Example", &["a_b.example", ".example"]),
        ("a.example:587", &["a.example:587"]),
        ("[mx.example.com]", &["[mx.example.com]"]),
        ("[MX.example.com]:smtp", &["[mx.example.com]:smtp"]),
        ("inet:mx.example.com:24", &["mx.example.com:24"]),
        ("[192.0.2.1]:25", &["[192.0.2.1]:25"]),
        ("bücher.example", &["bücher.example", "xn--bcher-kva.example", ".example"]),
        (
            "a.bücher.example",
            &[
                "a.bücher.example",
                "a.xn--bcher-kva.example",
                ".bücher.example",
                ".xn--bcher-kva.example",
                ".example",
            ],
        ),
        ("localhost", &["localhost"]),
        // IDNA takes the full stop of other scripts for a dot: no way around `.b.example`.
        ("a\u{3002}b.example", &["a\u{3002}b.example", "a.b.example", ".b.example", ".example"]),
    ];
    for (hop, expected) in table {
        let (policy, asked) = look_up(&settings(&["t"]), hop, &[("t", &[])]);
        let expected: Vec<String> = expected.iter().map(|key| format!("t {key}")).collect();
        assert_eq!(asked, expected, "{hop}");
        assert_eq!((policy.unwrap().level, hop), (TlsLevel::May, hop));
    }
}

#[test]
fn each_key_is_asked_of_all_tables_before_the_next_key() {
    let tables: Content<'_> = &[("one", &[(".b.example", "secure")]), ("two", &[("a.b.example", "may")])];
    let (policy, asked) = look_up(&settings(&["one", "two"]), "a.b.example", tables);
    let policy = policy.unwrap();
    assert_eq!((policy.level, policy.source.to_string().as_str()), (TlsLevel::May, "two:1"));
    assert_eq!(asked, ["one a.b.example", "two a.b.example"]);
    let first = look_up(&settings(&["two", "one"]), "x.b.example", tables).0.unwrap();
    assert_eq!((first.level, first.source.to_string().as_str()), (TlsLevel::Secure, "one:1"));
}

#[test]
fn a_table_that_fails_is_not_one_without_the_key() {
    let tables: Content<'_> =
        &[("one", &[("b.example", "may")]), ("down", &[]), ("two", &[("a.example", "may")])];
    let (failed, asked) = look_up(&settings(&["one", "down", "two"]), "a.example", tables);
    assert_eq!((failed.unwrap_err().status().to_string().as_str(), asked.len()), ("4.7.5", 2));
    // A table in front of it that has the key answers.
    assert_eq!(look_up(&settings(&["one", "down"]), "b.example", tables).0.unwrap().level, TlsLevel::May);
}

#[test]
fn which_attribute_is_valid_at_which_level() {
    let digest = "match=".to_owned() + &"ab".repeat(32);
    let attributes = [
        // The last column says at which levels, in the order of TlsLevel::ALL behind `none`: may encrypt dane dane-only fingerprint verify secure.
        ("ciphers=high", "1111111"),
        ("protocols=TLSv1.3", "1111111"),
        ("exclude=AES128", "1111111"),
        ("servername=hostname", "1111111"),
        ("connection_reuse=no", "1111111"),
        ("enable_rpk=yes", "1111111"),
        ("policy_type=sts", "1111111"),
        (
            "policy_type=No-Policy-Found policy_domain=a.test policy_ttl=86400 policy_string=x policy_string=y",
            "1111111",
        ),
        ("policy_type=sts mx_host_pattern=mx.a.test mx_host_pattern=.b.test", "1111111"),
        ("policy_type=sts policy_failure=sts-webpki-invalid", "1111111"),
        ("policy_ttl=86400", "0000000"),
        ("policy_type=dane", "0000000"),
        ("policy_type=sts policy_failure=weather", "0000000"),
        ("policy_type=sts policy_domain=a..b", "0000000"),
        ("policy_type=sts policy_ttl=-1", "0000000"),
        ("match=", "0000000"),
        ("tafile=", "0000000"),
        ("ciphers=", "0000000"),
        ("servername=", "0000000"),
        ("enable_rpk=perhaps", "0000000"),
        ("connection_reuse=", "0000000"),
        ("protocols=", "1111111"),
        ("exclude=", "1111111"),
        ("unheard=of", "0000000"),
        (digest.as_str(), "0000111"),
        ("tafile=/etc/ta.pem", "0000011"),
    ];
    for (attribute, valid) in attributes {
        for (level, valid) in TlsLevel::ALL.into_iter().skip(1).zip(valid.chars()) {
            // A fingerprint policy needs a fingerprint.
            let extra = if level == TlsLevel::Fingerprint && attribute != digest { &digest } else { "" };
            let result = entry(&format!("{level} {attribute} {extra}"));
            assert_eq!(result.is_ok(), valid == '1', "{level} {attribute}: {result:?}");
        }
        let words = attribute.split(' ').count();
        assert_eq!(entry(&format!("none {attribute}")).unwrap().remarks.len(), words, "{attribute}");
    }
}

#[test]
fn entries_that_postfix_refuses_are_refused() {
    let refused = [
        ("", "the entry has no security level"),
        ("strict", "invalid security level \"strict\""),
        ("half-dane", "invalid security level \"half-dane\""),
        ("encrypt foo=bar", "invalid attribute name \"foo\""),
        ("secure match", "malformed attribute \"match\": missing '=' after attribute name"),
        ("secure match = mx.example.com", "malformed attribute \"match\""),
        ("secure =x", "malformed attribute \"=x\": missing attribute name"),
        ("encrypt # why", "malformed attribute \"#\""),
        ("secure match=", "attribute \"match\" has an empty value"),
        ("secure match=a.test,mx.test", "malformed attribute \"mx.test\""),
        ("secure tafile=", "attribute \"tafile\" has an empty value"),
        ("encrypt ciphers=", "attribute \"ciphers\" has an empty value"),
        ("encrypt ciphers=strong", "unknown cipher grade \"strong\""),
        ("encrypt exclude=!RC4", "exclusion \"!RC4\" starts with one of"),
        ("encrypt ciphers=high ciphers=medium", "attribute \"ciphers\" is specified multiple times"),
        (
            "encrypt protocols=TLSv1.2 protocols=TLSv1.3",
            "attribute \"protocols\" is specified multiple times",
        ),
        ("encrypt exclude=RC4 exclude=3DES", "attribute \"exclude\" is specified multiple times"),
        (
            "encrypt servername=a.test servername=b.test",
            "attribute \"servername\" is specified multiple times",
        ),
        ("encrypt servername=", "\"servername=\" specifies an invalid hostname"),
        ("encrypt servername=bad_.-.name..", "\"servername=bad_.-.name..\" specifies an invalid hostname"),
        ("encrypt servername=mail.example.com.", "\"servername=mail.example.com.\" specifies"),
        ("encrypt servername=192.0.2.1", "\"servername=192.0.2.1\" specifies"),
        ("encrypt servername=bücher.example", "\"servername=bücher.example\" specifies"),
        ("encrypt connection_reuse=maybe", "attribute \"connection_reuse\" has bad value \"maybe\""),
        ("encrypt protocols=TLSv9", "unknown TLS protocol \"TLSv9\""),
        ("may protocols=TLSv1.1", "protocols \"TLSv1.1\" leave neither"),
        ("encrypt protocols=TLSv1.2 exclude=ECDHE", "no cipher suite is left"),
        ("encrypt { servername = a.test } x", "malformed attribute \"x\""),
        ("encrypt {servername=a.test}x", "malformed attribute"),
        ("fingerprint", "level fingerprint, but no fingerprints to match"),
        ("fingerprint match=not:hex", "level fingerprint, but no fingerprints to match"),
        ("encrypt policy_ttl=100", "a policy_ or mx_host_pattern attribute without policy_type"),
        ("encrypt policy_type=other", "attribute \"policy_type\" has bad value \"other\""),
        ("encrypt policy_type=sts policy_ttl=x", "attribute \"policy_ttl\" has bad value \"x\""),
    ];
    for (value, reason) in refused {
        let error = entry(value).unwrap_err();
        assert!(error.reason.starts_with(reason), "{value}: {error}");
        assert!(error.to_string().starts_with("client TLS configuration problem: t:1: "), "{error}");
        assert_eq!(error.status().to_string(), "4.7.5");
    }
}

#[test]
fn entries_that_postfix_takes_are_taken() {
    let taken = [
        ("SECURE", TlsLevel::Secure),
        ("May", TlsLevel::May),
        ("secure, match=mx.example.com,match=hostname", TlsLevel::Secure),
        ("secure\tMATCH=mx.example.com", TlsLevel::Secure),
        ("secure { match = mx.example.com }", TlsLevel::Secure),
        ("encrypt protocols=", TlsLevel::Encrypt),
        ("encrypt ciphers=HIGH connection_reuse=yes connection_reuse=no", TlsLevel::Encrypt),
        ("dane-only policy_type=sts policy_string=a policy_string={b c}", TlsLevel::DaneOnly),
        ("secure match=::", TlsLevel::Secure),
        ("none match=a foo=bar", TlsLevel::None),
    ];
    for (value, level) in taken {
        assert_eq!(entry(value).map(|policy| policy.level), Ok(level), "{value}");
    }
}

#[test]
fn the_configuration_fills_in_what_an_entry_leaves_open() {
    let mut settings = settings(&["t"]);
    settings.smtp.trust_anchor_files = vec!["/etc/ta.pem".into()];
    settings.smtp.mandatory.exclude = "AESGCM".parse().unwrap();
    settings.smtp.servername = Some(ServerName::Invalid("bad..name".into()));
    let of = |value: &str| look_up(&settings, "example.com", &[("t", &[("example.com", value)])]).0;

    let reason = of("secure").unwrap_err().reason;
    assert_eq!(reason, "servername \"bad..name\" is no hostname");
    assert!(of("none").is_ok());

    let policy =
        of("secure servername=nexthop tafile=/a tafile=/b exclude=CHACHA20 connection_reuse=no").unwrap();
    let (hop, host) = ("example.com".parse().unwrap(), Domain::new("mx.example.net").unwrap());
    let TlsDemand::Names(names) = policy.demand_for(&hop, Some(&host)).unwrap() else { panic!("{policy:?}") };
    let base = Domain::new("example.com").unwrap();
    assert_eq!(&*names.patterns, [NamePattern::Exact(base.clone()), NamePattern::Below(base.clone())]);
    assert_eq!(names.anchors, AnchorFiles::Only(["/a".to_owned(), "/b".to_owned()].into()));
    assert!(!policy.connection_reuse);
    let shape = policy.shape_for(&hop, Some(&host), true, [].into());
    assert_eq!(
        (shape.sni, shape.suites.contains(&0xC02F), shape.suites.contains(&0xCCA8)),
        (Some(base), true, false)
    );

    let policy = of("verify servername=hostname").unwrap();
    assert_eq!(policy.anchors, AnchorFiles::Only(["/etc/ta.pem".to_owned()].into()));
    let shape = policy.shape_for(&hop, Some(&host), true, [].into());
    assert_eq!((shape.sni, &*shape.suites), (Some(host), &[0x1302, 0x1303, 0x1301, 0xCCA9, 0xCCA8][..]));
    // RFC 6066 §3: an address is no server name.
    assert_eq!(policy.shape_for(&"[192.0.2.1]".parse().unwrap(), None, true, [].into()).sni, None);
}

#[test]
fn the_default_level_may_use_the_configured_fingerprints() {
    let mut settings = settings(&[]);
    settings.smtp.level = TlsLevel::Fingerprint;
    let without = look_up(&settings, "example.com", &[]).0.unwrap_err();
    assert_eq!(
        (without.origin, without.reason.as_str()),
        (None, "level fingerprint, but no fingerprints to match")
    );
    settings.smtp.fingerprints =
        waxseal_policy::parse_fingerprints(&"ab".repeat(32), settings.smtp.fingerprint_digest).0;
    let policy = look_up(&settings, "example.com", &[]).0.unwrap();
    assert_eq!((policy.fingerprints.accepted.len(), policy.source.to_string().as_str()), (1, "default"));
}
