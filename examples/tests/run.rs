//! Each example, run.

#[path = "../dane_check.rs"]
mod dane_check;
#[path = "../lookup.rs"]
mod lookup;
#[path = "../pin_server.rs"]
mod pin_server;
#[path = "../schedule.rs"]
mod schedule;
#[path = "../smtp_client.rs"]
mod smtp_client;
#[path = "../verify_chain.rs"]
mod verify_chain;

#[test]
fn all_examples_come_to_a_good_end() {
    for (name, run) in [
        ("dane_check", dane_check::main as fn() -> _),
        ("lookup", lookup::main),
        ("pin_server", pin_server::main),
        ("schedule", schedule::main),
        ("smtp_client", smtp_client::main),
        ("verify_chain", verify_chain::main),
    ] {
        println!("--- {name}");
        let end: Result<(), Box<dyn std::error::Error>> = run();
        assert!(end.is_ok(), "{name}: {end:?}");
    }
}

#[test]
fn no_example_is_longer_than_sixty_lines() {
    let folder = std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("it is there");
    let files = folder
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "rs"));
    for file in files {
        let lines = std::fs::read_to_string(&file).expect("it is text").lines().count();
        assert!(lines <= 60, "{}: {lines} lines", file.display());
    }
}
