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
        reason: "postmap only warns of a duplicate in a texthash; whatever else opens the file finds no usable table",
        fits: |case, _, ours, _| {
            case.kind == "texthash"
                && matches!(ours, Answer::Failure(reason) if reason.contains("duplicate entry"))
        },
    },
    Explained {
        reason: "Postfix before 3.8 speaks LATIN1 with PostgreSQL, so that keys beyond ASCII are other keys there",
        fits: |case, key, _, _| case.kind == "pgsql" && !key.is_ascii(),
    },
    Explained {
        reason: "a rule that the engine here cannot decide fails the lookups that reach it, and is never passed over",
        fits: |case, _, ours, _| {
            matches!(case.kind, "regexp" | "pcre")
                && matches!(ours, Answer::Failure(reason) if !reason.contains("not UTF-8"))
        },
    },
    Explained {
        reason: "a result that is half a character is a failure here; Postfix sends the octets on",
        fits: |case, _, ours, _| {
            matches!(case.kind, "regexp" | "pcre")
                && matches!(ours, Answer::Failure(reason) if reason.contains("not UTF-8"))
        },
    },
];

pub(crate) fn reason(case: &Case<'_>, key: &str, ours: &Answer, theirs: &Answer) -> Option<&'static str> {
    LIST.iter().find(|entry| (entry.fits)(case, key, ours, theirs)).map(|entry| entry.reason)
}
