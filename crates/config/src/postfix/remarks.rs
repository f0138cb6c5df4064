//! What an operator should know of a `main.cf` and a `master.cf` beyond errors.

use waxseal_types::Protocol;

use super::{
    MainCf, doors,
    expand::names_in,
    file::Definition,
    limits,
    master::{self, Difference, Service},
    table::{self, Fate},
};
use crate::problem::{Problem, nearest};

/// Parameters whose names are made from those of transports (postconf(5), "transport-specific"), and that are not implemented.
const OF_TRANSPORTS: [&str; 2] = ["_transport_rate_delay", "_time_limit"];

pub(super) fn collect(cf: &MainCf, all: &mut Vec<Problem>) {
    for (name, definition) in cf.definitions() {
        not_implemented(cf, name, definition, None, all);
        if let Err(error) = names_in(&definition.raw) {
            let what = format!("{error}; this part of the value is not in force");
            all.push(Problem::warning(
                definition.place.clone(),
                name,
                what,
                "correct it before something changes",
            ));
        }
    }
    for service in cf.services() {
        if service.name == master::main_service(service.protocol) {
            options(cf, service, all);
        } else {
            other_service(cf, service, all);
        }
        if let Some(limit) = &service.processes {
            let what = format!("{}: the limit of {limit} processes is not obeyed", service.name);
            let remedy = "queue.destination_concurrency_limit bounds what one destination gets";
            all.push(Problem::notice(service.place.clone(), "maxproc", what, remedy));
        }
    }
    doors::remarks(cf, all);
    unknown(cf, all);
}

/// A parameter that would matter, is not implemented, and is set to something else than its default.
fn not_implemented(
    cf: &MainCf,
    name: &str,
    definition: &Definition,
    service: Option<&Service>,
    all: &mut Vec<Problem>,
) {
    let Some(meaning) = meaning(cf, name) else { return };
    let value = cf.value_for(name, service).unwrap_or_else(|_| definition.raw.clone());
    if cf.default_for(name).is_some_and(|default| default.eq_ignore_ascii_case(&value)) {
        return;
    }
    // postconf(5), mydestination: without one, nothing is local anyway. Policy maps replace per-site tables.
    let maps =
        name.strip_suffix("per_site").map(|prefix| cf.value_for(&format!("{prefix}policy_maps"), service));
    if (name == "mydestination" && value.is_empty()) || matches!(&maps, Some(Ok(maps)) if !maps.is_empty()) {
        return;
    }
    let what = format!("is not implemented: {meaning}");
    // Its entries may demand more than anything else does, so nothing is sent without them.
    if maps.is_some() {
        let remedy = "move its entries to a policy table: NONE, MAY, MUST and MUST_NOPEERMATCH are none, may, verify and encrypt there";
        all.push(Problem::new(definition.place.clone(), name, what, remedy));
        return;
    }
    let remedy = "leave it out, or keep the mail that needs it with Postfix";
    all.push(Problem::warning(definition.place.clone(), name, what, remedy));
}

/// What it means that a parameter is not obeyed, where that matters.
fn meaning(cf: &MainCf, name: &str) -> Option<&'static str> {
    if let Some(row) = table::row(name) {
        return match row.fate {
            Fate::Warned(meaning) => Some(meaning),
            Fate::Key { .. } | Fate::Read(_) | Fate::Ignored(_) => None,
        };
    }
    let transport = OF_TRANSPORTS.iter().find_map(|end| name.strip_suffix(end))?;
    cf.service(transport).map(|_| "there is no such limit")
}

/// Options of one service.
fn options(cf: &MainCf, service: &Service, all: &mut Vec<Problem>) {
    let mentioned = cf.mentioned();
    for (name, option) in &service.options {
        let Some(row) = table::row(name) else {
            // A name of the operator's own, for `$name`.
            if !mentioned.contains(name) {
                all.push(misspelt(name, option));
            }
            continue;
        };
        let helo = service.protocol == Protocol::Smtp && name == "myhostname";
        match row.fate {
            Fate::Warned(_) => not_implemented(cf, name, option, Some(service), all),
            Fate::Ignored(_) => {}
            Fate::Key { .. } | Fate::Read(_) if master::own(service.protocol, name) || helo => {}
            Fate::Key { .. } | Fate::Read(_) => {
                let what =
                    format!("-o {name}={} is not honoured for service {} alone", option.raw, service.name);
                all.push(Problem::warning(
                    option.place.clone(),
                    name,
                    what,
                    "set it in main.cf, where it holds for all mail",
                ));
            }
        }
    }
}

/// A service beside `smtp` and `lmtp`.
fn other_service(cf: &MainCf, service: &Service, all: &mut Vec<Problem>) {
    options(cf, service, all);
    let differences = master::differences(cf, service);
    let main = master::main_service(service.protocol);
    let names = |kind: Difference| {
        let names = differences.iter().filter(|(_, found)| *found == kind).map(|(name, _)| *name);
        names.collect::<Vec<_>>().join(", ")
    };
    let (grave, light) = (names(Difference::Grave), names(Difference::Light));
    if !grave.is_empty() {
        let what = format!(
            "the service has settings of its own ({grave}), which are not implemented: mail for transport {} waits",
            service.name
        );
        let remedy = format!("let transport_maps say {main}:, or keep this mail with Postfix");
        all.push(Problem::warning(service.place.clone(), &service.name, what, remedy));
    }
    if !light.is_empty() {
        let what =
            format!("it differs from {main} in {light}, which is not honoured: it goes by those of {main}");
        all.push(Problem::warning(
            service.place.clone(),
            &service.name,
            what,
            "set them in main.cf, where they hold for all mail",
        ));
    }
}

/// Names that Postfix does not have and that no value refers to: perhaps misspelt.
fn unknown(cf: &MainCf, all: &mut Vec<Problem>) {
    let mentioned = cf.mentioned();
    for (name, definition) in cf.definitions() {
        let of_transport = limits::is_one(name) || OF_TRANSPORTS.iter().any(|end| name.ends_with(end));
        // Parameters of tables in the old style, and classes of restrictions.
        let of_others =
            cf.definitions().any(|(other, definition)| other != name && mentions(&definition.raw, name));
        if table::row(name).is_none() && !of_transport && !of_others && !mentioned.contains(name) {
            all.push(misspelt(name, definition));
        }
    }
}

/// Whether the words of a value have `name`, or a table `type:prefix` whose parameters begin with that prefix.
fn mentions(value: &str, name: &str) -> bool {
    value.split(|c: char| c.is_ascii_whitespace() || c == ',').any(|word| {
        let prefix = word.rsplit_once(':').map(|(_, prefix)| prefix).filter(|prefix| !prefix.is_empty());
        word == name || prefix.is_some_and(|prefix| !prefix.contains('/') && name.starts_with(prefix))
    })
}

/// A warning where the name that may be meant decides about TLS or delivery.
fn misspelt(name: &str, definition: &Definition) -> Problem {
    let what = "Postfix has no parameter of this name, and nothing refers to it";
    let Some(near) = nearest(name, table::rows().keys().map(String::as_str)) else {
        return Problem::notice(definition.place.clone(), name, what, "leave it out if it is left over");
    };
    let matters = table::row(near).is_some_and(|row| match row.fate {
        Fate::Key { .. } | Fate::Read(_) | Fate::Warned(_) => true,
        Fate::Ignored(_) => false,
    });
    let remedy = format!("did you mean {near}?");
    let make = if matters { Problem::warning } else { Problem::notice };
    make(definition.place.clone(), name, what, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_in_the_old_style_have_parameters_of_their_own() {
        assert!(mentions("hash:/a, ldap:people", "people_server_host"));
        assert!(mentions("permit_x, ours", "ours"));
        assert!(!mentions("hash:/etc/people", "people_server_host"));
    }
}
