//! Tables of tables (postconf(5), "unionmap" and "pipemap").

use std::{borrow::Cow, pin::Pin};

use crate::{Found, Table, TempFail, texthash::fold};

/// The key as all tables get it: in lower case if the first one looks it up so.
fn folded<'k>(tables: &[Table], key: &'k str) -> Cow<'k, str> {
    if tables.first().is_some_and(Table::folds) { fold(key) } else { key.into() }
}

/// "unionmap": the values of all tables that have one, with commas. One table that fails spoils it.
#[derive(Default)]
struct Union(Option<Found>);

impl Union {
    fn add(&mut self, found: Option<Found>) {
        let Some(found) = found else { return };
        self.0 = Some(match self.0.take() {
            None => found,
            Some(before) => Found {
                value: format!("{},{}", before.value, found.value),
                place: format!("{}, {}", before.place, found.place),
            },
        });
    }
}

/// "pipemap": each value is the key for the next table.
struct Pipe {
    key: String,
    places: Vec<String>,
}

impl Pipe {
    fn new(tables: &[Table], key: &str) -> Self {
        Self { key: folded(tables, key).into_owned(), places: Vec::new() }
    }

    fn add(&mut self, found: Found) {
        self.key = found.value;
        self.places.push(found.place);
    }

    fn done(self) -> Option<Found> {
        Some(Found { value: self.key, place: self.places.join(", ") })
    }
}

pub(crate) fn find_in_union(tables: &[Table], key: &str) -> Result<Option<Found>, TempFail> {
    let (mut union, key) = (Union::default(), folded(tables, key));
    for table in tables {
        union.add(table.find(&key)?);
    }
    Ok(union.0)
}

pub(crate) fn find_in_pipe(tables: &[Table], key: &str) -> Result<Option<Found>, TempFail> {
    let mut pipe = Pipe::new(tables, key);
    for table in tables {
        let Some(found) = table.find(&pipe.key)? else { return Ok(None) };
        pipe.add(found);
    }
    Ok(pipe.done())
}

type Asking<'a> = Pin<Box<dyn Future<Output = Result<Option<Found>, TempFail>> + Send + 'a>>;

pub(crate) fn ask_union<'a>(tables: &'a [Table], key: &'a str) -> Asking<'a> {
    Box::pin(async move {
        let (mut union, key) = (Union::default(), folded(tables, key));
        for table in tables {
            union.add(table.ask(&key).await?);
        }
        Ok(union.0)
    })
}

pub(crate) fn ask_pipe<'a>(tables: &'a [Table], key: &'a str) -> Asking<'a> {
    Box::pin(async move {
        let mut pipe = Pipe::new(tables, key);
        for table in tables {
            let Some(found) = table.ask(&pipe.key).await? else { return Ok(None) };
            pipe.add(found);
        }
        Ok(pipe.done())
    })
}
