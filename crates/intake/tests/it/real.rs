//! The matrix of real clients: `openssl s_client`, `gnutls-cli` and a Postfix that delivers to us.
//!
//! Ignored by default, since they need Debian packages, and Postfix root. `.ci/run real-peers` runs them.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use waxseal_intake::{Answer, Intake, Level, Lookup, Neighbours, RelayRule};
use waxseal_testbed::Postfix;
use waxseal_types::DigestAlgorithm;

use crate::{
    certificates::{Authority, Pair},
    common::{Memory, Server, local, settings},
};

/// Names to chain files, and fingerprints to anything.
#[derive(Debug)]
struct Tables(Vec<(String, String)>);

impl Lookup for Tables {
    fn find<'a>(&'a self, _: &'a str, key: &'a str) -> Answer<'a, Result<Option<String>, String>> {
        let found = self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone());
        Box::pin(async { Ok(found) })
    }
}

/// An intake with everything, on a thread of its own: STARTTLS, and TLS from the first octet on.
struct Front {
    intake: Arc<Intake>,
    memory: Arc<Memory>,
    authority: Authority,
    listed: Pair,
    member: Pair,
    stranger: Pair,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Front {
    fn start() -> Self {
        let authority = Authority::new();
        let chains = [authority.server("mx.example", true).file, authority.server("mx.example", false).file];
        let other = authority.server("other.example", false);
        let (listed, member) = (authority.client("listed"), authority.client("member"));
        let stranger = authority.stranger("stranger");
        let (print, key) = waxseal_verify::fingerprints(DigestAlgorithm::Sha256, listed.certificate.der());
        let tables = Tables(vec![
            (print, "it".into()),
            (key.unwrap(), "its key".into()),
            ("other.example".into(), other.file.display().to_string()),
        ]);
        let mut settings = settings();
        settings.submissions = vec!["127.0.0.1:0".parse().unwrap()];
        settings.relay_from = vec!["192.0.2.0/24".parse().unwrap()];
        settings.relay_rules = vec![
            RelayRule::PermitCertificates(["relay_clientcerts".to_owned()].into()),
            RelayRule::PermitAllCertificates,
            RelayRule::Reject,
        ];
        settings.client_connection_limit = 0;
        settings.tls.level = Level::May;
        settings.tls.ask_certificate = true;
        settings.tls.received_header = true;
        settings.tls.enable_raw_keys = true;
        settings.tls.files.chain_files = chains.to_vec();
        settings.tls.files.ca_file = Some(authority.ca_file());
        settings.tls.sni_maps = vec!["names".into()];
        let neighbours = Neighbours { tables: Arc::new(tables), ..Neighbours::default() };
        let (send, receive) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            local(async {
                let server = Server::beside(settings, Arc::default(), neighbours);
                send.send((Arc::clone(&server.intake), Arc::clone(&server.memory))).unwrap();
                server.serving.await.unwrap().unwrap();
                server.intake.drained().await;
            });
        });
        let (intake, memory) = receive.recv().unwrap();
        Self { intake, memory, authority, listed, member, stranger, thread: Some(thread) }
    }

    fn starttls(&self) -> SocketAddr {
        self.intake.local_addrs()[0]
    }

    fn wrapped(&self) -> SocketAddr {
        self.intake.local_addrs()[1]
    }

    /// A certificate and a key in files of their own, as clients want them.
    fn files(&self, pair: &Pair) -> [String; 2] {
        let folder = self.authority.folder.path();
        let place = |name: &str| folder.join(name).display().to_string();
        let [certificate, key] = [place("shown.pem"), place("shown.key")];
        fs::write(&certificate, pair.certificate.pem()).unwrap();
        fs::write(&key, pair.key.serialize_pem()).unwrap();
        [certificate, key]
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.intake.shut_down();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Runs a client whose only words are QUIT, and gives all that it says of the connection.
fn ask(program: &str, arguments: &[&str]) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    // It may be gone already: then its words say why.
    let _ = child.stdin.take().unwrap().write_all(b"QUIT\r\n");
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Speaks with us through a client that passes each line on, and gives the last reply: may it relay?
fn relays(program: &str, arguments: &[&str], greets: bool) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let mut reply = || loop {
        let mut line = String::new();
        if output.read_line(&mut line).unwrap() == 0 {
            return String::from("the connection ended");
        }
        let octets = line.as_bytes();
        if octets.len() > 3 && octets[3] == b' ' && octets[..3].iter().all(u8::is_ascii_digit) {
            return line.trim_end().to_owned();
        }
    };
    if greets {
        reply();
    }
    let mut last = String::new();
    for line in ["EHLO client.example", "MAIL FROM:<a@a.example>", "RCPT TO:<b@b.example>"] {
        if input.write_all(format!("{line}\r\n").as_bytes()).is_err() {
            break;
        }
        last = reply();
    }
    let _ = input.write_all(b"QUIT\r\n");
    drop(input);
    let _ = child.kill();
    let _ = child.wait();
    last
}

#[test]
#[ignore = "needs the Debian package openssl"]
fn matrix_openssl() {
    let front = Front::start();
    let (starttls, wrapped) = (front.starttls().to_string(), front.wrapped().to_string());
    let plain = |more: &[&str]| {
        let mut arguments = vec!["s_client", "-brief", "-starttls", "smtp", "-connect", &starttls];
        arguments.extend(more);
        ask("openssl", &arguments)
    };
    let v13 = "Protocol version: TLSv1.3";
    let v12 = "Protocol version: TLSv1.2";
    let cells: [(&str, &[&str], &[&str]); 17] = [
        (
            "defaults",
            &[],
            &[v13, "Ciphersuite: TLS_AES_256_GCM_SHA384", "Signature type: ECDSA", "CN = mx.example"],
        ),
        ("TLS 1.2", &["-tls1_2"], &[v12, "ECDHE-ECDSA-"]),
        ("TLS 1.1", &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], &["alert"]),
        ("TLS 1.0", &["-tls1", "-cipher", "ALL:@SECLEVEL=0"], &["alert"]),
        ("1.3 AES-128", &["-ciphersuites", "TLS_AES_128_GCM_SHA256"], &[v13, "TLS_AES_128_GCM_SHA256"]),
        (
            "1.3 ChaCha20",
            &["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
            &[v13, "TLS_CHACHA20_POLY1305_SHA256"],
        ),
        (
            "1.2 RSA suite",
            &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"],
            &[v12, "ECDHE-RSA-AES128-GCM-SHA256", "Signature type: RSA"],
        ),
        (
            "1.2 ECDSA suite",
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"],
            &[v12, "ECDHE-ECDSA-CHACHA20-POLY1305"],
        ),
        ("1.2 CBC", &["-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA"], &["alert handshake failure"]),
        ("1.2 anonymous", &["-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"], &["alert handshake failure"]),
        ("1.2 RSA key exchange", &["-tls1_2", "-cipher", "AES128-GCM-SHA256"], &["alert handshake failure"]),
        ("RSA signatures alone", &["-sigalgs", "RSA-PSS+SHA256"], &[v13, "Signature type: RSA-PSS"]),
        ("P-256 alone", &["-groups", "P-256"], &[v13, "ECDH, prime256v1, 256 bits"]),
        ("P-384 alone", &["-groups", "P-384"], &[v13, "ECDH, secp384r1, 384 bits"]),
        ("a name of the map", &["-servername", "other.example"], &[v13, "CN = other.example"]),
        ("a name nobody knows", &["-servername", "unknown.example"], &[v13, "CN = mx.example"]),
        ("another protocol", &["-alpn", "h2"], &["alert no application protocol"]),
    ];
    for (cell, arguments, expected) in cells {
        let said = plain(arguments);
        for word in expected {
            assert!(said.contains(word), "cell {cell:?}: no {word:?} in:\n{said}");
        }
        println!("openssl, {cell}: {}", expected.join(", "));
    }
    let ca = front.authority.ca_file().display().to_string();
    let verified = plain(&["-CAfile", &ca, "-verify_hostname", "mx.example", "-verify_return_error"]);
    assert!(verified.contains("Verification: OK"), "cell chain:\n{verified}");
    let said = ask("openssl", &["s_client", "-brief", "-connect", &wrapped]);
    assert!(said.contains(v13), "cell wrapper:\n{said}");
    openssl_tickets(&front, &starttls);
    let rows: [(&str, Option<&Pair>, &str); 4] = [
        ("none", None, "554 5.7.1"),
        ("listed", Some(&front.listed), "250 2.1.5"),
        ("of the authority", Some(&front.member), "250 2.1.5"),
        ("self-signed", Some(&front.stranger), "554 5.7.1"),
    ];
    for version in ["-tls1_3", "-tls1_2"] {
        for (cell, pair, expected) in &rows {
            let files = pair.map(|pair| front.files(pair));
            for (address, greets) in [(&starttls, false), (&wrapped, true)] {
                let mut arguments = vec!["s_client", "-quiet", version, "-connect", address];
                if !greets {
                    arguments.extend(["-starttls", "smtp"]);
                }
                if let Some([certificate, key]) = &files {
                    arguments.extend(["-cert", certificate, "-key", key]);
                }
                let reply = relays("openssl", &arguments, greets);
                assert!(reply.starts_with(expected), "cell {cell} {version} {address}: {reply}");
                println!("openssl {version}, client certificate {cell}: {reply}");
            }
        }
    }
}

fn openssl_tickets(front: &Front, address: &str) {
    let session = front.authority.folder.path().join("session").display().to_string();
    for version in ["-tls1_3", "-tls1_2"] {
        for (option, expected) in [("-sess_out", "New, "), ("-sess_in", "Reused, ")] {
            let said = ask(
                "openssl",
                &[
                    "s_client",
                    "-starttls",
                    "smtp",
                    "-connect",
                    address,
                    version,
                    option,
                    &session,
                    "-ign_eof",
                ],
            );
            assert!(said.contains(expected), "cell tickets {version} {option}:\n{said}");
        }
        println!("openssl {version}: resumed by a ticket");
    }
}

#[test]
#[ignore = "needs the Debian package gnutls-bin"]
fn matrix_gnutls() {
    let front = Front::start();
    let (port, wrapped) = (front.starttls().port().to_string(), front.wrapped().port().to_string());
    let (v13, v12) = ("NORMAL:-VERS-ALL:+VERS-TLS1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.2");
    let starttls = |more: &[&str]| {
        let mut arguments = vec!["--insecure", "--starttls-proto=smtp", "-p", &port, "127.0.0.1"];
        arguments.extend(more);
        ask("gnutls-cli", &arguments)
    };
    let cells: [(&str, &[&str], &[&str]); 10] = [
        ("TLS 1.3", &["--priority", v13], &["(TLS1.3", "(AES-256-GCM)", "(ECDSA-SECP256R1-SHA256)"]),
        ("TLS 1.2", &["--priority", v12], &["(TLS1.2", "(ECDHE-", "(AES-256-GCM)"]),
        ("TLS 1.1", &["--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.1"], &["alert"]),
        (
            "1.3 AES-128",
            &["--priority", &format!("{v13}:-CIPHER-ALL:+AES-128-GCM")],
            &["(TLS1.3", "(AES-128-GCM)"],
        ),
        (
            "1.3 ChaCha20",
            &["--priority", &format!("{v13}:-CIPHER-ALL:+CHACHA20-POLY1305")],
            &["(CHACHA20-POLY1305)"],
        ),
        ("1.2 RSA", &["--priority", &format!("{v12}:-KX-ALL:+ECDHE-RSA")], &["(TLS1.2", "RSA"]),
        ("1.2 DHE", &["--priority", &format!("{v12}:-KX-ALL:+DHE-RSA")], &["alert"]),
        ("1.2 CBC", &["--priority", &format!("{v12}:-CIPHER-ALL:+AES-256-CBC")], &["alert"]),
        ("a name of the map", &["--sni-hostname", "other.example"], &["CN=other.example"]),
        ("another protocol", &["--alpn", "h2"], &["alert"]),
    ];
    for (cell, arguments, expected) in cells {
        let said = starttls(arguments);
        for word in expected {
            assert!(said.contains(word), "cell {cell:?}: no {word:?} in:\n{said}");
        }
        println!("gnutls, {cell}: {}", expected.join(", "));
    }
    let said = ask("gnutls-cli", &["--insecure", "-p", &wrapped, "127.0.0.1"]);
    assert!(said.contains("(TLS1.3"), "cell wrapper:\n{said}");
    for (cell, pair, expected) in [
        ("listed", &front.listed, "250 2.1.5"),
        ("of the authority", &front.member, "250 2.1.5"),
        ("self-signed", &front.stranger, "554 5.7.1"),
    ] {
        let [certificate, key] = front.files(pair);
        let arguments = [
            "--insecure",
            "-p",
            &wrapped,
            "127.0.0.1",
            "--x509certfile",
            &certificate,
            "--x509keyfile",
            &key,
        ];
        let reply = relays("gnutls-cli", &arguments, true);
        assert!(reply.starts_with(expected), "cell {cell}: {reply}");
        println!("gnutls, client certificate {cell}: {reply}");
    }
    gnutls_tickets(&port, &wrapped);
    gnutls_raw_keys(&front, &wrapped);
}

fn gnutls_tickets(port: &str, wrapped: &str) {
    for version in ["TLS1.3", "TLS1.2"] {
        for (cell, port, more) in
            [("STARTTLS", port, Some("--starttls-proto=smtp")), ("wrapper", wrapped, None)]
        {
            let priority = format!("NORMAL:-VERS-ALL:+VERS-{version}");
            let mut arguments = vec!["--insecure", "--resume", "--waitresumption", "--priority", &priority];
            arguments.extend(more);
            arguments.extend(["-p", port, "127.0.0.1"]);
            let said = ask("gnutls-cli", &arguments);
            assert!(said.contains("*** This is a resumed session"), "cell tickets {version} {cell}:\n{said}");
            println!("gnutls {version}, {cell}: resumed by a ticket");
        }
    }
}

/// RFC 7250: a key in place of a certificate, in each direction by itself. openssl s_client has it from 3.2 on, and Postfix from 3.9 on, which are
/// no packages of Debian 12; so there are no such cells with them.
fn gnutls_raw_keys(front: &Front, wrapped: &str) {
    let folder = front.authority.folder.path();
    let v13 = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CTYPE-ALL";
    let both = format!("{v13}:+CTYPE-SRV-RAWPK:+CTYPE-CLI-RAWPK");
    let client = format!("{v13}:+CTYPE-SRV-X509:+CTYPE-CLI-RAWPK");
    let server = format!("{v13}:+CTYPE-SRV-RAWPK:+CTYPE-CLI-X509");
    let either = "NORMAL:-VERS-ALL:+VERS-TLS1.2:+CTYPE-SRV-RAWPK:+CTYPE-CLI-RAWPK".to_owned();
    for (cell, pair, priority, kind, expected) in [
        ("both, a listed key", &front.listed, &both, "(TLS1.3-Raw Public Key)", "250 2.1.5"),
        ("both, an unknown key", &front.stranger, &both, "(TLS1.3-Raw Public Key)", "554 5.7.1"),
        ("the client alone", &front.listed, &client, "(TLS1.3-Raw Public Key-X.509)", "250 2.1.5"),
        ("the server alone", &front.listed, &server, "(TLS1.3-X.509-Raw Public Key)", "554 5.7.1"),
        ("TLS 1.2, which has certificates here", &front.listed, &either, "(TLS1.2-X.509)", "554 5.7.1"),
    ] {
        let [public, key] = ["raw.pub", "raw.key"].map(|name| folder.join(name).display().to_string());
        fs::write(&public, pair.key.public_key_pem()).unwrap();
        fs::write(&key, pair.key.serialize_pem()).unwrap();
        let mut arguments = vec!["--insecure", "--priority", priority];
        arguments.extend(["--rawpkkeyfile", &key, "--rawpkfile", &public, "-p", wrapped, "127.0.0.1"]);
        let said = ask("gnutls-cli", &arguments);
        assert!(said.contains(kind), "cell raw keys, {cell}:\n{said}");
        let reply = relays("gnutls-cli", &arguments, true);
        assert!(reply.starts_with(expected), "cell raw keys, {cell}: {reply}");
        println!("gnutls, raw keys, {cell}: {kind}, {reply}");
    }
}

const MAIN: &str = "smtp_tls_CAfile = {folder}/ca.pem
smtp_tls_session_cache_database = btree:{folder}/data/sessions
transport_maps = texthash:{folder}/etc/transport
";

/// One service for each cell: its name, its `-o` options, whether it speaks TLS from the first octet on, and what is to be read of it in
/// `Received:`; `None` is mail that must not arrive.
type Cell = (&'static str, String, bool, Option<&'static [&'static str]>);

fn cells(front: &Front, folder: &Path) -> Vec<Cell> {
    let shown = |pair: &Pair, name: &str| {
        let file = folder.join(name);
        fs::copy(&pair.file, &file).unwrap();
        format!("smtp_tls_chain_files={}", file.display())
    };
    let listed = shown(&front.listed, "listed.pem");
    let (member, stranger) = (shown(&front.member, "member.pem"), shown(&front.stranger, "stranger.pem"));
    let with = |certificate: &str, more: &str| format!("{certificate} {more}");
    const OK: &[&str] = &["ESMTPS", "(Client CN \"listed\", Issuer \"An Authority\" (verified OK))"];
    vec![
        ("may", with(&listed, "smtp_tls_security_level=may"), false, Some(OK)),
        (
            "encrypt",
            with(&listed, "smtp_tls_security_level=encrypt"),
            false,
            Some(&["using TLSv1.3 with cipher"]),
        ),
        (
            "tls12",
            with(&listed, "smtp_tls_security_level=encrypt smtp_tls_mandatory_protocols=TLSv1.2"),
            false,
            Some(&["using TLSv1.2 with cipher ECDHE-"]),
        ),
        (
            "rsa",
            with(
                &listed,
                "smtp_tls_security_level=encrypt smtp_tls_mandatory_protocols=TLSv1.2 smtp_tls_mandatory_exclude_ciphers=ECDSA",
            ),
            false,
            Some(&["cipher ECDHE-RSA-"]),
        ),
        (
            "secure",
            with(&listed, "smtp_tls_security_level=secure smtp_tls_secure_cert_match=mx.example"),
            false,
            Some(&["ESMTPS"]),
        ),
        (
            "sni",
            with(
                &listed,
                "smtp_tls_security_level=secure smtp_tls_secure_cert_match=other.example smtp_tls_servername=other.example",
            ),
            false,
            Some(&["ESMTPS"]),
        ),
        (
            "wrongname",
            with(&listed, "smtp_tls_security_level=secure smtp_tls_secure_cert_match=wrong.example"),
            false,
            None,
        ),
        (
            "wrapper",
            with(&listed, "smtp_tls_security_level=encrypt smtp_tls_wrappermode=yes"),
            true,
            Some(OK),
        ),
        (
            "member",
            with(&member, "smtp_tls_security_level=encrypt"),
            false,
            Some(&["(Client CN \"member\", Issuer \"An Authority\" (verified OK))"]),
        ),
        ("stranger", with(&stranger, "smtp_tls_security_level=encrypt"), false, None),
        ("nocert", "smtp_tls_security_level=encrypt".to_owned(), false, None),
        ("clear", with(&listed, "smtp_tls_security_level=none"), false, None),
    ]
}

/// Sessions that Postfix keeps, and comes back with.
fn cells_again(listed: &str) -> Vec<Cell> {
    let with = |more: &str| {
        format!("smtp_tls_chain_files={listed} smtp_tls_security_level=encrypt smtp_tls_loglevel=2 {more}")
    };
    let expected: Option<&'static [&'static str]> = Some(&["ESMTPS", "(verified OK))"]);
    vec![
        ("again13", with("syslog_name=again13"), false, expected),
        ("again12", with("smtp_tls_mandatory_protocols=TLSv1.2 syslog_name=again12"), false, expected),
    ]
}

fn submit(postfix: &Postfix, name: &str) {
    let mut send = Command::new("sendmail");
    send.arg("-C")
        .arg(postfix.etc())
        .args(["-f", "a@a.test", &format!("b@{name}.test")])
        .stdin(Stdio::piped());
    let mut send = send.spawn().unwrap();
    send.stdin.take().unwrap().write_all(b"Subject: x\n\nx\n").unwrap();
    assert!(send.wait().unwrap().success(), "{name}");
}

/// Another program writes there; there is nothing to be woken by.
fn until(what: &str, postfix: &Postfix, is_so: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !is_so(&postfix.log()) {
        assert!(Instant::now() < deadline, "{what}:\n{}", postfix.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
#[ignore = "needs root and the Debian package postfix"]
fn matrix_postfix() {
    let front = Front::start();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    fs::create_dir_all(place.join("etc")).unwrap();
    fs::copy(front.authority.ca_file(), place.join("ca.pem")).unwrap();
    let mut cells = cells(&front, place);
    cells.extend(cells_again(&place.join("listed.pem").display().to_string()));
    let (mut master, mut transport) = (String::new(), String::new());
    for (name, options, wrapped, _) in &cells {
        master.push_str(&format!("{name} unix - - n - - smtp\n"));
        for option in options.split(' ') {
            master.push_str(&format!("  -o {option}\n"));
        }
        let port = if *wrapped { front.wrapped() } else { front.starttls() }.port();
        transport.push_str(&format!("{name}.test {name}:[127.0.0.1]:{port}\n"));
    }
    fs::write(place.join("etc/transport"), transport).unwrap();
    let postfix = Postfix::start(place, MAIN, &master).unwrap();
    for (name, ..) in &cells {
        submit(&postfix, name);
    }
    let settled = |log: &str, name: &str| {
        let of = format!("to=<b@{name}.test>");
        log.lines().filter(|line| line.contains(&of) && line.contains("status=")).count()
    };
    until("Postfix did not settle all", &postfix, |log| {
        cells.iter().all(|(name, ..)| settled(log, name) > 0)
    });
    for name in ["again13", "again12"] {
        submit(&postfix, name);
        until("the second message was not settled", &postfix, |log| settled(log, name) > 1);
        let log = postfix.log();
        let mine = || log.lines().filter(|line| line.contains(&format!(" {name}/")));
        assert!(mine().any(|line| line.contains("Reusing old session")), "cell {name}: not resumed:\n{log}");
        let sent = mine().filter(|line| line.contains("status=sent")).count();
        assert_eq!(sent, 2, "a resumed session shows its certificate, too:\n{log}");
        println!("postfix, {name}: resumed, by its session cache");
    }
    let taken = front.memory.taken();
    for (name, _, _, expected) in &cells {
        let address = format!("b@{name}.test");
        let text = taken
            .iter()
            .find(|(envelope, _)| envelope.recipients[0].mailbox.to_string() == address)
            .map(|(_, text)| String::from_utf8_lossy(text).into_owned());
        match (expected, text) {
            (None, None) => println!("postfix, {name}: not taken"),
            (Some(words), Some(text)) => {
                for word in *words {
                    assert!(text.contains(word), "cell {name}: no {word:?} in:\n{text}");
                }
                println!("postfix, {name}: {}", words.join(", "));
            }
            (expected, text) => panic!("cell {name}: {expected:?}, {text:?}\n{}", postfix.log()),
        }
    }
}
