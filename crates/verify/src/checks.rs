//! What each certificate of a path must be (RFC 5280 §6.1), as OpenSSL has it for the purposes "TLS server" and "TLS client".

use waxseal_trust::{AnchorRules, Certificate, KeyKind, KeyParts, spki_of};
use waxseal_types::Strength;

use crate::{
    constraints,
    failure::{PathFailure, Problem},
    path::{Demanded, End, Purpose, Rules, Trust, failure},
    signature,
};

/// Checks a whole path, whose signatures are known to be right. The server's certificate is the first.
pub(crate) fn check(
    path: &[Certificate],
    end: &End,
    trust: Trust<'_>,
    rules: Rules,
) -> Result<(), PathFailure> {
    let top = path.len().saturating_sub(1);
    let mut intermediates = 0;
    for (depth, certificate) in path.iter().enumerate() {
        let bad = |problem| failure(Some(certificate), depth, problem);
        one(certificate, depth, depth == top, rules.purpose).map_err(bad)?;
        // RFC 5280 §6.1.4 (l), (m): self-issued intermediates do not count.
        let allowed = certificate.extensions().basic.and_then(|basic| basic.path_length);
        if depth > 0 && allowed.is_some_and(|allowed| intermediates > allowed as usize) {
            return Err(bad(Problem::PathLength));
        }
        if depth > 0 && !certificate.is_self_issued() {
            intermediates += 1;
        }
    }
    strength(path, end, rules.demanded)?;
    // The anchor's own dates depend on who trusts it.
    let dated = if anchor_expires(path, end, trust) { path.len() } else { top };
    // From the top down, as OpenSSL does: an expired authority is the more telling reason.
    for (depth, certificate) in path.iter().enumerate().take(dated).rev() {
        valid_now(certificate, rules).map_err(|problem| failure(Some(certificate), depth, problem))?;
    }
    constraints::check(path)
}

/// What a certificate must be by itself.
fn one(certificate: &Certificate, depth: usize, is_top: bool, purpose: Purpose) -> Result<(), Problem> {
    let extensions = certificate.extensions();
    if let Some(what) = extensions.malformed {
        return Err(Problem::Malformed(what));
    }
    // RFC 5280 §4.2: reject the certificate.
    if extensions.unknown_critical {
        return Err(Problem::UnknownCritical);
    }
    if depth > 0 && !may_issue(certificate, is_top) {
        return Err(Problem::NotAnAuthority);
    }
    let is_issuer = depth > 0;
    match purpose {
        Purpose::Server if serves(certificate, is_issuer) => Ok(()),
        Purpose::Server => Err(Problem::NotForServers),
        Purpose::Client if is_for_clients(certificate, is_issuer) => Ok(()),
        Purpose::Client => Err(Problem::NotForClients),
    }
}

/// Whether it may have issued a certificate. Below the top it must say so outright. At the top an old root may leave it out:
/// version 1, or a key usage that allows it (OpenSSL's `check_ca`).
fn may_issue(certificate: &Certificate, is_top: bool) -> bool {
    let extensions = certificate.extensions();
    // RFC 5280 §6.1.4 (n).
    if extensions.key_usage.is_some_and(|usage| !usage.signs_certificates()) {
        return false;
    }
    match extensions.basic {
        Some(basic) => basic.ca,
        None if !is_top => false,
        None => (certificate.version() == 1 && certificate.is_root()) || extensions.key_usage.is_some(),
    }
}

/// Extended key usage counts in issuers, too. anyExtendedKeyUsage is not serverAuth, for OpenSSL.
fn serves(certificate: &Certificate, is_issuer: bool) -> bool {
    let extensions = certificate.extensions();
    let extended = extensions.extended.is_none_or(|usage| usage.server);
    extended && (is_issuer || extensions.key_usage.is_none_or(waxseal_trust::KeyUsage::serves_tls))
}

/// The same for clients (OpenSSL's `check_purpose_ssl_client`).
fn is_for_clients(certificate: &Certificate, is_issuer: bool) -> bool {
    let extensions = certificate.extensions();
    let extended = extensions.extended.is_none_or(|usage| usage.client);
    extended && (is_issuer || extensions.key_usage.is_none_or(waxseal_trust::KeyUsage::proves_clients))
}

/// OpenSSL's security level 1, which Postfix sets where the peer must match: 80 bits. RSA has them from 1024 bits, SHA-1 not.
fn strength(path: &[Certificate], end: &End, demanded: Demanded) -> Result<(), PathFailure> {
    // What nobody relies on is the signature of the certificate that is trusted itself.
    let signed = if end.is_key() { path.len() } else { path.len().saturating_sub(1) };
    for (depth, certificate) in path.iter().enumerate() {
        let bad = |problem| Err(failure(Some(certificate), depth, problem));
        if let Some(bits) = short_rsa(certificate.spki(), demanded) {
            return bad(Problem::WeakKey { bits, least: demanded.rsa_bits });
        }
        if !demanded.sha1
            && depth < signed
            && signature::hash(&certificate.signed()).is_some_and(signature::Hash::is_weak)
        {
            return bad(Problem::WeakSignature);
        }
    }
    Ok(())
}

/// Whether a server that is known by its own certificate or key is as strong as configured. Without a setting it may have any
/// key that TLS takes: nothing else in its chain counts, and OpenSSL looks at none of it either.
pub(crate) fn pinned(leaf: &[u8], strength: Strength) -> Result<(), PathFailure> {
    let demanded = Demanded::unmatched(strength);
    match spki_of(leaf).and_then(|spki| short_rsa(spki, demanded)) {
        None => Ok(()),
        Some(bits) => {
            let problem = Problem::WeakKey { bits, least: demanded.rsa_bits };
            Err(failure(Certificate::parse(leaf).ok().as_ref(), 0, problem))
        }
    }
}

/// The bits of an RSA key that is shorter than demanded.
fn short_rsa(spki: &[u8], demanded: Demanded) -> Option<usize> {
    match KeyParts::new(spki).map(|parts| parts.kind) {
        Some(KeyKind::Rsa(bits)) if bits < demanded.rsa_bits => Some(bits),
        _ => None,
    }
}

/// Whether the dates of the certificate at the top count.
fn anchor_expires(path: &[Certificate], end: &End, trust: Trust<'_>) -> bool {
    let Some(top) = path.last() else { return true };
    match (end, trust) {
        (End::Key(_) | End::RecordKey(_), _) => true,
        // postconf(5), smtp_tls_trust_anchor_file: "not subject to expiration".
        (End::Anchor(_), Trust::Anchors(anchors)) => anchors.rules() == AnchorRules::Authorities,
        // OpenSSL checks the dates of a DANE-TA root, and not of an intermediate that is an anchor; the lab decides.
        (End::Record(_) | End::Anchor(_), _) => top.is_self_issued(),
    }
}

fn valid_now(certificate: &Certificate, rules: Rules) -> Result<(), Problem> {
    let now = i64::try_from(rules.now.as_secs()).unwrap_or(i64::MAX);
    match (certificate.not_before(), certificate.not_after()) {
        (Some(start), _) if now < start => Err(Problem::NotYetValid),
        // RFC 5280 §4.1.2.5: valid through the second of notAfter.
        (Some(_), Some(end)) if now > end => Err(Problem::Expired),
        (Some(_), Some(_)) => Ok(()),
        _ => Err(Problem::UnreadableDate),
    }
}
