//! `waxseal table`: one lookup table, as `postmap -q` asks it.

use std::io::{self, BufRead as _};

use serde_json::{Value, json};
use waxseal_tables::{Found, Options, Table, TempFail};

use crate::terminal::{Printable, Status, Terminal, complain};

/// Asks a lookup table.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Query(Query),
}

/// Prints the value that a table has for each key, and where it stands. The key is looked up as it is: no parents are tried.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0, 1 where no key was found, 75 where the table had no answer just now, 78 where it cannot be used.\n\n\
                  Example:\n  waxseal table query texthash:/etc/postfix/tls_policy example.com .example.com"
)]
struct Query {
    /// Prints one JSON object for each key, also for those that are not there.
    #[arg(long)]
    json: bool,
    /// texthash:/etc/postfix/tls_policy, pgsql:/etc/postfix/policy.cf, 'inline:{ a = b }', ...
    #[arg(value_name = "TYPE:NAME")]
    table: String,
    /// Keys; `-` reads them from standard input, one a line.
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, terminal: &mut Terminal) -> Status {
    let Action::Query(query) = &arguments.action;
    let table = match Table::open(&query.table, Options::default()) {
        Ok(table) => table,
        Err(error) => return unusable(&error.to_string()),
    };
    for warning in table.warnings() {
        complain(format_args!("{}: {}", warning.place, Printable(&warning.text)));
    }
    if let Some(trouble) = table.trouble() {
        return unusable(&trouble);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(error);
            return Status::TryAgain;
        }
    };
    let single = matches!(&*query.keys, [key] if key != "-");
    let (mut found_one, mut failed) = (false, false);
    let mut ask = |key: &str| {
        let answer = runtime.block_on(table.ask(key));
        found_one |= matches!(answer, Ok(Some(_)));
        failed |= answer.is_err();
        tell(query.json, single, key, &answer, terminal);
    };
    for key in &query.keys {
        if key != "-" {
            ask(key);
            continue;
        }
        for line in io::stdin().lock().lines() {
            match line {
                Ok(key) => ask(&key),
                Err(error) => {
                    complain(format_args!("standard input: {error}"));
                    return Status::Usage;
                }
            }
        }
    }
    match (failed, found_one) {
        (true, _) => Status::TryAgain,
        (false, true) => Status::Done,
        (false, false) => Status::No,
    }
}

fn unusable(problem: &str) -> Status {
    complain(Printable(problem));
    Status::Configuration
}

/// postmap(1), `-q`: the value alone for a key on the command line; behind the key where there are several.
fn tell(
    json: bool,
    single: bool,
    key: &str,
    answer: &Result<Option<Found>, TempFail>,
    terminal: &mut Terminal,
) {
    match answer {
        answer if json => terminal.json(&to_json(key, answer)),
        Ok(Some(found)) if single => terminal.line(Printable(&found.value)),
        Ok(Some(found)) => terminal.line(format_args!("{}\t{}", Printable(key), Printable(&found.value))),
        Ok(None) => {}
        Err(fail) => complain(format_args!("{}: {}", Printable(key), Printable(&fail.to_string()))),
    }
}

fn to_json(key: &str, answer: &Result<Option<Found>, TempFail>) -> Value {
    match answer {
        Ok(Some(found)) => json!({ "key": key, "found": true, "value": found.value, "place": found.place }),
        Ok(None) => json!({ "key": key, "found": false }),
        Err(fail) => json!({ "key": key, "error": fail.reason }),
    }
}
