//! The lookup of a TLS policy (postconf(5), `smtp_tls_policy_maps`).

use alloc::{borrow::ToOwned, format, string::String, vec, vec::Vec};

use waxseal_types::{Domain, NextHop, Service, Target};

use crate::{
    ClientSettings, PolicyError, PolicySource, Settings, Step, TableAnswer, TableName, Tables, TlsPolicy,
};

/// Finds the policy of one next hop.
///
/// Each key is asked of all tables in turn before the next key is. The first key is the next hop as it is written, brackets and port
/// included. Only where it is a plain domain follow its parents, each with a leading dot. A domain with U-labels is also looked up
/// by its A-labels, so that an entry under either form holds.
#[derive(Debug)]
pub struct PolicyLookup<'a> {
    settings: &'a Settings,
    client: &'a ClientSettings,
    search: Search<'a>,
    done: Option<Result<TlsPolicy, PolicyError>>,
}

impl<'a> PolicyLookup<'a> {
    /// The lookup for `nexthop`, as `service` would make it.
    #[must_use]
    pub fn new(settings: &'a Settings, service: &Service, nexthop: &NextHop) -> Self {
        let client = match settings.client(service) {
            Ok(client) => client,
            Err(error) => {
                let (client, search) = (&settings.smtp, Search::new(&[], Vec::new()));
                return Self { settings, client, search, done: Some(Err(error)) };
            }
        };
        let search = Search::new(&client.policy_maps, keys(nexthop));
        let mut lookup = Self { settings, client, search, done: None };
        if lookup.search.current().is_none() {
            lookup.done = Some(TlsPolicy::from_default(settings, client));
        }
        lookup
    }

    /// What is needed next, or the result.
    pub fn step(&self) -> Step<'_, TlsPolicy> {
        match (&self.done, self.search.current()) {
            (Some(result), _) => Step::Done(result.clone()),
            (None, Some((table, key))) => Step::NeedKey { table, key },
            (None, None) => Step::Done(TlsPolicy::from_default(self.settings, self.client)),
        }
    }

    /// The answer to the last [`Step::NeedKey`].
    pub fn answer(&mut self, answer: TableAnswer) {
        let Some((table, _)) = self.search.current() else { return };
        match answer {
            TableAnswer::Found { value, origin } => {
                let source = PolicySource::Entry(origin);
                self.done = Some(TlsPolicy::from_entry(self.settings, self.client, &value, source));
            }
            // A table that fails is never one without the key.
            TableAnswer::TempFail(reason) => {
                self.done =
                    Some(Err(PolicyError::tls(format!("policy table {table} lookup error: {reason}"), None)));
            }
            TableAnswer::Absent => {
                self.search.advance();
                if self.search.current().is_none() {
                    self.done = Some(TlsPolicy::from_default(self.settings, self.client));
                }
            }
        }
    }
}

/// Runs a lookup over `tables`.
///
/// # Errors
/// As [`PolicyLookup`]: no usable policy, so that mail has to wait.
pub async fn find_policy(
    settings: &Settings,
    tables: &dyn Tables,
    service: &Service,
    nexthop: &NextHop,
) -> Result<TlsPolicy, PolicyError> {
    let mut lookup = PolicyLookup::new(settings, service, nexthop);
    loop {
        let answer = match lookup.step() {
            Step::Done(result) => return result,
            Step::NeedKey { table, key } => tables.find(table, key).await,
        };
        lookup.answer(answer);
    }
}

/// The keys of a next hop, in order.
fn keys(nexthop: &NextHop) -> Vec<String> {
    let text = nexthop.as_str();
    // Parents are only searched for a domain without brackets and port; nothing else is a "plain domain".
    match (nexthop.target(), nexthop.port()) {
        (Target::Mx(domain), None) => {
            let mut keys = both_forms(text, domain);
            keys.extend(parents(text, domain));
            keys
        }
        // Postfix's smtp(8) looks a socket up by its path.
        (Target::Unix(path), _) => vec![(**path).to_owned()],
        (Target::Mx(_) | Target::Host(_) | Target::Address(_), _) => vec![text.to_owned()],
    }
}

/// A domain as it is written, and by its A-labels where that differs.
pub(crate) fn both_forms(text: &str, domain: &Domain) -> Vec<String> {
    let mut forms = vec![text.to_owned()];
    if domain.as_str() != text {
        forms.push(domain.as_str().to_owned());
    }
    forms
}

/// The parents with a leading dot, nearest first, each in both forms. Where IDNA took another character for a dot the written form
/// has no parents of its own, and none may be left out for that.
pub(crate) fn parents(text: &str, domain: &Domain) -> Vec<String> {
    let written: Vec<&str> = text.match_indices('.').map(|(at, _)| &text[at..]).collect();
    let ascii: Vec<&str> = domain.dotted_parents().collect();
    let paired = written.len() == ascii.len();
    let mut keys = Vec::with_capacity(ascii.len());
    for (at, ascii) in ascii.into_iter().enumerate() {
        let written = written.get(at).filter(|written| paired && **written != ascii);
        keys.extend(written.map(|written| (*written).to_owned()));
        keys.push(ascii.to_owned());
    }
    keys
}

/// Each key in each table: keys outermost, as Postfix's `maps_find` is called.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    tables: &'a [TableName],
    keys: Vec<String>,
    at: usize,
}

impl<'a> Search<'a> {
    pub(crate) const fn new(tables: &'a [TableName], keys: Vec<String>) -> Self {
        Self { tables, keys, at: 0 }
    }

    pub(crate) fn current(&self) -> Option<(&'a TableName, &str)> {
        let count = self.tables.len();
        let key = self.keys.get(self.at.checked_div(count)?)?;
        Some((self.tables.get(self.at % count)?, key))
    }

    pub(crate) const fn advance(&mut self) {
        self.at += 1;
    }
}
