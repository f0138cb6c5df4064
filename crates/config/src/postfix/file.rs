//! The lines of `main.cf`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use waxseal_tables::logical_lines;

use super::{expand::expand, parameters, unsupported};
use crate::{
    layer::Layer,
    problem::{Place, Problem},
};

/// The parameters of one or more `main.cf` files; later definitions win, within a file and between files.
#[derive(Debug, Default)]
pub(crate) struct MainCf {
    values: BTreeMap<String, Definition>,
    directory: PathBuf,
    hostname: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) raw: String,
    pub(crate) place: Place,
    /// Which of the files, by the order on the command line.
    pub(crate) file: usize,
}

impl MainCf {
    /// Without any parameter set; `hostname` is the system's, the default of `myhostname`.
    pub(crate) fn new(hostname: &str) -> Self {
        Self { hostname: hostname.to_owned(), ..Self::default() }
    }

    /// Adds the definitions of a file.
    pub(crate) fn read(&mut self, path: &Path, text: &str, file: usize, problems: &mut Vec<Problem>) {
        self.directory = path.parent().map(Path::to_owned).unwrap_or_default();
        for line in logical_lines(text) {
            let place = Place::line(path, line.line);
            let text = &*line.text;
            let mut wrong = |what: &str| {
                let shown: String = text.trim().chars().take(60).collect();
                let remedy = "write: name = value".to_owned();
                problems.push(Problem::new(place.clone(), "", format!("{what}: {shown:?}"), remedy));
            };
            if text.starts_with(|c: char| c.is_ascii_whitespace()) {
                wrong("a line that starts with white space continues nothing here");
                continue;
            }
            let Some((name, value)) = text.split_once('=') else {
                wrong("missing '=' after attribute name");
                continue;
            };
            let name = name.trim();
            if name.is_empty() || name.contains(|c: char| c.is_ascii_whitespace()) {
                wrong("bad parameter name");
                continue;
            }
            let raw = value.trim().to_owned();
            self.values.insert(name.to_owned(), Definition { raw, place, file });
        }
    }

    /// The definition of a parameter, where it is set.
    pub(crate) fn definition(&self, name: &str) -> Option<&Definition> {
        self.values.get(name)
    }

    /// All that are set.
    pub(crate) fn definitions(&self) -> impl Iterator<Item = (&str, &Definition)> {
        self.values.iter().map(|(name, definition)| (name.as_str(), definition))
    }

    /// The raw value of any parameter: as set, Postfix's default, or what we know of this machine.
    fn raw(&self, name: &str) -> Option<String> {
        if let Some(definition) = self.values.get(name) {
            return Some(definition.raw.clone());
        }
        let built_in = match name {
            "myhostname" => self.hostname.clone(),
            "mydomain" => {
                let host = expand("$myhostname", &|name| self.raw(name)).ok()?;
                host.split_once('.').map_or_else(|| "localdomain".to_owned(), |(_, domain)| domain.to_owned())
            }
            "myorigin" => "$myhostname".to_owned(),
            "config_directory" => self.directory.display().to_string(),
            "queue_directory" => "/var/spool/postfix".to_owned(),
            "data_directory" => "/var/lib/postfix".to_owned(),
            "compatibility_level" => "0".to_owned(),
            "default_database_type" => "hash".to_owned(),
            _ => return parameters::default_of(name),
        };
        Some(built_in)
    }

    /// The expanded value of a parameter; the default's where it is not set.
    pub(crate) fn value(&self, name: &str) -> Result<String, Problem> {
        let lookup = |name: &str| self.raw(name);
        let raw = self.raw(name).unwrap_or_default();
        let place = self.values.get(name).map_or(Place::Default, |definition| definition.place.clone());
        expand(&raw, &lookup)
            .map(|value| value.trim().to_owned())
            .map_err(|what| Problem::new(place, name, what, ""))
    }

    /// The layer of Postfix's defaults, and one for each file.
    pub(crate) fn layers(&self, files: usize, problems: &mut Vec<Problem>) -> (Layer, Vec<Layer>) {
        parameters::layers(self, files, problems)
    }

    /// A warning for each parameter that matters and is not implemented.
    pub(crate) fn warnings(&self) -> Vec<String> {
        unsupported::warnings(self)
    }
}
