//! What a person gets wrong: exit status 78, and a message that names file, line, key and remedy.

use std::{net::TcpListener, path::Path};

use waxseal_testbed::{Client, Peer, within};

use crate::daemon::{self, Daemon, LIMIT};

/// Ends with 78, having said all of `words`.
async fn refused(folder: &Path, config: &str, words: &[&str]) {
    let end = Daemon::run(folder, config).await;
    assert_eq!(end.status.code(), Some(78), "{config}\nsaid:\n{}", end.log);
    for word in words {
        assert!(end.log.contains(word), "{config}\nshould have said {word:?}, said:\n{}", end.log);
    }
}

/// The standard configuration with one line put behind its table header.
fn with(folder: &Path, table: &str, line: &str) -> String {
    daemon::config(folder, "[127.0.0.1]:9").replacen(
        &format!("[{table}]\n"),
        &format!("[{table}]\n{line}\n"),
        1,
    )
}

/// Where `text` stands in `config`, as messages name it.
fn place(config: &str, text: &str) -> String {
    let line = config.lines().position(|line| line.starts_with(text)).expect("it stands there") + 1;
    format!("waxseal.toml:{line}")
}

#[tokio::test]
async fn mistakes_in_the_file_are_named_with_line_key_and_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    for (table, line, words) in [
        ("queue", "minimal_backof = \"1s\"", &["minimal_backof", "minimal_backoff"][..]),
        ("queue", "bounce_lifetime = 5", &["bounce_lifetime"]),
        ("listen", "message_size_limit = \"fifty\"", &["message_size_limit", "fifty"]),
        ("listen", "admin = 8025", &["admin"]),
        ("tls", "protocols = \">=SSLv9\"", &["protocols", "SSLv9"]),
        ("tls", "policy_maps = [\"ldap:/etc/x\"]", &["policy_maps", "ldap"]),
        ("spool", "colour = \"green\"", &["colour"]),
    ] {
        let config = with(folder.path(), table, line);
        let mut said = vec![place(&config, line)];
        said.extend(words.iter().map(|word| (*word).to_owned()));
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        refused(folder.path(), &config, &said).await;
    }
}

#[tokio::test]
async fn a_wrong_level_is_refused_with_the_right_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = daemon::config(folder.path(), "[127.0.0.1]:9").replace("\"may\"", "\"maybe\"");
    refused(folder.path(), &config, &[&place(&config, "security_level"), "maybe", "encrypt"]).await;
}

#[tokio::test]
async fn a_syntax_error_is_named_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = with(folder.path(), "queue", "maximal_lifetime = ");
    refused(folder.path(), &config, &[&place(&config, "maximal_lifetime")]).await;
}

#[tokio::test]
async fn a_missing_certificate_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("client.pem");
    let config = with(folder.path(), "tls", &format!("cert_file = \"{}\"", missing.display()));
    refused(folder.path(), &config, &["cert_file", &missing.display().to_string()]).await;
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let config = daemon::config(folder.path(), "[127.0.0.1]:9").replace("127.0.0.1:0", &address);
    refused(folder.path(), &config, &[&address, "in use"]).await;
}

#[tokio::test]
async fn a_spool_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("spool"), "a file, where a folder is due").expect("the folder is ours");
    let config = daemon::config(folder.path(), "[127.0.0.1]:9");
    refused(folder.path(), &config, &["spool.path", &folder.path().join("spool").display().to_string()])
        .await;
}

#[tokio::test]
async fn a_second_process_on_one_spool_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = daemon::config(folder.path(), "[127.0.0.1]:9");
    let first = Daemon::start(folder.path(), &config).await;
    refused(folder.path(), &config, &["in use", &first.id().to_string()]).await;
    assert_eq!(first.terminate().await.status.code(), Some(0));
}

/// Sets the format of a segment's two headers, with their checksums (CRC-32C over the first 508 octets of each).
fn format_of(segment: &Path) -> u32 {
    let octets = std::fs::read(segment).expect("the segment is there");
    u32::from_le_bytes(octets[8..12].try_into().expect("four octets"))
}

fn set_format(segment: &Path, format: u32) {
    let mut octets = std::fs::read(segment).expect("the segment is there");
    for header in octets.chunks_exact_mut(512).take(2) {
        header[8..12].copy_from_slice(&format.to_le_bytes());
        let sum = crc32c::crc32c(&header[..508]);
        header[508..].copy_from_slice(&sum.to_le_bytes());
    }
    std::fs::write(segment, octets).expect("the segment is ours");
}

#[tokio::test]
async fn a_spool_of_a_newer_format_is_left_alone_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let peer = Peer::builder()
        .greeting("421 4.3.2 not now")
        .then()
        .greeting("220 now")
        .start()
        .await
        .expect("starts");
    let config = daemon::config(folder.path(), &peer.nexthop());
    let daemon = Daemon::start(folder.path(), &config).await;
    let mut client = Client::connect(daemon.smtp()).await.expect("it listens");
    let reply = client.submit("a@a.test", &["b@b.test"], "Subject: x\n\nx\n").await.expect("it answers");
    assert!(reply.starts_with("250 "), "{reply}");
    daemon.kill_nine().await;
    let segments = || {
        let entries = std::fs::read_dir(folder.path().join("spool")).expect("a spool");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.filter(|path| path.extension().is_some_and(|end| end == "seg")).collect::<Vec<_>>()
    };
    let current = format_of(&segments()[0]);
    segments().iter().for_each(|segment| set_format(segment, current + 1));
    refused(folder.path(), &config, &[&format!("format {}", current + 1), "format", "seg"]).await;
    segments().iter().for_each(|segment| set_format(segment, current));
    let _daemon = Daemon::start(folder.path(), &config).await;
    assert_eq!(within(LIMIT, peer.wait_for(1)).await[0].recipients, ["b@b.test"]);
}

/// A table line without a value, or with attributes that are none: the program starts, since one destination's mistake
/// is not all destinations' trouble; its mail waits and is told where the mistake stands.
#[tokio::test]
async fn a_malformed_table_line_defers_its_destination_naming_file_and_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let peer = Peer::builder().start().await.expect("starts");
    let table = folder.path().join("tls_policy");
    std::fs::write(&table, format!("# a comment\n{} encrypt ciphers=strong\n", peer.nexthop()))
        .expect("ours");
    let maps = format!("policy_maps = [\"texthash:{}\"]", table.display());
    let config =
        daemon::config(folder.path(), &peer.nexthop()).replacen("[tls]\n", &format!("[tls]\n{maps}\n"), 1);
    let daemon = Daemon::start(folder.path(), &config).await;
    let mut client = Client::connect(daemon.smtp()).await.expect("it listens");
    let reply = client.submit("a@a.test", &["b@b.test"], "Subject: x\n\nx\n").await.expect("it answers");
    assert!(reply.starts_with("250 "), "{reply}");
    daemon.said("4.7.5").await;
    let place = format!("{}:2", table.display());
    assert!(daemon.log().contains(&place), "{place} is not in:\n{}", daemon.log());
    assert_eq!(peer.connections(), 0, "nothing was sent");
}
