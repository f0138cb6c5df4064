//! `sqlite:` (sqlite_table(5)).

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, types::ValueRef};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use super::{Meter, Row, file::QueryFile};
use crate::TableError;

/// Queries under way at once, each on a thread of its own.
const CONNECTIONS: usize = 4;
/// How long a query waits for somebody who writes.
const BUSY_LIMIT: Duration = Duration::from_secs(5);
/// How long it may take in all.
const LIMIT: Duration = Duration::from_secs(20);

/// A database file.
#[derive(Debug)]
pub(super) struct Sqlite {
    files: Arc<Files>,
    permits: Arc<Semaphore>,
    waited: AtomicU64,
}

#[derive(Debug)]
struct Files {
    path: PathBuf,
    idle: Mutex<Vec<(Identity, Connection)>>,
}

/// Which file a connection is to: one that was replaced or removed is another, and SQLite would go on reading the old one.
type Identity = (u64, u64);

impl Sqlite {
    pub(super) fn new(file: &QueryFile) -> Result<Self, TableError> {
        let path = file.get("dbpath").ok_or_else(|| file.fault("dbpath", "there is none"))?;
        let path = Path::new(path).to_owned();
        if !path.is_absolute() {
            return Err(file.fault("dbpath", "not an absolute path"));
        }
        let files = Arc::new(Files { path, idle: Mutex::default() });
        Ok(Self { files, permits: Arc::new(Semaphore::new(CONNECTIONS)), waited: AtomicU64::new(0) })
    }

    pub(super) fn waited(&self) -> u64 {
        self.waited.load(Ordering::Relaxed)
    }

    pub(super) async fn rows(&self, query: &str) -> Result<Vec<Row>, Arc<str>> {
        if self.permits.available_permits() == 0 {
            self.waited.fetch_add(1, Ordering::Relaxed);
        }
        let (files, permits, query) = (Arc::clone(&self.files), Arc::clone(&self.permits), query.to_owned());
        let asked = timeout(LIMIT, async move {
            let permit = permits.acquire_owned().await.map_err(|_| "closed".to_owned())?;
            // The permit goes with the query: one that nobody waits for any more still takes its place.
            let asked = spawn_blocking(move || {
                let _permit = permit;
                files.ask(&query)
            });
            asked.await.unwrap_or_else(|_| Err("the query was given up".to_owned()))
        });
        let rows = asked.await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        rows.map_err(|problem| format!("{}: {problem}", self.files.path.display()).into())
    }
}

impl Files {
    fn ask(&self, query: &str) -> Result<Vec<Row>, String> {
        let identity = self.look()?.0;
        let idle = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|(kept, _)| *kept == identity);
            idle.pop()
        };
        let connection = match idle {
            Some((_, connection)) => connection,
            None => self.open().map_err(|error| error.to_string())?,
        };
        let rows = self.read(&connection, identity, query)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((identity, connection));
        Ok(rows)
    }

    /// Which file is there, and how long it is.
    fn look(&self) -> Result<(Identity, u64), String> {
        let metadata = fs::metadata(&self.path).map_err(|error| error.to_string())?;
        Ok(((metadata.dev(), metadata.ino()), metadata.len()))
    }

    fn read(&self, connection: &Connection, identity: Identity, query: &str) -> Result<Vec<Row>, String> {
        // Nobody who keeps to SQLite's rules writes to the file while it lasts.
        let transaction = connection.unchecked_transaction().map_err(|error| error.to_string())?;
        self.is_whole(&transaction, identity)?;
        let rows = rows(&transaction, query)?;
        self.is_whole(&transaction, identity)?;
        Ok(rows)
    }

    /// SQLite takes what is missing from a file that is cut off, as one that is just being copied, for zeros: for rows without a key. Such a file must not
    /// say that there is no entry. It is not opened for that, since closing it would give up SQLite's lock (`sqlite.org/howtocorrupt.html`, 2.2).
    fn is_whole(&self, transaction: &Connection, identity: Identity) -> Result<(), String> {
        let ask = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let numbers = ask("page_size").and_then(|size| Ok((size, ask("page_count")?)));
        let (size, count) = numbers.map_err(|error| error.to_string())?;
        let (now, there) = self.look()?;
        if now != identity {
            return Err("the file was just replaced".to_owned());
        }
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        // Pages may be in the write-ahead log so far.
        let logged = fs::metadata(log).is_ok_and(|metadata| metadata.len() > 0);
        let (size, count) = (size.unsigned_abs(), count.unsigned_abs());
        let whole =
            if logged { there.is_multiple_of(size.max(1)) } else { there >= size.saturating_mul(count) };
        if whole { Ok(()) } else { Err("the file is cut off".to_owned()) }
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY_LIMIT)?;
        Ok(connection)
    }
}

fn rows(connection: &Connection, query: &str) -> Result<Vec<Row>, String> {
    let words = |error: rusqlite::Error| error.to_string();
    let mut statement = connection.prepare(query).map_err(words)?;
    let columns = statement.column_count();
    let mut found = statement.query([]).map_err(words)?;
    let (mut rows, mut meter) = (Vec::new(), Meter::default());
    while let Some(row) = found.next().map_err(words)? {
        let column = |number| text(row.get_ref(number).map_err(words)?);
        let row = (0..columns).map(column).collect::<Result<Row, String>>()?;
        meter.add(&row)?;
        rows.push(row);
    }
    Ok(rows)
}

/// sqlite3_column_text(3).
fn text(value: ValueRef<'_>) -> Result<Option<String>, String> {
    match value {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(number) => Ok(Some(number.to_string())),
        ValueRef::Real(number) => Ok(Some(format!("{number:?}"))),
        ValueRef::Text(octets) | ValueRef::Blob(octets) => {
            let text = std::str::from_utf8(octets).map_err(|_| "a value that is not UTF-8".to_owned())?;
            Ok(Some(text.to_owned()))
        }
    }
}
