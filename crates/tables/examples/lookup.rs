//! Looks up keys in a table, as `postmap -q` does: `lookup TYPE:NAME KEY...`. Without keys, they are read from standard input.
//!
//! What is odd in the table goes to standard error; the exit status is 1 when a lookup failed.

use std::{
    io::{self, BufRead},
    process::ExitCode,
};

use waxseal_tables::{Options, Table};

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("usage: lookup TYPE:NAME [KEY...]")?;
    let table = Table::open(&name, Options::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for warning in table.warnings() {
        eprintln!("{}: {}", warning.place, warning.text);
    }
    let keys: Vec<String> = arguments.collect();
    let keys: Box<dyn Iterator<Item = io::Result<String>>> = if keys.is_empty() {
        Box::new(io::stdin().lock().lines())
    } else {
        Box::new(keys.into_iter().map(Ok))
    };
    let mut code = ExitCode::SUCCESS;
    for key in keys {
        let key = key?;
        match runtime.block_on(table.ask(&key)) {
            Ok(Some(found)) => println!("{key}\t{}\t{}", found.value, found.place),
            Ok(None) => println!("{key}"),
            Err(fail) => {
                println!("{key}\t?\t{fail}");
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}
