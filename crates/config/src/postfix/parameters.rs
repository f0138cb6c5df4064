//! Which parameter is which key, with Postfix's defaults (postconf(5) of 3.11; where it has a version switch, by compatibility level).

use super::MainCf;
use crate::{
    layer::{Layer, Leaf},
    problem::{Place, Problem},
    raw::SECTIONS,
    values::duration,
};

/// How a value becomes that of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    /// As it is.
    Plain,
    /// A time; a bare number has this unit.
    Time(char),
    /// `yes` or `no`.
    YesNo,
    /// A number; `0` has the meaning that Postfix gives it.
    Number,
}
use As::{Number, Plain, Time, YesNo};

/// Parameter, default, section, key. Defaults may refer to other parameters.
type Row = (&'static str, &'static str, &'static str, &'static str, As);

const ROWS: &[Row] = &[
    ("message_size_limit", "10240000", "listen", "message_size_limit", Number),
    ("smtpd_recipient_limit", "1000", "listen", "recipient_limit", Number),
    ("smtpd_client_connection_count_limit", "50", "listen", "client_connection_limit", Number),
    ("header_size_limit", "102400", "listen", "header_size_limit", Number),
    ("hopcount_limit", "50", "listen", "hopcount_limit", Number),
    ("smtpd_timeout", "300s", "listen", "timeout", Time('s')),
    ("transport_maps", "", "transport", "maps", Plain),
    ("relayhost", "", "transport", "relayhost", Plain),
    ("smtp_fallback_relay", "$fallback_relay", "transport", "fallback_relay", Plain),
    ("lmtp_fallback_relay", "", "transport", "lmtp_fallback_relay", Plain),
    ("recipient_delimiter", "", "transport", "recipient_delimiter", Plain),
    ("smtp_tcp_port", "smtp", "transport", "port", Plain),
    ("lmtp_tcp_port", "24", "transport", "lmtp_port", Plain),
    ("inet_protocols", "all", "transport", "inet_protocols", Plain),
    ("smtp_bind_address", "", "transport", "bind_address", Plain),
    ("smtp_bind_address6", "", "transport", "bind_address6", Plain),
    ("smtp_line_length_limit", "998", "transport", "line_length_limit", Number),
    ("smtp_connect_timeout", "30s", "transport", "connect_timeout", Time('s')),
    ("smtp_helo_timeout", "300s", "transport", "helo_timeout", Time('s')),
    ("smtp_starttls_timeout", "300s", "transport", "starttls_timeout", Time('s')),
    ("smtp_mail_timeout", "300s", "transport", "mail_timeout", Time('s')),
    ("smtp_rcpt_timeout", "300s", "transport", "rcpt_timeout", Time('s')),
    ("smtp_data_init_timeout", "120s", "transport", "data_init_timeout", Time('s')),
    ("smtp_data_xfer_timeout", "180s", "transport", "data_xfer_timeout", Time('s')),
    ("smtp_data_done_timeout", "600s", "transport", "data_done_timeout", Time('s')),
    ("smtp_rset_timeout", "20s", "transport", "rset_timeout", Time('s')),
    ("smtp_quit_timeout", "300s", "transport", "quit_timeout", Time('s')),
    ("smtp_connection_cache_time_limit", "2s", "transport", "connection_cache_time_limit", Time('s')),
    ("smtp_connection_reuse_time_limit", "300s", "transport", "connection_reuse_time_limit", Time('s')),
    ("smtp_mx_address_limit", "5", "transport", "mx_address_limit", Number),
    ("smtp_mx_session_limit", "2", "transport", "mx_session_limit", Number),
    ("smtp_dns_support_level", "", "transport", "dns_support_level", Plain),
    ("lmtp_dns_support_level", "", "transport", "lmtp_dns_support_level", Plain),
    ("ignore_mx_lookup_error", "no", "transport", "ignore_mx_lookup_error", YesNo),
    ("minimal_backoff_time", "300s", "queue", "minimal_backoff", Time('s')),
    ("maximal_backoff_time", "4000s", "queue", "maximal_backoff", Time('s')),
    ("maximal_queue_lifetime", "5d", "queue", "maximal_lifetime", Time('d')),
    ("bounce_queue_lifetime", "5d", "queue", "bounce_lifetime", Time('d')),
    (
        "smtp_destination_concurrency_limit",
        "$default_destination_concurrency_limit",
        "queue",
        "destination_concurrency_limit",
        Number,
    ),
    (
        "smtp_destination_rate_delay",
        "$default_destination_rate_delay",
        "queue",
        "destination_rate_delay",
        Time('s'),
    ),
    (
        "smtp_initial_destination_concurrency",
        "$initial_destination_concurrency",
        "queue",
        "initial_destination_concurrency",
        Number,
    ),
    (
        "smtp_destination_recipient_limit",
        "$default_destination_recipient_limit",
        "queue",
        "destination_recipient_limit",
        Number,
    ),
    ("bounce_size_limit", "50000", "queue", "bounce_size_limit", Number),
];

/// The same for `smtp_tls_` and `lmtp_tls_`: name behind the prefix, both defaults, key. `%` is the prefix without `tls_`.
type TlsRow = (&'static str, &'static str, &'static str, &'static str, As);

const TLS_ROWS: &[TlsRow] = &[
    ("security_level", "${{$compatibility_level} <level {3.11} ? {} : {may}}", "", "security_level", Plain),
    ("policy_maps", "", "", "policy_maps", Plain),
    ("protocols", ">=TLSv1", ">=TLSv1", "protocols", Plain),
    ("mandatory_protocols", ">=TLSv1", ">=TLSv1", "mandatory_protocols", Plain),
    ("ciphers", "medium", "medium", "ciphers", Plain),
    ("mandatory_ciphers", "medium", "medium", "mandatory_ciphers", Plain),
    ("exclude_ciphers", "", "", "exclude_ciphers", Plain),
    ("mandatory_exclude_ciphers", "", "", "mandatory_exclude_ciphers", Plain),
    ("servername", "", "", "servername", Plain),
    ("fingerprint_digest", FINGERPRINT_DIGEST, FINGERPRINT_DIGEST, "fingerprint_digest", Plain),
    ("fingerprint_cert_match", "", "", "fingerprint_cert_match", Plain),
    ("verify_cert_match", "hostname", "hostname", "verify_cert_match", Plain),
    ("secure_cert_match", "nexthop, dot-nexthop", "nexthop", "secure_cert_match", Plain),
    ("trust_anchor_file", "", "", "trust_anchor_file", Plain),
    ("CAfile", "", "", "CAfile", Plain),
    ("CApath", "", "", "CApath", Plain),
    ("scert_verifydepth", "9", "9", "scert_verifydepth", Number),
    ("connection_reuse", "no", "no", "connection_reuse", YesNo),
    ("enable_rpk", "no", "no", "enable_rpk", YesNo),
    (
        "dane_insecure_mx_policy",
        INSECURE_MX,
        "$smtp_tls_dane_insecure_mx_policy",
        "dane_insecure_mx_policy",
        Plain,
    ),
    ("cert_file", "", "", "cert_file", Plain),
    ("key_file", "$smtp_tls_cert_file", "$lmtp_tls_cert_file", "key_file", Plain),
    ("eccert_file", "", "", "eccert_file", Plain),
    ("eckey_file", "$smtp_tls_eccert_file", "$lmtp_tls_eccert_file", "eckey_file", Plain),
    ("chain_files", "", "", "chain_files", Plain),
    ("session_cache_timeout", "3600s", "3600s", "session_cache_timeout", Time('s')),
    ("note_starttls_offer", "no", "no", "note_starttls_offer", YesNo),
];

/// Of both clients, where they are set.
const BOTH_ROWS: &[(&str, &str)] = &[
    ("tls_wildcard_matches_multiple_labels", "wildcard_matches_multiple_labels"),
    ("tls_dane_digests", "dane_digests"),
];

const FINGERPRINT_DIGEST: &str = "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}";
/// Up to 3.7.11 the default depends on the level; later ones have `dane`. The lower one never demands what the operator has not tested.
const INSECURE_MX: &str = "${{$smtp_tls_security_level} == {dane} ? {dane} : {may}}";

/// Further defaults, for those that refer to them.
const OTHERS: &[(&str, &str)] = &[
    ("default_destination_concurrency_limit", "20"),
    ("default_destination_rate_delay", "0s"),
    ("initial_destination_concurrency", "5"),
    ("default_destination_recipient_limit", "50"),
    ("fallback_relay", ""),
    ("smtp_helo_name", "$myhostname"),
    ("smtp_tls_session_cache_database", ""),
    ("lmtp_tls_session_cache_database", ""),
    ("smtp_use_tls", "no"),
    ("smtp_enforce_tls", "no"),
    ("lmtp_use_tls", "no"),
    ("lmtp_enforce_tls", "no"),
    ("smtp_tls_enforce_peername", "yes"),
    ("lmtp_tls_enforce_peername", "yes"),
    ("smtp_connection_cache_on_demand", "yes"),
    ("smtp_connection_cache_destinations", ""),
];

/// Postfix's default, unexpanded, of a parameter that is known here.
pub(super) fn default_of(name: &str) -> Option<String> {
    if let Some(row) = ROWS.iter().find(|row| row.0 == name) {
        return Some(row.1.to_owned());
    }
    let tls =
        |prefix: &str| name.strip_prefix(prefix).and_then(|rest| TLS_ROWS.iter().find(|row| row.0 == rest));
    let found = tls("smtp_tls_").map(|row| row.1).or_else(|| tls("lmtp_tls_").map(|row| row.2));
    found
        .or_else(|| OTHERS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
        .map(str::to_owned)
}

/// The defaults as the lowest layer, and what is set as one layer for each file.
pub(super) fn layers(cf: &MainCf, files: usize, problems: &mut Vec<Problem>) -> (Layer, Vec<Layer>) {
    let mut out = Out { cf, defaults: Layer::default(), files: vec![Layer::default(); files], problems };
    for (name, _, section, key, kind) in ROWS {
        out.emit(name, section, key, *kind);
    }
    for (prefix, section) in [("smtp_tls_", "tls"), ("lmtp_tls_", "lmtp_tls")] {
        for (name, _, _, key, kind) in TLS_ROWS {
            out.emit(&format!("{prefix}{name}"), section, key, *kind);
        }
        out.derived(prefix, section);
    }
    if cf.definition("myhostname").is_some() {
        out.emit("myhostname", "", "hostname", Plain);
    }
    // The default, $myhostname, is left to `hostname`, which another file may set.
    if cf.definition("smtp_helo_name").is_some() {
        out.emit("smtp_helo_name", "transport", "helo_name", Plain);
    }
    if cf.definition("mynetworks").is_some() {
        out.emit("mynetworks", "listen", "relay_from", Plain);
    }
    for (name, key) in BOTH_ROWS {
        if let Some(definition) = cf.definition(name) {
            for section in ["tls", "lmtp_tls"] {
                out.put(name, section, key, definition.raw.clone());
            }
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
    defaults: Layer,
    files: Vec<Layer>,
    problems: &'a mut Vec<Problem>,
}

impl Out<'_> {
    fn value(&mut self, name: &str) -> String {
        match self.cf.value(name) {
            Ok(value) => value,
            Err(problem) => {
                self.problems.push(problem);
                String::new()
            }
        }
    }

    fn emit(&mut self, name: &str, section: &str, key: &str, kind: As) {
        let value = self.value(name);
        let place = self.cf.definition(name).map_or(Place::Default, |definition| definition.place.clone());
        let mut wrong = |what: &str, remedy: &str| {
            self.problems.push(Problem::new(place.clone(), name, format!("{value:?} is not {what}"), remedy));
        };
        let text = match kind {
            Plain => value,
            YesNo if value.eq_ignore_ascii_case("yes") || value.eq_ignore_ascii_case("no") => value,
            YesNo => return wrong("yes or no", ""),
            Number if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => value,
            Number => return wrong("a number", ""),
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
            let [enforce, offered, peername] =
                names.map(|name| self.value(&name).eq_ignore_ascii_case("yes"));
            let value = match (enforce, peername, offered) {
                (true, true, _) => "verify",
                (true, false, _) => "encrypt",
                (false, _, true) => "may",
                (false, _, false) => "none",
            };
            self.put(&level, section, "security_level", value.to_owned());
        }
        // postconf(5), smtp_tls_session_cache_database: without one, sessions are not kept.
        let database = format!("{prefix}session_cache_database");
        if self.value(&database).is_empty() {
            self.put(
                &format!("{prefix}session_cache_timeout"),
                section,
                "session_cache_timeout",
                "0".to_owned(),
            );
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
        let definition = self.cf.definition(name);
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
        let (defaults, files) = layers(&cf, 1, &mut problems);
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
