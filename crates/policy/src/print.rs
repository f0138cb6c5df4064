//! Entries as text again.

use alloc::{format, string::String, vec::Vec};
use core::fmt;

use waxseal_types::{NamePattern, TlsLevel};

use crate::{Entry, Exclusions, Grade, MatchName, ServerName, words::COMMA_SPACE};

impl fmt::Display for Entry {
    /// The attributes in a fixed order; braces only around what has separators in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.level)?;
        for (name, value) in self.attributes() {
            if value.contains(COMMA_SPACE) {
                write!(f, " {{ {name} = {value} }}")?;
            } else {
                write!(f, " {name}={value}")?;
            }
        }
        Ok(())
    }
}

impl Entry {
    /// Names and values, as they are printed. Nothing at level `none`, where they mean nothing.
    fn attributes(&self) -> Vec<(&'static str, String)> {
        let mut list = Vec::new();
        if self.level == TlsLevel::None {
            return list;
        }
        let mut add = |name, value: Option<String>| list.extend(value.map(|value| (name, value)));
        let yes_or_no = |flag: Option<bool>| flag.map(|flag| String::from(if flag { "yes" } else { "no" }));
        add("ciphers", self.ciphers.map(|grade| format!("{grade}")));
        add("protocols", self.protocols.map(|protocols| format!("{protocols}")));
        add("exclude", self.exclude.as_ref().map(|exclude| format!("{exclude}")));
        add("servername", self.servername.as_ref().map(|name| format!("{name}")));
        let separator = if self.level == TlsLevel::Fingerprint { "|" } else { ":" };
        // A list without words matches nothing; it must not turn into the configuration's.
        let joined =
            |words: &Vec<String>| if words.is_empty() { separator.into() } else { words.join(separator) };
        add("match", self.matches.as_ref().map(joined));
        self.tafiles.iter().for_each(|file| add("tafile", Some(file.clone())));
        add("connection_reuse", yes_or_no(self.connection_reuse));
        add("enable_rpk", yes_or_no(self.enable_rpk));
        let plugin = &self.plugin;
        add("policy_type", plugin.policy_type.clone());
        add("policy_domain", plugin.policy_domain.clone());
        add("policy_ttl", plugin.policy_ttl.map(|seconds| format!("{seconds}")));
        add("policy_failure", plugin.policy_failure.clone());
        plugin.policy_strings.iter().for_each(|text| add("policy_string", Some(text.clone())));
        plugin.mx_host_patterns.iter().for_each(|text| add("mx_host_pattern", Some(text.clone())));
        list
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

impl fmt::Display for Exclusions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().collect::<Vec<_>>().join(":"))
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hostname => f.write_str("hostname"),
            Self::NextHop => f.write_str("nexthop"),
            Self::Name(name) => write!(f, "{name}"),
            Self::Invalid(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for MatchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hostname => f.write_str("hostname"),
            Self::NextHop => f.write_str("nexthop"),
            Self::DotNextHop => f.write_str("dot-nexthop"),
            Self::Fixed(NamePattern::Exact(name)) => write!(f, "{name}"),
            Self::Fixed(NamePattern::Below(parent)) => write!(f, ".{parent}"),
            Self::Fixed(NamePattern::Wildcard(parent)) => write!(f, "*.{parent}"),
            Self::Fixed(NamePattern::Address(address)) => write!(f, "{address}"),
            Self::Never(text) => f.write_str(text),
        }
    }
}
