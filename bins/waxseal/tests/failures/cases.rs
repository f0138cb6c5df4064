//! The ten.

use waxseal_testbed::{
    Authority, Builder, Certificate, Peer,
    dns::{Break, Fault, Zone},
};

/// Where the mail goes, and its mail host.
pub(crate) const DOMAIN: &str = "partner.example";
pub(crate) const HOST: &str = "mx.partner.example";

/// What a failure is made of.
pub(crate) struct Case {
    pub(crate) title: &'static str,
    pub(crate) what: &'static str,
    /// The entry for [`DOMAIN`] in the policy table; `{ca}` is a file with the authority's root.
    pub(crate) policy: &'static str,
    pub(crate) peer: fn(&Pki) -> Builder,
    pub(crate) zone: fn(Zone, &Pki, u16) -> Zone,
    /// The code that all answers name.
    pub(crate) status: &'static str,
    /// Words that explanation and notification share.
    pub(crate) words: &'static [&'static str],
    /// Whether there is something to write to the other side.
    pub(crate) letter: bool,
}

/// Certificates.
pub(crate) struct Pki {
    pub(crate) authority: Authority,
    /// For [`HOST`].
    pub(crate) good: Certificate,
    /// What TLSA records were made of before the certificate was renewed.
    pub(crate) old: Certificate,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let authority = Authority::new("Example CA").expect("an authority");
        let good = authority.leaf(&[HOST]).issue().expect("a leaf");
        let old = authority.leaf(&[HOST]).issue().expect("a leaf");
        Self { authority, good, old }
    }
}

fn sealed(pki: &Pki) -> Builder {
    Peer::builder().starttls(pki.good.clone())
}

fn plain(zone: Zone, _: &Pki, _: u16) -> Zone {
    zone.mx(DOMAIN, 10, HOST).a(HOST, [127, 0, 0, 1]).insecure(DOMAIN)
}

fn signed(zone: Zone) -> Zone {
    zone.mx(DOMAIN, 10, HOST).a(HOST, [127, 0, 0, 1]).secure(DOMAIN)
}

fn tlsa(zone: Zone, port: u16, certificate: &Certificate) -> Zone {
    use sha2::{Digest as _, Sha256};
    zone.tlsa(HOST, port, (3, 1, 1), &Sha256::digest(certificate.public_key()))
}

pub(crate) const CASES: [Case; 10] = [
    Case {
        title: "The domain's DNSSEC signatures have expired",
        what: "The domain signs its zone, and the signatures ran out last week because the machine that renews them stopped. To a validating resolver that looks \
               like a forgery, and it might be one. The mail waits until the signatures are renewed.",
        policy: "dane",
        peer: sealed,
        zone: |zone, _, _| zone.mx(DOMAIN, 10, HOST).a(HOST, [127, 0, 0, 1]).broken(DOMAIN, Break::Expired),
        status: "4.7.0",
        words: &["Name service error for name=partner.example type=MX"],
        letter: true,
    },
    Case {
        title: "The certificate has expired, under a trust anchor of our own",
        what: "The policy says that the partner's server must have a certificate under the partner's own authority (`tafile=`). It has one, but that ran out.",
        policy: "secure match=mx.partner.example tafile={ca}",
        peer: |pki| {
            let expired = pki.authority.leaf(&[HOST]).expired().issue().expect("a leaf");
            Peer::builder().starttls(expired)
        },
        zone: plain,
        status: "4.7.5",
        words: &["Server certificate not verified", "certificate has expired"],
        letter: true,
    },
    Case {
        title: "The certificate was renewed, the TLSA record was not",
        what: "The domain publishes its server's key in signed DNS (DANE). The server got a new key, and nobody published it. From here that cannot be told from \
               somebody else's server.",
        policy: "dane",
        peer: sealed,
        zone: |zone, pki, port| tlsa(signed(zone), port, &pki.old),
        status: "4.7.5",
        words: &["Server certificate not verified"],
        letter: true,
    },
    Case {
        title: "STARTTLS is gone",
        what: "The policy demands encryption. The server, or something on the way to it, does not offer it any more: the oldest attack on mail, and also what a firewall \
               that \"inspects\" mail does.",
        policy: "encrypt",
        peer: |_| Peer::builder().without_starttls(),
        zone: plain,
        status: "4.7.4",
        words: &["TLS is required, but was not offered by host mx.partner.example"],
        letter: true,
    },
    Case {
        title: "Another server's certificate, at level secure",
        what: "The policy demands a certificate for the partner's name. DNS, which is not signed here, leads to a server with a certificate for another name: perhaps a new \
               provider, perhaps a forged answer.",
        policy: "secure match=partner.example:.partner.example tafile={ca}",
        peer: |pki| {
            let other = pki.authority.leaf(&["mail.elsewhere.example"]).issue().expect("a leaf");
            Peer::builder().starttls(other)
        },
        zone: plain,
        status: "4.7.5",
        words: &["Server certificate not verified"],
        letter: true,
    },
    Case {
        title: "Our own trust anchor file is missing",
        what: "The policy names a file of trust anchors, and the file is not there. That is our fault and nobody else's; the mail waits until it is mended, and no server is called.",
        policy: "secure match=mx.partner.example tafile=/etc/waxseal/missing.pem",
        peer: sealed,
        zone: plain,
        status: "4.7.5",
        words: &["client TLS configuration problem"],
        letter: false,
    },
    Case {
        title: "The name servers do not answer for TLSA records",
        what: "The domain is signed, but its name servers fail when they are asked for TLSA records, as some old ones and some firewalls do. An attacker who could suppress the \
               records in this way must not get the mail without them (RFC 7672 §2.1.2), so it waits.",
        policy: "dane",
        peer: sealed,
        zone: |zone, _, port| signed(zone).fault(&format!("_{port}._tcp.{HOST}"), "TLSA", Fault::ServFail),
        status: "4.7.5",
        words: &["TLSA"],
        letter: true,
    },
    Case {
        title: "Greylisting",
        what: "The server does not know this sender yet and asks to come again: no failure at all, only a delay. It is here because it looks like one in logs.",
        policy: "may",
        peer: |pki| sealed(pki).reply_to_rcpt("450 4.7.1 Greylisted, please come again in 5 minutes"),
        zone: plain,
        status: "4.7.1",
        words: &["Greylisted, please come again in 5 minutes"],
        letter: false,
    },
    Case {
        title: "The recipient does not exist",
        what: "The server says so, for good. The message is returned at once.",
        policy: "may",
        peer: |pki| sealed(pki).reply_to_rcpt("550 5.1.1 No such user here"),
        zone: plain,
        status: "5.1.1",
        words: &["550 5.1.1 No such user here"],
        letter: false,
    },
    Case {
        title: "The domain takes no mail",
        what: "The domain says in DNS, with a \"null MX\" (RFC 7505), that nobody there receives mail. Without it the mail would have been tried for days.",
        policy: "may",
        peer: sealed,
        zone: |zone, _, _| zone.mx(DOMAIN, 0, ".").insecure(DOMAIN),
        status: "5.1.10",
        words: &["Domain partner.example does not accept mail (null MX)"],
        letter: false,
    },
];
