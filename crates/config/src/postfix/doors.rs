//! The services of `master.cf` that take mail in (smtpd(8)), and where they listen.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::{
    MainCf,
    expand::is_space,
    master::Service,
    table::{self, Fate},
};
use crate::problem::Problem;

/// Parameters that decide which key a listener goes to.
const TAKEN: [&str; 3] = ["smtpd_tls_security_level", "smtpd_tls_wrappermode", "smtpd_enforce_tls"];

/// One listener: its key in `[listen]`, and its addresses.
pub(super) struct Listener<'a> {
    pub(super) key: &'static str,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) door: &'a Service,
}

/// All listeners, and what is wrong with those that cannot be had.
pub(super) fn listeners(cf: &MainCf) -> (Vec<Listener<'_>>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut listeners = Vec::new();
    for door in cf.doors() {
        match addresses(cf, door) {
            Ok(addresses) => listeners.push(Listener { key: key(cf, door), addresses, door }),
            Err(what) => {
                let what = format!("nobody listens here: {what}");
                let remedy = "write its address into listen.smtp, listen.submission or listen.submissions";
                problems.push(Problem::warning(door.place.clone(), &door.name, what, remedy));
            }
        }
    }
    (listeners, problems)
}

fn is_yes(cf: &MainCf, name: &str, door: &Service) -> bool {
    cf.value_for(name, Some(door)).is_ok_and(|value| value.eq_ignore_ascii_case("yes"))
}

/// Whether TLS is demanded (postconf(5), `smtpd_tls_security_level`; where that is empty, `smtpd_enforce_tls` counts).
fn demands_tls(cf: &MainCf, door: Option<&Service>) -> bool {
    let value = |name: &str| cf.value_for(name, door).unwrap_or_default();
    match value("smtpd_tls_security_level").as_str() {
        "" => value("smtpd_enforce_tls").eq_ignore_ascii_case("yes"),
        level => level == "encrypt",
    }
}

/// What demands TLS although not all listeners do has a key of its own.
fn key(cf: &MainCf, door: &Service) -> &'static str {
    if is_yes(cf, "smtpd_tls_wrappermode", door) {
        "submissions"
    } else if demands_tls(cf, Some(door)) && !demands_tls(cf, None) {
        "submission"
    } else {
        "smtp"
    }
}

/// `smtp`, `127.0.0.1:10025`, `[::1]:submission` (master(5)).
fn addresses(cf: &MainCf, door: &Service) -> Result<Vec<SocketAddr>, String> {
    let (host, port) = match door.name.rsplit_once(':') {
        Some((host, port)) => (Some(host), port),
        None => (None, door.name.as_str()),
    };
    let port = match port {
        "smtp" => 25,
        "smtps" | "submissions" => 465,
        "submission" => 587,
        number => number.parse().map_err(|_| format!("{port:?} is no port"))?,
    };
    let hosts = match host {
        Some(host) if !host.is_empty() => of_host(host)?,
        Some(_) | None => interfaces(cf, door)?,
    };
    Ok(hosts.into_iter().map(|host| SocketAddr::new(host, port)).collect())
}

fn of_host(host: &str) -> Result<Vec<IpAddr>, String> {
    if host == "localhost" {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse().map(|address| vec![address]).map_err(|_| format!("{host:?} is no address"))
}

/// postconf(5), `inet_interfaces`, of the families of `inet_protocols` that this machine has.
fn interfaces(cf: &MainCf, door: &Service) -> Result<Vec<IpAddr>, String> {
    let value = |name: &str| cf.value_for(name, Some(door)).unwrap_or_default();
    let mut hosts = Vec::new();
    let interfaces = value("inet_interfaces");
    for word in interfaces.split(|c: char| is_space(c) || c == ',').filter(|word| !word.is_empty()) {
        hosts.extend(match word {
            "all" => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            "loopback-only" => of_host("localhost")?,
            host => of_host(host)?,
        });
    }
    let protocols = value("inet_protocols");
    let has = |word: &str| protocols.contains("all") || protocols.contains(word);
    // As Postfix, which goes on with what the system has.
    let (v4, v6) = (has("ipv4"), has("ipv6") && UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok());
    hosts.retain(|host: &IpAddr| if host.is_ipv4() { v4 } else { v6 });
    if hosts.is_empty() {
        Err("inet_interfaces and inet_protocols leave no address".into())
    } else {
        Ok(hosts)
    }
}

/// Options of listeners that cannot be honoured for one of them alone.
pub(super) fn remarks(cf: &MainCf, all: &mut Vec<Problem>) {
    all.extend(listeners(cf).1);
    for door in cf.doors() {
        for (name, option) in &door.options {
            if name == "smtpd_sasl_auth_enable" && is_yes(cf, name, door) {
                let what =
                    "AUTH is offered over TLS, and only where listen.auth_users names a table of users";
                all.push(Problem::notice(option.place.clone(), name, what, "set listen.auth_users"));
            }
            let counts = table::row(name).is_some_and(|row| match row.fate {
                Fate::Key { section, .. } => section.starts_with("listen"),
                Fate::Read(_) | Fate::Warned(_) => name.starts_with("smtpd_"),
                Fate::Ignored(_) => name.starts_with("smtpd_") && name.ends_with("_restrictions"),
            });
            let differs = || cf.value_for(name, Some(door)).ok() != cf.value_for(name, None).ok();
            if counts && !TAKEN.contains(&name.as_str()) && differs() {
                let what =
                    format!("-o {name}={} is not honoured for listener {} alone", option.raw, door.name);
                let remedy = "set it in main.cf, where it holds for all listeners";
                all.push(Problem::warning(option.place.clone(), name, what, remedy));
            }
        }
        // A level below the one of all is not taken: what is offered to all is offered here, too.
        let level = |door| cf.value_for("smtpd_tls_security_level", door).unwrap_or_default();
        if key(cf, door) == "smtp" && level(Some(door)) != level(None) {
            let what = format!("listener {} has the level of all: {:?}", door.name, level(None));
            let remedy = "encrypt, and wrapper mode, are honoured for one listener; other levels are not";
            all.push(Problem::warning(door.place.clone(), "smtpd_tls_security_level", what, remedy));
        }
    }
    for (place, name) in cf.screens() {
        let what = "nobody listens here: there is no postscreen";
        let remedy = "write its address into listen.smtp, or call smtpd here";
        all.push(Problem::warning(place.clone(), name, what, remedy));
    }
}
