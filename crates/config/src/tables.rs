//! The tables of a configuration, behind the trait that `waxseal-policy` asks.

use std::{
    collections::BTreeMap,
    future::ready,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use waxseal_policy::{Crowding, Origin, TableAnswer, TableName, Tables};
use waxseal_tables::{Found, Options, Refresh, Table, TableError, TempFail};

/// Something about a table that an operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableAlert {
    /// The table.
    pub table: TableName,
    /// What happened: a reload, or why there was none.
    pub text: String,
    /// How bad it is.
    pub severity: Severity,
}

/// How bad an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A new version is in force.
    Reloaded,
    /// The last good version is still in force.
    Stale,
    /// Lookups fail; mail that needs them waits.
    Failed,
}

/// All tables that a configuration names, each opened once.
#[derive(Debug, Default)]
pub struct TableSet {
    tables: BTreeMap<TableName, Table>,
    options: Options,
    generation: AtomicU64,
    /// What was last said of each table, so that it is said once.
    said: std::sync::Mutex<BTreeMap<TableName, Severity>>,
}

impl TableSet {
    pub(crate) fn set_stale_limit(&mut self, limit: Option<Duration>) {
        if let Some(limit) = limit {
            self.options.stale_limit = limit;
        }
    }

    /// Opens a table, unless it is open already.
    pub(crate) fn open(&mut self, name: &str, place: &str) -> Result<TableName, TableError> {
        let key = TableName::new(name);
        if !self.tables.contains_key(&key) {
            let table = Table::open(name, Options { place: Some(place.to_owned()), ..self.options.clone() })?;
            self.tables.insert(key.clone(), table);
        }
        Ok(key)
    }

    /// What is odd in the tables as they were opened.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for (name, table) in &self.tables {
            complaints.extend(
                table.trouble().map(|trouble| format!("{name}: {trouble}; mail that needs it waits")),
            );
            complaints.extend(
                table.warnings().into_iter().map(|warning| format!("{}: {}", warning.place, warning.text)),
            );
        }
        complaints
    }

    /// Looks at all files again. To be called every second or so, and on SIGHUP; it reads files, so not where nothing may block.
    /// An alert is given once, until it changes.
    pub fn refresh_all(&self, now: SystemTime) -> Vec<TableAlert> {
        let mut alerts = Vec::new();
        let mut said = self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (name, table) in &self.tables {
            let (severity, text) = match table.refresh(now) {
                Refresh::Unchanged => {
                    // A file that came back as it was.
                    if said.remove(name).is_some_and(|before| before >= Severity::Stale)
                        && table.trouble().is_none()
                    {
                        self.generation.fetch_add(1, Ordering::Release);
                    }
                    continue;
                }
                Refresh::Waiting => continue,
                Refresh::Reloaded => (Severity::Reloaded, "reloaded".to_owned()),
                Refresh::Kept(reason) => {
                    (Severity::Stale, format!("{reason}; the last good version is in force"))
                }
                Refresh::Failed(reason) => (Severity::Failed, format!("{reason}; mail that needs it waits")),
            };
            let before = said.insert(name.clone(), severity);
            // A version that has just become too old is a change of policy, too.
            if severity == Severity::Reloaded || (severity == Severity::Failed && before != Some(severity)) {
                self.generation.fetch_add(1, Ordering::Release);
            }
            if before != Some(severity) || severity == Severity::Reloaded {
                alerts.push(TableAlert { table: name.clone(), text, severity });
            }
            if severity == Severity::Reloaded {
                said.remove(name);
                let warned = table.warnings().into_iter().map(|w| format!("{}: {}", w.place, w.text));
                alerts.extend(warned.map(|text| TableAlert { table: name.clone(), text, severity }));
            }
        }
        alerts
    }

    /// All entries of a table, with their origins: for checks.
    #[must_use]
    pub fn entries(&self, name: &TableName) -> Vec<(String, Origin)> {
        let entries = self.tables.get(name).map(Table::entries).unwrap_or_default();
        let entry = |(key, found): (String, Found)| {
            let origin = Origin::new(name.clone(), &found.place, &key);
            (found.value, origin)
        };
        entries.into_iter().map(entry).collect()
    }

    /// Looks up a key, and waits for the answer where a server or a database has it: for commands. A daemon uses [`Tables::find`].
    #[must_use]
    pub fn lookup(&self, table: &TableName, key: &str) -> TableAnswer {
        match self.tables.get(table) {
            Some(found) if found.is_remote() => answer(table, key, wait_for(found, key)),
            Some(found) => answer(table, key, found.find(key)),
            None => not_configured(table),
        }
    }
}

/// Asks from a thread of its own, since whoever calls may be part of a runtime, which must not be blocked by another one.
fn wait_for(table: &Table, key: &str) -> Result<Option<Found>, TempFail> {
    let fail = |reason: String| TempFail { table: table.name().to_owned(), reason };
    let ask = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| fail(error.to_string()))?.block_on(table.ask(key))
    };
    let asked = std::thread::scope(|scope| scope.spawn(ask).join());
    asked.unwrap_or_else(|_| Err(fail("the lookup was given up".to_owned())))
}

fn not_configured(table: &TableName) -> TableAnswer {
    TableAnswer::TempFail(format!("table {table} is not configured"))
}

fn answer(table: &TableName, key: &str, found: Result<Option<Found>, TempFail>) -> TableAnswer {
    match found {
        Ok(Some(Found { value, place })) => {
            TableAnswer::Found { value, origin: Origin::new(table.clone(), &place, key) }
        }
        Ok(None) => TableAnswer::Absent,
        Err(fail) => TableAnswer::TempFail(fail.reason),
    }
}

impl Tables for TableSet {
    fn find<'a>(
        &'a self,
        table: &'a TableName,
        key: &'a str,
    ) -> Pin<Box<dyn Future<Output = TableAnswer> + Send + 'a>> {
        match self.tables.get(table) {
            Some(found) if found.is_remote() => {
                // Others go on meanwhile.
                Box::pin(async move { answer(table, key, found.ask(key).await) })
            }
            Some(_) | None => Box::pin(ready(self.lookup(table, key))),
        }
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn is_steady(&self, table: &TableName) -> bool {
        self.tables.get(table).is_some_and(Table::is_steady)
    }

    fn crowding(&self) -> Crowding {
        let add = |sum: Crowding, table: &Table| {
            let (forgotten, waited) = table.crowding();
            Crowding { forgotten: sum.forgotten + forgotten, waited: sum.waited + waited }
        };
        self.tables.values().fold(Crowding::default(), add)
    }
}
