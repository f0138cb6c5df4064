//! The right-hand side of a policy table (postconf(5), `smtp_tls_policy_maps`).

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};
use core::str::FromStr;

use waxseal_types::{Domain, TlsLevel};

use crate::{
    Concern, Exclusions, Grade, MatchName, PluginAttributes, Protocols, Remark, ServerName,
    words::{COMMA_SPACE, balanced, braced, words_at},
};

/// An entry, parsed and checked by itself. What it leaves open is filled in from the configuration by [`crate::TlsPolicy`].
///
/// Printing gives an entry that means the same, in one spelling, and that Postfix understands.
///
/// ```
/// use waxseal_policy::Entry;
///
/// let entry: Entry = "Secure, match=MX.example.com:.example.com { protocols = !TLSv1.2 }".parse()?;
/// assert_eq!(entry.to_string(), "secure protocols=TLSv1.3 match=MX.example.com:.example.com");
/// assert!("secure math=mx.example.com".parse::<Entry>().is_err());
/// # Ok::<(), waxseal_policy::InvalidEntry>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The level.
    pub level: TlsLevel,
    /// `ciphers`.
    pub ciphers: Option<Grade>,
    /// `protocols`.
    pub protocols: Option<Protocols>,
    /// `exclude`.
    pub exclude: Option<Exclusions>,
    /// `servername`.
    pub servername: Option<ServerName>,
    /// `match`, as written; nothing in it where there was nothing between the separators. Names at `verify` and `secure`, digests at `fingerprint`.
    pub matches: Option<Vec<String>>,
    /// `tafile`.
    pub tafiles: Vec<String>,
    /// `connection_reuse`.
    pub connection_reuse: Option<bool>,
    /// `enable_rpk`.
    pub enable_rpk: Option<bool>,
    /// What a policy plugin said.
    pub plugin: PluginAttributes,
    /// What is odd, but valid, in it.
    pub remarks: Vec<Remark>,
}

/// The entry cannot be used; Postfix would defer the mail that needs it, and so does Waxseal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct InvalidEntry {
    /// One phrase for the operator.
    pub reason: String,
}

impl From<String> for InvalidEntry {
    fn from(reason: String) -> Self {
        Self { reason }
    }
}

impl FromStr for Entry {
    type Err = InvalidEntry;

    /// Reads `level name=value ...`.
    fn from_str(text: &str) -> Result<Self, InvalidEntry> {
        let mut words = words_at(text, COMMA_SPACE);
        let word = words.next().ok_or_else(|| "the entry has no security level".to_owned())?;
        let level: TlsLevel = word.parse().map_err(|_| {
            format!("invalid security level {word:?} (none, may, encrypt, dane, dane-only, fingerprint, verify or secure)")
        })?;
        let mut entry = Self::at(level);
        for word in words {
            if level == TlsLevel::None {
                entry.remark(Concern::Idle, format!("attribute {word:?} is ignored at level none"), "");
                continue;
            }
            let (name, value) = name_and_value(word)?;
            entry.set(&name, value)?;
        }
        entry.check_plugin()?;
        Ok(entry)
    }
}

/// `name=value`, or `{ name = value with spaces }`. The name comes in lower case.
fn name_and_value(word: &str) -> Result<(String, &str), String> {
    let inner = match braced(word) {
        None => word,
        Some(inner) => inner.map_err(|error| format!("malformed attribute {word:?}: {error}"))?,
    };
    let (name, value) = inner
        .split_once('=')
        .ok_or_else(|| format!("malformed attribute {word:?}: missing '=' after attribute name"))?;
    let name = name.trim();
    if name.is_empty() || name.contains(COMMA_SPACE) {
        return Err(format!("malformed attribute {word:?}: missing attribute name"));
    }
    // Postfix takes all the rest of the entry for the value then. Nobody means that.
    if !balanced(word) {
        return Err(format!("malformed attribute {word:?}: braces do not match"));
    }
    Ok((name.to_ascii_lowercase(), value.trim()))
}

/// Postfix takes these once; a second one makes the policy invalid.
fn once<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("attribute \"{name}\" is specified multiple times")),
    }
}

fn not_empty<'a>(name: &str, value: &'a str) -> Result<&'a str, String> {
    if value.is_empty() { Err(format!("attribute \"{name}\" has an empty value")) } else { Ok(value) }
}

fn yes_or_no(name: &str, value: &str) -> Result<bool, String> {
    if value.eq_ignore_ascii_case("yes") {
        Ok(true)
    } else if value.eq_ignore_ascii_case("no") {
        Ok(false)
    } else {
        Err(format!("attribute \"{name}\" has bad value {value:?} (yes or no)"))
    }
}

/// One of a few words, in any case.
fn one_of(name: &str, value: &str, known: &[&str]) -> Result<(), String> {
    if known.iter().any(|word| word.eq_ignore_ascii_case(value)) {
        Ok(())
    } else {
        Err(format!("attribute \"{name}\" has bad value {value:?} (one of {})", known.join(", ")))
    }
}

impl Entry {
    /// The level, and nothing else.
    #[must_use]
    pub fn at(level: TlsLevel) -> Self {
        Self {
            level,
            ciphers: None,
            protocols: None,
            exclude: None,
            servername: None,
            matches: None,
            tafiles: Vec::new(),
            connection_reuse: None,
            enable_rpk: None,
            plugin: PluginAttributes::default(),
            remarks: Vec::new(),
        }
    }

    fn remark(&mut self, concern: Concern, text: String, remedy: &str) {
        self.remarks.push(Remark::new(concern, text, remedy));
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "ciphers" => self.set_ciphers(name, not_empty(name, value)?),
            "protocols" => self.set_protocols(name, value),
            "exclude" => self.set_exclude(name, value),
            "servername" => {
                let server_name = ServerName::parse(value);
                if let ServerName::Invalid(_) = server_name {
                    return Err(format!("\"servername={value}\" specifies an invalid hostname"));
                }
                once(&mut self.servername, name, server_name)
            }
            "match" => self.add_match(name, value),
            "tafile" => {
                if !matches!(self.level, TlsLevel::Verify | TlsLevel::Secure) {
                    return Err(format!("attribute \"tafile\" is invalid at level {}", self.level));
                }
                self.tafiles.push(not_empty(name, value)?.to_owned());
                Ok(())
            }
            "connection_reuse" => {
                self.connection_reuse = Some(yes_or_no(name, value)?);
                Ok(())
            }
            "enable_rpk" => self.set_rpk(yes_or_no(name, value)?),
            _ => self.set_plugin(name, value),
        }
    }

    fn set_ciphers(&mut self, name: &str, value: &str) -> Result<(), String> {
        let grade: Grade = value.parse().map_err(|e: crate::InvalidCiphers| format!("{e}"))?;
        once(&mut self.ciphers, name, grade)?;
        if grade == Grade::Null {
            let text =
                "ciphers=null: suites without encryption are never offered, so that only TLSv1.3 is left";
            self.remark(Concern::Loss, text.to_owned(), "write medium or high");
        } else if ["export", "low"].iter().any(|word| word.eq_ignore_ascii_case(value)) {
            let text = format!("ciphers={value} means medium, as since Postfix 3.8");
            self.remark(Concern::Loss, text, "write medium");
        }
        Ok(())
    }

    fn set_protocols(&mut self, name: &str, value: &str) -> Result<(), String> {
        let protocols: Protocols = value.parse().map_err(|e: crate::InvalidProtocols| format!("{e}"))?;
        once(&mut self.protocols, name, protocols)?;
        if Protocols::allows_older(value) {
            let text = format!(
                "protocols={value} allows versions below TLSv1.2, which are never offered (RFC 8996)"
            );
            self.remark(Concern::Loss, text, "write >=TLSv1.2 if that is meant");
        }
        Ok(())
    }

    fn set_exclude(&mut self, name: &str, value: &str) -> Result<(), String> {
        let exclude: Exclusions = value.parse().map_err(|e: crate::InvalidCiphers| format!("{e}"))?;
        for word in exclude.unknown() {
            let text = format!(
                "exclude: {word:?} is no cipher that OpenSSL knows; it excludes nothing, in Postfix neither"
            );
            self.remarks.push(Remark::new(Concern::Idle, text, "correct its spelling; case counts"));
        }
        once(&mut self.exclude, name, exclude)
    }

    /// smtp_tls_policy.c: `|` separates fingerprints, `:` separates names; nothing else does.
    fn add_match(&mut self, name: &str, value: &str) -> Result<(), String> {
        let separator = match self.level {
            TlsLevel::Fingerprint => '|',
            TlsLevel::Verify | TlsLevel::Secure => ':',
            TlsLevel::None | TlsLevel::May | TlsLevel::Encrypt | TlsLevel::Dane | TlsLevel::DaneOnly => {
                return Err(format!("attribute \"match\" is invalid at level {}", self.level));
            }
        };
        for word in not_empty(name, value)?.split(separator).filter(|word| !word.is_empty()) {
            if self.level != TlsLevel::Fingerprint
                && let MatchName::Never(_) = MatchName::parse(word)
            {
                let text = format!("match: no certificate has a name that matches {word:?}");
                self.remarks.push(Remark::new(
                    Concern::Idle,
                    text,
                    "write a name, .domain, hostname, nexthop or dot-nexthop",
                ));
            }
            self.matches.get_or_insert_default().push(word.to_owned());
        }
        self.matches.get_or_insert_default();
        Ok(())
    }

    fn set_rpk(&mut self, wanted: bool) -> Result<(), String> {
        self.enable_rpk = Some(wanted);
        if wanted && !matches!(self.level, TlsLevel::Verify | TlsLevel::Secure) {
            let text =
                "enable_rpk=yes: raw public keys (RFC 7250) are not asked for; servers show certificates";
            self.remark(Concern::Loss, text.to_owned(), "");
        }
        Ok(())
    }

    /// The attributes that policy plugins send since Postfix 3.10; kept, and for TLSRPT to use.
    fn set_plugin(&mut self, name: &str, value: &str) -> Result<(), String> {
        /// Those of RFC 8460 §4.3 that a plugin may report (tlsrpt_wrapper.c).
        const FAILURES: &[&str] =
            &["sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid", "validation-failure"];
        let plugin = &mut self.plugin;
        let bad = |what: &str| format!("attribute \"{name}\" has bad value {value:?} ({what})");
        match name {
            "policy_type" => {
                one_of(name, value, &["sts", "no-policy-found"])?;
                once(&mut plugin.policy_type, name, value.to_owned())
            }
            "policy_domain" => {
                Domain::new(value).map_err(|_| bad("a domain"))?;
                once(&mut plugin.policy_domain, name, value.to_owned())
            }
            "policy_ttl" => {
                let digits = value.bytes().all(|b| b.is_ascii_digit());
                let seconds = digits.then(|| value.parse().ok()).flatten().ok_or_else(|| bad("seconds"))?;
                once(&mut plugin.policy_ttl, name, seconds)
            }
            "policy_failure" => {
                one_of(name, value, FAILURES)?;
                once(&mut plugin.policy_failure, name, value.to_owned())
            }
            "policy_string" => {
                plugin.policy_strings.push(value.to_owned());
                Ok(())
            }
            "mx_host_pattern" => {
                plugin.mx_host_patterns.push(value.to_owned());
                Ok(())
            }
            _ => Err(format!("invalid attribute name \"{name}\"")),
        }
    }

    fn check_plugin(&mut self) -> Result<(), String> {
        if self.plugin.policy_type.is_none() && self.plugin != PluginAttributes::default() {
            return Err("a policy_ or mx_host_pattern attribute without policy_type".into());
        }
        let sts = self.plugin.policy_type.as_ref().is_some_and(|kind| kind.eq_ignore_ascii_case("sts"));
        if sts && !self.plugin.mx_host_patterns.is_empty() {
            // postconf(5), smtp_tls_enforce_sts_mx_patterns (Postfix 3.10.5).
            let text = "mx_host_pattern is kept, but MX hosts are not held against it: a certificate for any of the \
                        names in match= will do for any of them";
            self.remark(Concern::Loss, text.to_owned(), "");
        }
        Ok(())
    }
}
