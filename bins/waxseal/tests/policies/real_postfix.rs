//! A real Postfix that takes its TLS policies from `waxseal serve-policy`: what it sends, where, and how, from the log of the servers.

use std::{fs, path::Path, process::Command, time::Duration};

use sha2::{Digest as _, Sha256};
use waxseal_testbed::{Certificate, Client, Peer, Postfix, within};

use crate::{server::Server, write};

const LIMIT: Duration = Duration::from_secs(90);

const MAIN: &str = "smtpd_delay_reject = yes
smtpd_relay_restrictions = permit_mynetworks, reject
default_transport = smtp
transport_maps = texthash:{folder}/etc/transport
smtp_tls_security_level = may
smtp_dns_support_level = enabled
default_process_limit = 30
smtpd_peername_lookup = no
";

/// Mail for each domain goes to its server, under the policies of this table.
fn start(folder: &Path, routes: &[(String, String)], policies: &str) -> Postfix {
    let transports: String = routes.iter().map(|(domain, hop)| format!("{domain} smtp:{hop}\n")).collect();
    fs::create_dir_all(folder.join("etc")).expect("the folder is ours");
    write(&folder.join("etc/transport"), &transports);
    let backoff = if routes.len() > 10 { "300s" } else { "2s" };
    let main = format!(
        "{MAIN}smtp_tls_policy_maps = {policies}\nminimal_backoff_time = {backoff}\nqueue_run_delay = {backoff}\nmaximal_backoff_time = {backoff}\n"
    );
    Postfix::start(folder, &main, "").expect("Postfix can be started")
}

async fn submit(postfix: &Postfix, to: &[&str]) {
    let talk = async {
        postfix.greets().await;
        Client::connect(postfix.smtp()).await?.submit("a@a.test", to, "Subject: x\n\nx\n").await
    };
    let reply = within(LIMIT, talk).await.expect("it answers");
    assert!(reply.starts_with("250 "), "{reply}\n{}", postfix.log());
}

/// Until its log has a line with all of these words.
async fn logs(postfix: &Postfix, words: &[&str]) -> String {
    match tokio::time::timeout(LIMIT, postfix.logs(words)).await {
        Ok(line) => line,
        Err(_) => {
            let log = postfix.log();
            let near =
                |line: &&str| words.first().is_some_and(|word| line.contains(word)) || line.contains("error");
            let lines: Vec<&str> = log.lines().filter(near).take(40).collect();
            unreachable!("no line with {words:?} in {} lines:\n{}", log.lines().count(), lines.join("\n"))
        }
    }
}

fn certificate() -> Certificate {
    Certificate::self_signed(&["mx.test"]).issue().expect("a certificate")
}

fn digest(certificate: &Certificate) -> String {
    Sha256::digest(certificate.der()).iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":")
}

/// What postmap answers, or what it says where it cannot. With that Postfix's own main.cf: not every machine has one in /etc.
fn postmap(postfix: &Postfix, socket: &str, key: &str) -> Result<String, String> {
    let map = format!("socketmap:{socket}:smtp");
    let mut command = Command::new("postmap");
    let output =
        command.arg("-c").arg(postfix.etc()).args(["-q", key, &map]).output().expect("postmap can be run");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Which of its own tables and levels Postfix would use plays no part: they would send all of this in clear.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and the Debian package postfix"]
async fn postfix_delivers_under_policies_that_only_waxseal_knows() {
    let folder = tempfile::tempdir().expect("a folder");
    let (right, wrong) = (certificate(), certificate());
    let pin = digest(&right);
    let serve = |builder: waxseal_testbed::Builder| async { builder.start().await.expect("starts") };
    let pinned = serve(Peer::builder().starttls(right)).await;
    let impostor = serve(Peer::builder().starttls(wrong)).await;
    let stripped = serve(Peer::builder().without_starttls()).await;
    let broken = serve(Peer::builder().without_starttls()).await;
    let plain = serve(Peer::builder().without_starttls()).await;
    let hop = |peer: &Peer| format!("[127.0.0.1]:{}", peer.addr().port());
    let table = format!(
        "{} fingerprint match={pin}\n{} fingerprint match={pin}\n{} encrypt\n{} encrypt cipher=high\n{} may\n",
        hop(&pinned),
        hop(&impostor),
        hop(&stripped),
        hop(&broken),
        hop(&plain)
    );
    let table = write(&folder.path().join("tls_policy"), &table);
    let config = write(
        &folder.path().join("waxseal.toml"),
        &format!("[tls]\nsecurity_level = \"dane-only\"\npolicy_maps = [\"texthash:{table}\"]\n"),
    );
    let place = format!("unix:{}/policy", folder.path().display());
    let routes = [
        ("pinned.test", hop(&pinned)),
        ("impostor.test", hop(&impostor)),
        ("stripped.test", hop(&stripped)),
        ("broken.test", hop(&broken)),
        ("plain.test", hop(&plain)),
        ("default.test", "[127.0.0.1]:9".to_owned()),
    ];
    let routes = routes.map(|(domain, hop)| (domain.to_owned(), hop));
    let postfix = start(folder.path(), &routes, &format!("socketmap:{place}:smtp"));
    // Anybody may ask: Postfix's clients are not root.
    let server = Server::start(&["--config", &config, "--listen", &place, "--mode", "666"]);

    let entry = postmap(&postfix, &place, &hop(&pinned)).expect("a policy");
    assert!(entry.starts_with("fingerprint ") && entry.contains(&pin), "{entry}");
    assert_eq!(
        postmap(&postfix, &place, "x.example.com").as_deref(),
        Ok("dane-only ciphers=medium protocols=>=TLSv1.2 connection_reuse=yes")
    );
    // Where there is no such key, postmap ends with 1 as well, and says nothing.
    let error = postmap(&postfix, &place, &hop(&broken)).expect_err("an entry that nobody understands");
    assert!(!error.is_empty(), "an error, and not an empty answer");

    for (domain, _) in &routes {
        submit(&postfix, &[&format!("b@{domain}")]).await;
    }
    let delivered = logs(&postfix, &["to=<b@pinned.test>", "status="]).await;
    assert!(delivered.contains("status=sent"), "{delivered}\n{}", postfix.log());
    assert!(
        pinned.accepted().iter().all(|message| message.tls.is_some()),
        "under TLS: {:?}",
        pinned.commands()
    );
    logs(&postfix, &["Verified TLS connection established to", &format!(":{}", pinned.addr().port())]).await;
    assert!(logs(&postfix, &["to=<b@plain.test>", "status="]).await.contains("status=sent"));
    for domain in ["impostor.test", "stripped.test", "broken.test", "default.test"] {
        let line = logs(&postfix, &[&format!("to=<b@{domain}>"), "status="]).await;
        assert!(line.contains("status=deferred") && line.contains("dsn=4.7."), "{line}");
    }

    // Corrected, the entry counts at once; what was held back goes out as it says.
    let corrected = fs::read_to_string(&table).expect("it is ours").replace(" encrypt cipher=high", " may");
    write(Path::new(&table), &corrected);
    server.says("reloaded");
    logs(&postfix, &["to=<b@broken.test>", "status=sent"]).await;

    // Nobody to ask is no policy of Postfix's own, which would be `may`.
    drop(server);
    submit(&postfix, &["c@plain.test"]).await;
    let line = logs(&postfix, &["to=<c@plain.test>", "status="]).await;
    assert!(line.contains("status=deferred"), "{line}");
    for peer in [&impostor, &stripped] {
        assert!(
            peer.accepted().is_empty() && !peer.commands().iter().any(|command| command.starts_with("MAIL"))
        );
    }
    assert_eq!((plain.accepted().len(), broken.accepted().len()), (1, 1));
}

/// Entries made of these pieces, some of them sound. Nothing that Postfix 3.7 does not know, and nothing that it looks at only once a
/// handshake begins: here nobody listens.
fn random_entry(state: &mut u64) -> String {
    const LEVELS: [&str; 12] = [
        "none",
        "may",
        "MAY",
        "encrypt",
        "dane",
        "fingerprint",
        "verify",
        "secure",
        "Secure",
        "secur",
        "half-dane",
        "may=",
    ];
    const PIECES: [&str; 34] = [
        "match=nexthop",
        "match=.a.test:mx.a.test",
        "match=",
        "match=:",
        "match=|",
        "Match=HOSTNAME",
        "match=ab:cd|EF:01",
        "match=zz",
        "ciphers=high",
        "ciphers=medium",
        "ciphers=",
        "CIPHERS=low",
        "protocols=",
        "protocols=!TLSv1",
        "protocols=TLSv1.2:TLSv1.3",
        "exclude=aNULL",
        "exclude=",
        "exclude=RC4:MD5",
        "servername=mx.a.test",
        "servername=hostname",
        "servername=",
        "servername=a..b",
        "servername=-a",
        "connection_reuse=no",
        "connection_reuse=",
        "connection_reuse=1",
        "tafile=",
        "foo=bar",
        "=",
        "match",
        "secure",
        "policy=sts",
        "match = nexthop",
        "verify,match=nexthop",
    ];
    let mut next = |limit: usize| {
        // Numerical Recipes' generator: the same entries in each run.
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*state >> 33).unwrap_or_default() % limit
    };
    let mut words = vec![LEVELS[next(LEVELS.len())]];
    words.extend((0..next(4)).map(|_| PIECES[next(PIECES.len())]));
    words.join(if next(4) == 0 { "," } else { " " })
}

/// Which entries of random ones does Postfix refuse? All that it refuses are refused here: none is taken for something weaker.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and the Debian package postfix"]
async fn every_entry_that_postfix_refuses_is_refused() {
    const ENTRIES: usize = 300;
    let folder = tempfile::tempdir().expect("a folder");
    let mut seed = 2026;
    // A lone colon for a fingerprint: Postfix 3.7.11 came to no end with such an entry within 90 seconds.
    let hangs = |entry: &String| entry.starts_with("fingerprint") && entry.to_lowercase().contains("match=:");
    let random = std::iter::repeat_with(|| random_entry(&mut seed)).filter(|entry| !hangs(entry));
    let entries: Vec<String> = random.take(ENTRIES).collect();
    // A next hop each; nobody listens on the discard port.
    let hop = |number: usize| format!("[127.1.{}.{}]:9", number / 200, number % 200 + 1);
    let table: String =
        entries.iter().enumerate().map(|(number, entry)| format!("{} {entry}\n", hop(number))).collect();
    let table = write(&folder.path().join("tls_policy"), &table);
    let routes: Vec<_> = (0..ENTRIES).map(|number| (format!("d{number}.test"), hop(number))).collect();
    let postfix = start(folder.path(), &routes, &format!("texthash:{table}"));
    let recipients: Vec<String> = (0..ENTRIES).map(|number| format!("b@d{number}.test")).collect();
    submit(&postfix, &recipients.iter().map(String::as_str).collect::<Vec<_>>()).await;

    let settings = waxseal_policy::Settings::default();
    let (mut both, mut neither, mut stricter) = (0, 0, Vec::new());
    for (number, entry) in entries.iter().enumerate() {
        let line = logs(&postfix, &[&format!("to=<b@d{number}.test>"), "status=deferred"]).await;
        let theirs = !line.contains("client TLS configuration problem");
        let origin = waxseal_policy::Origin::new(waxseal_policy::TableName::new("t"), "t:1", "k");
        let ours =
            waxseal_policy::TlsPolicy::of_entry(&settings, &waxseal_types::Service::SMTP, entry, origin);
        match (theirs, ours) {
            (true, Ok(_)) => both += 1,
            (false, Err(_)) => neither += 1,
            (false, Ok(policy)) => {
                unreachable!("{entry:?} is taken as {}, and Postfix says: {line}", policy.level)
            }
            (true, Err(error)) => stricter.push(format!("{entry:?}: {}", error.reason)),
        }
    }
    println!(
        "{both} taken and {neither} refused by both, {} by Waxseal alone: {stricter:#?}",
        stricter.len()
    );
    assert!(both > ENTRIES / 10 && neither > ENTRIES / 10, "the entries show nothing: {both} and {neither}");
    assert!(stricter.is_empty(), "{stricter:#?}");
}
