//! The verdict.

use waxseal_types::{TlsDemand, TlsFacts};

use crate::{Question, Refused, RefusedKind, TlsAchieved, Verdict, clearance::compare};

/// Judges one connection under one demand.
///
/// It is asked after every handshake, full or resumed, and again before a kept connection serves another destination; a
/// verdict is never carried over.
#[must_use]
pub fn judge(question: &Question) -> Verdict {
    let (achieved, why) = match &question.facts {
        None => (TlsAchieved::Clear, None),
        Some(facts) => achieve(question, facts),
    };
    let outcome = compare(question, &achieved, why);
    Verdict {
        status: achieved.status(),
        matched: achieved.verified().map(|verified| verified.proof().to_owned()),
        detail: Vec::new(),
        outcome,
        achieved,
    }
}

fn achieve(question: &Question, _facts: &TlsFacts) -> (TlsAchieved, Option<Refused>) {
    let not_yet = |level: &str| {
        let reason = format!("Server certificate not verified: level {level} is not built yet");
        (TlsAchieved::Encrypted, Some(Refused::new(RefusedKind::NotTrusted, reason)))
    };
    match &*question.demand {
        TlsDemand::Clear | TlsDemand::Opportunistic | TlsDemand::Encrypted => (TlsAchieved::Encrypted, None),
        TlsDemand::Fingerprint(_) => not_yet("fingerprint"),
        TlsDemand::Names(_) => not_yet("verify or secure"),
        TlsDemand::Dane(_) => not_yet("dane"),
    }
}
