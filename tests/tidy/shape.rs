//! Rules about sizes and about the face of each crate.

use crate::{
    Finding,
    source::{Source, end_of_item},
};

/// Most lines of a file without tests.
const FILE_LINES: usize = 400;
/// Most lines of a file that says in its first comment why it is long.
const LONG_FILE_LINES: usize = 600;
/// What that comment says.
const LONG_FILE_WORDS: &str = "Longer than 400 lines";
/// Most lines of code in a function; 40 is the aim.
const FUNCTION_LINES: usize = 80;
/// Fewest lines of a crate's essay.
const ESSAY_LINES: usize = 4;

/// All shape rules over one Rust file.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    [file_length, function_length, essay, private_modules].iter().flat_map(|rule| rule(source)).collect()
}

fn file_length(source: &Source) -> Vec<Finding> {
    let lines = source.production().count();
    let first = source.raw.iter().take_while(|line| line.starts_with("//"));
    let excused =
        first.map(|line| line.trim_start_matches(['/', '!', ' '])).any(|line| line.contains(LONG_FILE_WORDS));
    let limit = if excused { LONG_FILE_LINES } else { FILE_LINES };
    if lines <= limit {
        return Vec::new();
    }
    let remedy = format!(
        "{lines} lines without tests, at most {limit}: split it by concept (up to {LONG_FILE_LINES} with \
         \"{LONG_FILE_WORDS}: reason\" in its first comment)"
    );
    vec![Finding::at(source, limit + 1, "one concept per file", remedy)]
}

fn function_length(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for (number, line) in source.production() {
        let Some(name) = function_name(line) else { continue };
        let end = end_of_item(&source.code, number - 1);
        let body = source.code[number - 1..=end].iter().filter(|line| !line.trim().is_empty()).count();
        if body > FUNCTION_LINES {
            let remedy = format!(
                "`{name}` has {body} lines of code, at most {FUNCTION_LINES} (40 is the aim): split it"
            );
            found.push(Finding::at(source, number, "functions stay small", remedy));
        }
    }
    found
}

/// The name of the function that a line begins.
fn function_name(line: &str) -> Option<&str> {
    const BEFORE: &[&str] =
        &["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern", "default"];
    let (before, rest) = line.split_once("fn ")?;
    if !before.split_whitespace().all(|word| BEFORE.contains(&word)) {
        return None;
    }
    rest.split(['(', '<']).next().map(str::trim).filter(|name| !name.is_empty())
}

/// Each `lib.rs` begins with an essay and shows an example that compiles; each `main.rs` says what it is.
fn essay(source: &Source) -> Vec<Finding> {
    let is_library = source.path.starts_with("crates/") && source.path.ends_with("/src/lib.rs");
    let is_program = source.path.starts_with("bins/") && source.path.ends_with("/src/main.rs");
    if !is_library && !is_program {
        return Vec::new();
    }
    let docs: Vec<&str> =
        source.raw.iter().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
    let mut fences = docs.iter().filter_map(|line| line.strip_prefix("```")).step_by(2);
    let prose =
        docs.iter().take_while(|line| !line.starts_with("```")).filter(|line| !line.is_empty()).count();
    let wanted = if is_library { ESSAY_LINES } else { 1 };
    let mut found = Vec::new();
    if prose < wanted {
        let remedy = "begin with `//!`: what it is for, how it works, what it refuses to know".to_owned();
        found.push(Finding::at(source, 1, "a crate begins with an essay", remedy));
    }
    if is_library && !fences.any(|kind| matches!(kind, "" | "no_run" | "rust" | "rust,no_run")) {
        let remedy = "show its use in ten lines that compile".to_owned();
        found.push(Finding::at(source, 1, "a crate shows an example", remedy));
    }
    found
}

/// Public modules besides `actor`: names that say too little without theirs. An entry that no longer stands fails, too.
pub(crate) const NAMESPACES: &[(&str, &str, &str)] = &[
    ("policy", "dane", "steps of one decision, with names like `Decision` and `Next`"),
    ("policy", "findings", "functions named after what they look at: `findings::of_entries`"),
    ("queue", "advice", "functions named after what they say of an account: `advice::verdict`"),
    ("queue", "bounce", "`notification` and `Report` are words of bounces here"),
    ("queue", "disposition", "functions named after what failed: `disposition::open_failed`"),
    ("queue", "levers", "words that need its name: `levers::Command`, `levers::State`"),
    ("queue", "owner", "its `Message` and `Part` are the queue's bookkeeping, not mail"),
    ("smtp", "server", "both ends have their `Settings`, `Event` and `Session`"),
    ("telemetry", "metrics", "one static for each metric: names such as `ATTEMPTS` and `BOUNDS` want theirs"),
    ("testbed", "dns", "a world of its own beside the peers"),
];

/// Private modules, one block of re-exports.
fn private_modules(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("crates/") || !source.path.ends_with("/src/lib.rs") {
        return Vec::new();
    }
    let folder = source.crate_folder().unwrap_or_default();
    let named =
        |name: &str| NAMESPACES.iter().any(|(in_crate, module, _)| (*in_crate, *module) == (folder, name));
    let public = source.production().filter(|(_, line)| {
        let module = line.strip_prefix("pub mod ").map(|name| name.trim_end_matches(';').trim());
        module.is_some_and(|name| name != "actor" && !named(name))
    });
    let remedy = "make the module private and re-export what is meant for others";
    public.map(|(number, _)| Finding::at(source, number, "modules are private", remedy.into())).collect()
}
