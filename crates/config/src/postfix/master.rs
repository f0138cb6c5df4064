//! The services of `master.cf` that send mail out, with the `-o` options that override `main.cf` for them (master(5)).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use waxseal_policy::{Transport, braced};
use waxseal_tables::logical_lines;
use waxseal_types::{Protocol, Service as Client};

use super::{
    expand::{is_space, names_in},
    file::{Definition, MainCf, name_and_value},
    limits,
    table::{self, Fate},
};
use crate::{
    TransportKeys, TransportService,
    problem::{Place, Problem},
};

/// A service whose program is smtp(8) or lmtp(8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) protocol: Protocol,
    pub(super) place: Place,
    /// Which of the files it belongs to, by the order on the command line.
    pub(super) file: usize,
    /// `-o name=value`.
    pub(super) options: BTreeMap<String, Definition>,
    /// The limit of processes, where there is one.
    pub(super) processes: Option<String>,
}

/// What a `master.cf` says.
#[derive(Debug, Default)]
pub(super) struct MasterCf {
    pub(super) services: Vec<Service>,
    /// Services of smtpd(8) on the network; their protocol means nothing.
    pub(super) doors: Vec<Service>,
    /// Where postscreen(8) is.
    pub(super) screens: Vec<(Place, String)>,
    /// Names of parameters that options of any service refer to.
    pub(super) mentioned: BTreeSet<String>,
    pub(super) remarks: Vec<Problem>,
}

pub(super) fn read(path: &Path, text: &str, file: usize, problems: &mut Vec<Problem>) -> MasterCf {
    let mut master = MasterCf::default();
    for line in logical_lines(text) {
        let place = Place::line(path, line.line);
        let words = words(&line.text);
        let [name, kind, _private, _unprivileged, _chroot, _wakeup, processes, command, arguments @ ..] =
            words.as_slice()
        else {
            let what = format!("{} fields where there are at least 8", words.len());
            let remedy = "write: service type private unpriv chroot wakeup maxproc command";
            problems.push(Problem::new(place, words.first().copied().unwrap_or_default(), what, remedy));
            continue;
        };
        let options = options(arguments, &place, file, problems);
        for option in options.values() {
            master.mentioned.extend(names_in(&option.raw).unwrap_or_default());
        }
        let protocol = match *command {
            "smtp" => Protocol::Smtp,
            "lmtp" => Protocol::Lmtp,
            "smtpd" if *kind == "inet" => {
                let name = (*name).to_owned();
                master.doors.push(Service {
                    name,
                    protocol: Protocol::Smtp,
                    place,
                    file,
                    options,
                    processes: None,
                });
                continue;
            }
            "postscreen" if *kind == "inet" => {
                master.screens.push((place, (*name).to_owned()));
                continue;
            }
            _ => continue,
        };
        if *kind == "inet" {
            continue;
        }
        let processes = Some((*processes).to_owned()).filter(|limit| limit != "-" && limit != "0");
        let service = Service { name: (*name).to_owned(), protocol, place, file, options, processes };
        if let Some(before) = master.services.iter().position(|known| known.name == service.name) {
            let before = master.services.remove(before);
            let what = format!("this service is also at {}", before.place);
            let remedy = "keep one of them; the last one counts";
            master.remarks.push(Problem::warning(service.place.clone(), name, what, remedy));
        }
        master.services.push(service);
    }
    master
}

/// The words of a line; white space within `{...}` does not part them.
fn words(text: &str) -> Vec<&str> {
    let (mut words, mut rest) = (Vec::new(), text.trim_matches(is_space));
    while !rest.is_empty() {
        let mut depth = 0_usize;
        let end = rest.find(|c| {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && is_space(c)
        });
        let (word, tail) = rest.split_at(end.unwrap_or(rest.len()));
        words.push(word);
        rest = tail.trim_start_matches(is_space);
    }
    words
}

/// `-o name=value`, `-oname=value` and `-o { name = value }`; other options mean nothing here. The options end at the first word that is none.
fn options(
    arguments: &[&str],
    place: &Place,
    file: usize,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Definition> {
    let mut options = BTreeMap::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next().filter(|word| word.starts_with('-') && **word != "--") {
        let Some(glued) = word.strip_prefix("-o") else { continue };
        let text = if glued.is_empty() { words.next().copied().unwrap_or_default() } else { glued };
        let inner = braced(text).unwrap_or(Ok(text));
        let parts = inner.map_err(|error| error.to_string());
        match parts.and_then(|inner| name_and_value(inner).map_err(str::to_owned)) {
            Ok((name, value)) => {
                let definition = Definition { raw: value.to_owned(), place: place.clone(), file };
                options.insert(name.to_owned(), definition);
            }
            Err(error) => {
                let remedy = "write: -o name=value, or -o { name = value } where there is white space";
                problems.push(Problem::new(place.clone(), "-o", format!("{error}: {text:?}"), remedy));
            }
        }
    }
    options
}

/// The parameters that a service decides by: those that begin with its protocol.
pub(super) fn own(protocol: Protocol, name: &str) -> bool {
    match protocol {
        Protocol::Smtp => name.starts_with("smtp_") || name == "inet_protocols",
        Protocol::Lmtp => name.starts_with("lmtp_"),
    }
}

/// The service whose options become keys.
pub(super) const fn main_service(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Smtp => "smtp",
        Protocol::Lmtp => "lmtp",
    }
}

/// What becomes of a parameter in which a service differs from the main one of its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Difference {
    /// The service has it for itself.
    Own,
    /// It is not implemented, and decides about TLS or credentials: the service is not carried out.
    Grave,
    /// It is not honoured for one service alone.
    Light,
}

/// The parameters in which a service differs from the main one of its protocol.
pub(super) fn differences(cf: &MainCf, service: &Service) -> Vec<(&'static str, Difference)> {
    let main = cf.service(main_service(service.protocol));
    if main.is_some_and(|main| main.name == service.name) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (name, row) in table::rows() {
        let difference = match row.fate {
            Fate::Key { section: "tls" | "lmtp_tls" | "transport", .. } => Difference::Own,
            Fate::Read(_) if !limits::is_one(name) => Difference::Own,
            Fate::Warned(_) if name.contains("_tls") || name.contains("_sasl_") => Difference::Grave,
            Fate::Key { .. } | Fate::Read(_) | Fate::Warned(_) => Difference::Light,
            Fate::Ignored(_) => continue,
        };
        let differs = || cf.value_for(name, Some(service)).ok() != cf.value_for(name, main).ok();
        if own(service.protocol, name) && differs() {
            found.push((name.as_str(), difference));
        }
    }
    found
}

/// Whether a service is not carried out.
pub(super) fn is_refused(cf: &MainCf, service: &Service) -> bool {
    differences(cf, service).iter().any(|(_, difference)| *difference == Difference::Grave)
}

/// What a transport of each service's name means. A service that differs from the main one of its protocol has settings of its own; where one of them
/// is not implemented and weighs, it is not carried out, so that its mail waits.
pub(super) fn transports(cf: &MainCf) -> Vec<TransportService> {
    let mut transports = Vec::new();
    for service in cf.services() {
        let all = differences(cf, service);
        let grave = all.iter().filter(|(_, difference)| *difference == Difference::Grave);
        let grave: Vec<&str> = grave.map(|(name, _)| *name).collect();
        let transport = if !grave.is_empty() {
            Transport::Refused(format!(
                "service {} has settings of its own at {} ({}), which are not implemented",
                service.name,
                service.place,
                grave.join(", ")
            ))
        } else if all.iter().any(|(_, difference)| *difference == Difference::Own) || has_limits(cf, service)
        {
            Transport::Deliver(Client::named(service.protocol, &service.name))
        } else {
            Transport::Deliver(service.protocol.into())
        };
        transports.push(TransportService { name: service.name.clone(), transport });
    }
    transports
}

/// Whether mail by a service has limits that others have not. What is wrong with them is told by [`limits::all`].
fn has_limits(cf: &MainCf, service: &Service) -> bool {
    let keys = limits::of(cf, &service.name, main_service(service.protocol), &mut Vec::new());
    keys != TransportKeys::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_and_their_options() {
        let text = "# comment\nsmtp inet n - y - - smtpd\n  -o { smtpd_x = $mua }\nsmtp unix - - y - - smtp -v\n    -o smtp_tls_security_level=encrypt\n\
                    #  -o no=no\n    -osmtp_helo_timeout=5 -o { smtp_tls_policy_maps = texthash:/a b } last -o z=z\nrelay unix - - y - 7 smtp\n\
                    lmtp unix - - y - - lmtp\nmaildrop unix - n n - - pipe\n  flags=DRXhu user=vmail argv=/bin/x -d ${recipient}\n";
        let mut problems = Vec::new();
        let master = read(Path::new("master.cf"), text, 0, &mut problems);
        assert_eq!(problems, []);
        let names: Vec<&str> = master.services.iter().map(|service| service.name.as_str()).collect();
        assert_eq!(names, ["smtp", "relay", "lmtp"]);
        let options: Vec<(&str, &str)> = master.services[0]
            .options
            .iter()
            .map(|(name, option)| (name.as_str(), option.raw.as_str()))
            .collect();
        assert_eq!(
            options,
            [
                ("smtp_helo_timeout", "5"),
                ("smtp_tls_policy_maps", "texthash:/a b"),
                ("smtp_tls_security_level", "encrypt")
            ]
        );
        assert_eq!(master.services[0].place.to_string(), "master.cf:4");
        assert_eq!(master.services[1].processes.as_deref(), Some("7"));
        assert!(master.mentioned.contains("mua"));
    }

    #[test]
    fn lines_that_are_none_are_errors() {
        let mut problems = Vec::new();
        read(
            Path::new("master.cf"),
            "smtp unix\nsmtp unix - - n - - smtp -o x\nx unix - - n - - smtp -o {a=b\n",
            0,
            &mut problems,
        );
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let starts = [
            "master.cf:1: smtp: 2 fields where there are at least 8",
            "master.cf:2: -o: missing '=' after attribute name: \"x\"",
            "master.cf:3: -o: missing '}'",
        ];
        assert!(
            lines.len() == 3 && lines.iter().zip(starts).all(|(line, start)| line.starts_with(start)),
            "{lines:#?}"
        );
    }
}
