//! Layers: the values of one source each, with their places. The crate `config` puts them on top of each other.

use std::{collections::BTreeMap, path::Path};

use config::{ConfigError, Map, Source, Value, ValueKind};
use serde::Deserialize;

use crate::{
    problem::{Place, Problem, nearest},
    raw::{Raw, SECTIONS, keys_of},
};

/// One value of a layer.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) section: &'static str,
    pub(crate) key: &'static str,
    pub(crate) value: toml::Value,
    pub(crate) place: Place,
    /// How its source calls it: `tls.security_level`, or `smtp_tls_security_level`.
    pub(crate) name: String,
}

/// `section.key`.
pub(crate) fn path(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// The values of one file, or of the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layer(Vec<Leaf>);

/// All layers, lowest first, and where each value that is in force stands.
#[derive(Debug, Default)]
pub(crate) struct Stack {
    layers: Vec<Layer>,
    places: BTreeMap<String, (Place, String)>,
}

impl Layer {
    /// Takes a value whose names are right, and whose value may be.
    pub(crate) fn push(&mut self, leaf: Leaf) -> Result<(), Problem> {
        check(&leaf)?;
        self.0.push(leaf);
        Ok(())
    }

    /// Takes the values of another layer of the same file.
    pub(crate) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Takes a value whose names are not known to be right. Each value is checked by itself, so that all problems are found at once.
    fn take(&mut self, section: &str, key: &str, value: toml::Value, place: Place) -> Result<(), Problem> {
        let leaf = known(section, key, &place).map(|(section, key)| Leaf {
            section,
            key,
            value,
            place,
            name: path(section, key),
        })?;
        self.push(leaf)
    }

    /// A file in Waxseal's own format.
    pub(crate) fn read_toml(file: &Path, text: &str, problems: &mut Vec<Problem>) -> Self {
        let mut layer = Self::default();
        let line = |at: usize| {
            let before = text.as_bytes().get(..at).unwrap_or_default();
            u32::try_from(before.iter().filter(|b| **b == b'\n').count() + 1).unwrap_or(u32::MAX)
        };
        let (spans, errors) = toml::de::DeTable::parse_recoverable(text);
        let values = text.parse::<toml::Table>();
        for error in &errors {
            let place = Place::line(file, line(error.span().map_or(0, |span| span.start)));
            problems.push(Problem::new(place, "", format!("not TOML: {}", error.message()), ""));
        }
        let Ok(values) = values else { return layer };
        for (name, span) in spans.get_ref().iter() {
            let name_place = Place::line(file, line(name.span().start));
            let name = name.get_ref().as_ref();
            match (span.get_ref(), values.get(name)) {
                (toml::de::DeValue::Table(spans), Some(toml::Value::Table(values))) => {
                    if keys_of(name).is_none() || name.is_empty() {
                        problems.push(unknown_section(name, name_place));
                        continue;
                    }
                    for (key, _) in spans.iter() {
                        let place = Place::line(file, line(key.span().start));
                        let key = key.get_ref().as_ref();
                        let value = values.get(key).cloned();
                        problems.extend(value.and_then(|value| layer.take(name, key, value, place).err()));
                    }
                }
                (_, Some(_)) if keys_of(name).is_some() => problems.push(Problem::new(
                    name_place,
                    name,
                    "is a section, not a key",
                    format!("write its keys below [{name}]"),
                )),
                (_, Some(value)) => problems.extend(layer.take("", name, value.clone(), name_place).err()),
                (_, None) => {}
            }
        }
        layer
    }

    /// `WAXSEAL_TLS__SECURITY_LEVEL=dane`; names without regard to case, lists split at commas.
    pub(crate) fn read_environment(
        variables: impl Iterator<Item = (String, String)>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut layer = Self::default();
        for (name, value) in variables {
            let Some(rest) = name.get(..8).filter(|p| p.eq_ignore_ascii_case("WAXSEAL_")).map(|_| &name[8..])
            else {
                continue;
            };
            let (section, key) = rest.split_once("__").unwrap_or(("", rest));
            let alike = |known: &str, word: &str| known.eq_ignore_ascii_case(word);
            let section = SECTIONS
                .iter()
                .map(|(known, _)| *known)
                .find(|known| alike(known, section))
                .unwrap_or(section);
            let keys = keys_of(section).unwrap_or_default();
            let key = keys.iter().copied().find(|known| alike(known, key)).unwrap_or(key);
            let place = Place::Environment(name.as_str().into());
            problems.extend(layer.take(section, key, toml::Value::String(value), place).err());
        }
        layer
    }
}

fn unknown_section(name: &str, place: Place) -> Problem {
    let sections = || SECTIONS.iter().map(|(name, _)| *name).filter(|name| !name.is_empty());
    let remedy = match nearest(name, sections()) {
        Some(near) => format!("did you mean [{near}]?"),
        None => format!("the sections are {}", sections().collect::<Vec<_>>().join(", ")),
    };
    Problem::new(place, name, "unknown section", remedy)
}

/// The names as this crate has them, or what is wrong with them.
fn known(section: &str, key: &str, place: &Place) -> Result<(&'static str, &'static str), Problem> {
    let Some((section, keys)) = SECTIONS.iter().find(|(name, _)| *name == section) else {
        return Err(unknown_section(section, place.clone()));
    };
    let Some(key) = keys.iter().find(|known| **known == key) else {
        let elsewhere = SECTIONS.iter().find(|(_, keys)| keys.contains(&key)).map(|(name, _)| *name);
        let remedy = match (nearest(key, keys.iter().copied()), elsewhere) {
            (Some(near), _) => format!("did you mean {near}?"),
            (None, Some(elsewhere)) => format!("it belongs into [{elsewhere}]"),
            (None, None) => format!("the keys here are {}", keys.join(", ")),
        };
        return Err(Problem::new(place.clone(), &path(section, key), "unknown key", remedy));
    };
    Ok((section, key))
}

/// Whether the value is of its key's kind.
fn check(leaf: &Leaf) -> Result<(), Problem> {
    let inner: toml::Table = [(leaf.key.to_owned(), leaf.value.clone())].into_iter().collect();
    let table = match leaf.section {
        "" => inner,
        section => [(section.to_owned(), toml::Value::Table(inner))].into_iter().collect(),
    };
    let result = Raw::deserialize(toml::Value::Table(table));
    let wrong =
        |error: toml::de::Error| Problem::new(leaf.place.clone(), &leaf.name, error.message().to_owned(), "");
    result.map(|_| ()).map_err(wrong)
}

impl Stack {
    /// Puts a layer on top.
    pub(crate) fn add(&mut self, layer: Layer) {
        for leaf in &layer.0 {
            self.places.insert(path(leaf.section, leaf.key), (leaf.place.clone(), leaf.name.clone()));
        }
        self.layers.push(layer);
    }

    /// Where the value of a key stands, and how it is called there; `None` where it is set nowhere.
    pub(crate) fn place(&self, key: &str) -> Option<(Place, String)> {
        self.places.get(key).cloned()
    }

    /// What all layers come to.
    pub(crate) fn merge(&self) -> Result<Raw, ConfigError> {
        let mut builder = config::Config::builder();
        for layer in &self.layers {
            builder = builder.add_source(layer.clone());
        }
        builder.build()?.try_deserialize()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        // Full paths as keys: the crate sets each of them by itself, so that layers overlap key by key.
        let value = |leaf: &Leaf| Value::new(Some(&leaf.place.to_string()), kind(&leaf.value));
        Ok(self.0.iter().map(|leaf| (path(leaf.section, leaf.key), value(leaf))).collect())
    }
}

fn kind(value: &toml::Value) -> ValueKind {
    match value {
        toml::Value::String(text) => ValueKind::String(text.clone()),
        toml::Value::Integer(number) => ValueKind::I64(*number),
        toml::Value::Boolean(flag) => ValueKind::Boolean(*flag),
        toml::Value::Array(values) => {
            ValueKind::Array(values.iter().map(|v| Value::new(None, kind(v))).collect())
        }
        // No key takes these, so `check` has refused them.
        toml::Value::Float(number) => ValueKind::Float(*number),
        toml::Value::Datetime(_) | toml::Value::Table(_) => ValueKind::Nil,
    }
}
