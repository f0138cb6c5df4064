//! `pgsql:`, `mysql:` and `sqlite:` tables (pgsql_table(5), mysql_table(5), sqlite_table(5)): a file says which server and which query.

mod file;
mod literal;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "pgsql")]
mod pgsql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod template;

use std::sync::Arc;

use crate::{
    TableError, Warning,
    net::{Asked, Recent},
    texthash::fold,
};
use file::QueryFile;
use template::{Needs, Template};

/// Whose SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sql {
    Pgsql,
    Mysql,
    Sqlite,
}

impl Sql {
    /// The type of a table, if it is one of these.
    pub(crate) fn of(kind: &str) -> Option<Self> {
        match kind {
            "pgsql" => Some(Self::Pgsql),
            "mysql" => Some(Self::Mysql),
            "sqlite" => Some(Self::Sqlite),
            _ => None,
        }
    }

    /// Whether the driver was built in.
    pub(crate) const fn is_built(self) -> bool {
        match self {
            Self::Pgsql => cfg!(feature = "pgsql"),
            Self::Mysql => cfg!(feature = "mysql"),
            Self::Sqlite => cfg!(feature = "sqlite"),
        }
    }
}

/// A row's columns; SQL's NULL is `None`.
type Row = Vec<Option<String>>;

/// So many octets of rows at most: a query that forgot its WHERE must not fill the memory.
#[cfg(any(feature = "pgsql", feature = "mysql", feature = "sqlite"))]
const ROWS_LIMIT: usize = 1 << 20;

/// The octets of a result, as they come.
#[cfg(any(feature = "pgsql", feature = "mysql", feature = "sqlite"))]
#[derive(Debug, Default)]
struct Meter(usize);

#[cfg(any(feature = "pgsql", feature = "mysql", feature = "sqlite"))]
impl Meter {
    fn add(&mut self, row: &Row) -> Result<(), String> {
        self.0 += row.iter().flatten().map(|text| text.len() + 24).sum::<usize>() + 24;
        if self.0 > ROWS_LIMIT { Err(format!("a result of more than {ROWS_LIMIT} octets")) } else { Ok(()) }
    }
}

/// A query file, ready to be asked.
#[derive(Debug)]
pub(crate) struct Query {
    /// What it was read from: the same text is no new version.
    source: Vec<u8>,
    sql: Sql,
    query: Template,
    result: Template,
    needs: Needs,
    domains: Vec<(bool, String)>,
    limit: usize,
    driver: Driver,
    recent: Recent,
}

#[derive(Debug)]
enum Driver {
    #[cfg(feature = "pgsql")]
    Pgsql(Box<pgsql::Pgsql>),
    #[cfg(feature = "mysql")]
    Mysql(Box<mysql::Mysql>),
    #[cfg(feature = "sqlite")]
    Sqlite(Box<sqlite::Sqlite>),
}

impl Driver {
    fn new(sql: Sql, file: &QueryFile) -> Result<Self, TableError> {
        match sql {
            #[cfg(feature = "pgsql")]
            Sql::Pgsql => pgsql::Pgsql::new(file).map(|driver| Self::Pgsql(Box::new(driver))),
            #[cfg(feature = "mysql")]
            Sql::Mysql => mysql::Mysql::new(file).map(|driver| Self::Mysql(Box::new(driver))),
            #[cfg(feature = "sqlite")]
            Sql::Sqlite => sqlite::Sqlite::new(file).map(|driver| Self::Sqlite(Box::new(driver))),
            #[cfg(not(all(feature = "pgsql", feature = "mysql", feature = "sqlite")))]
            _ => Err(file.fault("", "the driver was not built into this program")),
        }
    }

    /// How many questions waited for others to be answered.
    fn waited(&self) -> u64 {
        match self {
            #[cfg(feature = "pgsql")]
            Self::Pgsql(driver) => driver.waited(),
            #[cfg(feature = "mysql")]
            Self::Mysql(driver) => driver.waited(),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(driver) => driver.waited(),
            #[cfg(not(any(feature = "pgsql", feature = "mysql", feature = "sqlite")))]
            _ => 0,
        }
    }

    async fn rows(&self, query: &str) -> Result<Vec<Row>, Arc<str>> {
        match self {
            #[cfg(feature = "pgsql")]
            Self::Pgsql(driver) => driver.rows(query).await,
            #[cfg(feature = "mysql")]
            Self::Mysql(driver) => driver.rows(query).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(driver) => driver.rows(query).await,
            #[cfg(not(any(feature = "pgsql", feature = "mysql", feature = "sqlite")))]
            _ => Err(format!("no driver for {query}").into()),
        }
    }
}

impl Query {
    pub(crate) fn parse(sql: Sql, path: &str, text: &[u8]) -> Result<(Self, Vec<Warning>), TableError> {
        let (file, warnings) = QueryFile::parse(sql, path, text)?;
        let bad = |name: &'static str| move |problem: String| file_fault(path, name, &problem);
        let written = file.query(sql)?;
        let query = Template::parse(&written).map_err(bad("query"))?;
        literal::keys_are_quoted(sql, &query).map_err(bad("query"))?;
        let result =
            Template::parse(file.get("result_format").unwrap_or("%s")).map_err(bad("result_format"))?;
        let needs = query.needs_as_query().and(result.needs_as_result());
        let parsed = Self {
            source: text.to_owned(),
            sql,
            query,
            result,
            needs,
            domains: file.domains()?,
            limit: file.number("expansion_limit")?.unwrap_or(0),
            driver: Driver::new(sql, &file)?,
            recent: Recent::default(),
        };
        Ok((parsed, warnings))
    }

    pub(crate) fn same_as(&self, other: &Self) -> bool {
        self.sql == other.sql && self.source == other.source
    }

    /// Answers forgotten before their time, and questions that waited for others.
    pub(crate) fn crowding(&self) -> (u64, u64) {
        (self.recent.forgotten(), self.driver.waited())
    }

    /// Asks the database. Its keys have no case (`DICT_FLAG_FOLD_FIX`).
    pub(crate) async fn ask(&self, key: &str) -> Asked {
        let key = &*fold(key);
        let Some(query) = self.text_for(key) else { return Ok(None) };
        let ask = async {
            let rows = self.driver.rows(&query).await?;
            self.value(key, &rows)
        };
        self.recent.or_ask(key, ask).await
    }

    /// The query for a key; `None` where the manual says that none is made and nothing is found.
    fn text_for(&self, key: &str) -> Option<String> {
        if !self.domains.is_empty() && !self.eligible(key) {
            return None;
        }
        let parts = self.needs.key(key)?;
        Some(self.query.expand(&parts, None, |text| literal::quote(self.sql, text)))
    }

    /// pgsql_table(5), `domain`: "only fully qualified search keys with a *non-empty* localpart and a matching domain are eligible".
    fn eligible(&self, key: &str) -> bool {
        let Some((local, domain)) = key.rsplit_once('@') else { return false };
        let listed = self.domains.iter().find(|(_, name)| name == domain);
        !local.is_empty() && listed.is_some_and(|(wanted, _)| *wanted)
    }

    /// pgsql_table(5), `result_format`: "multiple values are concatenated as comma separated strings".
    fn value(&self, key: &str, rows: &[Row]) -> Asked {
        // sqlite_table(5) has results of one column; the first one is taken.
        let columns = if self.sql == Sql::Sqlite { 1 } else { usize::MAX };
        let Some(parts) = self.needs.key(key) else { return Ok(None) };
        let (mut joined, mut count) = (String::new(), 0_usize);
        for value in rows.iter().flat_map(|row| row.iter().take(columns)).flatten() {
            if !self.needs.accept(value) {
                continue;
            }
            if !joined.is_empty() {
                joined.push(',');
            }
            joined.push_str(&self.result.expand(&parts, Some(value), str::to_owned));
            count += 1;
            if self.limit > 0 && count > self.limit {
                return Err(format!("more than expansion_limit = {} values for {key:?}", self.limit).into());
            }
        }
        Ok((!joined.is_empty()).then(|| joined.into()))
    }
}

fn file_fault(path: &str, name: &str, problem: &str) -> TableError {
    TableError::QueryFile { path: path.to_owned(), line: 0, problem: format!("{name}: {problem}") }
}
