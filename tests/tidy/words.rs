//! Rules about words: what may stand where.

use crate::{Finding, source::Source};

/// Crates that do no I/O and read no clock (design: "Pure crates").
const PURE: &[&str] = &["types", "policy", "verify", "smtp"];

/// The parts of `queue` that are pure.
const PURE_IN_QUEUE: &[&str] =
    &["plan", "disposition", "schedule", "bounce", "account", "restart", "lane", "window"];

/// Crates that claim `#![no_std]`.
pub(crate) const NO_STD: &[&str] = &["types", "policy", "smtp"];

/// Most lines of an `actor.rs`.
const ACTOR_LINES: usize = 120;

/// All word rules over one Rust file.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    [
        clock,
        io,
        no_std,
        actor_is_thin,
        actix_in_its_circles,
        addresses,
        unwrap,
        test_names,
        lint_reasons,
        serde_tag,
    ]
    .iter()
    .flat_map(|rule| rule(source))
    .collect()
}

/// Whether `word` stands in `line` with no letter or digit before it.
fn has(line: &str, word: &str) -> bool {
    let borders_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !word.starts_with(borders_word) || !line[..at].chars().next_back().is_some_and(borders_word)
    })
}

fn words<'a>(
    source: &'a Source,
    list: &'static [&'static str],
    rule: &'static str,
    remedy: &'static str,
) -> impl Iterator<Item = Finding> + 'a {
    source.production().filter_map(move |(number, line)| {
        let word = list.iter().find(|word| has(line, word))?;
        Some(Finding::at(source, number, rule, format!("`{word}`: {remedy}")))
    })
}

fn is_pure(source: &Source) -> bool {
    let Some(folder) = source.crate_folder() else { return false };
    let in_queue = || {
        let rest = source.path.strip_prefix("crates/queue/src/").unwrap_or_default();
        PURE_IN_QUEUE.iter().any(|part| rest.split(['/', '.', '_']).next() == Some(part))
    };
    (PURE.contains(&folder) && !source.is_actor_shell() && source.path.contains("/src/")) || in_queue()
}

fn clock(source: &Source) -> Vec<Finding> {
    if !is_pure(source) {
        return Vec::new();
    }
    let list = &["SystemTime::now", "Instant::now", "UnixTime::now"];
    words(source, list, "pure code reads no clock", "take `now` as an argument; the shell reads the clock")
        .collect()
}

fn io(source: &Source) -> Vec<Finding> {
    if !is_pure(source) {
        return Vec::new();
    }
    let list = &["std::fs", "std::net::Tcp", "std::net::Udp", "std::env", "std::process", "tokio::"];
    words(
        source,
        list,
        "pure code does no I/O",
        "ask for it and be answered (sans-io), or move it to a driver",
    )
    .collect()
}

fn no_std(source: &Source) -> Vec<Finding> {
    if !source.crate_folder().is_some_and(|folder| NO_STD.contains(&folder)) || !source.path.contains("/src/")
    {
        return Vec::new();
    }
    let mut found = Vec::new();
    if source.path.ends_with("/src/lib.rs") && !source.code.iter().any(|line| line.contains("#![no_std]")) {
        found.push(Finding::at(
            source,
            1,
            "this crate is no_std",
            "add `#![no_std]`, use core and alloc".into(),
        ));
    }
    if !source.is_actor_shell() {
        let remedy = "only actor.rs and tests may have it";
        found.extend(words(source, &["extern crate std"], "this crate is no_std", remedy));
    }
    found
}

fn actor_is_thin(source: &Source) -> Vec<Finding> {
    if !source.is_actor_shell() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let lines = source.production().count();
    if lines > ACTOR_LINES {
        let remedy = format!("{lines} lines, at most {ACTOR_LINES}: move decisions into the library below");
        found.push(Finding::at(source, ACTOR_LINES + 1, "actor.rs stays thin", remedy));
    }
    for (index, line) in source.raw.iter().enumerate().filter(|(index, _)| !source.test[*index]) {
        if has(line, "RFC") {
            let remedy = "a section is cited where it is implemented, which is not here".into();
            found.push(Finding::at(source, index + 1, "actor.rs decides nothing", remedy));
        }
    }
    found.extend(words(
        source,
        &[".do_send("],
        "actor.rs notifies nobody",
        "answer the question that was asked",
    ));
    found
}

fn in_actor_circle(source: &Source) -> bool {
    ["crates/queue/src/actor", "bins/", "tests/"].iter().any(|place| source.path.starts_with(place))
}

fn actix_in_its_circles(source: &Source) -> Vec<Finding> {
    if in_actor_circle(source) || source.is_actor_shell() {
        return Vec::new();
    }
    let remedy = "only actor.rs, crates/queue/src/actor, bins and tests know actix";
    words(source, &["actix::", "actix_rt::"], "actix in its circles", remedy).collect()
}

fn addresses(source: &Source) -> Vec<Finding> {
    if in_actor_circle(source) || !source.path.starts_with("crates/") {
        return Vec::new();
    }
    let (rule, remedy) =
        ("a star, not a mesh", "only crates/queue/src/actor and bins start actors and hold addresses");
    let mut found: Vec<Finding> = words(source, &["Addr<", "Recipient<", "Arbiter"], rule, remedy).collect();
    if source.code.iter().any(|line| has(line, "actix")) {
        found.extend(words(source, &[".start("], rule, remedy));
    }
    found
}

fn unwrap(source: &Source) -> Vec<Finding> {
    if source.path.starts_with("tests/") {
        return Vec::new();
    }
    let remedy = "return the error, or `expect` with the local invariant told";
    words(source, &[".unwrap()"], "no unwrap outside tests", remedy).collect()
}

fn test_names(source: &Source) -> Vec<Finding> {
    let attributed = |number: usize| {
        let before = source.code[..number - 1].iter().rev().map(|line| line.trim());
        before.take_while(|line| line.starts_with("#[")).any(|line| line.contains("test"))
    };
    let named = source.numbered().filter(|(_, line)| has(line, concat!("fn ", "test_")));
    let remedy = "name the event or the RFC section: `starttls_stripped_by_peer`";
    let tests = named.filter(|(number, _)| attributed(*number));
    tests.map(|(number, _)| Finding::at(source, number, "tests are sentences", remedy.into())).collect()
}

fn lint_reasons(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for (number, line) in source.numbered() {
        if !source.test[number - 1] && (has(line, "#[allow(") || has(line, "#![allow(")) {
            let remedy = "use `#[expect(lint, reason = \"...\")]`, which fails once it is not needed".into();
            found.push(Finding::at(source, number, "no allow", remedy));
        }
        if ["#[expect(", "#![expect(", "#[allow(", "#![allow("].iter().any(|start| has(line, start)) {
            let mut rest = source.code[number - 1..].iter().take(8);
            let closed = rest.position(|line| line.contains(")]")).unwrap_or(7);
            if !source.code[number - 1..=number - 1 + closed].iter().any(|line| has(line, "reason =")) {
                let remedy = "say why: `#[expect(lint, reason = \"...\")]`".into();
                found.push(Finding::at(source, number, "an expected lint has its reason", remedy));
            }
        }
    }
    found
}

fn serde_tag(source: &Source) -> Vec<Finding> {
    if source.crate_folder() != Some("config") {
        return Vec::new();
    }
    let remedy = "an internally tagged enum swallows unknown keys; tag it externally";
    words(source, &["serde(tag"], "configuration refuses unknown keys", remedy).collect()
}

/// Rules over any committed text: no notes to ourselves, no paths of one machine.
pub(crate) fn text(path: &str, text: &str) -> Vec<Finding> {
    const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    const PLACES: &[&str] = &[concat!("/wo", "rk/"), concat!("/tmp/", "target"), concat!("/ro", "ot/.")];
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = format!("{path}:{}", index + 1);
        if let Some(word) = NOTES.iter().find(|word| has(line, word)) {
            let remedy = format!("`{word}`: do it, or open an issue and say what stands instead");
            found.push(Finding { place: place.clone(), rule: "no notes to ourselves", remedy });
        }
        if let Some(word) = PLACES.iter().find(|word| line.contains(*word)) {
            let remedy = format!("`{word}`: take the path from an argument or the environment");
            found.push(Finding { place, rule: "no paths of one machine", remedy });
        }
    }
    found
}
