//! Connections, as far as TLS.

use std::{collections::HashSet, io::ErrorKind, net::IpAddr};

use waxseal_transport::{Cause, OpenError, Stage, StarttlsOutcome};
use waxseal_types::Lookup;

use crate::{
    Fault, Finding,
    seen::{Call, Host, Server},
};

const STARTTLS_ON: &str = "turn STARTTLS on at this server (Postfix: smtpd_tls_security_level = may; Waxseal: listen_tls.security_level)";

/// What is wrong on the way to a handshake.
pub(super) fn of(host: &Host, server: &Server) -> Vec<Finding> {
    let mut found = match &server.call {
        Call::Tls { injected: 0, .. } => Vec::new(),
        Call::Tls { injected, .. } => vec![Finding::new(
            Fault::Injected,
            format!(
                "{injected} octets came in clear behind the reply to STARTTLS: somebody on the way adds commands (RFC 3207 §4.2)"
            ),
            "look for a proxy between here and the server, or a server that answers before it was asked",
        )],
        Call::Clear(outcome) => vec![in_clear(outcome)],
        Call::Failed(error) => vec![failed(error)],
    };
    found.extend(server.unasked.iter().map(|(kind, why)| {
        let what = format!("whether there is an {kind} chain could not be asked: {why}");
        Finding::new(Fault::ChainUnseen, what, "ask again; a server that limits connections needs time")
    }));
    found.into_iter().map(|finding| finding.of(&host.label()).at(server.address)).collect()
}

fn in_clear(outcome: &StarttlsOutcome) -> Finding {
    match outcome {
        StarttlsOutcome::Refused(reply) => Finding::new(
            Fault::StarttlsRefused,
            format!("STARTTLS is offered and refused: {reply}"),
            "see the server's log: most often its certificate or key cannot be read",
        ),
        StarttlsOutcome::NotOffered | StarttlsOutcome::NotWanted | StarttlsOutcome::Established(_) => {
            Finding::new(Fault::NoStarttls, "STARTTLS is not offered", STARTTLS_ON)
        }
        StarttlsOutcome::EhloRefused => {
            Finding::new(Fault::NoStarttls, "EHLO is refused, and HELO has no STARTTLS", STARTTLS_ON)
        }
    }
}

fn failed(error: &OpenError) -> Finding {
    match (&error.cause, error.stage) {
        (Cause::NotOffered, _) => Finding::new(
            Fault::NoStarttls,
            "STARTTLS is not offered: senders who know the TLSA records go no further",
            STARTTLS_ON,
        ),
        (Cause::Refused(reply), _) => in_clear(&StarttlsOutcome::Refused(reply.clone())),
        // The address family is missing here, which says nothing of the server.
        (Cause::Io(ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable, _), Stage::Connect) => {
            Finding::new(
                Fault::NoRoute,
                format!("it could not be called from this machine: {error}"),
                "check it from a machine that has a way to it (IPv6, most often)",
            )
        }
        (_, Stage::Tls) => Finding::new(
            Fault::HandshakeFailed,
            format!("the TLS handshake failed: {}", error.cause),
            "see the server's log: protocols, suites, or a key that does not belong to the certificate",
        ),
        _ => Finding::new(
            Fault::Unreachable,
            format!("no SMTP session: {error}"),
            "start the server at this address, or take the address out of DNS; senders try the others meanwhile",
        ),
    }
}

/// Addresses that a delivery would call and this survey did not.
pub(super) fn uncalled(host: &Host) -> Vec<Finding> {
    let Some(Ok(answer)) = &host.addresses else { return Vec::new() };
    let Lookup::Found(addresses) = &answer.lookup else { return Vec::new() };
    // A host whose lookups failed is called by nobody, and that is told already.
    if host.tlsa.iter().any(|(_, answer)| answer.is_err()) {
        return Vec::new();
    }
    let called: HashSet<IpAddr> = host.servers.iter().map(|server| server.address.ip()).collect();
    let left = addresses.iter().filter(|address| !called.contains(address)).count();
    if left == 0 {
        return Vec::new();
    }
    let what =
        format!("{left} of its {} addresses were not called: there are too many in all", addresses.len());
    vec![Finding::new(Fault::NotCalled, what, "ask about its hosts one by one, as [host]")]
}
