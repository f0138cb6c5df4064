//! `waxseal check --parameters`: what becomes of each parameter of `main.cf`.

use serde_json::{Value, json};
use waxseal_config::{Parameter, main_cf_values, parameters};

use crate::{
    settings::ConfigFiles,
    terminal::{Printable, Status, Terminal, complain},
};

/// A parameter, and its value where a file was named.
type Row = (Parameter, Option<String>);

pub(super) fn run(files: &ConfigFiles, json: bool, terminal: &mut Terminal) -> Status {
    let all = parameters();
    let names: Vec<&str> = all.iter().map(|one| one.name).collect();
    let file = files.files.iter().rfind(|file| file.extension().is_some_and(|ending| ending == "cf"));
    let mut values = match file.map(|file| main_cf_values(file, &names)).transpose() {
        Ok(values) => values,
        Err(problems) => {
            complain(problems);
            return Status::Configuration;
        }
    };
    let mut value = |name: &str| values.as_mut().and_then(|values| values.remove(name));
    let rows: Vec<Row> = all.into_iter().map(|one| (value(one.name), one)).map(|(v, one)| (one, v)).collect();
    if json {
        terminal.json(&Value::Array(rows.iter().map(to_json).collect()));
    } else {
        rows.iter().for_each(|row| tell(row, terminal));
    }
    Status::Done
}

fn to_json((one, value): &Row) -> Value {
    json!({
        "parameter": one.name,
        "default": one.default,
        "becomes": one.fate,
        "key": (one.fate == "key").then_some(&one.meaning),
        "meaning": (one.fate != "key").then_some(&one.meaning),
        "value": value,
    })
}

fn tell((one, value): &Row, terminal: &mut Terminal) {
    let what = match one.fate {
        "key" => format!("key {}", one.meaning),
        "warned" => format!("not implemented: {}", one.meaning),
        fate => format!("{fate}: {}", one.meaning),
    };
    let shown = value.as_deref().unwrap_or(one.default);
    terminal.line(format_args!("{} = {}", one.name, Printable(shown)));
    terminal.line(format_args!("    {what}"));
}
