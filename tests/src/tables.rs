//! Policies written down in the test.

use std::pin::Pin;

use waxseal_policy::{Origin, TableAnswer, TableName, Tables};

/// A table of `key value` lines. Its name is [`Entries::NAME`], and line `n` is where an entry comes from.
#[derive(Debug, Clone, Default)]
pub struct Entries(Vec<(String, String)>);

impl Entries {
    /// As settings name it.
    pub const NAME: &str = "inline:test";

    /// From `key value` lines.
    #[must_use]
    pub fn new(lines: &[&str]) -> Self {
        let entry = |line: &&str| {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            (key.to_owned(), value.to_owned())
        };
        Self(lines.iter().map(entry).collect())
    }
}

impl Tables for Entries {
    fn find<'a>(
        &'a self,
        table: &'a TableName,
        key: &'a str,
    ) -> Pin<Box<dyn Future<Output = TableAnswer> + Send + 'a>> {
        let answer = match self.0.iter().enumerate().find(|(_, (entry, _))| entry == key) {
            _ if table.as_str() != Self::NAME => {
                TableAnswer::TempFail(format!("{table} is not a table of this test"))
            }
            None => TableAnswer::Absent,
            Some((line, (_, value))) => {
                let origin = Origin::new(table.clone(), &format!("test:{}", line + 1), key);
                TableAnswer::Found { value: value.clone(), origin }
            }
        };
        Box::pin(async { answer })
    }

    fn generation(&self) -> u64 {
        1
    }
}
