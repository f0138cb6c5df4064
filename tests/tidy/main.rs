//! The rules of the house, as tests: layering, purity, sizes and words.
//!
//! They need no tools beyond cargo, so they run wherever the tests run. Each finding names file and line, the rule and
//! what to do. That the rules see what they are meant to see is shown in `planted.rs`, which breaks each one once.

mod edges;
mod planted;
mod shape;
mod source;
mod tables;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
};

use source::Source;

/// A rule that does not hold somewhere.
struct Finding {
    /// `file:line`.
    place: String,
    rule: &'static str,
    remedy: String,
}

impl Finding {
    fn at(source: &Source, line: usize, rule: &'static str, remedy: String) -> Self {
        Self { place: format!("{}:{line}", source.path), rule, remedy }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package stands in the workspace").to_owned()
}

/// The committed files below the workspace root, as paths from it.
fn files() -> Vec<String> {
    /// Folders that are not the project's: build results, the version store, what runs leave behind.
    const SKIPPED: &[&str] = &["target", ".git", "waxseal-spool", "artifacts"];
    let root = root();
    let (mut folders, mut found) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace can be read") {
            let entry = entry.expect("a folder of the workspace can be read");
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if !SKIPPED.contains(&name.as_str()) {
                    folders.push(entry.path());
                }
            } else {
                let path = entry.path();
                let path = path.strip_prefix(&root).expect("found below the root");
                found.push(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

fn text_of(path: &str) -> Option<String> {
    fs::read_to_string(root().join(path)).ok()
}

/// Every Rust file, with those that only tests bring in marked as such.
fn sources() -> Vec<Source> {
    let rust = files().into_iter().filter(|path| path.ends_with(".rs"));
    let mut sources: Vec<Source> = rust.map(|path| Source::new(&path, &read(&path))).collect();
    let modules: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        let brought_in = |module: &String| {
            source
                .path
                .strip_prefix(module.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if modules.iter().any(brought_in) {
            source.test.fill(true);
        }
    }
    sources
}

fn report(findings: Vec<Finding>) {
    let mut lines: Vec<String> =
        findings.iter().map(|found| format!("{}: {}: {}", found.place, found.rule, found.remedy)).collect();
    lines.sort();
    assert!(
        lines.is_empty(),
        "{} places break the rules of the house:\n  {}\n",
        lines.len(),
        lines.join("\n  ")
    );
}

#[test]
fn crates_know_only_whom_they_may_know() {
    let manifests = files().into_iter().filter_map(|path| Some(path.strip_suffix("/Cargo.toml")?.to_owned()));
    let mut findings: Vec<Finding> =
        manifests.flat_map(|folder| edges::check(&folder, &read(&format!("{folder}/Cargo.toml")))).collect();
    findings.extend(edges::check_lock(&read("Cargo.lock")));
    report(findings);
}

#[test]
fn no_profile_turns_unwinding_off() {
    let settings =
        files().into_iter().filter(|path| path.ends_with("Cargo.toml") || path.starts_with(".cargo/"));
    report(settings.flat_map(|path| edges::check_settings(&path, &read(&path))).collect());
}

#[test]
fn words_stand_where_they_may_stand() {
    report(sources().iter().flat_map(words::check).collect());
}

#[test]
fn files_functions_and_crates_keep_their_shape() {
    report(sources().iter().flat_map(shape::check).collect());
}

#[test]
fn committed_text_names_no_machine_and_leaves_no_notes() {
    const TEXT: &[&str] = &["rs", "toml", "md", "run", "service", "txt", "sh", "py", "html", "css", "js"];
    let texts = files()
        .into_iter()
        .filter(|path| path.rsplit(['.', '/']).next().is_some_and(|end| TEXT.contains(&end)));
    report(texts.flat_map(|path| words::text(&path, &read(&path))).collect());
}

#[test]
fn every_requirement_of_dane_has_a_test() {
    report(tables::requirements(&read(tables::REQUIREMENTS), text_of));
}

#[test]
fn every_planted_mutation_still_fits() {
    report(tables::mutations(&read(tables::MUTATIONS), text_of));
}

#[test]
fn every_public_namespace_still_stands() {
    for (folder, module, reason) in shape::NAMESPACES {
        let lib = read(&format!("crates/{folder}/src/lib.rs"));
        assert!(
            !reason.is_empty() && lib.contains(&format!("pub mod {module};")),
            "{folder}::{module} is gone"
        );
    }
}

#[test]
fn every_crate_folder_is_a_known_crate() {
    let libraries =
        files().into_iter().filter(|path| path.starts_with("crates/") && path.ends_with("/src/lib.rs"));
    let claims: Vec<String> = libraries.collect();
    for name in words::NO_STD {
        assert!(
            claims.contains(&format!("crates/{name}/src/lib.rs")),
            "crate {name} is gone: correct tests/tidy"
        );
    }
}
