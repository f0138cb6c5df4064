//! `waxseal serve-policy` asked in Postfix's protocol.

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _, path::Path};

use crate::{
    server::{Server, receive, send},
    write,
};

/// A configuration over this table, and where to listen.
fn world(folder: &Path, table: &str) -> (String, String) {
    let table = write(&folder.join("tls_policy"), table);
    let config = write(
        &folder.join("waxseal.toml"),
        &format!("[tls]\nsecurity_level = \"encrypt\"\npolicy_maps = [\"texthash:{table}\"]\n"),
    );
    (config, format!("unix:{}/policy", folder.display()))
}

#[test]
fn every_next_hop_gets_the_policy_that_waxseal_has_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let pin = ["ab"; 32].join(":");
    let (config, place) = world(
        folder.path(),
        &format!(
            "a.test secure match=mx.a.test:.a.test tafile=/etc/ta.pem exclude=AES128\n.b.test may protocols=TLSv1.2\n\
             [c.test]:587 fingerprint match={pin}\nd.test none\nbad.test secure math=x\ne.test dane servername=nexthop\n\
             f.test verify connection_reuse=no policy_type=sts {{ policy_string = mx: a.test }}\n"
        ),
    );
    let server = Server::start(&["--config", &config, "--listen", &place]);
    let rest = "protocols=>=TLSv1.2";
    let table = [
        (
            "a.test",
            format!(
                "OK secure ciphers=medium {rest} exclude=AES128 match=mx.a.test:.a.test tafile=/etc/ta.pem connection_reuse=yes"
            ),
        ),
        // Its own parents, found by Waxseal: Postfix has its answer with the first question.
        ("x.y.b.test", "OK may ciphers=medium protocols=TLSv1.2 connection_reuse=yes".to_owned()),
        (".y.b.test", "OK may ciphers=medium protocols=TLSv1.2 connection_reuse=yes".to_owned()),
        ("b.test", format!("OK encrypt ciphers=medium {rest} connection_reuse=yes")),
        ("B.TEST", format!("OK encrypt ciphers=medium {rest} connection_reuse=yes")),
        (".test", format!("OK encrypt ciphers=medium {rest} connection_reuse=yes")),
        (
            "[c.test]:587",
            format!("OK fingerprint ciphers=medium {rest} match={} connection_reuse=yes", pin.to_uppercase()),
        ),
        ("[c.test]", format!("OK encrypt ciphers=medium {rest} connection_reuse=yes")),
        ("d.test", "OK none".to_owned()),
        ("e.test", format!("OK dane ciphers=medium {rest} servername=nexthop connection_reuse=yes")),
        (
            "f.test",
            format!(
                "OK verify ciphers=medium {rest} match=hostname connection_reuse=no policy_type=sts {{ policy_string = mx: a.test }}"
            ),
        ),
        ("[192.0.2.1]:25", format!("OK encrypt ciphers=medium {rest} connection_reuse=yes")),
    ];
    for (key, expected) in &table {
        assert_eq!(&server.ask("smtp", key), expected, "{key}");
    }
    // What fails is never "not found", and never the default.
    for (key, expected) in [
        ("bad.test", "TEMP client TLS configuration problem: "),
        ("[x", "TEMP no policy for"),
        ("u@a.test", "TEMP no policy for"),
        ("x.test:weird", "TEMP no policy"),
    ] {
        let answer = server.ask("smtp", key);
        assert!(answer.starts_with(expected), "{key}: {answer}");
    }
    assert!(server.ask("smtp", "bad.test").contains("tls_policy:5"));
    assert!(server.ask("other", "a.test").starts_with("PERM "));
    assert!(server.ask("lmtp", "a.test").starts_with("OK secure "));
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn a_table_that_is_gone_is_a_temporary_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write(
        &folder.path().join("waxseal.toml"),
        &format!(
            "[tls]\nsecurity_level = \"may\"\npolicy_maps = [\"texthash:{}/nowhere\"]\n",
            folder.path().display()
        ),
    );
    let server = Server::start(&["--config", &config, "--listen", "inet:127.0.0.1:0"]);
    let answer = server.ask("smtp", "a.test");
    assert!(answer.starts_with("TEMP ") && answer.contains("nowhere"), "{answer}");
}

#[test]
fn a_changed_table_counts_without_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, place) = world(folder.path(), "a.test may\n");
    let server = Server::start(&["--config", &config, "--listen", &place]);
    assert!(server.ask("smtp", "a.test").starts_with("OK may "));
    write(&folder.path().join("tls_policy"), "a.test dane-only\n");
    server.says("reloaded");
    assert!(server.ask("smtp", "a.test").starts_with("OK dane-only "));
}

#[test]
fn a_connection_serves_many_questions_and_nonsense_ends_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, place) = world(folder.path(), "a.test may\n");
    let server = Server::start(&["--config", &config, "--listen", &place, "--mode", "600"]);
    let path = place.strip_prefix("unix:").expect("it is one");
    assert_eq!(fs::metadata(path).expect("it is there").permissions().mode() & 0o777, 0o600);

    let mut wire = server.connect();
    for _ in 0..3 {
        send(&mut *wire, "smtp a.test");
    }
    for _ in 0..3 {
        assert!(receive(&mut *wire).is_some_and(|answer| answer.starts_with("OK may ")));
    }
    // In pieces.
    for octet in b"11:smtp a.test," {
        wire.write_all(&[*octet]).expect("it reads");
    }
    assert!(receive(&mut *wire).is_some_and(|answer| answer.starts_with("OK may ")));
    for nonsense in ["GET / HTTP/1.1\r\n\r\n", "999999:", "2049:", "4:smtp,", "3:a b;"] {
        let mut wire = server.connect();
        wire.write_all(nonsense.as_bytes()).expect("it reads");
        assert_eq!(receive(&mut *wire).as_deref(), Some("PERM malformed request"), "{nonsense}");
        assert_eq!(receive(&mut *wire), None, "{nonsense}");
    }
    // The one from before is still served, with hundreds of silent ones beside it.
    let silent: Vec<_> = (0..200).map(|_| server.connect()).collect();
    send(&mut *wire, "smtp b.test");
    assert!(receive(&mut *wire).is_some_and(|answer| answer.starts_with("OK encrypt ")));
    assert_eq!(silent.len(), 200);

    server.signal("HUP");
    assert!(server.ask("smtp", "a.test").starts_with("OK may "));
    assert_eq!(server.end().code(), Some(0), "also with clients that stay");
    assert!(!Path::new(path).exists(), "the socket is gone");
    assert_eq!(receive(&mut *wire), None);
}

#[test]
fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, place) = world(folder.path(), "a.test may\n");
    let path = place.strip_prefix("unix:").expect("it is one");
    drop(std::os::unix::net::UnixListener::bind(path).expect("a socket"));
    let server = Server::start(&["--config", &config, "--listen", &place]);
    let second = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_waxseal"));
        command.arg("serve-policy").args(words).output().expect("it runs").status.code()
    };
    assert_eq!(second(&["--config", &config, "--listen", &place]), Some(75));
    assert!(server.ask("smtp", "a.test").starts_with("OK may "), "it still answers");
    assert_eq!(second(&["--config", &config, "--listen", &format!("unix:{config}")]), Some(75));
    assert!(Path::new(&config).exists(), "a file that is no socket stays");
    assert_eq!(second(&["--config", &config, "--listen", "inet:192.0.2.1:1"]), Some(64));
    assert_eq!(second(&["--config", &config, "--listen", "a.test:1"]), Some(64));
    assert_eq!(second(&["--config", "/nowhere/x.toml", "--listen", &place]), Some(78));
}
