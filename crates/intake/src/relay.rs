//! Who may send mail through this server (postconf(5), `smtpd_relay_restrictions`).

use std::sync::Arc;

use waxseal_smtp::server::Refusal;
use waxseal_types::EnhancedStatus;

use crate::{Lookup, tls::Peer};

/// One rule. Nothing is delivered here, so that each destination is one that `reject_unauth_destination` rejects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayRule {
    /// `permit_mynetworks`: clients in `relay_from`.
    PermitMyNetworks,
    /// `permit_sasl_authenticated`.
    PermitAuthenticated,
    /// `permit_tls_clientcerts`: certificates or keys whose fingerprints are in these tables (`relay_clientcerts`).
    PermitCertificates(Arc<[String]>),
    /// `permit_tls_all_clientcerts`: certificates that lead to a trusted authority.
    PermitAllCertificates,
    /// `check_ccert_access`: what the table says to a fingerprint.
    CertificateAccess(String),
    /// `reject_unauth_destination` and `reject`.
    Reject,
    /// `defer_unauth_destination` and `defer`.
    Defer,
}

impl RelayRule {
    /// Without any configuration.
    pub const DEFAULT: [Self; 3] = [Self::PermitMyNetworks, Self::PermitAuthenticated, Self::Reject];
}

/// What is known of a client.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// It came by a unix socket: the file system decided that it may.
    pub(crate) is_local: bool,
    /// It is in `relay_from`.
    pub(crate) is_ours: bool,
    /// Its name, by AUTH.
    pub(crate) user: Option<String>,
    /// Its certificate.
    pub(crate) peer: Option<Arc<Peer>>,
}

const DEFERRED: Refusal = Refusal::new(454, EnhancedStatus::transient(7, 1), "Relay access denied");
const TROUBLE: Refusal = Refusal::new(451, EnhancedStatus::transient(3, 0), "Temporary lookup failure");
const MISCONFIGURED: Refusal =
    Refusal::new(451, EnhancedStatus::transient(3, 5), "Server configuration error");

/// What a table says to a certificate.
#[derive(Debug, PartialEq, Eq)]
enum Access {
    Permit,
    Refuse(Refusal),
    NextRule,
}

/// Whether the client may send mail to anywhere. What is asked of tables that cannot answer is refused for now, never permitted.
pub(crate) async fn judge(
    rules: &[RelayRule],
    standing: &Standing,
    tables: &dyn Lookup,
) -> Result<(), Refusal> {
    if standing.is_local {
        return Ok(());
    }
    for rule in rules {
        match rule {
            RelayRule::PermitMyNetworks if standing.is_ours => return Ok(()),
            RelayRule::PermitAuthenticated if standing.user.is_some() => return Ok(()),
            RelayRule::PermitAllCertificates
                if standing.peer.as_ref().is_some_and(|peer| peer.is_trusted()) =>
            {
                return Ok(());
            }
            RelayRule::PermitCertificates(names) => {
                let Some(peer) = &standing.peer else { continue };
                for table in names.iter() {
                    if find(tables, table, peer).await?.is_some() {
                        return Ok(());
                    }
                }
            }
            RelayRule::CertificateAccess(table) => {
                let Some(peer) = &standing.peer else { continue };
                match find(tables, table, peer).await?.map_or(Access::NextRule, |value| access(table, &value))
                {
                    Access::Permit => return Ok(()),
                    Access::Refuse(refusal) => return Err(refusal),
                    Access::NextRule => {}
                }
            }
            RelayRule::Reject => return Err(Refusal::RELAY_DENIED),
            RelayRule::Defer => return Err(DEFERRED),
            RelayRule::PermitMyNetworks
            | RelayRule::PermitAuthenticated
            | RelayRule::PermitAllCertificates => {}
        }
    }
    // Postfix takes what no rule is about; a list without an end of its own would make an open relay.
    Err(Refusal::RELAY_DENIED)
}

/// The first value for the certificate's fingerprint, or for its key's (postconf(5), `check_ccert_access`).
async fn find(tables: &dyn Lookup, table: &str, peer: &Peer) -> Result<Option<String>, Refusal> {
    for key in peer.fingerprints() {
        match tables.find(table, key).await {
            Ok(None) => {}
            Ok(found) => return Ok(found),
            Err(reason) => {
                tracing::error!(table, reason, "cannot look up a client certificate");
                return Err(TROUBLE);
            }
        }
    }
    Ok(None)
}

/// access(5), the actions that have a meaning here.
fn access(table: &str, value: &str) -> Access {
    let value = value.trim();
    let (word, text) = value.split_once([' ', '\t']).map_or((value, ""), |(word, text)| (word, text.trim()));
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    let say = |code, permanent, text: &str| {
        let status =
            if permanent { EnhancedStatus::permanent(7, 1) } else { EnhancedStatus::transient(7, 1) };
        Access::Refuse(Refusal::worded(code, status, if text.is_empty() { "Access denied" } else { text }))
    };
    match word.as_bytes() {
        _ if is("OK") || is("PERMIT") => Access::Permit,
        _ if is("DUNNO") => Access::NextRule,
        _ if is("REJECT") => say(554, true, text),
        _ if is("DEFER") => say(450, false, text),
        [b'4', b'0'..=b'9', b'0'..=b'9'] => say(word.parse().unwrap_or(450), false, text),
        [b'5', b'0'..=b'9', b'0'..=b'9'] => say(word.parse().unwrap_or(554), true, text),
        // "An all-numerical result is treated as OK."
        digits if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => Access::Permit,
        _ => {
            tracing::error!(table, value, "an action that is not understood");
            Access::Refuse(MISCONFIGURED)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Answer;

    /// One table: key to value; the key `down` cannot be looked up.
    #[derive(Debug)]
    struct One(&'static [(&'static str, &'static str)]);

    impl Lookup for One {
        fn find<'a>(&'a self, _: &'a str, key: &'a str) -> Answer<'a, Result<Option<String>, String>> {
            let found = self.0.iter().find(|(known, _)| *known == key).map(|(_, value)| (*value).to_owned());
            let answer = if key == "down" { Err("is down".to_owned()) } else { Ok(found) };
            Box::pin(async { answer })
        }
    }

    fn standing(ours: bool, user: bool, certificate: Option<(&str, &str, bool)>) -> Standing {
        Standing {
            is_local: false,
            is_ours: ours,
            user: user.then(|| "u".into()),
            peer: certificate.map(|(leaf, key, trusted)| Arc::new(Peer::for_tests(leaf, key, trusted))),
        }
    }

    async fn code(rules: &[RelayRule], standing: &Standing) -> u16 {
        let tables =
            One(&[("AA", "OK"), ("KK", "relay"), ("RR", "REJECT no"), ("44", "DEFER"), ("DD", "DUNNO")]);
        judge(rules, standing, &tables).await.map_or_else(|refusal| refusal.code, |()| 250)
    }

    #[tokio::test]
    async fn rules_are_taken_in_their_order() {
        use RelayRule as R;
        let certificates = || R::PermitCertificates([String::from("t")].into());
        let checks = || R::CertificateAccess("t".into());
        let nobody = standing(false, false, None);
        let listed = standing(false, false, Some(("AA", "xx", false)));
        let by_key = standing(false, false, Some(("xx", "KK", false)));
        let unknown = standing(false, false, Some(("xx", "yy", false)));
        let trusted = standing(false, false, Some(("xx", "yy", true)));
        let down = standing(false, false, Some(("down", "yy", true)));
        let rejected = standing(true, true, Some(("RR", "yy", true)));
        let table: [(&[RelayRule], &Standing, u16); 18] = [
            (&[], &nobody, 554),
            (&R::DEFAULT, &nobody, 554),
            (&R::DEFAULT, &standing(true, false, None), 250),
            (&R::DEFAULT, &standing(false, true, None), 250),
            (&R::DEFAULT, &listed, 554),
            (&[R::Reject, R::PermitMyNetworks], &standing(true, false, None), 554),
            (&[R::PermitMyNetworks, R::Defer], &nobody, 454),
            (&[certificates(), R::Reject], &nobody, 554),
            (&[certificates(), R::Reject], &listed, 250),
            (&[certificates(), R::Reject], &by_key, 250),
            (&[certificates(), R::Reject], &unknown, 554),
            (&[certificates(), R::PermitAllCertificates], &down, 451),
            (&[R::PermitAllCertificates, R::Reject], &unknown, 554),
            (&[R::PermitAllCertificates, R::Reject], &trusted, 250),
            (&[checks(), R::PermitMyNetworks], &rejected, 554),
            (&[R::PermitMyNetworks, checks()], &rejected, 250),
            (&[checks(), R::Reject], &standing(false, false, Some(("44", "", false))), 450),
            (&[checks(), R::PermitMyNetworks], &standing(true, false, Some(("DD", "", false))), 250),
        ];
        for (rules, standing, expected) in table {
            assert_eq!(code(rules, standing).await, expected, "{rules:?} {standing:?}");
        }
    }

    #[test]
    fn access_actions() {
        let refused = |value: &str| match access("t", value) {
            Access::Refuse(refusal) => refusal.to_string(),
            other => panic!("{value}: {other:?}"),
        };
        assert_eq!(access("t", "ok"), Access::Permit);
        assert_eq!(access("t", "1234567"), Access::Permit);
        assert_eq!(access("t", "dunno"), Access::NextRule);
        assert_eq!(refused("550 not you"), "550 5.7.1 not you");
        assert_eq!(refused("421"), "421 4.7.1 Access denied");
        assert_eq!(refused("REJECT a\r\nb"), "554 5.7.1 a??b");
        // FILTER, restriction classes and the like: nobody is let in by what is not understood.
        assert!(refused("FILTER smtp:x").starts_with("451 4.3.5"));
        assert!(refused("").starts_with("451 4.3.5"));
    }
}
