//! `[listen_tls]`, and what of `[listen]` says who may relay, and how often.

use waxseal_intake::{Handshake, Level, RateLimits, RelayRule, Settings, TlsSettings};
use waxseal_policy::{HandshakeSettings, parse_digest_name};
use waxseal_spool::Settings as SpoolSettings;

use super::{Build, count, flag, set, span};

/// The port of mail between servers, where a name comes without one.
const SMTP: u16 = 25;

/// `mx.example.org`, or `mx.example.org:465`.
fn place(word: &str) -> Result<(String, u16), String> {
    let (name, port) = match word.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().map_err(|_| format!("{port:?} is no port"))?),
        None => (word, SMTP),
    };
    let name = waxseal_types::Domain::new(name).map_err(|error| format!("{word:?}: {error}"))?;
    Ok((name.to_string(), port))
}

impl Build<'_> {
    pub(super) fn intake_tls(&mut self, spool: &SpoolSettings) -> TlsSettings {
        const SECTION: &str = "listen_tls";
        let raw = self.view.raw.listen_tls.clone();
        let mut settings = TlsSettings { files: self.store(SECTION), ..TlsSettings::default() };
        settings.own_folder = Some(spool.path.clone());
        // In main.cf, where Postfix goes on without TLS, a broken certificate is an alert; what demands TLS demands it all the same.
        settings.lenient = ["chain_files", "cert_file", "eccert_file"]
            .into_iter()
            .filter(|key| self.view.stack.place(&crate::layer::path(SECTION, key)).is_some())
            .all(|key| self.is_postfix(SECTION, key));
        if settings.has_certificate() {
            settings.level = Level::May;
        }
        let level =
            self.parsed((SECTION, "security_level"), raw.security_level.as_ref(), |word| match word {
                "none" => Ok(Level::None),
                "may" => Ok(Level::May),
                "encrypt" => Ok(Level::Encrypt),
                _ => Err(format!("{word:?} is none of none, may and encrypt")),
            });
        set(&mut settings.level, level);
        set(&mut settings.wrapper, flag(&raw.wrappermode));
        let keys = self.tls_keys(SECTION);
        let (may, mandatory) = self.handshakes(SECTION, &keys);
        set(&mut settings.may, self.handshake("ciphers", &may));
        set(&mut settings.mandatory, self.handshake("mandatory_ciphers", &mandatory));
        let maps = self.table_names(SECTION, "server_sni_maps", raw.server_sni_maps.as_ref());
        settings.sni_maps = maps.iter().map(ToString::to_string).collect();
        set(&mut settings.ask_certificate, flag(&raw.ask_ccert));
        set(&mut settings.require_certificate, flag(&raw.req_ccert));
        // postconf(5), smtpd_tls_req_ccert: implies smtpd_tls_ask_ccert.
        settings.ask_certificate |= settings.require_certificate;
        let demanded = settings.level == Level::Encrypt
            || settings.wrapper
            || self.view.raw.listen.submission.is_some()
            || self.view.raw.listen.submissions.is_some();
        if settings.require_certificate && !demanded {
            self.warning(SECTION, "req_ccert", "is ignored where TLS is not demanded");
        }
        let depth = count(&raw.ccert_verifydepth).map(|depth| u8::try_from(depth).unwrap_or(u8::MAX));
        set(&mut settings.verify_depth, depth);
        let digest = self.parsed((SECTION, "fingerprint_digest"), raw.fingerprint_digest.as_ref(), |name| {
            parse_digest_name(name)
                .ok_or_else(|| format!("{name:?} is none of sha256, sha384, sha512, sha1 and md5"))
        });
        set(&mut settings.fingerprint_digest, digest);
        set(&mut settings.enable_raw_keys, flag(&raw.enable_rpk));
        set(&mut settings.received_header, flag(&raw.received_header));
        set(&mut settings.session_timeout, span(&raw.session_cache_timeout));
        set(&mut settings.handshake_timeout, span(&raw.starttls_timeout));
        let names = raw.tlsa_names.map(|words| words.0).unwrap_or_default();
        settings.tlsa_places = self.parsed_words((SECTION, "tlsa_names"), &names, place);
        settings
    }

    fn handshake(&mut self, key: &str, wanted: &HandshakeSettings) -> Option<Handshake> {
        match wanted.offer() {
            Ok((left, suites)) => Some(Handshake { tls12: left.tls12, tls13: left.tls13, suites }),
            Err(error) => {
                self.problem("listen_tls", key, error.to_string(), "");
                None
            }
        }
    }

    /// postconf(5), `smtpd_relay_restrictions`, as far as the rules exist here.
    pub(super) fn relay_rules(&mut self, settings: &mut Settings) {
        let raw = self.view.raw.listen.clone();
        let certificates = self.table_names("listen", "relay_clientcerts", raw.relay_clientcerts.as_ref());
        let certificates: Vec<String> = certificates.iter().map(ToString::to_string).collect();
        let users = raw.auth_users.filter(|text| !text.0.is_empty());
        let users = users.map(|text| crate::values::Words(vec![text.0]));
        settings.auth.users =
            self.table_names("listen", "auth_users", users.as_ref()).first().map(ToString::to_string);
        let Some(words) = raw.relay_restrictions.map(|words| words.0).filter(|words| !words.is_empty())
        else {
            if certificates.is_empty() {
                return;
            }
            settings.relay_rules.insert(2, RelayRule::PermitCertificates(certificates.into()));
            return;
        };
        let mut rules = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            rules.extend(match word.as_str() {
                "permit_mynetworks" => Some(RelayRule::PermitMyNetworks),
                "permit_sasl_authenticated" => Some(RelayRule::PermitAuthenticated),
                "permit_tls_clientcerts" => Some(RelayRule::PermitCertificates(certificates.clone().into())),
                "permit_tls_all_clientcerts" => Some(RelayRule::PermitAllCertificates),
                "check_ccert_access" => {
                    let table = words.next().map(|table| crate::values::Words(vec![table.clone()]));
                    let names = self.table_names("listen", "relay_restrictions", table.as_ref());
                    names.first().map(|name| RelayRule::CertificateAccess(name.to_string()))
                }
                "reject_unauth_destination" | "reject" => Some(RelayRule::Reject),
                "defer_unauth_destination" | "defer" => Some(RelayRule::Defer),
                other => {
                    self.unknown_rule(other);
                    // Postfix would take what comes here: that makes an open relay, whatever it was meant for.
                    (other == "permit").then_some(RelayRule::Reject)
                }
            });
        }
        settings.relay_rules = rules;
    }

    fn unknown_rule(&mut self, word: &str) {
        let (section, key) = ("listen", "relay_restrictions");
        if self.is_postfix(section, key) {
            self.warning(section, key, &format!("{word:?} is not applied: there is no such rule here"));
        } else {
            self.problem(
                section,
                key,
                format!("there is no rule {word:?}"),
                "permit_mynetworks, permit_sasl_authenticated, permit_tls_clientcerts, permit_tls_all_clientcerts, \
                 check_ccert_access TABLE, reject, defer",
            );
        }
    }

    /// Errors, junk, and how often a client may do what.
    pub(super) fn limits(&mut self, settings: &mut Settings) {
        let raw = self.view.raw.listen.clone();
        let protocol = &mut settings.protocol;
        set(&mut protocol.hard_error_limit, count(&raw.hard_error_limit));
        set(&mut protocol.soft_error_limit, count(&raw.soft_error_limit));
        set(&mut protocol.junk_command_limit, count(&raw.junk_command_limit));
        set(&mut settings.error_delay, span(&raw.error_sleep_time));
        set(&mut settings.min_data_rate, raw.min_data_rate.map(|count| count.0));
        let small = |value| count(value).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        let rates: &mut RateLimits = &mut settings.rates;
        set(&mut rates.unit, span(&raw.rate_time_unit));
        set(&mut rates.connections, small(&raw.connection_rate_limit));
        set(&mut rates.messages, small(&raw.message_rate_limit));
        set(&mut rates.recipients, small(&raw.recipient_rate_limit));
        set(&mut rates.tls_sessions, small(&raw.new_tls_session_rate_limit));
        set(&mut rates.auths, small(&raw.auth_rate_limit));
        set(&mut rates.auth_failures, small(&raw.auth_failure_limit));
        let prefix = count(&raw.client_ipv6_prefix_length);
        set(&mut rates.ipv6_prefix, prefix.map(|bits| u8::try_from(bits).unwrap_or(128).min(128)));
        if let Some(text) = raw.forbidden_commands {
            settings.protocol.forbidden = self.forbidden(&text.0);
        }
    }

    /// postconf(5), `smtpd_forbidden_commands`: words. The one pattern of its default, for what begins with no letter, holds always.
    fn forbidden(&mut self, text: &str) -> Vec<String> {
        const BOGUS: &str = "regexp:{{/^[^A-Z]/ Bogus}}";
        let rest = text.replace(BOGUS, " ");
        let (words, odd): (Vec<_>, Vec<_>) = rest
            .split([',', ' ', '\t', '\r', '\n'])
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .partition(|word| word.bytes().all(|octet| octet.is_ascii_alphanumeric()));
        if !odd.is_empty() {
            let what = format!("{} is ignored: only words are read", odd.join(" "));
            self.warning("listen", "forbidden_commands", &what);
        }
        words
    }
}
