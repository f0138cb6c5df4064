//! Where this crate and postmap differ, and why that is right or does no harm. At most 25 entries.

use crate::Answer;

/// What was asked of which table.
pub(crate) struct Case<'a> {
    pub(crate) kind: &'static str,
    pub(crate) text: &'a str,
}

/// An explained difference.
pub(crate) struct Explained {
    pub(crate) reason: &'static str,
    fits: fn(&Case<'_>, &str, &Answer, &Answer) -> bool,
}

pub(crate) const LIST: &[Explained] = &[
    Explained {
        reason: "postmap only warns of a duplicate in a texthash and keeps the first; the SMTP client finds no usable table",
        fits: |case, key, ours, theirs| {
            let refused = matches!(ours, Answer::Failure(reason) if reason.contains("duplicate entry"));
            // hash: reads the same text, and is made by postmap.
            case.kind == "texthash" && refused && read_as("hash", case.text, key) == *theirs
        },
    },
    Explained {
        reason: "Postfix before 3.8 speaks LATIN1 with PostgreSQL, so that keys beyond ASCII are other keys there",
        fits: |case, key, _, _| case.kind == "pgsql" && !key.is_ascii(),
    },
    Explained {
        reason: "which of several ways a group matches: POSIX has the longest, the engine here the first; which rule matches is the same",
        fits: |case, key, ours, theirs| {
            let Answer::Value(ours) = ours else { return false };
            // Each result ends with the number of its rule.
            let rule = ours.rsplit(' ').next().unwrap_or_default();
            let line = case.text.lines().find(|line| line.ends_with(rule)).unwrap_or_default();
            let several = case.kind == "regexp" && line.contains(['|', '*', '?', '{']) && line.contains('$');
            several
                && match theirs {
                    Answer::Value(theirs) => theirs.rsplit(' ').next() == Some(rule),
                    // The longest one ends within a character.
                    Answer::Failure(why) => why.contains("query error") && !key.is_ascii(),
                    Answer::Nothing => false,
                }
        },
    },
    Explained {
        reason: "a group that is repeated, and matched nothing in the last round: PCRE then has nothing for it, the engine here the round before",
        fits: |case, _, ours, theirs| match (ours, theirs) {
            (Answer::Value(ours), Answer::Value(theirs)) => {
                let rule = ours.rsplit(' ').next().unwrap_or_default();
                let line = case.text.lines().find(|line| line.ends_with(rule)).unwrap_or_default();
                let repeated = [")+", ")*", "){"].iter().any(|end| line.contains(end));
                case.kind == "pcre"
                    && theirs.rsplit(' ').next() == Some(rule)
                    && repeated
                    && theirs.len() < ours.len()
            }
            (_, _) => false,
        },
    },
    Explained {
        reason: "glibc finds no match for a group that starts with ^ and is asked for several times, though it may be empty",
        fits: |case, _, ours, _| {
            let Answer::Value(ours) = ours else { return false };
            let rule = ours.rsplit(' ').next().unwrap_or_default();
            let line = case.text.lines().find(|line| line.ends_with(rule)).unwrap_or_default();
            case.kind == "regexp" && line.contains("(^") && line.contains("){")
        },
    },
    Explained {
        reason: "a pattern with look-around or references fails the lookup after a million steps, PCRE after ten million",
        fits: |case, _, ours, _| {
            let gave_up =
                matches!(ours, Answer::Failure(reason) if reason.contains("limit for backtracking"));
            case.kind == "pcre" && gave_up
        },
    },
];

/// What we say of a text as another kind of table.
fn read_as(kind: &str, text: &str, key: &str) -> Answer {
    let bench = crate::Bench::new();
    let name = format!("{kind}:{}", bench.write("table", text).display());
    crate::ours(&name, &[key.to_owned()]).remove(0)
}

pub(crate) fn reason(case: &Case<'_>, key: &str, ours: &Answer, theirs: &Answer) -> Option<&'static str> {
    LIST.iter().find(|entry| (entry.fits)(case, key, ours, theirs)).map(|entry| entry.reason)
}
