//! Ten failures as they happen to real mail, played with real servers, and what Waxseal says of each: docs/failures.md is what comes out.

mod cases;
mod world;

use std::{fmt::Write as _, path::Path};

use cases::{CASES, Case};
use world::Told;

const PAGE: &str = "../../docs/failures.md";

const OPENING: &str = "# Ten failures, and what Waxseal says of them\n\n\
Mail does not always go. For each of ten common failures this page shows what Waxseal says: `waxseal explain` to the operator who asks about the\n\
message, the end of the message's story on the page of `listen.admin`, the line in the log, and the notification that the sender gets (its part for\n\
people; where the mail still waits, it is the warning that `queue.delay_warning` asks for). All of it is what the program said when the failure was\n\
played with real servers; a test holds this page against the program. Times, keys and addresses are replaced by examples.\n\n\
A word on the terms. Mail goes from one server to the next over TLS, which encrypts; whether the other end is the right one is a question of its own, and a\n\
*policy* says per destination what must be proven. DNS tells which server takes a domain's mail; *DNSSEC* signs what DNS says; *DANE* (TLSA records) puts\n\
the server's key into signed DNS. Where something that must be proven cannot be, Waxseal keeps the mail and tries again: it never sends it less safely.\n";

#[actix_rt::test]
async fn the_page_of_ten_failures_is_what_the_program_says() {
    let mut page = OPENING.to_owned();
    for (number, case) in CASES.iter().enumerate() {
        let told = world::play(case).await;
        case_says_what_it_must(case, &told);
        assert_eq!(undocumented(&told.json), Vec::<String>::new(), "to be added to docs/explain.md");
        let _ = write!(page, "\n## {}. {}\n\n{}\n", number + 1, case.title, case.what);
        for (what, text) in [
            ("Explain", &told.explain),
            ("Page", &told.page),
            ("Log", &told.log),
            ("Notification", &told.notification),
        ] {
            let _ = write!(page, "\n{what}:\n\n```text\n{}\n```\n", text.trim_end());
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    if std::env::var_os("UPDATE_PAGES").is_some() {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = page.lines().zip(written.lines()).find(|(now, then)| now != then);
    assert!(
        page == written,
        "docs/failures.md is stale: UPDATE_PAGES=1 cargo test -p waxseal --test failures\nfirst difference (now, then): {differing:#?}"
    );
}

/// All three answers name the same code, and the words that this failure is known by.
fn case_says_what_it_must(case: &Case, told: &Told) {
    for (what, text) in [("explain", &told.explain), ("log", &told.log), ("notification", &told.whole)] {
        assert!(text.contains(case.status), "{}: no {} in the {what}:\n{text}", case.title, case.status);
    }
    let unfolded = told.explain.replace("\n              ", " ");
    for words in case.words {
        assert!(unfolded.contains(words), "{}: no {words:?} in:\n{}", case.title, told.explain);
        assert!(told.whole.contains(words), "{}: no {words:?} in:\n{}", case.title, told.whole);
    }
    assert_eq!(told.explain.contains("to them"), case.letter, "{}:\n{}", case.title, told.explain);
}

/// Fields that docs/explain.md does not name.
fn undocumented(story: &serde_json::Value) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/explain.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let mut paths = Vec::new();
    for entry in story["entries"].as_array().into_iter().flatten() {
        fields("", entry, &mut paths);
    }
    paths.sort_unstable();
    paths.dedup();
    // The account is described once for both places where it stands.
    let named =
        |path: &String| page.contains(&format!("`{}`", path.strip_prefix("attempt.").unwrap_or(path)));
    paths.retain(|path| !named(path));
    paths
}

fn fields(path: &str, value: &serde_json::Value, paths: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (key, value) in object {
                let dot = if path.is_empty() { "" } else { "." };
                fields(&format!("{path}{dot}{key}"), value, paths);
            }
        }
        serde_json::Value::Array(array) => {
            array.iter().for_each(|value| fields(&format!("{path}[]"), value, paths));
        }
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => paths.push(path.to_owned()),
    }
}
