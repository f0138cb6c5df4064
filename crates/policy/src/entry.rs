//! The right-hand side of a policy table (postconf(5), `smtp_tls_policy_maps`).

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};

use waxseal_types::TlsLevel;

use crate::{
    Exclusions, Grade, PluginAttributes, Protocols, ServerName,
    words::{COMMA_SPACE, braced, words_at},
};

/// An entry, parsed and checked by itself. What the configuration says about what it leaves open is added by `TlsPolicy`.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) ciphers: Option<Grade>,
    pub(crate) protocols: Option<Protocols>,
    pub(crate) exclude: Option<Exclusions>,
    pub(crate) servername: Option<ServerName>,
    /// As written; how they are split depends on the level.
    pub(crate) matches: Vec<String>,
    pub(crate) tafiles: Vec<String>,
    pub(crate) connection_reuse: Option<bool>,
    pub(crate) enable_rpk: Option<bool>,
    pub(crate) plugin: PluginAttributes,
    pub(crate) warnings: Vec<String>,
}

/// Reads `level name=value ...`; the error is a phrase for the operator.
pub(crate) fn parse(value: &str) -> Result<(TlsLevel, Attributes), String> {
    let mut words = words_at(value, COMMA_SPACE);
    let word = words.next().ok_or("the entry has no security level")?;
    let level: TlsLevel = word.parse().map_err(|_| {
        format!("invalid security level {word:?} (none, may, encrypt, dane, dane-only, fingerprint, verify or secure)")
    })?;
    let mut attributes = Attributes::default();
    for word in words {
        if level == TlsLevel::None {
            attributes.warnings.push(format!("attribute {word:?} is ignored at level none"));
            continue;
        }
        let (name, value) = name_and_value(word)?;
        attributes.set(level, &name, value)?;
    }
    attributes.check_plugin()?;
    Ok((level, attributes))
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

impl Attributes {
    fn set(&mut self, level: TlsLevel, name: &str, value: &str) -> Result<(), String> {
        match name {
            "ciphers" => {
                let grade =
                    not_empty(name, value)?.parse().map_err(|e: crate::InvalidCiphers| format!("{e}"))?;
                once(&mut self.ciphers, name, grade)
            }
            "protocols" => once(
                &mut self.protocols,
                name,
                value.parse().map_err(|e: crate::InvalidProtocols| format!("{e}"))?,
            ),
            "exclude" => once(
                &mut self.exclude,
                name,
                value.parse().map_err(|e: crate::InvalidCiphers| format!("{e}"))?,
            ),
            "servername" => {
                let server_name = ServerName::parse(value);
                if let ServerName::Invalid(_) = server_name {
                    return Err(format!("\"servername={value}\" specifies an invalid hostname"));
                }
                once(&mut self.servername, name, server_name)
            }
            "match" => {
                let allowed = matches!(level, TlsLevel::Fingerprint | TlsLevel::Verify | TlsLevel::Secure);
                allowed
                    .then_some(())
                    .ok_or_else(|| format!("attribute \"match\" is invalid at level {level}"))?;
                self.matches.push(not_empty(name, value)?.to_owned());
                Ok(())
            }
            "tafile" => {
                let allowed = matches!(level, TlsLevel::Verify | TlsLevel::Secure);
                allowed
                    .then_some(())
                    .ok_or_else(|| format!("attribute \"tafile\" is invalid at level {level}"))?;
                self.tafiles.push(not_empty(name, value)?.to_owned());
                Ok(())
            }
            "connection_reuse" => {
                self.connection_reuse = Some(yes_or_no(name, value)?);
                Ok(())
            }
            "enable_rpk" => {
                self.enable_rpk = Some(yes_or_no(name, value)?);
                Ok(())
            }
            _ => self.set_plugin(name, value),
        }
    }

    /// The attributes that policy plugins send since Postfix 3.10; kept, and for TLSRPT to use.
    fn set_plugin(&mut self, name: &str, value: &str) -> Result<(), String> {
        let plugin = &mut self.plugin;
        match name {
            "policy_type" => once(&mut plugin.policy_type, name, value.to_owned()),
            "policy_domain" => once(&mut plugin.policy_domain, name, value.to_owned()),
            "policy_ttl" => {
                let seconds = value
                    .parse()
                    .map_err(|_| format!("attribute \"policy_ttl\" has bad value {value:?} (seconds)"))?;
                once(&mut plugin.policy_ttl, name, seconds)
            }
            "policy_failure" => once(&mut plugin.policy_failure, name, value.to_owned()),
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

    fn check_plugin(&self) -> Result<(), String> {
        let plugin = &self.plugin;
        match &plugin.policy_type {
            None if *plugin != PluginAttributes::default() => {
                Err("a policy_ or mx_host_pattern attribute without policy_type".into())
            }
            Some(kind) if !matches!(kind.as_str(), "sts" | "no-policy-found") => {
                Err(format!("attribute \"policy_type\" has bad value {kind:?} (sts or no-policy-found)"))
            }
            None | Some(_) => Ok(()),
        }
    }
}
