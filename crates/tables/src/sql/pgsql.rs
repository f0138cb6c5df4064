//! `pgsql:` (pgsql_table(5)).

use std::{error::Error, sync::Arc, time::Duration};

use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, config::SslMode, error::SqlState};

use super::{Meter, Row, file::QueryFile};
use crate::{
    TableError,
    net::{Dial, Endpoint, Limits, Pool, Trouble},
};

const PORT: u16 = 5432;

/// Servers with the same content.
#[derive(Debug)]
pub(super) struct Pgsql(Pool<Dialer>);

struct Dialer {
    base: Config,
    answer: Duration,
}

impl Pgsql {
    pub(super) fn new(file: &QueryFile) -> Result<Self, TableError> {
        let mut base = Config::new();
        base.application_name("waxseal");
        if let Some(user) = file.get("user") {
            base.user(user);
        }
        if let Some(password) = file.get("password") {
            base.password(password);
        }
        if let Some(name) = file.get("dbname") {
            base.dbname(name);
        }
        if let Some(other) =
            file.get("encoding").filter(|name| !["utf8", "utf-8"].contains(&&*name.to_lowercase()))
        {
            return Err(file.fault("encoding", &format!("{other}: only UTF8 is spoken here")));
        }
        let hosts = file.get("hosts").unwrap_or("localhost");
        let words =
            hosts.split(|c: char| c == ',' || c.is_ascii_whitespace()).filter(|word| !word.is_empty());
        let servers = words
            .map(|word| server(word).map_err(|problem| file.fault("hosts", &problem)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut limits = Limits::default();
        limits.idle = file.time("idle_interval")?.unwrap_or(limits.idle);
        limits.retry = file.time("retry_interval")?.unwrap_or(limits.retry);
        Ok(Self(Pool::new(Dialer { base, answer: limits.answer }, servers, limits)))
    }

    pub(super) fn waited(&self) -> u64 {
        self.0.waited()
    }

    pub(super) async fn rows(&self, query: &str) -> Result<Vec<Row>, Arc<str>> {
        self.0.ask(query).await
    }
}

/// pgsql_table(5), `hosts`: "the unix: and inet: prefixes are accepted and ignored"; the path is of the folder of the socket.
fn server(word: &str) -> Result<Endpoint, String> {
    if word.starts_with("postgresql://") || word.starts_with("postgres://") {
        let config: Config = word.parse().map_err(|error| describe(&error))?;
        // Prefer is the default, and means no encryption here.
        if !matches!(config.get_ssl_mode(), SslMode::Disable | SslMode::Prefer) {
            return Err("sslmode: connections to databases are not encrypted here: use a unix-domain socket or a tunnel".into());
        }
        return Ok(Endpoint::Url(word.to_owned()));
    }
    let plain = word.strip_prefix("unix:").or_else(|| word.strip_prefix("inet:")).unwrap_or(word);
    if plain.starts_with('/') {
        return Endpoint::unix(plain).ok_or_else(|| format!("{word} is no path"));
    }
    Endpoint::host_and_port(plain)
        .or_else(|| Endpoint::host_and_port(&format!("{plain}:{PORT}")))
        .ok_or_else(|| format!("{word} is neither a host nor host:port"))
}

/// An error with its causes.
fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl Dial for Dialer {
    type Connection = Client;
    type Answer = Vec<Row>;

    async fn dial(&self, server: &Endpoint) -> Result<Client, String> {
        let config = match server {
            Endpoint::Inet { host, port } => {
                let mut config = self.base.clone();
                config.host(host.as_str()).port(*port);
                config
            }
            Endpoint::Unix(path) => {
                let mut config = self.base.clone();
                config.host_path(path);
                config
            }
            Endpoint::Url(url) => self.with_url(url).map_err(|error| describe(&error))?,
        };
        let (client, connection) = config.connect(NoTls).await.map_err(|error| describe(&error))?;
        tokio::spawn(async move {
            // Its end is seen by the next question.
            let _ = connection.await;
        });
        // Keys are quoted for that setting; a query that takes longer than its answer is waited for should not go on.
        let session = format!(
            "SET standard_conforming_strings = on; SET statement_timeout = {}",
            self.answer.as_millis()
        );
        client.batch_execute(&session).await.map_err(|error| describe(&error))?;
        Ok(client)
    }

    async fn talk(&self, client: &mut Client, query: &str) -> Result<Vec<Row>, Trouble> {
        use futures_util::TryStreamExt as _;
        let failed = |error: tokio_postgres::Error| {
            // A server that shuts down says so before it hangs up.
            let leaving = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW];
            match error.code() {
                Some(code) if !leaving.contains(code) => Trouble::Said(describe(&error)),
                Some(_) | None => Trouble::Lost(describe(&error)),
            }
        };
        let stream = client.simple_query_raw(query).await.map_err(failed)?;
        let mut stream = std::pin::pin!(stream);
        let (mut rows, mut meter) = (Vec::new(), Meter::default());
        while let Some(message) = stream.try_next().await.map_err(failed)? {
            if let SimpleQueryMessage::Row(row) = message {
                let row: Row = (0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect();
                meter.add(&row).map_err(Trouble::Lost)?;
                rows.push(row);
            }
        }
        Ok(rows)
    }
}

impl Dialer {
    /// What the URL leaves open is as the file says.
    fn with_url(&self, url: &str) -> Result<Config, tokio_postgres::Error> {
        let mut config: Config = url.parse()?;
        if config.get_user().is_none() {
            config.user(self.base.get_user().unwrap_or_default());
        }
        if config.get_password().is_none()
            && let Some(password) = self.base.get_password()
        {
            config.password(password);
        }
        if config.get_dbname().is_none()
            && let Some(name) = self.base.get_dbname()
        {
            config.dbname(name);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_pgsql_table_5_has_them() {
        for (word, expected) in [
            ("inet:a.test", Ok("a.test:5432")),
            ("a.test:99", Ok("a.test:99")),
            ("[::1]:99", Ok("::1:99")),
            ("unix:/run/postgresql", Ok("unix:/run/postgresql")),
            ("/run/postgresql", Ok("unix:/run/postgresql")),
            ("postgresql://u:secret@a.test/d", Ok("the server of a postgresql:// URL")),
            ("postgresql://u@a.test/d?sslmode=require", Err(())),
            ("inet::99", Err(())),
        ] {
            let got = server(word).map(|endpoint| endpoint.to_string()).map_err(|_| ());
            assert_eq!(got, expected.map(str::to_owned), "{word}");
        }
    }
}
