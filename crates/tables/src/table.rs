//! One table.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    TableError, TempFail, braces, combined,
    content::{Content, Format, Language, Undecided},
    inline,
    net::Remote,
    sql::Sql,
    stored::Berkeley,
    watched::{Loaded, Watched},
};

/// How tables are opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long the last good version of a file stays in force when it cannot be read any more.
    pub stale_limit: Duration,
    /// How long opening may wait for a file that is just being written.
    pub patience: Duration,
    /// Where the table is configured (`/etc/postfix/main.cf:12`): the place of entries that have no file of their own.
    pub place: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { stale_limit: Duration::from_secs(15 * 60), patience: Duration::from_secs(5), place: None }
    }
}

/// An entry that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its right-hand side.
    pub value: String,
    /// Where it stands: `/etc/waxseal/tls_policy:12`.
    pub place: String,
}

/// Something in a table that was skipped or is odd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// File and line.
    pub place: String,
    /// What it is.
    pub text: String,
}

/// What a look at the file came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Refresh {
    /// Nothing new.
    Unchanged,
    /// Something new, which is still being written; the last good version is in force.
    Waiting,
    /// A new version is in force.
    Reloaded,
    /// The new version is unusable, or the file is gone: the last good version is in force for a while.
    Kept(String),
    /// So it is, and there is no good version, or it is too old: lookups fail.
    Failed(String),
}

/// A lookup table. Lookups take `&self` and never wait for a reload.
#[derive(Debug)]
pub struct Table {
    name: String,
    place: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    File(Watched),
    /// A server is asked for each key.
    Remote(Remote),
    /// What stands in the name of the table.
    Inline(Content, Vec<Warning>),
    Static(String),
    Random(Vec<String>),
    Union(Vec<Table>),
    Pipe(Vec<Table>),
    Fail,
}

/// The types of Postfix that are not here.
const LATER: [&str; 4] = ["ldap", "memcache", "nis", "mongodb"];

/// Tables in tables: nobody needs more, and each level is a call deeper.
const NESTING_LIMIT: usize = 8;

impl Table {
    /// Opens `type:name`. A file that cannot be read is not an error: its lookups fail until it can be.
    ///
    /// Waits up to [`Options::patience`] for a file that is just being written.
    ///
    /// # Errors
    /// The type is unknown or not supported, or the name is malformed: what only a change of the configuration mends.
    pub fn open(name: &str, options: Options) -> Result<Self, TableError> {
        Self::open_at(name, &options, NESTING_LIMIT)
    }

    fn open_at(name: &str, options: &Options, depth: usize) -> Result<Self, TableError> {
        // postconf(5): what proxy: is for (a chroot, few connections) does not arise here.
        let plain = name.strip_prefix("proxy:").unwrap_or(name);
        let (kind, rest) = plain.split_once(':').ok_or_else(|| TableError::NoType(name.to_owned()))?;
        let place = options.place.clone().unwrap_or_else(|| name.chars().take(60).collect());
        let rules = |language: Language| match rest.starts_with('{') {
            true => language.parse_inline(rest, &place).map(|(content, w)| Kind::Inline(content, w)),
            false => Watched::open(Format::Rules(language), rest, options).map(Kind::File),
        };
        let file = |format, path: &str| Watched::open(format, path, options).map(Kind::File);
        let fault = |expected| {
            let problem = "bad syntax".to_owned();
            TableError::Syntax { problem, text: rest.to_owned(), expected }
        };
        let kind = match kind {
            "texthash" => file(Format::Texthash, rest)?,
            // cdb_table(5), lmdb_table(5): postmap adds the suffix, and so does each lookup.
            "cdb" => file(Format::Cdb, &format!("{rest}.cdb"))?,
            "lmdb" => file(Format::Lmdb, &format!("{rest}.lmdb"))?,
            "socketmap" => {
                let expected = "socketmap:inet:host:port:name or socketmap:unix:/path:name";
                Kind::Remote(Remote::socketmap(rest).ok_or_else(|| fault(expected))?)
            }
            "tcp" => Kind::Remote(Remote::tcp(rest).ok_or_else(|| fault("tcp:host:port"))?),
            "regexp" => rules(Language::Regexp)?,
            "pcre" => rules(Language::Pcre)?,
            "cidr" => rules(Language::Cidr)?,
            "inline" => {
                let (entries, odd) = inline::parse(rest)?;
                let warning = |text| Warning { place: place.clone(), text };
                Kind::Inline(Content::Entries(entries), odd.into_iter().map(warning).collect())
            }
            "static" => Kind::Static(inline::static_value(rest)?.to_owned()),
            "randmap" => Kind::Random(listed(rest, "randmap:{value...}")?.map(str::to_owned).collect()),
            "unionmap" => Kind::Union(Self::open_all(rest, "unionmap:{type:name...}", (options, depth))?),
            "pipemap" => Kind::Pipe(Self::open_all(rest, "pipemap:{type:name...}", (options, depth))?),
            "fail" => Kind::Fail,
            other => Self::open_other(other, rest, &file)?,
        };
        Ok(Self { name: name.to_owned(), place, kind })
    }

    /// The types that come in families.
    fn open_other(
        kind: &str,
        path: &str,
        file: &dyn Fn(Format, &str) -> Result<Kind, TableError>,
    ) -> Result<Kind, TableError> {
        if let Some(database) = Berkeley::of(kind) {
            return file(Format::Source(database), path);
        }
        match Sql::of(kind) {
            Some(sql) if sql.is_built() => file(Format::Query(sql), path),
            Some(_) => Err(TableError::NotBuilt(kind.to_owned())),
            None if LATER.contains(&kind) => Err(TableError::Unsupported(kind.to_owned())),
            None => Err(TableError::UnknownType(kind.to_owned())),
        }
    }

    fn open_all(
        list: &str,
        expected: &'static str,
        (options, depth): (&Options, usize),
    ) -> Result<Vec<Self>, TableError> {
        let Some(depth) = depth.checked_sub(1) else {
            let problem = "too many tables in tables".to_owned();
            return Err(TableError::Syntax { problem, text: list.to_owned(), expected });
        };
        listed(list, expected)?.map(|name| Self::open_at(name, options, depth)).collect()
    }

    /// The name it was opened by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a key is looked up in lower case.
    pub(crate) fn folds(&self) -> bool {
        match &self.kind {
            Kind::File(file) => file.folds(),
            Kind::Inline(content, _) => content.folds(),
            Kind::Static(_) => true,
            // postconf(5), "unionmap", does not say so, but its first table decides for all of them; and so it is with pipes.
            Kind::Union(tables) | Kind::Pipe(tables) => tables.first().is_some_and(Self::folds),
            Kind::Remote(_) | Kind::Random(_) | Kind::Fail => false,
        }
    }

    /// Whether somebody else has its answers, in part at least: then only [`Table::ask`] gets them.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        match &self.kind {
            Kind::File(file) => file.is_remote(),
            Kind::Remote(_) => true,
            Kind::Union(tables) | Kind::Pipe(tables) => tables.iter().any(Self::is_remote),
            Kind::Inline(..) | Kind::Static(_) | Kind::Random(_) | Kind::Fail => false,
        }
    }

    /// Whether the same key has the same answer until [`Table::refresh`] says otherwise.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        match &self.kind {
            Kind::File(file) => !file.is_remote(),
            // A server may say something else each time, and `randmap` is made for that.
            Kind::Remote(_) | Kind::Random(_) => false,
            Kind::Union(tables) | Kind::Pipe(tables) => tables.iter().all(Self::is_steady),
            Kind::Inline(..) | Kind::Static(_) | Kind::Fail => true,
        }
    }

    /// Looks up a key, whoever has the answer. Must be called inside a tokio runtime with time and I/O if the table [is remote](Self::is_remote); a
    /// server that does not answer costs 30 s at most, and while it is known to be down nothing.
    ///
    /// # Errors
    /// The table has no answer just now; never to be read as "not found".
    pub async fn ask(&self, key: &str) -> Result<Option<Found>, TempFail> {
        let answer = match &self.kind {
            Kind::File(file) if file.is_remote() => {
                let state = file.state_in_full();
                let loaded = state.usable().map_err(|reason| self.fail(reason))?;
                let Content::Query(query) = &loaded.content else { return self.find(key) };
                query.ask(key).await
            }
            Kind::Remote(remote) => remote.ask(key).await,
            Kind::Union(tables) if self.is_remote() => return combined::ask_union(tables, key).await,
            Kind::Pipe(tables) if self.is_remote() => return combined::ask_pipe(tables, key).await,
            Kind::File(_)
            | Kind::Inline(..)
            | Kind::Static(_)
            | Kind::Random(_)
            | Kind::Union(_)
            | Kind::Pipe(_)
            | Kind::Fail => return self.find(key),
        };
        // The name of the table says where it came from: a database has no lines.
        let found = |value: Arc<str>| Found { value: value.as_ref().to_owned(), place: self.name.clone() };
        answer.map(|value| value.map(found)).map_err(|reason| self.fail(&reason))
    }

    /// Looks up a key in a table that is held in memory. Case matters only where a pattern says so.
    ///
    /// # Errors
    /// The table has no answer just now, or is [remote](Self::is_remote); never to be read as "not found".
    pub fn find(&self, key: &str) -> Result<Option<Found>, TempFail> {
        match &self.kind {
            Kind::File(file) => {
                let state = file.state();
                let loaded: &Loaded = state.usable().map_err(|reason| self.fail(reason))?;
                let undecided = |(line, why): Undecided| self.fail(&format!("{}: {why}", file.place(line)));
                let found = loaded.content.find(key).map_err(undecided)?;
                Ok(found.map(|(value, line)| Found { value: value.into_owned(), place: file.place(line) }))
            }
            Kind::Inline(content, _) => {
                let undecided = |(rule, why): Undecided| self.fail(&format!("rule {rule}: {why}"));
                Ok(content.find(key).map_err(undecided)?.map(|(value, _)| self.here(&value)))
            }
            Kind::Static(value) => Ok(Some(self.here(value))),
            Kind::Random(values) => Ok(choose(values).map(|value| self.here(value))),
            Kind::Union(tables) => combined::find_in_union(tables, key),
            Kind::Pipe(tables) => combined::find_in_pipe(tables, key),
            Kind::Remote(_) => Err(self.fail("it has no answer at once: it must be asked")),
            Kind::Fail => Err(self.fail(&TableError::AlwaysFails.to_string())),
        }
    }

    /// Of a table that somebody else answers for: how many answers it forgot before their time, as there were too many, and how many questions waited for
    /// others.
    #[must_use]
    pub fn crowding(&self) -> (u64, u64) {
        match &self.kind {
            Kind::File(file) => match file.state().usable().map(|loaded| &loaded.content) {
                Ok(Content::Query(query)) => query.crowding(),
                Ok(_) | Err(_) => (0, 0),
            },
            Kind::Remote(remote) => remote.crowding(),
            Kind::Union(tables) | Kind::Pipe(tables) => {
                let crowding = tables.iter().map(Self::crowding);
                crowding.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
            }
            Kind::Inline(..) | Kind::Static(_) | Kind::Random(_) | Kind::Fail => (0, 0),
        }
    }

    /// Looks whether its files have changed, and reads them again if so. `now` is the wall clock, which the files' times are compared with.
    pub fn refresh(&self, now: SystemTime) -> Refresh {
        match &self.kind {
            Kind::File(file) => file.refresh(now),
            Kind::Union(tables) | Kind::Pipe(tables) => tables
                .iter()
                .map(|table| table.refresh(now))
                .max_by_key(Refresh::weight)
                .unwrap_or(Refresh::Unchanged),
            Kind::Inline(..) | Kind::Static(_) | Kind::Random(_) | Kind::Remote(_) | Kind::Fail => {
                Refresh::Unchanged
            }
        }
    }

    /// What was skipped or is odd in the version in force.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        match &self.kind {
            Kind::File(file) => file.state().warnings(),
            Kind::Inline(_, warnings) => warnings.clone(),
            Kind::Union(tables) | Kind::Pipe(tables) => tables.iter().flat_map(Self::warnings).collect(),
            Kind::Static(_) | Kind::Random(_) | Kind::Remote(_) | Kind::Fail => Vec::new(),
        }
    }

    /// Why its last look at a file failed, where it did.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match &self.kind {
            Kind::File(file) => file.state().trouble(),
            Kind::Union(tables) | Kind::Pipe(tables) => tables.iter().find_map(Self::trouble),
            Kind::Inline(..) | Kind::Static(_) | Kind::Random(_) | Kind::Remote(_) | Kind::Fail => None,
        }
    }

    /// All entries in force whose values a lookup may return as they stand, as `(key or pattern, found)`: for checks. What answers every key has
    /// the key `*`. A pipe has those of its last table; a union, which joins values, has none, and so have a server, a database and a rule that puts parts of the key into its value.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, Found)> {
        match &self.kind {
            Kind::File(file) => {
                let state = file.state();
                let Ok(loaded) = state.usable() else { return Vec::new() };
                let entries = loaded.content.entries();
                entries
                    .map(|(k, v, line)| {
                        (k.to_owned(), Found { value: v.into_owned(), place: file.place(line) })
                    })
                    .collect()
            }
            Kind::Inline(content, _) => {
                content.entries().map(|(key, value, _)| (key.to_owned(), self.here(&value))).collect()
            }
            Kind::Static(value) => vec![("*".to_owned(), self.here(value))],
            Kind::Random(values) => values.iter().map(|value| ("*".to_owned(), self.here(value))).collect(),
            Kind::Pipe(tables) => tables.last().map(Self::entries).unwrap_or_default(),
            Kind::Union(_) | Kind::Remote(_) | Kind::Fail => Vec::new(),
        }
    }

    fn here(&self, value: &str) -> Found {
        Found { value: value.to_owned(), place: self.place.clone() }
    }

    fn fail(&self, reason: &str) -> TempFail {
        TempFail { table: self.name.clone(), reason: reason.to_owned() }
    }
}

impl Refresh {
    /// Which of several is told. A reload comes first, since it is told once; what failed is told at the next look.
    const fn weight(&self) -> u8 {
        match self {
            Self::Unchanged => 0,
            Self::Waiting => 1,
            Self::Kept(_) => 2,
            Self::Failed(_) => 3,
            Self::Reloaded => 4,
        }
    }
}

/// The words between the braces, at least one.
fn listed<'a>(text: &'a str, expected: &'static str) -> Result<impl Iterator<Item = &'a str>, TableError> {
    let fault = || TableError::Syntax { problem: "bad syntax".to_owned(), text: text.to_owned(), expected };
    let mut words = braces::words(braces::inner(text).ok_or_else(fault)?).peekable();
    if words.peek().is_some() { Ok(words) } else { Err(fault()) }
}

/// postconf(5), "randmap". Hash maps are seeded well enough for that.
fn choose(values: &[String]) -> Option<&String> {
    let random = RandomState::new().build_hasher().finish();
    let at = random.checked_rem(values.len() as u64)?;
    values.get(usize::try_from(at).ok()?)
}
