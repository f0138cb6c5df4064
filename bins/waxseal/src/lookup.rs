//! Lookups of policies and routes from a command: the library's, over the configured tables, waited for.

use std::{io, pin::Pin, sync::Mutex};

use tokio::runtime::Runtime;
use waxseal_config::Config;
use waxseal_policy::{
    PolicyError, Route, TableAnswer, TableName, Tables, TlsPolicy, Transport, find_policy, find_route,
    findings::Ask,
};
use waxseal_types::{Mailbox, NextHop, Service};

/// One configuration, and where its lookups run.
pub(crate) struct Lookups<'a> {
    pub(crate) config: &'a Config,
    pub(crate) service: Service,
    runtime: Runtime,
}

/// A key that was asked of a table, and what it said.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) table: TableName,
    pub(crate) key: String,
    pub(crate) answer: TableAnswer,
}

/// The service that mail for a transport goes by; without one, the main one of the protocol.
pub(crate) fn service(config: &Config, transport: Option<&str>, lmtp: bool) -> Result<Service, String> {
    let Some(name) = transport else {
        return Ok(if lmtp { Service::LMTP } else { Service::SMTP });
    };
    match config.policy.transports.get(name) {
        Some(Transport::Deliver(service)) => Ok(service.clone()),
        Some(Transport::Refused(reason)) => Err(reason.clone()),
        None => {
            let known: Vec<&str> = config.policy.transports.keys().map(String::as_str).collect();
            Err(format!("mail transport {name:?} unavailable: there are {}", known.join(", ")))
        }
    }
}

impl<'a> Lookups<'a> {
    pub(crate) fn new(config: &'a Config, service: Service) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { config, service, runtime })
    }

    /// The policy of a next hop, and all that was asked on the way.
    pub(crate) fn traced(&self, nexthop: &NextHop) -> (Result<TlsPolicy, PolicyError>, Vec<Asked>) {
        let trace = Trace { tables: &*self.config.tables, asked: Mutex::default() };
        let lookup = find_policy(&self.config.policy, &trace, &self.service, nexthop);
        let found = self.runtime.block_on(lookup);
        (found, trace.asked.into_inner().unwrap_or_default())
    }
}

impl Ask for Lookups<'_> {
    fn policy(&mut self, service: &Service, nexthop: &NextHop) -> Result<TlsPolicy, PolicyError> {
        let lookup = find_policy(&self.config.policy, &*self.config.tables, service, nexthop);
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
