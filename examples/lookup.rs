//! The TLS policy of some destinations, from a Postfix lookup table that is written in the program.

use std::error::Error;

use waxseal_policy::{Origin, PolicyLookup, Settings, Step, TableAnswer, TableName};
use waxseal_tables::{Options, Table};
use waxseal_types::Service;

const TABLE: &str =
    "inline:{ example.com=encrypt, { .example.net = secure match=mx.example.net }, example.edu=sealed }";

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let table = Table::open(TABLE, Options::default())?;
    let mut settings = Settings::default();
    settings.smtp.policy_maps = vec![TableName::new(TABLE)];
    for destination in ["example.com", "mail.example.net", "example.org", "example.edu"] {
        let mut lookup = PolicyLookup::new(&settings, &Service::SMTP, &destination.parse()?);
        // The lookup does no I/O: it names a key, and whoever owns the table answers.
        let policy = loop {
            let answer = match lookup.step() {
                Step::Done(result) => break result,
                Step::NeedKey { table: name, key } => match table.find(key) {
                    Ok(Some(found)) => {
                        let origin = Origin::new(name.clone(), &found.place, key);
                        TableAnswer::Found { value: found.value, origin }
                    }
                    Ok(None) => TableAnswer::Absent,
                    // A table that fails is not one without the key.
                    Err(fail) => TableAnswer::TempFail(fail.reason),
                },
            };
            lookup.answer(answer);
        };
        match policy {
            Ok(policy) => println!("{destination}: {}, from {}", policy.level, policy.source),
            // "sealed" is no level: mail for example.edu waits, and is never sent weaker.
            Err(error) => println!("{destination}: waits with {}: {error}", error.status()),
        }
    }
    Ok(())
}
