//! From parameters to keys: the layer of Postfix's defaults, and one for each file.

use waxseal_types::Protocol;

use super::{
    MainCf, doors,
    file::Definition,
    master::{self, Service},
    table::{
        self,
        As::{Number, Plain, Time, YesNo},
        Fate,
    },
};
use crate::{
    layer::{Layer, Leaf},
    problem::{Place, Problem},
    raw::SECTIONS,
    values::duration,
};

/// The defaults as the lowest layer, and what is set as one layer for each file; as the services `smtp` and `lmtp` see it, or `special` instead of the
/// one with its protocol.
pub(super) fn layers(
    cf: &MainCf,
    special: Option<&Service>,
    files: usize,
    problems: &mut Vec<Problem>,
) -> (Layer, Vec<Layer>) {
    let files = vec![Layer::default(); files];
    let mut out = Out { cf, special, defaults: Layer::default(), files, problems };
    for (name, row) in table::rows() {
        if let Fate::Key { section, key, kind } = row.fate {
            out.emit(name, section, key, kind);
        }
    }
    out.derived("smtp_tls_", "tls");
    out.derived("lmtp_tls_", "lmtp_tls");
    out.intake_level();
    out.listeners();
    if out.definition("smtpd_client_ipv6_prefix_length").is_some() {
        out.emit("smtpd_client_ipv6_prefix_length", "listen", "client_ipv6_prefix_length", Number);
    }
    if out.definition("myhostname").is_some() {
        out.emit("myhostname", "", "hostname", Plain);
    }
    // The default, $myhostname, is left to `hostname`, which another file may set.
    let service = out.service("smtp_helo_name");
    let own = service.and_then(|service| service.options.get("myhostname"));
    if out.definition("smtp_helo_name").is_some() || own.is_some() {
        out.emit("smtp_helo_name", "transport", "helo_name", Plain);
    }
    if out.definition("mynetworks").is_some() {
        out.emit("mynetworks", "listen", "relay_from", Plain);
    }
    for (name, key, kind) in [
        ("tls_wildcard_matches_multiple_labels", "wildcard_matches_multiple_labels", YesNo),
        ("tls_dane_digests", "dane_digests", Plain),
    ] {
        if out.definition(name).is_some() {
            out.emit(name, "tls", key, kind);
            out.emit(name, "lmtp_tls", key, kind);
        }
    }
    let cache = ["smtp_connection_cache_destinations", "smtp_connection_cache_on_demand"];
    let [destinations, on_demand] = cache.map(|name| out.value(name));
    let on = !destinations.is_empty() || on_demand.eq_ignore_ascii_case("yes");
    out.put(cache[0], "transport", "connection_cache", on.to_string());
    (out.defaults, out.files)
}

struct Out<'a> {
    cf: &'a MainCf,
    special: Option<&'a Service>,
    defaults: Layer,
    files: Vec<Layer>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Out<'a> {
    /// The service as which a parameter is read.
    fn service(&self, name: &str) -> Option<&'a Service> {
        if let Some(special) = self.special.filter(|special| master::own(special.protocol, name)) {
            return Some(special);
        }
        let protocol =
            [Protocol::Smtp, Protocol::Lmtp].into_iter().find(|protocol| master::own(*protocol, name))?;
        self.cf.service(master::main_service(protocol)).filter(|service| service.protocol == protocol)
    }

    fn definition(&self, name: &str) -> Option<&'a Definition> {
        self.cf.definition_for(name, self.service(name))
    }

    fn value(&mut self, name: &str) -> String {
        match self.cf.value_for(name, self.service(name)) {
            Ok(value) => value,
            Err(problem) => {
                self.problems.push(problem);
                String::new()
            }
        }
    }

    fn emit(&mut self, name: &str, section: &str, key: &str, kind: table::As) {
        let value = self.value(name);
        let place = self.definition(name).map_or(Place::Default, |definition| definition.place.clone());
        let mut wrong = |what: &str, remedy: &str| {
            self.problems.push(Problem::new(place.clone(), name, format!("{value:?} is not {what}"), remedy));
        };
        let text = match kind {
            Plain => value,
            YesNo if value.eq_ignore_ascii_case("yes") || value.eq_ignore_ascii_case("no") => value,
            YesNo => return wrong("yes or no", "write yes or no"),
            Number if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => value,
            Number => return wrong("a number", "write a whole number, without unit"),
            Time(unit) => match duration(&value, Some(unit)) {
                Some(span) => format!("{}ms", span.as_millis()),
                None => return wrong("a time", "write a number and a unit: s, m, h, d or w"),
            },
        };
        self.put(name, section, key, text);
    }

    /// What follows from parameters that have no key of their own.
    fn derived(&mut self, prefix: &str, section: &str) {
        // postconf(5), smtp_tls_security_level: where it is empty, the obsolete parameters count.
        let level = format!("{prefix}security_level");
        if self.value(&level).is_empty() {
            let bare = prefix.trim_end_matches("tls_");
            let names =
                [format!("{bare}enforce_tls"), format!("{bare}use_tls"), format!("{prefix}enforce_peername")];
            let decides = names.iter().find(|name| self.definition(name).is_some()).cloned();
            let [enforce, offered, peername] =
                names.map(|name| self.value(&name).eq_ignore_ascii_case("yes"));
            let value = match (enforce, peername, offered) {
                (true, true, _) => "verify",
                (true, false, _) => "encrypt",
                (false, _, true) => "may",
                (false, _, false) => "none",
            };
            // The place is that of what is set.
            let name = decides.filter(|_| self.definition(&level).is_none()).unwrap_or(level);
            self.put(&name, section, "security_level", value.to_owned());
        }
        // postconf(5), smtp_tls_session_cache_database: without one, sessions are not kept.
        let database = format!("{prefix}session_cache_database");
        if self.value(&database).is_empty() {
            let name = format!("{prefix}session_cache_timeout");
            self.put(&name, section, "session_cache_timeout", "0".to_owned());
        }
    }

    /// postconf(5), smtpd_tls_security_level: where it is empty, the obsolete parameters count.
    fn intake_level(&mut self) {
        if self.value("smtpd_tls_security_level").is_empty() {
            let names = ["smtpd_enforce_tls", "smtpd_use_tls"];
            let [enforced, offered] = names.map(|name| self.value(name).eq_ignore_ascii_case("yes"));
            let level = if enforced {
                "encrypt"
            } else if offered {
                "may"
            } else {
                "none"
            };
            let decides = names.into_iter().find(|name| self.definition(name).is_some());
            self.put(
                decides.unwrap_or("smtpd_tls_security_level"),
                "listen_tls",
                "security_level",
                level.to_owned(),
            );
        }
    }

    /// Where smtpd(8) listens, where `master.cf` has any; a later file says otherwise as a whole, key by key.
    fn listeners(&mut self) {
        let (listeners, _) = doors::listeners(self.cf);
        let Some(first) = listeners.first() else { return };
        for key in ["smtp", "submission", "submissions"] {
            let mine = || listeners.iter().filter(|listener| listener.key == key);
            let door = mine().next().unwrap_or(first).door;
            let addresses: Vec<String> =
                mine().flat_map(|listener| listener.addresses.iter().map(ToString::to_string)).collect();
            let leaf = Leaf {
                section: "listen",
                key,
                value: toml::Value::String(addresses.join(", ")),
                place: door.place.clone(),
                name: door.name.clone(),
            };
            if let Some(layer) = self.files.get_mut(door.file) {
                self.problems.extend(layer.push(leaf).err());
            }
        }
    }

    fn put(&mut self, name: &str, section: &str, key: &str, text: String) {
        let found = SECTIONS.iter().find(|(known, _)| *known == section);
        let key =
            found.and_then(|(section, keys)| Some((*section, *keys.iter().find(|known| **known == key)?)));
        let Some((section, key)) = key else {
            debug_assert!(false, "{name} is mapped to an unknown key");
            return;
        };
        let definition = self.definition(name);
        let place = definition.map_or(Place::Default, |definition| definition.place.clone());
        let layer = match definition {
            None => Some(&mut self.defaults),
            Some(definition) => self.files.get_mut(definition.file),
        };
        let leaf = Leaf { section, key, value: toml::Value::String(text), place, name: name.to_owned() };
        self.problems.extend(layer.and_then(|layer| layer.push(leaf).err()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::Raw;

    #[test]
    fn each_row_names_a_key() {
        let mut problems = Vec::new();
        let cf = MainCf::new("host.example.com");
        let (defaults, files) = layers(&cf, None, 1, &mut problems);
        assert_eq!(problems, []);
        let mut stack = crate::layer::Stack::default();
        stack.add(defaults);
        files.into_iter().for_each(|layer| stack.add(layer));
        let raw: Raw = stack.merge().unwrap();
        assert_eq!(raw.tls.security_level.unwrap().0, "none");
        assert_eq!(raw.tls.fingerprint_digest.unwrap().0, "md5");
        assert!(raw.transport.helo_name.is_none() && raw.hostname.is_none());
    }
}
