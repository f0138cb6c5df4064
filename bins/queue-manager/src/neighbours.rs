//! Whom the intake asks: the tables of the configuration, and the resolver.

use std::sync::Arc;

use waxseal_dns::Resolver;
use waxseal_intake::{Answer, Lookup, Neighbours, Publication, Records, Switch};
use waxseal_policy::{TableAnswer, TableName, Tables};
use waxseal_types::{Domain, Lookup as Found};

/// Both, for an intake.
pub(crate) fn neighbours(tables: Arc<dyn Tables>, resolver: Resolver) -> Neighbours {
    Neighbours { tables: Arc::new(TablesOf(tables)), records: Arc::new(RecordsOf(resolver)) }
}

struct TablesOf(Arc<dyn Tables>);

impl std::fmt::Debug for TablesOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TablesOf")
    }
}

impl Lookup for TablesOf {
    fn find<'a>(&'a self, table: &'a str, key: &'a str) -> Answer<'a, Result<Option<String>, String>> {
        Box::pin(async move {
            match self.0.find(&TableName::new(table), key).await {
                TableAnswer::Found { value, .. } => Ok(Some(value)),
                TableAnswer::Absent => Ok(None),
                TableAnswer::TempFail(reason) => Err(reason),
            }
        })
    }
}

struct RecordsOf(Resolver);

impl std::fmt::Debug for RecordsOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordsOf")
    }
}

impl Records for RecordsOf {
    fn published<'a>(&'a self, name: &'a str, port: u16) -> Answer<'a, Publication> {
        Box::pin(async move {
            let Ok(name) = Domain::new(name) else { return Publication::None };
            match self.0.tlsa(&name, port).await {
                // RFC 7672 §2.2: in an unsigned zone they bind nobody; but whoever publishes them there is about to sign it.
                Ok(answer) => match answer.lookup {
                    Found::Found(records) if !records.is_empty() => Publication::Some,
                    Found::Found(_) | Found::NoData | Found::NxDomain => Publication::None,
                },
                Err(failure) => Publication::Unknown(failure.to_string()),
            }
        })
    }

    /// No rollover is under way: what the operator put into the files is what is to be served.
    fn may_switch<'a>(&'a self, _: Switch<'a>) -> Answer<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}
