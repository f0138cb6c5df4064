//! `waxseal doctor`, called as a person calls it, in a world that is well and in one that is not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics, its helpers as well")]

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use waxseal_testbed::{
    Authority, Peer,
    dns::{DnsServer, Zone},
    within,
};

const LIMIT: Duration = Duration::from_secs(60);

/// The exit status, and what was found.
async fn doctor(config: &Path) -> (i32, Vec<(String, String, String, String)>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
    command
        .args(["doctor", "--json", "--outbound", "well.test", "--config"])
        .arg(config)
        .stdin(Stdio::null());
    let output =
        within(LIMIT, async { tokio::task::spawn_blocking(move || command.output()).await.unwrap() });
    let output = output.await.unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = said["findings"].as_array().unwrap().iter();
    let findings = findings
        .map(|one| (word(one, "area"), word(one, "state"), word(one, "what"), word(one, "remedy")))
        .collect();
    assert_eq!(said["ok"], output.status.code() == Some(0));
    (output.status.code().unwrap(), findings)
}

fn assert_found(found: &[(String, String, String, String)], area: &str, state: &str, words: &str) {
    let fits = |one: &&(String, String, String, String)| one.0 == area && one.2.contains(words);
    let one = found.iter().find(fits).unwrap_or_else(|| panic!("no {area} with {words:?} in {found:#?}"));
    assert_eq!(one.1, state, "{one:?}");
    assert_eq!(one.3.is_empty(), state == "good", "a remedy for what is not good: {one:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_world_that_is_well() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let peer = Peer::builder().start().await.unwrap();
    let zone =
        Zone::new().mx("well.test", 10, "mx.well.test").a("mx.well.test", [127, 0, 0, 1]).secure("well.test");
    let dns = DnsServer::start(zone).await.unwrap();
    let config = folder.path().join("waxseal.toml");
    let text = format!(
        "hostname = \"mail.well.test\"\n[spool]\npath = {:?}\n[listen]\nsmtp = [\"127.0.0.1:0\"]\n[dns]\nservers = [\"{}\"]\ndnssec = \"off\"\n\
         [tls]\nsecurity_level = \"may\"\n[transport]\nport = {}\n",
        folder.path().join("spool"),
        dns.addr(),
        peer.addr().port()
    );
    std::fs::write(&config, text).unwrap();
    let (status, found) = doctor(&config).await;
    assert_found(&found, "configuration", "good", "starts");
    assert_found(&found, "resolver", "good", "no level here needs it");
    assert_found(&found, "spool", "good", "does not exist yet");
    assert_found(&found, "ports", "good", "is free");
    assert_found(&found, "certificates", "good", "none");
    assert_found(&found, "outbound", "good", "greets at port");
    assert!(
        found.iter().any(|one| one.0 == "clock") && found.iter().any(|one| one.2.contains("times a second"))
    );
    let bad: Vec<_> = found.iter().filter(|one| one.1 == "bad").collect();
    // The machine that tests run on may keep everything in memory, or have little room.
    assert_eq!(status == 0, bad.is_empty());
    assert!(bad.iter().all(|one| one.0 == "spool" && !one.2.contains("written")), "{bad:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_world_that_is_not() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // Validating, this resolver cannot: it knows no keys of the root's.
    let zone = Zone::new().mx("well.test", 10, "mx.well.test").a("mx.well.test", [127, 0, 0, 1]);
    let dns = DnsServer::start(zone).await.unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = Authority::new("doctor").unwrap();
    let certificate = authority.leaf(&["mail.ill.test"]).expired().issue().unwrap();
    let (chain, spool) = (folder.path().join("chain.pem"), folder.path().join("spool"));
    std::fs::write(&chain, format!("{}{}", certificate.key_pem(), certificate.pem())).unwrap();
    std::fs::write(&spool, "a file, where a folder should be").unwrap();
    let config = folder.path().join("waxseal.toml");
    let text = format!(
        "hostname = \"mail.ill.test\"\n[spool]\npath = {:?}\n[listen]\nsmtp = [\"{}\"]\n[dns]\nservers = [\"{}\"]\n\
         [tls]\nsecurity_level = \"dane\"\nchain_files = [{:?}]\n[transport]\nrelayhost = \"[127.0.0.1]:{}\"\n",
        spool.join("deeper"),
        other.local_addr().unwrap(),
        dns.addr(),
        chain,
        closed.port()
    );
    std::fs::write(&config, text).unwrap();
    let (status, found) = doctor(&config).await;
    assert_eq!(status, 1);
    assert_found(&found, "resolver", "bad", "DANE blind");
    assert_found(&found, "ports", "bad", "another program listens there");
    assert_found(&found, "certificates", "bad", "expired");
    assert_found(&found, "outbound", "bad", "can be reached at port");
}
