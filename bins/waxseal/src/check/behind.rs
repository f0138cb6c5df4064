//! What lies behind a configuration: resolver, trust stores, connector, and what the policies come to.

use waxseal_config::{Config, Gravity, Place, Problem};
use waxseal_dns::Resolver;
use waxseal_policy::{Concern, TableName, findings::Finding};
use waxseal_transport::Connector;
use waxseal_trust::Store;

use super::Found;
use crate::findings;

/// Adds what is found to `found`.
pub(super) fn inspect(config: &Config, found: &mut Vec<Found>) {
    let mut problems = Vec::new();
    services(config, &mut problems);
    found.extend(problems.into_iter().map(Found::from));
    found.extend(findings::of_config(config).iter().map(of_policy));
}

/// A finding about a policy, with how bad it is.
fn of_policy(finding: &Finding) -> Found {
    let gravity = match finding.remark.concern {
        Concern::Invalid => Gravity::Error,
        Concern::Dangerous | Concern::Lowered | Concern::Unreachable | Concern::Loss => Gravity::Warning,
        Concern::Idle => Gravity::Notice,
    };
    let (place, key) = match &finding.origin {
        Some(origin) => (Place::of_text(&origin.place), &*origin.key),
        None => (Place::Default, "policy without entry"),
    };
    let (what, remedy) = (finding.remark.text.clone(), finding.remark.remedy.clone());
    let problem = Problem { gravity, place, key: key.to_owned(), what, remedy };
    Found { problem, concern: Some(finding.remark.concern.as_str()) }
}

/// Chains, keys and authorities of the intake, and the chains that it has for other names.
fn intake(config: &Config, found: &mut Vec<Problem>) {
    const REMEDY: &str = "a PEM file has the key first, then its certificate and the issuers; chmod 600";
    let (notices, error) = waxseal_intake::examine(&config.intake);
    let odd = |text: String| Problem::warning(Place::Default, "listen_tls", text, String::new());
    found.extend(notices.into_iter().map(odd));
    found.extend(error.map(|error| {
        if config.intake.tls.lenient {
            // The daemon starts, as Postfix does, and offers no TLS.
            Problem::warning(Place::Default, "listen_tls", format!("no TLS is offered: {error}"), REMEDY)
        } else {
            Problem::new(Place::Default, "listen_tls", error.to_string(), REMEDY)
        }
    }));
    for map in &config.intake.tls.sni_maps {
        for (value, origin) in config.tables.entries(&TableName::new(map)) {
            if let Err(error) = waxseal_intake::examine_chain(&value) {
                let what = format!("handshakes for this name fail: {error}");
                found.push(Problem::new(Place::of_text(&origin.place), &origin.key, what, REMEDY));
            }
        }
    }
}

fn services(config: &Config, found: &mut Vec<Problem>) {
    let error = |section: &str, error: &dyn std::error::Error| {
        Problem::new(Place::Default, section, error.to_string(), "")
    };
    let warning =
        |section: &str, text: String| Problem::warning(Place::Default, section, text, String::new());
    match Resolver::new(config.dns.clone()) {
        Ok(resolver) => found.extend(resolver.notices().into_iter().map(|text| warning("dns", text))),
        Err(fault) => found.push(error("dns", &fault)),
    }
    match Store::open(config.trust.clone()) {
        Ok((_, notices)) => found.extend(notices.iter().map(|notice| warning("tls", notice.to_string()))),
        Err(fault) => found.push(error("tls", &fault)),
    }
    if let Err(fault) = Connector::new(config.transport.clone()) {
        found.push(error("transport", &fault));
    }
    intake(config, found);
    let path = &config.spool.path;
    if path.exists() && !path.is_dir() {
        let what = format!("{} is no folder", path.display());
        let remedy = "name a folder, or a path where one can be made";
        found.push(Problem::new(Place::Default, "spool.path", what, remedy));
    }
}
