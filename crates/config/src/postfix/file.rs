//! The lines of `main.cf`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use waxseal_tables::logical_lines;

use super::{
    expand::{expand, is_space, names_in},
    layers, limits,
    master::{self, Service},
    remarks, table,
};
use crate::{
    TransportKeys, TransportService,
    layer::Layer,
    problem::{Place, Problem, Problems},
};

/// The parameters of one or more `main.cf` files; later definitions win, within a file and between files. Above those of a file are the
/// `-o` options of the `master.cf` beside it, for the services that have them.
#[derive(Debug, Default)]
pub(crate) struct MainCf {
    values: BTreeMap<String, Definition>,
    services: Vec<Service>,
    doors: Vec<Service>,
    screens: Vec<(Place, String)>,
    /// Names that `master.cf` refers to.
    mentioned: BTreeSet<String>,
    directory: PathBuf,
    hostname: String,
    /// What is odd in the files, but no error.
    remarks: Vec<Problem>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) raw: String,
    pub(crate) place: Place,
    /// Which of the files, by the order on the command line.
    pub(crate) file: usize,
}

/// `name = value`, as Postfix's `split_nameval` takes it apart.
pub(super) fn name_and_value(text: &str) -> Result<(&str, &str), &'static str> {
    let text = text.trim_start_matches(is_space);
    let end = text.find(|c| is_space(c) || c == '=').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    match rest.trim_start_matches(is_space).strip_prefix('=') {
        Some(_) if name.is_empty() => Err("missing attribute name"),
        Some(value) => Ok((name, value.trim_matches(is_space))),
        None => Err("missing '=' after attribute name"),
    }
}

impl MainCf {
    /// Without any parameter set; `hostname` is the system's, the default of `myhostname`.
    pub(crate) fn new(hostname: &str) -> Self {
        Self { hostname: hostname.to_owned(), ..Self::default() }
    }

    /// Adds the definitions of a file.
    pub(crate) fn read(&mut self, path: &Path, text: &str, file: usize, problems: &mut Vec<Problem>) {
        self.directory = path.parent().map(Path::to_owned).unwrap_or_default();
        let mut here: BTreeMap<String, Definition> = BTreeMap::new();
        for line in logical_lines(text) {
            let place = Place::line(path, line.line);
            let shown = || line.text.trim().chars().take(60).collect::<String>();
            if line.text.starts_with(is_space) {
                // Postfix skips it with a warning.
                let what =
                    format!("a logical line must not start with white space; it is not read: {:?}", shown());
                self.remarks.push(Problem::warning(place, "", what, "write the name at the line's start"));
                continue;
            }
            let (name, value) = match name_and_value(&line.text) {
                Ok(parts) => parts,
                Err(what) => {
                    let what = format!("{what}: {:?}", shown());
                    problems.push(Problem::new(place, "", what, "write: name = value"));
                    continue;
                }
            };
            // Postfix: what is behind a NUL does not count.
            let raw = value.split('\0').next().unwrap_or_default().to_owned();
            let definition = Definition { raw, place, file };
            if let Some(before) = here.get(name).filter(|before| before.raw != definition.raw) {
                let what = format!("overrides the earlier entry at {}", before.place);
                let remedy = "keep one of them; the last one counts";
                self.remarks.push(Problem::warning(definition.place.clone(), name, what, remedy));
            }
            here.insert(name.to_owned(), definition);
        }
        self.values.extend(here);
    }

    /// Adds the services of the `master.cf` beside a file that has been read; where `path` cannot be read, there are none.
    pub(crate) fn read_master(&mut self, path: &Path, text: &str, file: usize, problems: &mut Vec<Problem>) {
        let read = master::read(path, text, file, problems);
        self.services.retain(|old| !read.services.iter().any(|new| new.name == old.name));
        self.services.extend(read.services);
        if !read.doors.is_empty() || !read.screens.is_empty() {
            (self.doors, self.screens) = (read.doors, read.screens);
        }
        self.mentioned.extend(read.mentioned);
        self.remarks.extend(read.remarks);
    }

    /// The definition that holds for a service: an option in `master.cf`, unless a later file sets the parameter.
    pub(super) fn definition_for<'a>(
        &'a self,
        name: &str,
        service: Option<&'a Service>,
    ) -> Option<&'a Definition> {
        let option = service.and_then(|service| service.options.get(name));
        match (option, self.values.get(name)) {
            (Some(option), Some(set)) if set.file > option.file => Some(set),
            (Some(option), _) => Some(option),
            (None, set) => set,
        }
    }

    /// All that are set in `main.cf`.
    pub(super) fn definitions(&self) -> impl Iterator<Item = (&str, &Definition)> {
        self.values.iter().map(|(name, definition)| (name.as_str(), definition))
    }

    /// The services of `master.cf` that send mail out.
    pub(super) fn services(&self) -> &[Service] {
        &self.services
    }

    /// The services of `master.cf` that take mail in.
    pub(super) fn doors(&self) -> &[Service] {
        &self.doors
    }

    /// Services before which postscreen(8) stands.
    pub(super) fn screens(&self) -> &[(Place, String)] {
        &self.screens
    }

    /// One of those that send mail out.
    pub(super) fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }

    /// The raw value of any parameter: as set, Postfix's default, or what we know of this machine.
    fn raw(&self, name: &str, service: Option<&Service>) -> Option<String> {
        if let Some(definition) = self.definition_for(name, service) {
            return Some(definition.raw.clone());
        }
        let built_in = match name {
            "myhostname" => self.hostname.clone(),
            "mydomain" => {
                let host = expand("$myhostname", &|name| self.raw(name, service)).ok()?;
                host.split_once('.').map_or_else(|| "localdomain".to_owned(), |(_, domain)| domain.to_owned())
            }
            "config_directory" => self.directory.display().to_string(),
            "mynetworks" => "127.0.0.0/8 [::1]/128".to_owned(),
            // master(5): known to the programs only.
            "service_name" => service.map(|service| service.name.clone()).unwrap_or_default(),
            _ => return table::row(name).map(|row| row.default.to_owned()),
        };
        Some(built_in)
    }

    /// The expanded value of a parameter, as a service sees it.
    pub(super) fn value_for(&self, name: &str, service: Option<&Service>) -> Result<String, Problem> {
        let lookup = |name: &str| self.raw(name, service);
        let raw = lookup(name).unwrap_or_default();
        let place =
            self.definition_for(name, service).map_or(Place::Default, |definition| definition.place.clone());
        expand(&raw, &lookup)
            .map(|value| value.trim_matches(is_space).to_owned())
            .map_err(|what| Problem::new(place, name, what, ""))
    }

    /// The expanded default of a parameter.
    pub(super) fn default_for(&self, name: &str) -> Option<String> {
        expand(table::row(name)?.default, &|name| self.raw(name, None)).ok()
    }

    /// All names that any value refers to.
    pub(super) fn mentioned(&self) -> BTreeSet<String> {
        let mut names = self.mentioned.clone();
        for definition in self.values.values() {
            names.extend(names_in(&definition.raw).unwrap_or_default());
        }
        names
    }

    /// The layer of Postfix's defaults, and one for each file; with `service`, as that one sees them.
    pub(crate) fn layers(
        &self,
        service: Option<&str>,
        files: usize,
        problems: &mut Vec<Problem>,
    ) -> (Layer, Vec<Layer>) {
        let special = service.and_then(|name| self.service(name));
        layers::layers(self, special, files, problems)
    }

    /// What each service that sends mail out means for a transport of its name.
    pub(crate) fn transports(&self) -> Vec<TransportService> {
        master::transports(self)
    }

    /// What transports may have of a destination, where that is not what all may have.
    pub(crate) fn limits(&self, problems: &mut Vec<Problem>) -> Vec<(waxseal_types::Service, TransportKeys)> {
        limits::all(self, problems)
    }

    /// What an operator should know: parameters that matter and are not implemented, options that cannot be honoured, what is odd.
    pub(crate) fn remarks(&self) -> Vec<Problem> {
        let mut all = self.remarks.clone();
        remarks::collect(self, &mut all);
        all
    }
}

/// The values of the parameters `names` that a `main.cf` comes to, as `postconf -x` says them: expanded, defaults included.
///
/// # Errors
/// Lines that cannot be read, and values that cannot be expanded.
pub fn main_cf_values(path: &Path, names: &[&str]) -> Result<BTreeMap<String, String>, Problems> {
    let mut problems = Vec::new();
    let mut cf = MainCf::new("localhost");
    match std::fs::read(path) {
        Ok(bytes) => cf.read(path, &String::from_utf8_lossy(&bytes), 0, &mut problems),
        Err(error) => {
            let what = format!("cannot be read: {error}");
            problems.push(Problem::new(Place::file(path), "", what, "check the file's permissions"));
        }
    }
    let mut values = BTreeMap::new();
    for name in names {
        match cf.value_for(name, None) {
            Ok(value) => drop(values.insert((*name).to_owned(), value)),
            // A default that means something else than an expression, such as a list of characters.
            Err(problem) if problem.place == Place::Default && !cf.values.contains_key(*name) => {
                drop(values.insert((*name).to_owned(), cf.raw(name, None).unwrap_or_default()));
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(Problems(problems)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_at_white_space_or_at_the_sign() {
        let table = [
            ("a = b", Ok(("a", "b"))),
            ("a=", Ok(("a", ""))),
            ("a == b ", Ok(("a", "= b"))),
            ("a\x0b=\x0bb\x0b", Ok(("a", "b"))),
            ("a=\u{a0}b", Ok(("a", "\u{a0}b"))),
            ("= b", Err("missing attribute name")),
            ("a b = c", Err("missing '=' after attribute name")),
            ("a", Err("missing '=' after attribute name")),
        ];
        for (text, expected) in table {
            assert_eq!(name_and_value(text), expected, "{text:?}");
        }
    }
}
