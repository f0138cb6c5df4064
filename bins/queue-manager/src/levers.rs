//! The operators' switches, kept over a restart in the spool's folder.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};
use waxseal_queue::levers::Levers;

const NAME: &str = "levers.json";

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    defer_all: bool,
    soft_bounce: bool,
    suspended: Vec<String>,
}

/// Writes them down for good: a new file in the place of the old one.
pub(crate) fn keep(folder: &Path, levers: &Levers) -> io::Result<()> {
    let kept = Kept {
        defer_all: levers.defer_all,
        soft_bounce: levers.soft_bounce,
        suspended: levers.suspended.iter().map(ToString::to_string).collect(),
    };
    let path = folder.join(NAME);
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    file.write_all(serde_json::to_string(&kept)?.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    fs::File::open(folder)?.sync_all()
}

/// As they stood. A file that cannot be read is an error: what an operator closed must not be opened by a fault.
pub(crate) fn kept(folder: &Path) -> Result<Levers, String> {
    let path = folder.join(NAME);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Levers::default()),
        read => read.map_err(|error| format!("{}: {error}", path.display()))?,
    };
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}; mend or remove it", path.display());
    let kept: Kept = serde_json::from_slice(&text).map_err(|error| wrong(&error))?;
    let suspended = kept.suspended.iter().map(|name| name.parse().map_err(|error| wrong(&error)));
    let suspended = suspended.collect::<Result<_, _>>()?;
    Ok(Levers { defer_all: kept.defer_all, soft_bounce: kept.soft_bounce, suspended })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_stand_after_a_restart_as_before() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(kept(folder.path()), Ok(Levers::default()));
        let names = ["example.com", "[mx.example.net]:587"];
        let suspended = names.map(|name| name.parse().expect("a next hop")).into();
        let levers = Levers { defer_all: true, soft_bounce: false, suspended };
        keep(folder.path(), &levers).expect("it can be written");
        assert_eq!(kept(folder.path()), Ok(levers));
    }

    #[test]
    fn switches_that_cannot_be_read_are_not_taken_for_open() {
        let folder = tempfile::tempdir().expect("a folder");
        for text in [
            "",
            "{",
            "{\"defer_all\":true}",
            "{\"defer_all\":false,\"soft_bounce\":false,\"suspended\":[\"a b\"]}",
        ] {
            fs::write(folder.path().join(NAME), text).expect("our folder");
            assert!(kept(folder.path()).is_err(), "{text}");
        }
    }
}
