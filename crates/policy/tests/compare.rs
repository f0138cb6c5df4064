//! Old and new policies: what is weaker?

use waxseal_policy::{Aspect, Direction, Origin, PolicyError, Settings, TableName, TlsPolicy, compare};
use waxseal_types::{DigestAlgorithm, Service};

fn of(settings: &Settings, value: &str) -> Result<TlsPolicy, PolicyError> {
    TlsPolicy::of_entry(settings, &Service::SMTP, value, Origin::new(TableName::new("t"), "t:1", "a.test"))
}

#[test]
fn one_aspect_that_got_weaker_makes_the_whole_weaker() {
    use Direction::{Different, Same, Stronger, Weaker};
    let settings = Settings::default();
    let one = format!("fingerprint match={}", "ab".repeat(32));
    let two = format!("{one}|{}", "cd".repeat(32));
    let other = format!("fingerprint match={}", "ef".repeat(32));
    let table: &[(&str, &str, Direction)] = &[
        ("none", "may", Stronger),
        ("may", "encrypt", Stronger),
        ("may", "dane", Stronger),
        // Authenticated where there are TLSA records; in clear where there are none.
        ("encrypt", "dane", Weaker),
        ("dane", "encrypt", Weaker),
        ("dane", "dane-only", Stronger),
        ("dane", "secure", Different),
        ("secure", "dane", Weaker),
        ("dane-only", "secure", Different),
        ("encrypt", &one, Stronger),
        (&one, "encrypt", Weaker),
        (&one, "secure", Different),
        ("secure", "may", Weaker),
        ("verify", "secure", Stronger),
        ("secure", "verify", Weaker),
        ("secure match=nexthop:dot-nexthop", "secure", Same),
        ("secure match=nexthop", "secure", Weaker),
        ("secure match=a.test", "secure match=a.test:b.test", Weaker),
        ("secure match=.a.test", "secure match=mx.a.test:.a.test", Same),
        ("secure match=.a.test", "secure match=mx.a.test", Stronger),
        ("secure match=.a.test", "secure match=mx.ba.test", Different),
        ("secure match=a.test", "secure match=b.test", Different),
        ("secure match=a.test", "secure match=a.test:hostname", Weaker),
        ("secure match=a.test.", "secure match=a.test", Weaker),
        ("secure", "secure tafile=/a", Different),
        ("secure tafile=/a", "secure", Weaker),
        ("secure tafile=/a", "secure tafile=/a tafile=/b", Weaker),
        ("secure tafile=/a tafile=/b", "secure tafile=/b", Stronger),
        (&one, &two, Weaker),
        (&two, &one, Stronger),
        (&one, &other, Different),
        ("encrypt", "encrypt protocols=TLSv1.3", Stronger),
        ("encrypt", "encrypt protocols=TLSv1.2", Weaker),
        ("encrypt protocols=TLSv1.2", "encrypt protocols=TLSv1.3", Stronger),
        // Servers without TLSv1.3 get their mail in clear.
        ("may", "may protocols=TLSv1.3", Different),
        ("may", "encrypt protocols=TLSv1.2", Stronger),
        ("encrypt", "encrypt exclude=AES128", Different),
        ("encrypt", "encrypt exclude=RC4", Same),
        ("dane", "dane protocols=TLSv1.2", Weaker),
        ("encrypt", "encrypt servername=a.test", Different),
        ("encrypt", "encrypt connection_reuse=no", Different),
        ("encrypt", "encrypt policy_type=sts", Different),
        ("secure", "secure math=x", Different),
        ("secure math=x", "secure", Different),
        ("secure math=x", "may", Weaker),
        ("secure math=x", "encrypt foo=x", Same),
    ];
    for (old, new, expected) in table {
        let comparison = compare(&of(&settings, old), &of(&settings, new));
        assert_eq!(comparison.direction, *expected, "{old} -> {new}: {:?}", comparison.changes);
        assert!(comparison.direction == Same || !comparison.changes.is_empty(), "{old} -> {new}");
    }
}

#[test]
fn what_the_configuration_says_is_compared_too() {
    let old = Settings::default();
    type Change = fn(&mut Settings);
    let weaker: [(&str, &str, Aspect, Change); 5] = [
        ("secure", "secure", Aspect::Strength, |new| new.smtp.strength.rsa_bits = 512),
        ("secure", "secure", Aspect::Chains, |new| new.smtp.depth = 20),
        ("secure", "secure", Aspect::Chains, |new| new.smtp.wide_wildcards = true),
        ("dane", "dane", Aspect::InsecureMx, |new| new.smtp.insecure_mx = waxseal_policy::InsecureMx::May),
        ("dane", "dane", Aspect::Level, |new| new.smtp.dane_blind = Some("dns.dnssec is off".into())),
    ];
    for (before, after, aspect, change) in weaker {
        let mut new = old.clone();
        change(&mut new);
        let there = compare(&of(&old, before), &of(&new, after));
        let back = compare(&of(&new, after), &of(&old, before));
        assert_eq!((there.direction, back.direction), (Direction::Weaker, Direction::Stronger), "{aspect:?}");
        assert_eq!(there.changes.iter().map(|change| change.aspect).collect::<Vec<_>>(), [aspect]);
    }
    let mut new = old.clone();
    new.smtp.fingerprint_digest = DigestAlgorithm::Md5;
    let value = format!("fingerprint match={}", "ab".repeat(32));
    assert_eq!(compare(&of(&old, &value), &of(&new, &value)).direction, Direction::Weaker);
    assert_eq!(
        of(&old, "may").expect("an entry").to_entry().to_string(),
        "may ciphers=medium protocols=>=TLSv1.2 connection_reuse=yes"
    );
}
