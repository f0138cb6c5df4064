//! The records of a host by themselves, and against all chains that it serves.

use waxseal_tlsa::{Form, Standing, coverage, rdata};
use waxseal_types::{DigestOrder, Matching, Selector, Tlsa, Usage};
use waxseal_verify::usability;

use crate::{
    Fault, Finding, Seen,
    seen::{Host, Shown},
};

/// Usable records, those that no chain knows, and those whose numbers are mistaken.
pub(super) fn of(seen: &Seen, host: &Host) -> Vec<Finding> {
    let Some((base, records)) = host.records() else { return Vec::new() };
    let digests = DigestOrder::default();
    let unusable: Vec<_> =
        records.iter().filter_map(|record| Some((record, usability(record, &digests).err()?))).collect();
    let all = unusable.len() == records.len();
    let chains: Vec<&Shown> = host.servers.iter().flat_map(|server| &server.chains).collect();
    let mut found = Vec::new();
    if all {
        let what = format!(
            "none of the {} TLSA records of {base} can be used ({}): senders encrypt to whoever answers, and dane-only senders send nothing (RFC 7672 §2.2)",
            records.len(),
            unusable.first().map(|(_, why)| why.to_string()).unwrap_or_default()
        );
        found.push(Finding::new(
            Fault::NothingUsable,
            what,
            "publish a 3 1 1 record (`waxseal tlsa generate`)",
        ));
    }
    for (record, why) in unusable.iter().filter(|_| !all) {
        let what = format!("clients pass over the record {}: {why}", short(record));
        found.push(Finding::new(Fault::RecordUnusable, what, "withdraw it, or publish it as 3 1 1"));
    }
    found.extend(records.iter().filter_map(|record| mistaken(record, &chains)));
    if !all && !chains.is_empty() {
        found.extend(unmatched(seen, host, records, &chains));
    }
    found
}

/// A record that matches nothing under its own numbers, and a certificate under others: the data is right, the numbers are not.
fn mistaken(record: &Tlsa, chains: &[&Shown]) -> Option<Finding> {
    // Of usages 0 and 1 it is told that they are not for mail.
    let is_pkix = matches!(record.usage, Usage::PkixTa | Usage::PkixEe);
    if is_pkix || chains.iter().any(|shown| is_about(record, shown)) {
        return None;
    }
    let forms = [Usage::DaneEe, Usage::DaneTa].into_iter().flat_map(|usage| {
        let of = move |selector, matching| Form { usage, selector, matching };
        [Selector::Spki, Selector::Cert].into_iter().flat_map(move |selector| {
            [Matching::Sha256, Matching::Sha512, Matching::Full].map(|matching| of(selector, matching))
        })
    });
    let right = forms.into_iter().find(|form| {
        let other =
            Tlsa { usage: form.usage, selector: form.selector, matching: form.matching, ..record.clone() };
        // Unusable numbers are told as such, with the remedy; here only where the data says more.
        *form != Form::from(record) && chains.iter().any(|shown| is_place(&other, shown))
    })?;
    let what =
        format!("the record {} says {}, and its data is that of {right}", short(record), Form::from(record));
    Some(Finding::new(Fault::RecordMistaken, what, format!("publish it as {right}")))
}

/// Whether a record is about a certificate of a chain, be that in order or not.
fn is_about(record: &Tlsa, shown: &Shown) -> bool {
    let covered =
        coverage(std::slice::from_ref(record), &[], &shown.chain, waxseal_types::UnixTime::default());
    covered.records.iter().all(|(_, standing)| matches!(standing, Standing::Matches(_) | Standing::Fails(_)))
        && is_place(record, shown)
}

/// Whether usage and place agree: 3 is about the leaf, 2 about those above it (RFC 6698 §2.1.1).
fn is_place(record: &Tlsa, shown: &Shown) -> bool {
    let pinned = Tlsa { usage: Usage::DaneEe, ..record.clone() };
    let at = shown.chain.iter().position(|der| {
        let covered = coverage(
            std::slice::from_ref(&pinned),
            &[],
            std::slice::from_ref(der),
            waxseal_types::UnixTime::default(),
        );
        covered.is_covered()
    });
    match record.usage {
        Usage::DaneEe | Usage::PkixEe => at == Some(0),
        Usage::DaneTa | Usage::PkixTa => {
            at.is_some_and(|at| at > 0) || (at == Some(0) && shown.chain.len() == 1 && is_own_issuer(shown))
        }
        Usage::Unassigned(_) => false,
    }
}

fn is_own_issuer(shown: &Shown) -> bool {
    shown.certificates().next().is_some_and(|leaf| leaf.is_root())
}

/// Records that no chain of any address knows: of the key before or the key after. While others match that is how a rollover looks.
fn unmatched(seen: &Seen, host: &Host, records: &[Tlsa], chains: &[&Shown]) -> Vec<Finding> {
    let Some((base, _)) = host.records() else { return Vec::new() };
    let names: Vec<_> = std::iter::once(base).chain(seen.domain()).cloned().collect();
    let standing = |record: &Tlsa| {
        let one = |shown: &&&Shown| {
            coverage(std::slice::from_ref(record), &names, &shown.chain, seen.at).records.into_iter().next()
        };
        chains.iter().filter_map(|shown| one(&shown)).map(|(_, standing)| standing).collect::<Vec<_>>()
    };
    let known: Vec<(&Tlsa, Vec<Standing>)> =
        records.iter().map(|record| (record, standing(record))).collect();
    let matches = |list: &[Standing]| list.iter().any(|one| matches!(one, Standing::Matches(_)));
    // Where nothing matches at all, the chains' own findings say so.
    if !known.iter().any(|(_, list)| matches(list)) {
        return Vec::new();
    }
    let stray = known.iter().filter(|(_, list)| list.iter().all(|one| matches!(one, Standing::Other)));
    stray
        .filter(|(record, _)| mistaken(record, chains).is_none())
        .map(|(record, _)| {
            Finding::new(
                Fault::RecordUnmatched,
                format!(
                    "the record {} matches no chain of any address: of an old key, or of the next one",
                    short(record)
                ),
                "withdraw it where it is old; leave it where a rollover is under way",
            )
        })
        .collect()
}

/// With as much of the data as tells it from others.
pub(super) fn short(record: &Tlsa) -> String {
    let text = rdata(record);
    let shown: String = text.chars().take(22).collect();
    if shown.len() < text.len() { format!("{shown}...") } else { shown }
}
