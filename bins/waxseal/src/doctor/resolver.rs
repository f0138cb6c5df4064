//! The resolver, and whether DANE can see.

use waxseal_config::Config;
use waxseal_dns::DnssecHealth;
use waxseal_types::TlsLevel;

use super::Finding;

const AREA: &str = "resolver";

/// Whether any mail may be at `dane` or `dane-only`: by the default, or perhaps by a table.
pub(super) fn wants_dane(config: &Config) -> bool {
    let smtp = &config.policy.smtp;
    matches!(smtp.level, TlsLevel::Dane | TlsLevel::DaneOnly) || !smtp.policy_maps.is_empty()
}

pub(super) fn judge(health: &DnssecHealth, wanted: bool) -> Finding {
    match health {
        DnssecHealth::Capable => Finding::good(AREA, "it answers, and DNSSEC works"),
        DnssecHealth::Off if wanted => Finding::warning(
            AREA,
            "DNSSEC is off by configuration, so dane demands no more than may",
            "set dns.dnssec = \"validate\"",
        ),
        DnssecHealth::Off => Finding::good(AREA, "DNSSEC is off, and no level here needs it"),
        DnssecHealth::Blind { cause, reason } if wanted => Finding::bad(
            AREA,
            format!("DANE blind: {reason}; mail at dane and dane-only waits"),
            cause.remedy(),
        ),
        DnssecHealth::Blind { cause, reason } => {
            Finding::warning(AREA, format!("no answer can be secure: {reason}"), cause.remedy())
        }
        DnssecHealth::Unreachable { reason } => Finding::bad(
            AREA,
            format!("no resolver answers: {reason}"),
            "see to the resolver, or name another in dns.servers",
        ),
    }
}

#[cfg(test)]
mod tests {
    use waxseal_dns::BlindCause;

    use super::{super::State, *};

    #[test]
    fn blindness_is_bad_where_dane_is_wanted() {
        let blind = |cause| DnssecHealth::Blind { cause, reason: "seen".into() };
        let table = [
            (DnssecHealth::Capable, State::Good, State::Good),
            (DnssecHealth::Off, State::Warning, State::Good),
            (blind(BlindCause::Stripping), State::Bad, State::Warning),
            (blind(BlindCause::Untrusted), State::Bad, State::Warning),
            (DnssecHealth::Unreachable { reason: "silence".into() }, State::Bad, State::Bad),
        ];
        for (health, wanted, unwanted) in table {
            assert_eq!(judge(&health, true).state, wanted, "{health}");
            assert_eq!(judge(&health, false).state, unwanted, "{health}");
            assert_eq!(judge(&health, true).remedy.is_empty(), wanted == State::Good);
        }
    }
}
