//! Lookups of policies and routes from a command: the library's, over the configured tables, waited for.

use std::{io, pin::Pin, sync::Mutex};

use tokio::runtime::Runtime;
use waxseal_config::Config;
use waxseal_policy::{
    PolicyError, Route, TableAnswer, TableName, Tables, TlsPolicy, find_policy, find_route, findings::Ask,
};
use waxseal_types::{Mailbox, NextHop, Protocol};

/// One configuration, and where its lookups run.
pub(crate) struct Lookups<'a> {
    pub(crate) config: &'a Config,
    pub(crate) protocol: Protocol,
    runtime: Runtime,
}

/// A key that was asked of a table, and what it said.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) table: TableName,
    pub(crate) key: String,
    pub(crate) answer: TableAnswer,
}

impl<'a> Lookups<'a> {
    pub(crate) fn new(config: &'a Config, protocol: Protocol) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { config, protocol, runtime })
    }

    /// The policy of a next hop, and all that was asked on the way.
    pub(crate) fn traced(&self, nexthop: &NextHop) -> (Result<TlsPolicy, PolicyError>, Vec<Asked>) {
        let trace = Trace { tables: &*self.config.tables, asked: Mutex::default() };
        let lookup = find_policy(&self.config.policy, &trace, self.protocol, nexthop);
        let found = self.runtime.block_on(lookup);
        (found, trace.asked.into_inner().unwrap_or_default())
    }
}

impl Ask for Lookups<'_> {
    fn policy(&mut self, nexthop: &NextHop) -> Result<TlsPolicy, PolicyError> {
        let lookup = find_policy(&self.config.policy, &*self.config.tables, self.protocol, nexthop);
        self.runtime.block_on(lookup)
    }

    fn route(&mut self, recipient: &Mailbox) -> Result<Route, PolicyError> {
        self.runtime.block_on(find_route(&self.config.policy, &*self.config.tables, recipient))
    }
}

/// The tables, with a record of what was asked.
struct Trace<'a> {
    tables: &'a dyn Tables,
    asked: Mutex<Vec<Asked>>,
}

impl Tables for Trace<'_> {
    fn find<'a>(
        &'a self,
        table: &'a TableName,
        key: &'a str,
    ) -> Pin<Box<dyn Future<Output = TableAnswer> + Send + 'a>> {
        Box::pin(async move {
            let answer = self.tables.find(table, key).await;
            let asked = Asked { table: table.clone(), key: key.to_owned(), answer: answer.clone() };
            if let Ok(mut list) = self.asked.lock() {
                list.push(asked);
            }
            answer
        })
    }

    fn generation(&self) -> u64 {
        self.tables.generation()
    }
}
