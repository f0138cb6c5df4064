//! `mysql:` (mysql_table(5)), for MySQL and MariaDB.

use std::sync::Arc;

use mysql_async::{Conn, Error, OptsBuilder, Value, prelude::Queryable};

use super::{Meter, Row, file::QueryFile};
use crate::{
    TableError,
    net::{Dial, Endpoint, Limits, Pool, Trouble},
};

const PORT: u16 = 3306;
/// mysql_table(5), `hosts`: "if you specify localhost as a hostname [...] MySQL will connect to the default UNIX domain socket". Where that is was
/// decided when the client library was built; this is Debian's and the FHS's place.
const SOCKET: &str = "/run/mysqld/mysqld.sock";

/// Servers with the same content.
#[derive(Debug)]
pub(super) struct Mysql(Pool<Dialer>);

struct Dialer {
    base: OptsBuilder,
    needs_rows: bool,
}

impl Mysql {
    pub(super) fn new(file: &QueryFile) -> Result<Self, TableError> {
        if let Some(other) = file.get("charset").filter(|name| !["utf8", "utf8mb4"].contains(name)) {
            return Err(file.fault("charset", &format!("{other}: only utf8mb4 is spoken here")));
        }
        let needs_rows = match file.get("require_result_set").unwrap_or("yes") {
            "yes" => true,
            "no" => false,
            _ => return Err(file.fault("require_result_set", "neither yes nor no")),
        };
        // Keys are quoted with backslashes.
        let session = "SET SESSION sql_mode = REPLACE(@@SESSION.sql_mode, 'NO_BACKSLASH_ESCAPES', '')";
        let base = OptsBuilder::default()
            .user(file.get("user"))
            .pass(file.get("password"))
            .db_name(file.get("dbname"))
            .prefer_socket(false)
            .init(vec!["SET NAMES utf8mb4", session]);
        let hosts = file.get("hosts").unwrap_or("localhost");
        let words =
            hosts.split(|c: char| c == ',' || c.is_ascii_whitespace()).filter(|word| !word.is_empty());
        let bad = |word: &str| {
            file.fault("hosts", &format!("{word} is neither a host nor host:port nor unix:/path"))
        };
        let servers =
            words.map(|word| server(word).ok_or_else(|| bad(word))).collect::<Result<Vec<_>, _>>()?;
        let mut limits = Limits::default();
        limits.idle = file.time("idle_interval")?.unwrap_or(limits.idle);
        limits.retry = file.time("retry_interval")?.unwrap_or(limits.retry);
        Ok(Self(Pool::new(Dialer { base, needs_rows }, servers, limits)))
    }

    pub(super) fn waited(&self) -> u64 {
        self.0.waited()
    }

    pub(super) async fn rows(&self, query: &str) -> Result<Vec<Row>, Arc<str>> {
        self.0.ask(query).await
    }
}

/// mysql_table(5), `hosts`: `unix:` for a socket, `inet:` for TCP, which is the default.
fn server(word: &str) -> Option<Endpoint> {
    if let Some(path) = word.strip_prefix("unix:") {
        return Endpoint::unix(path);
    }
    let plain = word.strip_prefix("inet:").unwrap_or(word);
    if plain == "localhost" {
        return Endpoint::unix(SOCKET);
    }
    Endpoint::host_and_port(plain).or_else(|| Endpoint::host_and_port(&format!("{plain}:{PORT}")))
}

/// What the server said leaves the connection as it is; anything else ends it.
fn failed(error: Error) -> Trouble {
    /// `ER_SERVER_SHUTDOWN`, `ER_CONNECTION_KILLED`: the server's last words.
    const LEAVING: [u16; 2] = [1053, 1927];
    match &error {
        Error::Server(said) if !LEAVING.contains(&said.code) => Trouble::Said(error.to_string()),
        _ => Trouble::Lost(error.to_string()),
    }
}

impl Dial for Dialer {
    type Connection = Conn;
    type Answer = Vec<Row>;

    async fn dial(&self, server: &Endpoint) -> Result<Conn, String> {
        let base = self.base.clone();
        let options = match server {
            Endpoint::Inet { host, port } => base.ip_or_hostname(host.as_str()).tcp_port(*port),
            Endpoint::Unix(path) => base.socket(path.to_str()),
            #[cfg(feature = "pgsql")]
            Endpoint::Url(_) => return Err("no server of this kind".to_owned()),
        };
        Conn::new(options).await.map_err(|error| error.to_string())
    }

    async fn talk(&self, connection: &mut Conn, query: &str) -> Result<Vec<Row>, Trouble> {
        let mut result = connection.query_iter(query).await.map_err(failed)?;
        let (mut rows, mut meter, mut sets) = (Vec::new(), Meter::default(), 0);
        // mysql_table(5), "USING MYSQL STORED PROCEDURES": a CALL ends with a result that has no columns.
        while !result.is_empty() {
            if !result.columns_ref().is_empty() {
                sets += 1;
            }
            while let Some(row) = result.next().await.map_err(failed)? {
                let row = row
                    .unwrap_raw()
                    .into_iter()
                    .map(|value| text(value.unwrap_or(Value::NULL)))
                    .collect::<Result<Row, _>>()
                    .map_err(Trouble::Lost)?;
                meter.add(&row).map_err(Trouble::Lost)?;
                rows.push(row);
            }
        }
        match sets {
            1 => Ok(rows),
            0 if !self.needs_rows => Ok(rows),
            0 => Err(Trouble::Said("the query returned no result set (require_result_set = yes)".to_owned())),
            _ => Err(Trouble::Said("the query returned more than one result set".to_owned())),
        }
    }
}

/// A column; results of text queries are text.
fn text(value: Value) -> Result<Option<String>, String> {
    match value {
        Value::NULL => Ok(None),
        Value::Bytes(octets) => {
            String::from_utf8(octets).map(Some).map_err(|_| "a value that is not UTF-8".to_owned())
        }
        other => Ok(Some(other.as_sql(true))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_mysql_table_5_has_them() {
        for (word, expected) in [
            ("inet:a.test", Some("a.test:3306")),
            ("a.test:99", Some("a.test:99")),
            ("127.0.0.1", Some("127.0.0.1:3306")),
            ("inet:localhost", Some("unix:/run/mysqld/mysqld.sock")),
            ("unix:/run/x.sock", Some("unix:/run/x.sock")),
            ("unix:x", None),
        ] {
            assert_eq!(server(word).map(|endpoint| endpoint.to_string()).as_deref(), expected, "{word}");
        }
    }
}
