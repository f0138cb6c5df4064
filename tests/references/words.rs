//! Next hops, routes and expressions.

use std::fs;

use waxseal_config::main_cf_values;
use waxseal_policy::{
    Origin, PolicyError, Route, RouteKind, RouteLookup, Settings, Step, TableAnswer, TableName, Transport,
};
use waxseal_types::{Mailbox, NextHop, Service, Target};

use crate::{References, Tally};

/// `src/util/host_port.ref`: `>> text`, and then `host H port P` or a complaint.
pub(crate) fn host_port(references: &References) -> Tally {
    let mut tally = Tally::new("util/host_port.ref");
    let reference = references.read("util/host_port.ref");
    let reason = |text: &str| match text {
        "hhh:ppp" | "[hhh]:ppp" => Some("/etc/services is not consulted: a port by name is one of mail's"),
        "[hh.]" | "hh." => Some("a dot at the end is taken off, so that it leads past no policy"),
        _ => None,
    };
    let mut lines = reference.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(text) = line.strip_prefix(">> ").filter(|text| !text.starts_with('#')) else { continue };
        let expected = lines.peek().and_then(|line| line.strip_prefix("host ")).map(|line| {
            let (host, port) = line.split_once(" port ").unwrap();
            (host.to_owned(), port == "default-service")
        });
        let got = text.parse::<NextHop>().ok().map(|hop| {
            let host = match hop.target() {
                Target::Mx(name) | Target::Host(name) => name.to_string(),
                Target::Address(address) => address.to_string(),
                Target::Unix(path) => path.to_string(),
            };
            (host, hop.port().is_none())
        });
        tally.compare_but(text, &got, &expected, reason(text));
    }
    tally
}

fn route(settings: &Settings, to: &str, entries: &[(String, String)]) -> Result<Route, PolicyError> {
    let mut lookup = RouteLookup::new(settings, &Mailbox::new(to).unwrap());
    loop {
        let answer = match lookup.step() {
            Step::Done(result) => return result,
            Step::NeedKey { table, key } => match entries.iter().find(|(known, _)| known == key) {
                Some((_, value)) => TableAnswer::Found {
                    value: value.clone(),
                    origin: Origin::new(table.clone(), "t:1", key),
                },
                None => TableAnswer::Absent,
            },
        };
        lookup.answer(answer);
    }
}

/// `src/trivial-rewrite/transport.ref`. Its channels are names of transports: which one was chosen is seen by making all of them refuse, and the next
/// hop by letting that one deliver.
pub(crate) fn transport(references: &References) -> Tally {
    let mut tally = Tally::new("trivial-rewrite/transport.ref");
    let (input, reference) =
        (references.read("trivial-rewrite/transport.in"), references.read("trivial-rewrite/transport.ref"));
    let mut expected = reference.lines().filter(|line| line.contains(" -> "));
    let mut entries: Vec<(String, String)> = Vec::new();
    for line in input.lines() {
        if let Some((_, rest)) = line.split_once("'inline:{") {
            let entry =
                |word: &str| word.split_once('=').map(|(k, v)| (k.trim().to_owned(), v.trim().to_owned()));
            entries = rest.split_once("}'").unwrap().0.split(',').filter_map(entry).collect();
            continue;
        }
        let Some((to, _)) = line.split_once(':').filter(|(to, _)| to.contains('@')) else { continue };
        let mut settings = Settings { transport_maps: vec![TableName::new("t")], ..Settings::default() };
        for channel in ["channel0", "channel1", "channel2", "channel3"] {
            settings.transports.insert(channel.to_owned(), Transport::Refused(channel.to_owned()));
        }
        let nexthop = |route: Result<Route, PolicyError>| match route.map(|route| (route.origin, route.kind))
        {
            Ok((Some(_), RouteKind::Deliver { nexthop, .. })) => Ok(nexthop.to_string()),
            Ok((_, kind)) => Err(format!("{kind:?}")),
            Err(error) => Err(error.reason),
        };
        let got = match nexthop(route(&settings, to, &entries)) {
            Ok(nexthop) => format!("DEFAULT:{nexthop}"),
            Err(channel) if settings.transports.contains_key(&channel) => {
                settings.transports.insert(channel.clone(), Transport::Deliver(Service::SMTP));
                format!("{channel}:{}", nexthop(route(&settings, to, &entries)).unwrap())
            }
            Err(_) => "(not found)".to_owned(),
        };
        let domain = to.split_once('@').unwrap().1;
        let got = format!("{to}:{domain} -> {got}");
        tally.compare(to, &got.as_str(), &expected.next().unwrap().trim_end());
    }
    assert_eq!(expected.next(), None);
    tally
}

/// `src/util/mac_expand.ref`: blocks of definitions, then expressions, and for each its status and result. Here they are values in a main.cf, so that
/// blanks at the ends do not count.
pub(crate) fn mac_expand(references: &References) -> Tally {
    const NAME: &str = "smtpd_banner";
    let mut tally = Tally::new("util/mac_expand.ref");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("main.cf");
    let reference = references.read("util/mac_expand.ref");
    let (mut definitions, mut defining, mut expression) = (String::new(), true, "");
    for line in reference.lines() {
        if let Some(input) = line.strip_prefix("<<") {
            let input = input.strip_prefix(' ').unwrap_or(input);
            match (defining, input.is_empty()) {
                (true, true) => defining = false,
                (true, false) => definitions.push_str(&format!("{input}\n")),
                (false, true) => {
                    definitions.clear();
                    defining = true;
                }
                (false, false) => expression = input,
            }
        } else if let Some(result) = line.strip_prefix("stat=") {
            let (status, result) = result.split_once(" result=").unwrap();
            // Bit 0 is an error of syntax; bit 1 says that a name was not known, which a main.cf does not mind.
            let bad = status.parse::<u32>().unwrap() & 1 == 1;
            fs::write(&path, format!("{definitions}{NAME} = {expression}\n")).unwrap();
            let got = main_cf_values(&path, &[NAME]).ok().and_then(|values| values.get(NAME).cloned());
            let got = got.as_deref().map(str::trim);
            let own = expression.contains("test_named_fn");
            let reason = own.then_some("a function that only the test program of Postfix has");
            tally.compare_but(expression, &got, &(!bad).then_some(result.trim()), reason);
        }
    }
    tally
}
