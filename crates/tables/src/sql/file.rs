//! Query files: `name = value`, as in main.cf, but without `$name`.

use std::collections::BTreeMap;

use super::Sql;
use crate::{TableError, Warning, lines::logical_lines};

/// The parameters of one file.
#[derive(Debug)]
pub(crate) struct QueryFile {
    path: String,
    values: BTreeMap<String, (String, u32)>,
}

/// What all three manuals have.
const COMMON: &[&str] = &[
    "query",
    "result_format",
    "domain",
    "expansion_limit",
    "select_field",
    "table",
    "where_field",
    "additional_conditions",
];
const SERVERS: &[&str] = &["hosts", "user", "password", "dbname", "idle_interval", "retry_interval"];

impl Sql {
    const fn own(self) -> &'static [&'static str] {
        match self {
            Self::Pgsql => &["select_function", "encoding"],
            Self::Mysql => &["require_result_set", "charset"],
            Self::Sqlite => &["dbpath"],
        }
    }

    fn knows(self, name: &str) -> bool {
        let servers = if self == Self::Sqlite { &[] } else { SERVERS };
        [COMMON, servers, self.own()].iter().any(|list| list.contains(&name))
    }

    /// What is left out and would be missed: without it the connection would be another than the one that was asked for.
    fn refuses(self, name: &str) -> Option<&'static str> {
        match (self, name) {
            (Self::Mysql, "option_file" | "option_group") => {
                Some("options files of MySQL are not read: write hosts, user, password and dbname here")
            }
            (Self::Mysql, name) if name.starts_with("tls_") => {
                Some("connections to databases are not encrypted here: use a unix-domain socket or a tunnel")
            }
            (Self::Pgsql | Self::Mysql | Self::Sqlite, _) => None,
        }
    }
}

impl QueryFile {
    pub(crate) fn parse(sql: Sql, path: &str, text: &[u8]) -> Result<(Self, Vec<Warning>), TableError> {
        let mut file = Self { path: path.to_owned(), values: BTreeMap::new() };
        let mut warnings = Vec::new();
        let text = std::str::from_utf8(text).map_err(|_| file.fault_at(0, "not UTF-8"))?;
        for logical in logical_lines(text) {
            let (line, text) = (logical.line, logical.text.trim());
            let mut warn = |text: String| warnings.push(Warning { place: format!("{path}:{line}"), text });
            let (name, value) = text
                .split_once('=')
                .map(|(name, value)| (name.trim(), value.trim()))
                .ok_or_else(|| file.fault_at(line, "missing '=' after the name"))?;
            // Empty is the default of all that can be refused.
            if let Some(why) = sql.refuses(name).filter(|_| !value.is_empty()) {
                return Err(file.fault_at(line, &format!("{name}: {why}")));
            }
            if !sql.knows(name) && sql.refuses(name).is_none() {
                warn(format!("unknown parameter {name:?} (ignored)"));
            }
            if let Some((_, first)) = file.values.insert(name.to_owned(), (value.to_owned(), line)) {
                warn(format!("{name} overrides the one in line {first}"));
            }
        }
        file.note_domains(&mut warnings);
        Ok((file, warnings))
    }

    /// TLS policies and most routes are looked up by domains, which a table with `domain` never finds.
    fn note_domains(&self, warnings: &mut Vec<Warning>) {
        if let Some((_, line)) = self.values.get("domain").filter(|(value, _)| !value.is_empty()) {
            let place = format!("{}:{line}", self.path);
            let text = "with domain only keys of the form user@domain are looked up".to_owned();
            warnings.push(Warning { place, text });
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn fault_at(&self, line: u32, problem: &str) -> TableError {
        TableError::QueryFile { path: self.path.clone(), line, problem: problem.to_owned() }
    }

    /// What is wrong with a parameter.
    pub(crate) fn fault(&self, name: &str, problem: &str) -> TableError {
        let line = self.values.get(name).map_or(0, |(_, line)| *line);
        self.fault_at(line, &format!("{name}: {problem}"))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<usize>, TableError> {
        let parse = |text: &str| text.parse().map_err(|_| self.fault(name, "not a number"));
        self.get(name).map(parse).transpose()
    }

    /// A time of main.cf: a number and `s`, `m`, `h`, `d` or `w`; seconds without.
    #[cfg(any(feature = "pgsql", feature = "mysql"))]
    pub(crate) fn time(&self, name: &str) -> Result<Option<std::time::Duration>, TableError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let bad = || self.fault(name, "not a time such as 60s");
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &text[digits.len()..] {
            "" | "s" => 1_u64,
            "m" => 60,
            "h" => 3600,
            "d" => 86400,
            "w" => 604_800,
            _ => return Err(bad()),
        };
        let number: u64 = digits.parse().map_err(|_| bad())?;
        Ok(Some(std::time::Duration::from_secs(number.checked_mul(unit).ok_or_else(bad)?)))
    }

    /// The template of the query; pgsql_table(5), "OBSOLETE QUERY INTERFACES", in their order.
    pub(crate) fn query(&self, sql: Sql) -> Result<String, TableError> {
        if let Some(query) = self.get("query") {
            return Ok(query.to_owned());
        }
        if let Some(function) = self.get("select_function").filter(|_| sql == Sql::Pgsql) {
            return Ok(format!("SELECT {function}('%s')"));
        }
        let part = |name| self.get(name).ok_or_else(|| self.fault("query", "there is none"));
        let (field, table, key) = (part("select_field")?, part("table")?, part("where_field")?);
        let more = self.get("additional_conditions").unwrap_or_default();
        Ok(format!("SELECT {field} FROM {table} WHERE {key} = '%s' {more}"))
    }

    /// The domains, and whether they are wanted (`!name` are not); the first that fits counts.
    pub(crate) fn domains(&self) -> Result<Vec<(bool, String)>, TableError> {
        let list = self.get("domain").unwrap_or_default();
        let words = list.split(|c: char| c == ',' || c.is_ascii_whitespace()).filter(|word| !word.is_empty());
        let domain = |word: &str| {
            let name = word.trim_start_matches('!');
            if name.contains(['/', ':']) {
                return Err(
                    self.fault("domain", "files and tables are not read here: list the domains themselves")
                );
            }
            Ok(((word.len() - name.len()).is_multiple_of(2), name.to_lowercase()))
        };
        words.map(domain).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(sql: Sql, text: &str) -> Result<(QueryFile, Vec<Warning>), String> {
        QueryFile::parse(sql, "/q.cf", text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn parameters_are_read_like_main_cf_and_typos_are_told() {
        let text = "# comment\nhosts = a\n  b:5\nquery = SELECT x\n   FROM t\ndomian = x\nhosts = c\n";
        let (file, warnings) = parse(Sql::Pgsql, text).unwrap();
        assert_eq!(file.get("query"), Some("SELECT x   FROM t"));
        assert_eq!(file.get("hosts"), Some("c"));
        let told: Vec<&str> = warnings.iter().map(|warning| warning.text.as_str()).collect();
        assert_eq!(told, ["unknown parameter \"domian\" (ignored)", "hosts overrides the one in line 2"]);
        assert!(parse(Sql::Pgsql, "hosts\n").unwrap_err().contains("/q.cf:1: missing '='"));
    }

    #[test]
    fn what_would_make_another_connection_is_refused() {
        for text in ["tls_CAfile = /x\n", "option_file = /x\n", "option_group = client\n"] {
            assert!(parse(Sql::Mysql, text).is_err(), "{text}");
        }
        assert!(parse(Sql::Mysql, "option_group =\n").unwrap().1.is_empty());
    }

    #[test]
    fn old_interfaces_make_the_query_that_the_manual_names() {
        let old = "select_field = f\ntable = t\nwhere_field = k\nadditional_conditions = AND x = 'y'\n";
        let (file, _) = parse(Sql::Mysql, old).unwrap();
        assert_eq!(file.query(Sql::Mysql).unwrap(), "SELECT f FROM t WHERE k = '%s' AND x = 'y'");
        let (file, _) = parse(Sql::Pgsql, &format!("select_function = look\n{old}")).unwrap();
        assert_eq!(file.query(Sql::Pgsql).unwrap(), "SELECT look('%s')");
        let (file, _) = parse(Sql::Sqlite, "dbpath = /x\n").unwrap();
        assert!(file.query(Sql::Sqlite).is_err());
    }

    #[test]
    fn domains_are_names_only() {
        let domains = |text: &str| parse(Sql::Sqlite, &format!("domain = {text}\n")).unwrap().0.domains();
        assert_eq!(domains("A.test, !b.test").unwrap(), [(true, "a.test".into()), (false, "b.test".into())]);
        assert!(domains("hash:/x").is_err() && domains("/x").is_err());
    }
}
