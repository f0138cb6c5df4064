//! `hash:`, `btree:`, `dbm:` and `sdbm:`: nobody keeps a reader of Berkeley DB for Rust, so the text is read that postmap(1) made the database of.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::Warning;

/// Which kind of database lies beside the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Berkeley {
    /// `hash:` and `btree:`.
    Db,
    /// `dbm:` and `sdbm:`.
    Pag,
}

impl Berkeley {
    /// The type of a table, if it is one of these.
    pub(crate) fn of(kind: &str) -> Option<Self> {
        match kind {
            "hash" | "btree" => Some(Self::Db),
            "dbm" | "sdbm" => Some(Self::Pag),
            _ => None,
        }
    }

    fn database(self, path: &str) -> PathBuf {
        let end = match self {
            Self::Db => ".db",
            Self::Pag => ".pag",
        };
        PathBuf::from(format!("{path}{end}"))
    }

    /// What the operator should know of the two files.
    pub(crate) fn warning(self, path: &str) -> Warning {
        let database = self.database(path);
        let modified = |path: &Path| -> Option<SystemTime> { path.metadata().ok()?.modified().ok() };
        let shown = database.display();
        let text = match (modified(&database), modified(Path::new(path))) {
            (None, _) => {
                format!("{shown} is not there: the text is read, but Postfix fails until postmap has run")
            }
            (Some(database), Some(text)) if database < text => {
                format!(
                    "{shown} is older than the text, which is read here: Postfix answers from the older one until postmap has run"
                )
            }
            (Some(_), _) => format!("the text is read, not {shown}"),
        };
        Warning { place: path.to_owned(), text }
    }
}
