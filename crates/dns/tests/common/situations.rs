//! A name space of many zones, generated: what a zone can be, times what a name in it can be.
#![allow(dead_code, reason = "each test file uses its own part")]

use waxseal_testbed::dns::{Break, Zone};

const LOCAL: [u8; 4] = [127, 0, 0, 1];

type Make = fn(Zone, &str) -> Zone;

/// What a zone can be. A zone comes behind the one above it.
const ZONES: &[(&str, Make)] = &[
    ("nsec.test", |zone, apex| zone.secure(apex)),
    ("nsec8.test", |zone, apex| zone.secure(apex).algorithm(apex, 8)),
    ("nsec10.test", |zone, apex| zone.secure(apex).algorithm(apex, 10)),
    ("nsec14.test", |zone, apex| zone.secure(apex).algorithm(apex, 14)),
    ("nsec15.test", |zone, apex| zone.secure(apex).algorithm(apex, 15)),
    ("hashed.test", |zone, apex| zone.secure(apex).nsec3(apex, 0)),
    ("hashed8.test", |zone, apex| zone.secure(apex).nsec3(apex, 0).algorithm(apex, 8)),
    ("hashed10.test", |zone, apex| zone.secure(apex).nsec3(apex, 1).algorithm(apex, 10)),
    ("hashed15.test", |zone, apex| zone.secure(apex).nsec3(apex, 10).algorithm(apex, 15)),
    ("most-hashed.test", |zone, apex| zone.secure(apex).nsec3(apex, 150)),
    ("over-hashed.test", |zone, apex| zone.secure(apex).nsec3(apex, 151)),
    ("absurd.test", |zone, apex| zone.secure(apex).nsec3(apex, 501)),
    ("opted.test", |zone, apex| zone.secure(apex).opt_out(apex)),
    ("plain.test", |zone, apex| zone.insecure(apex)),
    ("unknown.test", |zone, apex| zone.broken(apex, Break::UnknownAlgorithm)),
    ("expired.test", |zone, apex| zone.broken(apex, Break::Expired)),
    ("early.test", |zone, apex| zone.broken(apex, Break::NotYetValid)),
    ("soon.test", |zone, apex| zone.broken(apex, Break::SoonValid)),
    ("badds.test", |zone, apex| zone.broken(apex, Break::WrongDs)),
    ("stripped.test", |zone, apex| zone.broken(apex, Break::Unsigned)),
    ("badkey.test", |zone, apex| zone.secure(apex).tampered(apex, "DNSKEY")),
    ("badds8.test", |zone, apex| zone.broken(apex, Break::WrongDs).algorithm(apex, 8)),
    ("expired15.test", |zone, apex| zone.broken(apex, Break::Expired).algorithm(apex, 15)),
    // Below others.
    ("sub.nsec.test", |zone, apex| zone.secure(apex)),
    ("deep.empty.nsec.test", |zone, apex| zone.secure(apex)),
    ("plain.nsec.test", |zone, apex| zone.insecure(apex)),
    ("badds.nsec.test", |zone, apex| zone.broken(apex, Break::WrongDs)),
    ("sub.hashed.test", |zone, apex| zone.secure(apex)),
    ("plain.hashed.test", |zone, apex| zone.insecure(apex)),
    ("expired.hashed.test", |zone, apex| zone.broken(apex, Break::Expired)),
    ("sub.opted.test", |zone, apex| zone.secure(apex)),
    ("plain.opted.test", |zone, apex| zone.insecure(apex)),
    ("stripped.opted.test", |zone, apex| zone.broken(apex, Break::Unsigned)),
    ("island.plain.test", |zone, apex| zone.secure(apex)),
    ("sub.expired.test", |zone, apex| zone.secure(apex)),
    ("plain.badds.test", |zone, apex| zone.insecure(apex)),
];

/// Zones that aliases of all zones lead to: one of each state.
const TARGETS: &[&str] =
    &["nsec.test", "hashed.test", "opted.test", "plain.test", "expired.test", "badds.test"];

/// What a name in a zone can be; `@` is the zone.
const QUESTIONS: &[(&str, &str)] = &[
    ("MX", "@"),
    ("A", "mx.@"),
    ("TLSA", "mx.@"),
    // No data, no name, empty non-terminals.
    ("A", "text.@"),
    ("CNAME", "mx.@"),
    ("A", "nothing.@"),
    ("A", "deep.below.nothing.@"),
    ("TLSA", "nothing.@"),
    ("A", "ent.@"),
    ("TLSA", "a.ent.@"),
    // Wildcards.
    ("A", "any.wild.@"),
    ("A", "deep.any.wild.@"),
    ("MX", "any.wild.@"),
    ("A", "exact.wild.@"),
    ("TLSA", "exact.wild.@"),
    ("A", "any.alias-wild.@"),
    ("A", "any.alias-out.@"),
    ("A", "any.alias-opted.@"),
    ("CNAME", "any.alias-opted.@"),
    // Aliases within the zone.
    ("A", "alias.@"),
    ("TLSA", "alias.@"),
    ("CNAME", "alias.@"),
    ("A", "alias-of-alias.@"),
    ("A", "alias-of-text.@"),
    ("A", "alias-of-nothing.@"),
    ("A", "alias-of-tampered.@"),
    // DNAME.
    ("A", "mx.old.@"),
    ("TLSA", "mx.old.@"),
    ("A", "text.old.@"),
    ("A", "nothing.old.@"),
    ("A", "mx.gone.@"),
    ("A", "old.@"),
    // Signatures of single sets.
    ("A", "tampered.@"),
    ("TLSA", "tampered.@"),
];

/// The same of names that lead to each of the targets; `+` is the target.
const LEADING: &[(&str, &str)] =
    &[("A", "to-+.@"), ("TLSA", "to-+.@"), ("CNAME", "to-+.@"), ("A", "text-+.@"), ("A", "none-+.@")];

/// One question.
#[derive(Debug, Clone)]
pub(crate) struct Situation {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// The zone that the name is in.
    pub(crate) zone: &'static str,
}

/// The name space that [`situations`] ask about.
pub(crate) fn world() -> Zone {
    let mut zone = Zone::new();
    for (apex, make) in ZONES {
        zone = names(make(zone, apex), apex);
    }
    zone
}

/// Every question in every zone.
pub(crate) fn situations() -> Vec<Situation> {
    let mut all = Vec::new();
    for (zone, _) in ZONES {
        let mut add = |kind, name: String| all.push(Situation { kind, name: name.replace('@', zone), zone });
        for (kind, name) in QUESTIONS {
            add(kind, (*name).to_owned());
        }
        for target in TARGETS {
            for (kind, name) in LEADING {
                add(kind, name.replace('+', &label(target)));
            }
        }
    }
    all
}

fn label(zone: &str) -> String {
    zone.replace('.', "-")
}

fn names(zone: Zone, apex: &str) -> Zone {
    let at = |name: &str| format!("{name}.{apex}");
    let host = at("mx");
    let mut zone = zone
        .mx(apex, 10, &host)
        .a(&host, LOCAL)
        .tlsa(&host, 25, (3, 1, 1), &[7; 32])
        .txt(&at("text"), "no address here")
        .a(&at("a.ent"), LOCAL)
        .a(&at("*.wild"), LOCAL)
        .tlsa(&at("exact.wild"), 25, (3, 1, 1), &[9; 32])
        .cname(&at("*.alias-wild"), &host)
        .cname(&at("*.alias-out"), "mx.plain.test")
        .cname(&at("*.alias-opted"), "text.opted.test")
        .cname(&at("alias"), &host)
        .cname(&at("_25._tcp.alias"), &format!("_25._tcp.{host}"))
        .cname(&at("alias-of-alias"), &at("alias"))
        .cname(&at("alias-of-text"), &at("text"))
        .cname(&at("alias-of-nothing"), &at("nothing"))
        .cname(&at("alias-of-tampered"), &at("tampered"))
        .dname(&at("old"), apex)
        .dname(&at("gone"), "plain.test")
        .a(&at("tampered"), LOCAL)
        .tampered(&at("tampered"), "A")
        .tlsa(&at("tampered"), 25, (3, 1, 1), &[7; 32])
        .tampered(&format!("_25._tcp.{}", at("tampered")), "TLSA");
    for target in TARGETS {
        let to = label(target);
        zone = zone
            .cname(&at(&format!("to-{to}")), &format!("mx.{target}"))
            .cname(&at(&format!("_25._tcp.to-{to}")), &format!("_25._tcp.mx.{target}"))
            .cname(&at(&format!("text-{to}")), &format!("text.{target}"))
            .cname(&at(&format!("none-{to}")), &format!("nothing.{target}"));
    }
    zone
}
