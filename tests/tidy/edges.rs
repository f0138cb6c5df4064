//! Rules over `Cargo.toml` files: who may depend on whom, and on which libraries.

use toml::{Table, Value};

use crate::Finding;

/// The edges inside the workspace (README, "Architecture"): a crate and what it may depend on. `types` is open to all.
const EDGES: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("tables", &[]),
    ("policy", &[]),
    ("dns", &[]),
    ("trust", &[]),
    ("verify", &["trust"]),
    ("tlsa", &["trust", "verify"]),
    ("rollover", &["dns", "trust", "verify", "tlsa"]),
    ("smtp", &[]),
    ("transport", &["verify", "smtp"]),
    ("spool", &[]),
    ("intake", &["smtp", "spool", "trust", "verify"]),
    ("queue", &["policy", "dns", "trust", "verify", "transport", "spool"]),
    ("survey", &["policy", "dns", "trust", "verify", "transport", "queue", "tlsa"]),
    ("telemetry", &["queue"]),
    ("ledger", &["queue"]),
    ("admin", &["queue"]),
    (
        "config",
        &[
            "tables",
            "policy",
            "dns",
            "trust",
            "verify",
            "transport",
            "spool",
            "intake",
            "queue",
            "telemetry",
            "ledger",
        ],
    ),
];

/// Outside the table: whatever they need.
const FREE: &[&str] = &["testbed"];

/// Libraries that only some crates may name. Packages outside of `crates/` are free, but for `NOBODY`.
const KEPT_IN: &[(&str, &[&str], &str)] = &[
    ("hickory-", &["dns", "testbed"], "only dns knows the resolver library"),
    ("rustls", &["transport", "intake", "testbed", "verify"], "TLS lives in transport and intake"),
    ("tokio-rustls", &["transport", "intake", "testbed", "verify"], "TLS lives in transport and intake"),
    ("actix-web", &["admin"], "one crate speaks HTTP"),
    (
        "actix",
        &["policy", "dns", "trust", "verify", "transport", "spool", "intake", "queue"],
        "actors are thin shells of the service crates and of queue",
    ),
];

/// Vocabulary of rustls without its engine, open to all.
const NOT_RUSTLS: &[&str] = &["rustls-pki-types"];

/// Libraries that nobody may name or pull in.
const NOBODY: &[&str] = &["openssl", "openssl-sys", "native-tls", "tokio-native-tls", "boring"];

/// Crates whose production code must do without a runtime unless a feature asks for it.
const PURE: &[&str] = &["types", "policy", "verify", "tlsa", "smtp"];

/// All rules over the manifest of the package in `folder` (such as `crates/dns`).
pub(crate) fn check(folder: &str, text: &str) -> Vec<Finding> {
    let place = format!("{folder}/Cargo.toml");
    let manifest: Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![finding(&place, text, "[", "a manifest is TOML", error.to_string())],
    };
    let mut found = Vec::new();
    for dependency in dependencies(&manifest) {
        let refused = edge(folder, &dependency)
            .or_else(|| library(folder, &dependency))
            .or_else(|| runtime(folder, &dependency))
            .or_else(|| (!dependency.inherited).then(version_outside));
        if let Some((rule, remedy)) = refused {
            found.push(finding(&place, text, &dependency.name, rule, remedy));
        }
    }
    if manifest.get("lints").and_then(|lints| lints.get("workspace")) != Some(&Value::Boolean(true)) {
        let remedy = "add `[lints] workspace = true`".to_owned();
        found.push(finding(&place, text, "[package]", "every package obeys the lints", remedy));
    }
    let default = manifest.get("features").and_then(|features| features.get("default"));
    if folder.starts_with("crates/") && default.is_some_and(|list| list.to_string().contains("actor")) {
        let remedy = "leave it to the binary to turn it on".to_owned();
        found.push(finding(&place, text, "default", "`actor` is no default feature", remedy));
    }
    found
}

/// Rules over the root manifest and other settings of cargo.
pub(crate) fn check_settings(path: &str, text: &str) -> Vec<Finding> {
    let abort = text.lines().enumerate().filter(|(_, line)| {
        let line: String = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        line.contains(concat!("panic=", "\"abort\""))
    });
    let remedy = "remove it: a panic must end one actor, not the process";
    let mut found: Vec<Finding> = abort
        .map(|(index, _)| Finding {
            place: format!("{path}:{}", index + 1),
            rule: "supervision needs unwinding",
            remedy: remedy.into(),
        })
        .collect();
    if path == "Cargo.toml" && !text.contains("unsafe_code = \"forbid\"") {
        let remedy = "add `unsafe_code = \"forbid\"` to [workspace.lints.rust]".to_owned();
        found.push(Finding { place: format!("{path}:1"), rule: "no unsafe code", remedy });
    }
    found
}

/// No banned library came in through somebody else's dependencies.
pub(crate) fn check_lock(text: &str) -> Vec<Finding> {
    let banned = text.lines().enumerate().filter_map(|(index, line)| {
        let name = line.strip_prefix("name = \"")?.strip_suffix('"')?;
        NOBODY.contains(&name).then_some((index, name))
    });
    let finding = |(index, name): (usize, &str)| Finding {
        place: format!("Cargo.lock:{}", index + 1),
        rule: "no second TLS library",
        remedy: format!("`{name}` came in; find it with `cargo tree -i {name}` and turn that feature off"),
    };
    banned.map(finding).collect()
}

struct Dependency {
    name: String,
    dev: bool,
    optional: bool,
    inherited: bool,
}

type Refusal = (&'static str, String);

fn dependencies(manifest: &Table) -> Vec<Dependency> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = std::iter::once(manifest).chain(targets.filter_map(Value::as_table));
    let mut all = Vec::new();
    for table in tables {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (key, value) in table.get(kind).and_then(Value::as_table).into_iter().flatten() {
                let flag = |name: &str| value.get(name).and_then(Value::as_bool) == Some(true);
                all.push(Dependency {
                    name: value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned(),
                    dev: kind == "dev-dependencies",
                    optional: flag("optional"),
                    inherited: flag("workspace"),
                });
            }
        }
    }
    all
}

fn edge(folder: &str, dependency: &Dependency) -> Option<Refusal> {
    let from = folder.strip_prefix("crates/")?;
    let to = dependency.name.strip_prefix("waxseal-")?;
    if to == "types" || FREE.contains(&from) || (dependency.dev && (FREE.contains(&to) || to == from)) {
        return None;
    }
    let rule = "edges between crates";
    let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == from) else {
        return Some((
            rule,
            format!("crate `{from}` is not in the table of tests/tidy/edges.rs: add it with its edges"),
        ));
    };
    if allowed.contains(&to) {
        return None;
    }
    let list =
        if allowed.is_empty() { "only types".to_owned() } else { format!("types, {}", allowed.join(", ")) };
    Some((
        rule,
        format!("`{from}` may not know `{to}` (it may know {list}): carry the words across in `types`"),
    ))
}

fn library(folder: &str, dependency: &Dependency) -> Option<Refusal> {
    let name = dependency.name.as_str();
    if NOBODY.contains(&name) {
        return Some(("no second TLS library", format!("`{name}`: use rustls and aws-lc-rs")));
    }
    let from = folder.strip_prefix("crates/")?;
    if NOT_RUSTLS.contains(&name) {
        return None;
    }
    let (_, allowed, why) = KEPT_IN.iter().find(|(library, ..)| name.starts_with(library))?;
    let rule = "libraries in their place";
    if !allowed.contains(&from) {
        return Some((rule, format!("`{name}` in `{from}`: {why}")));
    }
    let must_be_optional = name == "actix" || name == "actix-rt" || from == "verify";
    if must_be_optional && !dependency.optional && !dependency.dev {
        return Some((rule, format!("`{name}` in `{from}` must be `optional = true`, behind a feature")));
    }
    None
}

fn runtime(folder: &str, dependency: &Dependency) -> Option<Refusal> {
    let from = folder.strip_prefix("crates/")?;
    let refused =
        PURE.contains(&from) && dependency.name == "tokio" && !dependency.dev && !dependency.optional;
    refused.then(|| ("pure crates have no runtime", format!("`{from}` is sans-io: let its driver await")))
}

fn version_outside() -> Refusal {
    let remedy = "name the version in [workspace.dependencies] of the root and write `workspace = true` here";
    ("one place for versions", remedy.to_owned())
}

/// A finding at the line of `text` that begins with `key`.
fn finding(place: &str, text: &str, key: &str, rule: &'static str, remedy: String) -> Finding {
    let line = text.lines().position(|line| line.trim_start().starts_with(key)).map_or(1, |index| index + 1);
    Finding { place: format!("{place}:{line}"), rule, remedy }
}
