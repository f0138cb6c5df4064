//! The left-hand sides of policy tables: which of them does any lookup come to?

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString as _},
    vec::Vec,
};

use waxseal_types::{Domain, NextHop};

use super::Finding;
use crate::{Concern, Origin, Remark};

/// What the key of an entry stands for (postconf(5), `smtp_tls_policy_maps`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// A next hop as it is looked up.
    Hop(NextHop),
    /// `.example.com`: domains below it.
    Below(Domain),
    /// A rule of a table whose rules are tried in turn; how it is written.
    Pattern(String),
    /// All keys there are.
    Every,
    /// Something that is never looked up; with what was probably meant.
    Nobody(&'static str),
}

/// `regexp` of `proxy:regexp:/etc/postfix/rules`.
fn kind(origin: &Origin) -> &str {
    let name = origin.table.as_str();
    let plain = name.strip_prefix("proxy:").unwrap_or(name);
    plain.split_once(':').map_or("", |(kind, _)| kind)
}

impl Key {
    /// That of an entry.
    #[must_use]
    pub fn of(origin: &Origin) -> Self {
        let key = &*origin.key;
        match kind(origin) {
            "regexp" | "pcre" | "cidr" if catches_all(key) => Self::Every,
            "regexp" | "pcre" | "cidr" => Self::Pattern(key.to_string()),
            "static" | "randmap" => Self::Every,
            _ => Self::of_text(key),
        }
    }

    fn of_text(key: &str) -> Self {
        if key.contains('@') {
            return Self::Nobody("policies belong to next hops, not to addresses");
        }
        if key.starts_with('*') {
            return Self::Nobody(
                "write .example.com for what is below a domain; the default is security_level",
            );
        }
        if let Some(parent) = key.strip_prefix('.') {
            return match Domain::new(parent) {
                Ok(parent) if !key.ends_with('.') => Self::Below(parent),
                Ok(_) | Err(_) => Self::Nobody("write a domain behind the dot"),
            };
        }
        match key.parse::<NextHop>() {
            Ok(hop) if hop.as_str() == key.to_lowercase() => Self::Hop(hop),
            Ok(_) => Self::Nobody("leave out a dot at the end, and inet: before the name"),
            Err(_) => Self::Nobody(
                "write it as the next hop stands in the route: a domain, or [host], with :port where it has one",
            ),
        }
    }

    fn is_rule(&self) -> bool {
        matches!(self, Self::Pattern(_) | Self::Every)
    }
}

/// Rules that match whatever they are asked. Others may do so, too; of these it is plain to see.
fn catches_all(rule: &str) -> bool {
    const EVERYTHING: [&str; 8] = ["", "^", ".", ".*", ".+", "^.*$", "^.*", "^."];
    let pattern = rule.strip_prefix('/').and_then(|rest| rest.rsplit_once('/')).map(|(pattern, _)| pattern);
    pattern.is_some_and(|pattern| EVERYTHING.contains(&pattern))
}

/// The entries in the order of lookups, as far as one can be seen to hide another.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Keys with the place where they stand first.
    seen: BTreeMap<String, Origin>,
    every: Option<(Origin, usize)>,
    /// Keys of parents, which nobody looks up where every key has an answer.
    parents: Vec<Origin>,
}

impl Order {
    /// Takes up the next entry, and tells whether a lookup can come to it.
    pub(super) fn next(&mut self, origin: &Origin, key: Key) -> Option<Remark> {
        if let Key::Nobody(meant) = key {
            let text = format!("no next hop is ever looked up as {:?}", &*origin.key);
            return Some(Remark::new(Concern::Unreachable, text, meant));
        }
        // Of exact keys in later tables: they were asked before, each in turn, but the first table answers.
        if let Some((every, hidden)) = &mut self.every
            && (key.is_rule() || every.table != origin.table)
        {
            *hidden += 1;
            return None;
        }
        let shadow = match &key {
            Key::Hop(_) | Key::Below(_) => origin.key.to_lowercase(),
            // Rules only hide what is written alike in their own table or one behind.
            Key::Pattern(rule) => format!("{}\n{rule}", kind(origin)),
            Key::Every | Key::Nobody(_) => String::new(),
        };
        if let Key::Below(_) = key {
            self.parents.push(origin.clone());
        }
        if key == Key::Every {
            self.every = Some((origin.clone(), 0));
            return None;
        }
        if let Some(first) = self.seen.get(&shadow) {
            let text = format!("the same key stands in {first}, which answers first");
            return Some(Remark::new(Concern::Unreachable, text, "remove one of them"));
        }
        self.seen.insert(shadow, origin.clone());
        None
    }

    /// What can be said at the end only.
    pub(super) fn end(self) -> Vec<Finding> {
        let Some((every, hidden)) = self.every else { return Vec::new() };
        let mut findings = Vec::new();
        if hidden > 0 {
            let lines = if hidden == 1 { "1 line".to_string() } else { format!("{hidden} lines") };
            // A table's list of rules does not say which of them stand between `if` and `endif`.
            let text = format!(
                "it answers every key, unless an if stands around it: {lines} behind it can never be reached"
            );
            findings.push(Finding::new(Some(&every), Remark::new(Concern::Unreachable, text, "put it last")));
        }
        // The next hop itself is asked of all tables before its parents are.
        for parent in &self.parents {
            let text = format!("{every} answers every next hop, so that nobody looks for its parents");
            findings.push(Finding::new(Some(parent), Remark::new(Concern::Unreachable, text, "")));
        }
        findings
    }
}

/// Destinations that stand for the entries of tables: what a comparison of two configurations tries out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examples {
    /// Each with the key that it stands for, where that is another text.
    pub hops: Vec<(NextHop, Option<String>)>,
    /// Entries of which no example could be made.
    pub without: Vec<Origin>,
}

/// One example for each entry. Patterns have one where they are a plain text between `^` and `$`.
#[must_use]
pub fn examples<'a>(origins: impl IntoIterator<Item = &'a Origin>) -> Examples {
    let mut examples = Examples::default();
    for origin in origins {
        let literal = |rule: &str| match kind(origin) {
            "cidr" => rule.split('/').next().map(Into::into),
            _ => literal(rule),
        };
        let hop = match Key::of(origin) {
            Key::Pattern(rule) => literal(&rule).and_then(|text| text.parse().ok()),
            Key::Every => "any.example.invalid".parse().ok(),
            // Never looked up: what it says is no policy of anybody.
            Key::Nobody(_) => continue,
            key @ (Key::Hop(_) | Key::Below(_)) => super::hop_of(&key),
        };
        match hop {
            Some(hop) => {
                let stands_for = (hop.as_str() != origin.key.to_lowercase()).then(|| origin.key.to_string());
                examples.hops.push((hop, stands_for));
            }
            None => examples.without.push(origin.clone()),
        }
    }
    examples
}

/// `mx.example.com` of `/^mx\.example\.com$/`; `any.example.com` of `/\.example\.com$/`.
fn literal(rule: &str) -> Option<String> {
    let (pattern, _) = rule.strip_prefix('/')?.rsplit_once('/')?;
    let (from_start, pattern) = pattern.strip_prefix('^').map_or((false, pattern), |rest| (true, rest));
    let pattern = pattern.strip_suffix('$')?;
    let mut text = String::new();
    let mut escaped = false;
    for c in pattern.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            // A letter behind a backslash is a class of characters.
            c if escaped && c.is_alphanumeric() => return None,
            c if escaped => {
                text.push(c);
                escaped = false;
            }
            // An unescaped dot matches a dot, too.
            c if c.is_alphanumeric() || "-_:.".contains(c) => text.push(c),
            _ => return None,
        }
    }
    match (from_start, text.starts_with('.')) {
        (true, _) => Some(text),
        (false, true) => Some(format!("any{text}")),
        (false, false) => Some(text),
    }
}
