//! Entries of policy tables against a model of Postfix's parser, with random texts: no panic, no entry that Postfix refuses is taken, and
//! none comes out with another level.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use proptest::prelude::*;
use waxseal_policy::{Entry, Origin, Settings, TableName, TlsPolicy};
use waxseal_types::Service;

/// What smtp_tls_policy.c makes of an entry, told in its own order: the level, or nothing where it defers. Told as far as a text can have
/// it: whether a trust anchor file is readable, say, is not.
fn postfix(text: &str) -> Option<String> {
    const SEPARATORS: &[u8] = b", \t\r\n";
    const LEVELS: [&str; 8] =
        ["none", "may", "encrypt", "dane", "dane-only", "fingerprint", "verify", "secure"];
    let mut words = Vec::new();
    let (mut word, mut depth) = (Vec::new(), 0_u32);
    for byte in text.bytes() {
        if depth == 0 && SEPARATORS.contains(&byte) {
            words.push(std::mem::take(&mut word));
            continue;
        }
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        word.push(byte);
    }
    words.push(word);
    let words: Vec<String> =
        words.into_iter().filter(|w| !w.is_empty()).map(|w| String::from_utf8(w).unwrap()).collect();
    let (level, attributes) = words.split_first()?;
    let level = level.to_ascii_lowercase();
    if !LEVELS.contains(&level.as_str()) {
        return None;
    }
    if level == "none" {
        return Some(level);
    }
    let (mut once, mut plugin, mut kind) = (Vec::new(), false, false);
    for attribute in attributes {
        let inner = match attribute.strip_prefix('{') {
            Some(rest) => rest.strip_suffix('}')?.trim(),
            None => attribute,
        };
        let (name, value) = inner.split_once('=')?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name.is_empty() {
            return None;
        }
        let single = [
            "ciphers",
            "protocols",
            "servername",
            "exclude",
            "policy_ttl",
            "policy_type",
            "policy_domain",
            "policy_failure",
        ];
        if single.contains(&name.as_str()) {
            if once.contains(&name) {
                return None;
            }
            once.push(name.clone());
        }
        let good = match name.as_str() {
            "protocols" | "exclude" | "policy_string" | "mx_host_pattern" => true,
            "ciphers" => !value.is_empty(),
            "servername" | "policy_domain" => !value.is_empty() && !value.contains([' ', '{', '}', '=', ':']),
            "match" => !value.is_empty() && ["fingerprint", "verify", "secure"].contains(&level.as_str()),
            "tafile" => !value.is_empty() && ["verify", "secure"].contains(&level.as_str()),
            "connection_reuse" | "enable_rpk" => ["yes", "no"].contains(&value.to_ascii_lowercase().as_str()),
            "policy_ttl" => !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()),
            "policy_type" => ["sts", "no-policy-found"].contains(&value.to_ascii_lowercase().as_str()),
            "policy_failure" => {
                ["sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid", "validation-failure"]
                    .contains(&value.to_ascii_lowercase().as_str())
            }
            _ => false,
        };
        if !good {
            return None;
        }
        kind |= name == "policy_type";
        plugin |= name.starts_with("policy_") || name == "mx_host_pattern";
    }
    (kind || !plugin).then_some(level)
}

/// Pieces of which entries are made, more or less.
fn pieces() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "may",
        "encrypt",
        "DANE",
        "dane-only",
        "secure",
        "Verify",
        "fingerprint",
        "none",
        "secur",
        "match=",
        "Match=hostname",
        "match=mx.a.test:.b.test",
        "match=|",
        "match=:",
        "match=ab:cd|EF:01",
        "ciphers=high",
        "ciphers=",
        "protocols=",
        "protocols=>=TLSv1.3",
        "protocols=!TLSv1",
        "exclude=aNULL:RC4",
        "exclude=",
        "servername=a.test",
        "servername=hostname",
        "tafile=/etc/ta.pem",
        "connection_reuse=yes",
        "enable_rpk=NO",
        "policy_type=sts",
        "policy_type=",
        "policy_ttl=7",
        "policy_ttl=x",
        "policy_domain=a.test",
        "policy_string={mx: a.test}",
        "mx_host_pattern=.a.test",
        "policy_failure=sts-policy-invalid",
        "foo=bar",
        "=",
        "{",
        "}",
        "{ ",
        " }",
        ",",
        " ",
        "\t",
        ":",
        "|",
        "{ match = a.test }",
        "{ match = a b }",
        "{tafile=/a b}",
        "policy_string=",
        "x",
        "ü",
        "\u{a0}",
        "match=a.test.",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 3 => Just(" ".to_owned()), 1 => any::<String>(), 1 => "[ -~]{0,6}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn no_entry_becomes_weaker_than_postfix_would_have_it(parts in prop::collection::vec(pieces(), 0..12)) {
        let text = parts.concat();
        if let Ok(entry) = text.parse::<Entry>() {
            prop_assert_eq!(Some(entry.level.as_str().to_owned()), postfix(&text), "{:?}", text);
        }
        // What the configuration adds may make it invalid, and never weaker.
        let origin = Origin::new(TableName::new("t"), "t:1", "a.test");
        if let Ok(policy) = TlsPolicy::of_entry(&Settings::default(), &Service::SMTP, &text, origin) {
            prop_assert_eq!(Some(policy.level.as_str().to_owned()), postfix(&text), "{:?}", text);
        }
    }

    #[test]
    fn what_is_printed_means_the_same_and_prints_the_same(parts in prop::collection::vec(pieces(), 0..12)) {
        let text = parts.concat();
        if let Ok(entry) = text.parse::<Entry>() {
            let printed = entry.to_string();
            let mut again: Entry = printed.parse().map_err(|error| TestCaseError::fail(format!("{text:?} {printed:?}: {error}")))?;
            prop_assert_eq!(again.to_string(), printed);
            if entry.level != waxseal_types::TlsLevel::None {
                // Remarks are about how it is written.
                again.remarks.clone_from(&entry.remarks);
                prop_assert_eq!(again, entry, "{:?}", text);
            }
        }
    }

    #[test]
    fn the_entry_of_a_policy_gives_the_same_policy(parts in prop::collection::vec(pieces(), 0..12)) {
        let settings = Settings::default();
        let of = |value: &str| TlsPolicy::of_entry(&settings, &Service::SMTP, value, Origin::new(TableName::new("t"), "t:1", "a.test"));
        if let Ok(policy) = of(&parts.concat()) {
            let entry = policy.to_entry().to_string();
            let again = of(&entry).map_err(|error| TestCaseError::fail(format!("{entry:?}: {error}")))?;
            let compared = waxseal_policy::compare(&Ok(policy), &Ok(again));
            prop_assert!(compared.changes.is_empty(), "{}: {:?}", entry, compared);
        }
    }
}

/// More of them with PROPTEST_CASES.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2000)
}

#[test]
fn entries_are_printed_in_one_spelling() {
    let table = [
        ("MAY", "may"),
        ("none match=a", "none"),
        ("secure match=::", "secure match=:"),
        ("fingerprint match=|", "fingerprint match=|"),
        ("secure,match=A.test,match=.b.test", "secure match=A.test:.b.test"),
        (
            "encrypt protocols=!SSLv2:!TLSv1.3 ciphers=LOW exclude=RC4",
            "encrypt ciphers=medium protocols=TLSv1.2 exclude=RC4",
        ),
        ("encrypt { exclude = RC4, MD5 }", "encrypt exclude=RC4:MD5"),
        ("verify {tafile = /etc/our anchors.pem}", "verify { tafile = /etc/our anchors.pem }"),
        (
            "dane connection_reuse=no connection_reuse=YES enable_rpk=no",
            "dane connection_reuse=yes enable_rpk=no",
        ),
        (
            "dane policy_string={ a, b } policy_type=STS policy_ttl=010",
            "dane policy_type=STS policy_ttl=10 { policy_string = { a, b } }",
        ),
    ];
    for (text, printed) in table {
        let got = text.parse::<Entry>().map_or_else(|error| error.reason, |entry| entry.to_string());
        assert_eq!(got, printed, "{text}");
    }
}
