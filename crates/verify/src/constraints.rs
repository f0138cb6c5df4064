//! Name constraints (RFC 5280 §4.2.1.10).

use waxseal_trust::{Certificate, GeneralName, Name, NameConstraints, Subtree};

use crate::{
    failure::{PathFailure, Problem},
    names,
    path::failure,
};

/// Comparisons for one path. Names times subtrees can be made large by a stranger; real chains need a few thousand.
const MAX_COMPARISONS: usize = 250_000;

/// Checks the names of each certificate against the constraints of all above it.
pub(crate) fn check(path: &[Certificate]) -> Result<(), PathFailure> {
    let mut budget = MAX_COMPARISONS;
    for (depth, certificate) in path.iter().enumerate() {
        // RFC 5280 §6.1.3 (b), (c): not those of self-issued intermediates.
        if depth > 0 && certificate.is_self_issued() {
            continue;
        }
        for issuer in path.iter().skip(depth + 1) {
            if let Some(constraints) = &issuer.extensions().name_constraints {
                within(certificate, constraints, depth == 0, &mut budget)
                    .map_err(|problem| failure(Some(certificate), depth, problem))?;
            }
        }
    }
    Ok(())
}

fn within(
    certificate: &Certificate,
    constraints: &NameConstraints,
    is_leaf: bool,
    budget: &mut usize,
) -> Result<(), Problem> {
    let subject = certificate.subject();
    if !subject.is_empty() {
        one(&GeneralName::Directory(subject.clone()), constraints, budget)?;
        for email in subject.email_addresses() {
            one(&GeneralName::Email(&email), constraints, budget)?;
        }
    }
    let mut has_dns = false;
    for name in certificate.alternative_names() {
        has_dns |= matches!(name, GeneralName::Dns(_));
        one(&name, constraints, budget)?;
    }
    // A common name that would be used as the server's name is constrained like one.
    if is_leaf && !has_dns {
        for name in subject.common_names().filter(|name| names::looks_like_a_host(name)) {
            one(&GeneralName::Dns(&name), constraints, budget)?;
        }
    }
    Ok(())
}

fn one(name: &GeneralName<'_>, constraints: &NameConstraints, budget: &mut usize) -> Result<(), Problem> {
    let all = constraints.permitted.len() + constraints.excluded.len();
    *budget = budget.checked_sub(all).ok_or(Problem::UnsupportedConstraint)?;
    let mut permitted = None;
    for subtree in &constraints.permitted {
        if let Some(inside) = covers(subtree, name)? {
            permitted = Some(permitted == Some(true) || inside);
        }
    }
    if permitted == Some(false) {
        return Err(Problem::NotPermitted);
    }
    for subtree in &constraints.excluded {
        if covers(subtree, name)? == Some(true) {
            return Err(Problem::Excluded);
        }
    }
    Ok(())
}

/// Whether the name lies in the subtree; `None` if they are of different kinds.
fn covers(subtree: &Subtree, name: &GeneralName<'_>) -> Result<Option<bool>, Problem> {
    Ok(Some(match (subtree, name) {
        (Subtree::Dns(base), GeneralName::Dns(name)) => dns(base, name),
        (Subtree::Email(base), GeneralName::Email(name)) => email(base, name)?,
        (Subtree::Uri(base), GeneralName::Uri(name)) => uri(base, name)?,
        (Subtree::Ip(base), GeneralName::Ip(name)) => ip(base, name)?,
        (Subtree::Directory(base), GeneralName::Directory(name)) => directory(base, name),
        (Subtree::Other(kind), GeneralName::Other(other)) if kind == other => {
            return Err(Problem::UnsupportedConstraint);
        }
        _ => return Ok(None),
    }))
}

fn directory(base: &Name, name: &Name) -> bool {
    name.is_within(base)
}

/// The base itself or any number of labels to its left. A leading dot, which RFC 5280 does not have here, means those below alone.
fn dns(base: &[u8], name: &[u8]) -> bool {
    if base.is_empty() {
        return true;
    }
    let Some(head) = name.len().checked_sub(base.len()) else { return false };
    let (front, tail) = name.split_at(head);
    tail.eq_ignore_ascii_case(base) && (front.is_empty() || base.starts_with(b".") || front.ends_with(b"."))
}

fn email(base: &[u8], name: &[u8]) -> Result<bool, Problem> {
    let at = |text: &[u8]| text.iter().rposition(|byte| *byte == b'@');
    let split = at(name).ok_or(Problem::UnsupportedConstraint)?;
    let (local, host) = (&name[..split], &name[split + 1..]);
    Ok(match (at(base), base.first()) {
        (Some(0), _) => host.eq_ignore_ascii_case(&base[1..]),
        (Some(split), _) => local == &base[..split] && host.eq_ignore_ascii_case(&base[split + 1..]),
        (None, Some(b'.')) => ends_below(host, base),
        (None, _) => base.is_empty() || host.eq_ignore_ascii_case(base),
    })
}

fn uri(base: &[u8], name: &[u8]) -> Result<bool, Problem> {
    let text = std::str::from_utf8(name).map_err(|_| Problem::UnsupportedConstraint)?;
    let (_, rest) = text.split_once("://").ok_or(Problem::UnsupportedConstraint)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().as_bytes();
    if host.is_empty() {
        return Err(Problem::UnsupportedConstraint);
    }
    Ok(if base.starts_with(b".") {
        ends_below(host, base)
    } else {
        base.is_empty() || host.eq_ignore_ascii_case(base)
    })
}

/// `host` lies below `.domain`.
fn ends_below(host: &[u8], dotted: &[u8]) -> bool {
    host.len() > dotted.len() && host[host.len() - dotted.len()..].eq_ignore_ascii_case(dotted)
}

fn ip(base: &[u8], name: &[u8]) -> Result<bool, Problem> {
    if !matches!(base.len(), 8 | 32) || !matches!(name.len(), 4 | 16) {
        return Err(Problem::UnsupportedConstraint);
    }
    let (address, mask) = base.split_at(base.len() / 2);
    Ok(address.len() == name.len()
        && name.iter().zip(address).zip(mask).all(|((name, address), mask)| (name ^ address) & mask == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtrees_cover_by_labels_and_not_by_letters() {
        let table: [(&str, &str, bool); 7] = [
            ("example.com", "example.com", true),
            ("example.com", "MX.Example.COM", true),
            ("example.com", "badexample.com", false),
            (".example.com", "example.com", false),
            (".example.com", "mx.example.com", true),
            ("", "anything.test", true),
            ("mx.example.com", "example.com", false),
        ];
        for (base, name, expected) in table {
            assert_eq!(dns(base.as_bytes(), name.as_bytes()), expected, "{base} {name}");
        }
        assert_eq!(email(b"example.com", b"a@example.com"), Ok(true));
        assert_eq!(email(b".example.com", b"a@example.com"), Ok(false));
        assert_eq!(email(b"b@example.com", b"a@example.com"), Ok(false));
        assert_eq!(uri(b".example.com", b"https://u@mx.example.com:25/x"), Ok(true));
        assert_eq!(ip(&[192, 0, 2, 0, 255, 255, 255, 0], &[192, 0, 2, 7]), Ok(true));
        assert_eq!(ip(&[192, 0, 2, 0, 255, 255, 255, 0], &[192, 0, 3, 7]), Ok(false));
        assert!(ip(&[192, 0, 2], &[192, 0, 3, 7]).is_err());
    }
}
