//! `[tls]`, `[lmtp_tls]`, and what of `[transport]` decides about policies.

use std::path::PathBuf;

use waxseal_dns::{DnssecMode, Settings as DnsSettings};
use waxseal_policy::{
    ClientSettings, Exclusions, Grade, HandshakeSettings, InsecureMx, MatchNames, Protocols, ServerName,
    Settings, TableName, check_transport, parse_digest_name, parse_fingerprints,
};
use waxseal_trust::{Settings as TrustSettings, StoreSettings};
use waxseal_types::{Domain, NextHop, Protocol, Service, Strength, TlsLevel};

use super::{Build, count, flag, set};
use crate::{
    raw::{ListenTls, Tls},
    values::{Text, Words},
};

/// The keys that a server has as a client has them.
fn intake_keys(raw: &ListenTls) -> Tls {
    let raw = raw.clone();
    Tls {
        protocols: raw.protocols,
        mandatory_protocols: raw.mandatory_protocols,
        ciphers: raw.ciphers,
        mandatory_ciphers: raw.mandatory_ciphers,
        exclude_ciphers: raw.exclude_ciphers,
        mandatory_exclude_ciphers: raw.mandatory_exclude_ciphers,
        CAfile: raw.CAfile,
        CApath: raw.CApath,
        cert_file: raw.cert_file,
        key_file: raw.key_file,
        eccert_file: raw.eccert_file,
        eckey_file: raw.eckey_file,
        chain_files: raw.chain_files,
        ..Tls::default()
    }
}

/// The section with the TLS keys of a service.
const fn section_of(service: &Service) -> &'static str {
    match service.protocol() {
        Protocol::Smtp => "tls",
        Protocol::Lmtp => "lmtp_tls",
    }
}

impl Build<'_> {
    /// The keys of a protocol; where no `main.cf` gives LMTP its own, those of SMTP hold for it, too.
    pub(super) fn tls_keys(&self, section: &str) -> Tls {
        match section {
            "tls" => self.view.raw.tls.clone(),
            "listen_tls" => intake_keys(&self.view.raw.listen_tls),
            _ => self.view.raw.lmtp_tls.clone().or(&self.view.raw.tls),
        }
    }

    pub(super) fn policy(&mut self, hostname: &Domain, dns: &DnsSettings) -> Settings {
        let mut settings = Settings {
            smtp: self.client("tls", dns),
            lmtp: self.client("lmtp_tls", dns),
            services: self.each(|build, service| build.client(section_of(service), dns)),
            hostname: Some(hostname.clone()),
            ..Settings::default()
        };
        let transport = self.view.raw.transport.clone();
        settings.transport_maps = self.table_names("transport", "maps", transport.maps.as_ref());
        settings.relayhost = self.next_hops("relayhost", transport.relayhost.as_ref());
        set(&mut settings.recipient_delimiter, transport.recipient_delimiter.map(|text| text.0));
        let services = self.services.iter().map(|service| (service.name.clone(), service.transport.clone()));
        settings.transports.extend(services);
        let given = |text: Option<Text>| text.map(|text| text.0).filter(|text| !text.is_empty());
        set(&mut settings.default_transport, given(transport.default_transport));
        set(&mut settings.relay_transport, given(transport.relay_transport));
        self.relay_domains(&mut settings, transport.relay_domains.as_ref());
        self.check_transports(&settings);
        settings
    }

    /// postconf(5), `relay_domains`: names, tables, and files with names; `!` is not supported.
    fn relay_domains(&mut self, settings: &mut Settings, words: Option<&Words>) {
        let key = ("transport", "relay_domains");
        // Where both transports come to the same, nobody asks for these domains: what is wrong with them is not worth a word.
        let plain = |text: &str, name: &str| text == name || text.strip_suffix(':') == Some(name);
        if settings.default_transport == settings.relay_transport
            || (plain(&settings.default_transport, "smtp")
                && plain(&settings.relay_transport, "relay")
                && settings.transports.get("smtp") == settings.transports.get("relay"))
        {
            return;
        }
        for word in words.map(|words| words.0.clone()).unwrap_or_default() {
            if word.contains(':') {
                let one = Words(vec![word]);
                settings.relay_domains.tables.extend(self.table_names(key.0, key.1, Some(&one)));
            } else if word.starts_with(['/', '!']) {
                let what = format!("{word:?} is not supported: only names and tables are read");
                self.problem(
                    key.0,
                    key.1,
                    what,
                    "write the names, or a table such as texthash:/etc/waxseal/relay_domains",
                );
            } else {
                let name = word.trim_start_matches('.');
                match Domain::new(name) {
                    Ok(name) => settings.relay_domains.names.push(name),
                    Err(error) => self.problem(key.0, key.1, format!("{word:?}: {error}"), ""),
                }
            }
        }
    }

    /// A transport that does not exist, or cannot be carried out: its mail waits, so it is no reason not to start where a `main.cf` says so.
    fn check_transports(&mut self, settings: &Settings) {
        for (key, text) in [
            ("default_transport", &settings.default_transport),
            ("relay_transport", &settings.relay_transport),
        ] {
            let Err(what) = check_transport(settings, text) else { continue };
            if self.is_postfix("transport", key) {
                self.warning("transport", key, &format!("{what}; mail that needs it waits"));
            } else {
                self.problem("transport", key, what, "write smtp, lmtp:unix:/path, error:text or the like");
            }
        }
    }

    fn next_hops(&mut self, key: &str, words: Option<&Words>) -> Vec<NextHop> {
        let words = words.map(|words| words.0.clone()).unwrap_or_default();
        let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
        self.parsed_words(("transport", key), &words, |word| {
            word.parse::<NextHop>().map_err(|error| format!("{word:?} is no next hop: {error}"))
        })
    }

    /// Opens tables; a file that cannot be read is a warning, since only the mail that needs it has to wait.
    pub(super) fn table_names(&mut self, section: &str, key: &str, words: Option<&Words>) -> Vec<TableName> {
        let place = self.place(section, key).0.to_string();
        let mut names = Vec::new();
        for word in words.map(|words| words.0.clone()).unwrap_or_default() {
            match self.tables.open(&word, &place) {
                Ok(name) => names.push(name),
                Err(error) => self.problem(section, key, error.to_string(), ""),
            }
        }
        names
    }

    fn client(&mut self, section: &str, dns: &DnsSettings) -> ClientSettings {
        let raw = self.tls_keys(section);
        let mut client = ClientSettings { level: TlsLevel::Dane, ..ClientSettings::default() };
        set(&mut client.level, self.level(section, raw.security_level.as_ref()));
        client.policy_maps = self.table_names(section, "policy_maps", raw.policy_maps.as_ref());
        (client.opportunistic, client.mandatory) = self.handshakes(section, &raw);
        client.servername = self.servername(section, raw.servername.as_ref());
        self.fingerprints(section, &raw, &mut client);
        let names = |text: Option<&Text>| text.map(|text| MatchNames::parse(&text.0));
        set(&mut client.verify_cert_match, names(raw.verify_cert_match.as_ref()));
        set(&mut client.secure_cert_match, names(raw.secure_cert_match.as_ref()));
        if client.secure_cert_match.believes_dns() {
            self.warning(
                section,
                "secure_cert_match",
                "hostname believes DNS: whoever can forge MX records passes",
            );
        }
        client.strength = self.strength(section, &raw);
        client.trust_anchor_files = raw.trust_anchor_file.map(|words| words.0).unwrap_or_default();
        set(
            &mut client.depth,
            count(&raw.scert_verifydepth).map(|depth| u8::try_from(depth).unwrap_or(u8::MAX)),
        );
        set(&mut client.wide_wildcards, flag(&raw.wildcard_matches_multiple_labels));
        set(&mut client.connection_reuse, flag(&raw.connection_reuse));
        set(&mut client.enable_rpk, flag(&raw.enable_rpk));
        let insecure_mx =
            self.parsed((section, "dane_insecure_mx_policy"), raw.dane_insecure_mx_policy.as_ref(), |word| {
                match word {
                    "may" => Ok(InsecureMx::May),
                    "encrypt" => Ok(InsecureMx::Encrypt),
                    "dane" => Ok(InsecureMx::Dane),
                    _ => Err(format!("{word:?} is none of may, encrypt and dane")),
                }
            });
        set(&mut client.insecure_mx, insecure_mx);
        set(
            &mut client.dane_digests,
            self.parsed((section, "dane_digests"), raw.dane_digests.as_ref(), str::parse),
        );
        client.dane_blind = self.dane_blind(section, dns);
        let transport = &self.view.raw.transport;
        let (key, relays) = match section {
            "tls" => ("fallback_relay", transport.fallback_relay.clone()),
            _ => ("lmtp_fallback_relay", transport.lmtp_fallback_relay.clone()),
        };
        client.fallback_relay = self.next_hops(key, relays.as_ref());
        client
    }

    fn strength(&mut self, section: &str, raw: &Tls) -> Strength {
        const RANGE: std::ops::RangeInclusive<u16> = Strength::LEAST_RSA_BITS..=16_384;
        let mut strength = Strength::default();
        if let Some(bits) = count(&raw.minimum_rsa_bits) {
            match u16::try_from(bits).ok().filter(|bits| RANGE.contains(bits)) {
                Some(bits) => strength.rsa_bits = bits,
                None => self.problem(
                    section,
                    "minimum_rsa_bits",
                    format!("{bits} is not between {} and {}", RANGE.start(), RANGE.end()),
                    "2048 is what certificate authorities have demanded of themselves since 2014",
                ),
            }
        }
        set(&mut strength.refuse_sha1, flag(&raw.refuse_sha1));
        strength
    }

    fn level(&mut self, section: &str, value: Option<&Text>) -> Option<TlsLevel> {
        let words = TlsLevel::ALL.map(TlsLevel::as_str).join(", ");
        self.parsed((section, "security_level"), value, |word| {
            word.parse::<TlsLevel>().map_err(|error| format!("{error} (one of {words})"))
        })
    }

    /// What may be offered at `may`, and above it.
    pub(super) fn handshakes(&mut self, section: &str, raw: &Tls) -> (HandshakeSettings, HandshakeSettings) {
        let mut protocols = |key: &str, value: Option<&Text>| {
            self.parsed((section, key), value, str::parse::<Protocols>).unwrap_or_default()
        };
        let (some, all) = (
            protocols("protocols", raw.protocols.as_ref()),
            protocols("mandatory_protocols", raw.mandatory_protocols.as_ref()),
        );
        let mut grade = |key: &str, value: Option<&Text>| {
            self.parsed((section, key), value, str::parse::<Grade>).unwrap_or_default()
        };
        let (low, high) = (
            grade("ciphers", raw.ciphers.as_ref()),
            grade("mandatory_ciphers", raw.mandatory_ciphers.as_ref()),
        );
        let mut exclusions = |key: &str, value: Option<&Text>| {
            self.parsed((section, key), value, str::parse::<Exclusions>).unwrap_or_default()
        };
        let always = exclusions("exclude_ciphers", raw.exclude_ciphers.as_ref());
        let more = exclusions("mandatory_exclude_ciphers", raw.mandatory_exclude_ciphers.as_ref());
        let mandatory = HandshakeSettings { protocols: all, ciphers: high, exclude: always.and(&more) };
        (HandshakeSettings { protocols: some, ciphers: low, exclude: always }, mandatory)
    }

    /// In `main.cf`, as in Postfix, a wrong name only makes those policies invalid that would use it.
    fn servername(&mut self, section: &str, value: Option<&Text>) -> Option<ServerName> {
        let name = ServerName::parse(&value.filter(|text| !text.0.is_empty())?.0);
        if let ServerName::Invalid(text) = &name {
            let what = format!("{text:?} is no hostname");
            if self.is_postfix(section, "servername") {
                self.warning(section, "servername", &format!("{what}; mail that would use it waits"));
            } else {
                self.problem(section, "servername", what, "write a name, hostname or nexthop");
            }
        }
        Some(name)
    }

    fn fingerprints(&mut self, section: &str, raw: &Tls, client: &mut ClientSettings) {
        let digest = self.parsed((section, "fingerprint_digest"), raw.fingerprint_digest.as_ref(), |name| {
            parse_digest_name(name)
                .ok_or_else(|| format!("{name:?} is none of sha256, sha384, sha512, sha1 and md5"))
        });
        set(&mut client.fingerprint_digest, digest);
        let Some(text) = &raw.fingerprint_cert_match else { return };
        let (good, complaints) = parse_fingerprints(&text.0, client.fingerprint_digest);
        client.fingerprints = good;
        for complaint in complaints {
            if self.is_postfix(section, "fingerprint_cert_match") {
                self.warning(section, "fingerprint_cert_match", &complaint.to_string());
            } else {
                self.problem(section, "fingerprint_cert_match", complaint.to_string(), "");
            }
        }
    }

    /// Why DANE cannot be had, by the configuration alone.
    fn dane_blind(&self, section: &str, dns: &DnsSettings) -> Option<String> {
        let transport = &self.view.raw.transport;
        let (name, level) = match section {
            "tls" => ("smtp_dns_support_level", &transport.dns_support_level),
            _ => ("lmtp_dns_support_level", &transport.lmtp_dns_support_level),
        };
        // postconf(5): DANE needs smtp_dns_support_level = dnssec.
        if level.as_ref().is_some_and(|level| level.0 != "dnssec") {
            return Some(format!("{name} is not dnssec"));
        }
        if flag(&transport.ignore_mx_lookup_error) == Some(true) {
            return Some("ignore_mx_lookup_error = yes is incompatible with DANE".into());
        }
        let untrusted =
            |server: &std::net::SocketAddr| !server.ip().is_loopback() && !dns.trusted.contains(&server.ip());
        match dns.dnssec {
            DnssecMode::Off => Some("dns.dnssec is off".into()),
            DnssecMode::TrustAd if !dns.servers.is_empty() && dns.servers.iter().all(untrusted) => {
                Some("dns.dnssec is trust-ad, but none of the resolvers is trusted".into())
            }
            DnssecMode::TrustAd | DnssecMode::Validate => None,
        }
    }

    pub(super) fn trust(&mut self, stale_limit: Option<std::time::Duration>) -> TrustSettings {
        let mut settings = TrustSettings {
            smtp: self.store("tls"),
            lmtp: self.store("lmtp_tls"),
            services: self.each(|build, service| build.store(section_of(service))),
            ..TrustSettings::default()
        };
        set(&mut settings.stale_limit, stale_limit);
        settings
    }

    pub(super) fn store(&mut self, section: &str) -> StoreSettings {
        let raw = self.tls_keys(section);
        let mut one = |key: &str, value: &Option<Text>| {
            let path = self.file(section, key, value.as_ref())?;
            self.exists(section, key, &path);
            Some(path)
        };
        let (ca_file, ca_path) = (one("CAfile", &raw.CAfile), one("CApath", &raw.CApath));
        let (cert_file, key_file) = (one("cert_file", &raw.cert_file), one("key_file", &raw.key_file));
        let (eccert_file, eckey_file) =
            (one("eccert_file", &raw.eccert_file), one("eckey_file", &raw.eckey_file));
        let mut many = |key: &str, words: Option<Words>| -> Vec<PathBuf> {
            let words = words.map(|words| words.0).unwrap_or_default();
            let paths = words.into_iter().filter(|word| !word.is_empty()).map(PathBuf::from);
            let paths: Vec<PathBuf> = paths.filter_map(|path| self.absolute(section, key, path)).collect();
            paths.iter().for_each(|path| self.exists(section, key, path));
            paths
        };
        let (anchor_files, chain_files) =
            (many("trust_anchor_file", raw.trust_anchor_file), many("chain_files", raw.chain_files));
        StoreSettings {
            ca_file,
            ca_path,
            anchor_files,
            cert_file,
            key_file,
            eccert_file,
            eckey_file,
            chain_files,
        }
    }

    /// A file that is missing is a mistake; in `main.cf`, where Postfix goes on, a warning.
    fn exists(&mut self, section: &str, key: &str, path: &std::path::Path) {
        let Err(error) = std::fs::metadata(path) else { return };
        let what = format!("cannot read {}: {error}", path.display());
        if self.is_postfix(section, key) {
            self.warning(section, key, &what);
        } else {
            self.problem(section, key, what, "name a file that exists, or leave the key out");
        }
    }
}
