//! One failure: zone, servers, engine, message; and what was said of it.

use std::{
    io::{self, Write as _},
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use regex::Regex;
use tracing_subscriber::fmt::MakeWriter;
use waxseal_config::Config;
use waxseal_ledger::{Ledger, Query, Recorder};
use waxseal_queue::{Several, Sink};
use waxseal_queue_manager::{Engine, EngineSettings};
use waxseal_telemetry::Telemetry;
use waxseal_testbed::{
    Client, Message, Peer,
    dns::{DnsServer, Zone},
    within,
};

use crate::cases::{Case, DOMAIN, Pki};

const LIMIT: Duration = Duration::from_secs(60);
const TEXT: &str = "Message-ID: <1@home.example>\nSubject: The offer\n\nHere it is.\n";

/// What was said, with examples in place of what differs from run to run.
pub(crate) struct Told {
    pub(crate) explain: String,
    pub(crate) page: String,
    pub(crate) log: String,
    /// The part for people.
    pub(crate) notification: String,
    /// All of it.
    pub(crate) whole: String,
    /// What `explain --json` says.
    pub(crate) json: serde_json::Value,
}

/// Log lines in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics with it").write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

pub(crate) async fn play(case: &Case) -> Told {
    let folder = tempfile::tempdir().expect("a folder");
    let pki = Pki::new();
    let peer = (case.peer)(&pki).start().await.expect("the server starts");
    let home = Peer::builder().start().await.expect("the sender's server starts");
    let port = peer.addr().port();
    let zone = (case.zone)(Zone::new().secure("home.example"), &pki, port);
    let dns = DnsServer::forwarder(zone).await.expect("the resolver starts");
    write(&folder.path().join("ca.pem"), pki.authority.root_pem());
    let config = configuration(folder.path(), case, &dns, (port, &home.nexthop()));

    let log = Log::default();
    let lines = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).without_time();
    let logging = tracing::subscriber::set_default(lines.finish());
    let ledger = config.ledger.clone().expect("there is one by default");
    let recorder = Arc::new(Recorder::start(ledger.clone()).expect("the ledger starts"));
    let telemetry = Arc::new(Telemetry::start(waxseal_telemetry::Settings::default()).expect("it starts"));
    let sinks: Vec<Arc<dyn Sink>> = vec![telemetry, Arc::<Recorder>::clone(&recorder)];
    let started = Engine::start(EngineSettings::from(&config), Arc::new(Several::of(sinks)));
    let engine = within(LIMIT, started).await.expect("the engine starts");
    let talk = async {
        let mut client = Client::connect(engine.addresses()[0]).await?;
        client.submit("you@home.example", &[&format!("somebody@{DOMAIN}")], TEXT).await
    };
    let reply = within(LIMIT, talk).await.expect("the intake answers");
    assert!(reply.starts_with("250 "), "{reply}");
    let notifications: Vec<Message> = within(LIMIT, home.wait_for(1)).await;
    recorder.flush();
    let entry = {
        let query = Query { recipient: Some(format!("somebody@{DOMAIN}")), ..Query::default() };
        let mut found =
            Ledger::open(&ledger.path).expect("it is there").search(query).expect("it can be read");
        found.next().expect("the attempt is in the ledger")
    };
    let id = entry.envelope().id.to_string();
    let json = explain(folder.path(), &["--json", &id]).await;
    let explain = explain(folder.path(), &[&id]).await;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert!(engine.shut_down().await);
    drop(logging);

    let log = String::from_utf8(log.0.lock().expect("nobody panics with it").clone()).expect("text");
    let mine = |line: &&str| line.contains(&id) && line.contains("somebody") && line.contains("status=");
    let log: String = log.lines().filter(mine).map(|line| format!("{}\n", line.trim_start())).collect();
    // Where lines are folded depends on what examples stand for.
    let whole = notifications[0].text().replace("\r\n", "\n").replace("\n    ", " ");
    let (folder, resolver) = (folder.path().display().to_string(), dns.addr().to_string());
    let example = Example { folder, id, port, resolver };
    let whole = example.of(&whole);
    let notification = fold(&for_people(&whole), 86, 4);
    let explain = fold(&example.of(&explain), 110, 14);
    let page = fold(&example.of(&on_the_page(&json)), 110, 2);
    Told { explain, page, log: example.of(&log), notification, whole, json }
}

fn configuration(folder: &Path, case: &Case, dns: &DnsServer, ports: (u16, &str)) -> Config {
    let (port, home) = ports;
    let at = |name: &str| folder.join(name).display().to_string();
    write(&folder.join("root.key"), &dns.trust_anchor());
    let policy = case.policy.replace("{ca}", &at("ca.pem"));
    write(&folder.join("tls_policy"), &format!("# next hop    level\n{DOMAIN}    {policy}\n"));
    write(&folder.join("transport"), &format!("home.example    smtp:{home}\n"));
    let toml = format!(
        "hostname = \"mail.home.example\"\n\
         [spool]\npath = \"{}\"\n\
         [listen]\nsmtp = [\"127.0.0.1:0\"]\n\
         [dns]\nservers = [\"{}\"]\ndnssec = \"validate\"\ntrust_anchor = \"{}\"\n\
         [tls]\nsecurity_level = \"may\"\npolicy_maps = [\"texthash:{}\"]\n\
         [transport]\nport = \"{port}\"\nmaps = [\"texthash:{}\"]\n\
         [queue]\ndelay_warning = \"1ms\"\nbounce_gather = \"10ms\"\n",
        at("spool"),
        dns.addr(),
        at("root.key"),
        at("tls_policy"),
        at("transport"),
    );
    write(&folder.join("waxseal.toml"), &toml);
    Config::load(&[folder.join("waxseal.toml")], std::iter::empty()).expect("a good configuration")
}

/// A file that looks as if it had been there for a while: tables wait for files that are just being written.
fn write(path: &Path, text: &str) {
    let mut file = std::fs::File::create(path).expect("the folder is ours");
    file.write_all(text.as_bytes()).expect("there is room");
    file.set_modified(SystemTime::now() - Duration::from_secs(60)).expect("it is ours");
}

async fn explain(folder: &Path, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
    command.arg("explain").arg("--config").arg(folder.join("waxseal.toml")).args(words);
    // The queue-manager that it asks lives on this thread.
    let output =
        tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The end of a message's story on the page: what `result` in `story.js` makes of it.
fn on_the_page(story: &serde_json::Value) -> String {
    let last = story["entries"].as_array().and_then(|entries| entries.last()).expect("an entry");
    let result = &last["attempt"]["results"][0];
    let word = |key: &str| result[key].as_str().unwrap_or_default();
    let said = format!("{} {}", word("status"), word("reason"));
    let verdict = word("verdict");
    let verdict =
        verdict.get(..1).map_or_else(String::new, str::to_uppercase) + verdict.get(1..).unwrap_or_default();
    let lines = [word("outcome"), word("recipient"), &said, &verdict, word("remedy")];
    lines.iter().filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}

/// The first part of a notification.
fn for_people(whole: &str) -> String {
    let start = whole.find("This is the mail system").expect("it begins so");
    let end = whole[start..].find("\n--").map_or(whole.len(), |end| start + end);
    let subject = whole.lines().find(|line| line.starts_with("Subject:")).unwrap_or_default();
    format!("{subject}\n\n{}", whole[start..end].trim_end())
}

/// What differs from run to run, and what stands in its place.
struct Example {
    folder: String,
    id: String,
    port: u16,
    resolver: String,
}

impl Example {
    fn of(&self, text: &str) -> String {
        let port = self.port.to_string();
        let mut text = text
            .replace(&self.folder, "/etc/waxseal")
            .replace(&self.id, "dZCyJSqXd")
            .replace(&self.resolver, "192.0.2.53")
            .replace(&format!(":{port}"), ":25")
            .replace(&format!("_{port}._tcp"), "_25._tcp")
            .replace(&format!("for port {port}"), "for port 25")
            .replace("127.0.0.1", "192.0.2.1");
        for (pattern, example) in [
            (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "2026-11-21 08:30:00Z"),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "2026-11-21T08:30:00.000000Z"),
            (
                r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), +\d+ \w{3} \d{4} \d\d:\d\d:\d\d \+0000",
                "Sat, 21 Nov 2026 08:30:00 +0000",
            ),
            // What comes later is told with a later time.
            (r"(tried again at 2026-11-21 08:3)0", "${1}5"),
            (r"(next attempt at 2026-11-21T08:3)0", "${1}5"),
            (r"(The next attempt is at Sat, 21 Nov 2026 08:3)0", "${1}5"),
            (r"(made until )Sat, 21 Nov", "${1}Thu, 26 Nov"),
            (r"expired \d+ hours ago", "expired 48 hours ago"),
            (r"\d+\.\d ms", "12.3 ms"),
            (r"client=unknown\[192\.0\.2\.1\]:?\d*", "client=app.home.example[192.0.2.10]"),
            (r"(delay|delays|conn_use)=[0-9./]+", "$1=0.1"),
            // Answers that come from a cache have no time; whether one does is a matter of luck here.
            (r" \(12\.3 ms\)", ""),
            (r"(connect|greeting|TLS|transaction) 12\.3 ms(, )?", ""),
        ] {
            text = Regex::new(pattern).expect("a pattern").replace_all(&text, example).into_owned();
        }
        let today = waxseal_types::UnixTime::from_secs(
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs(),
        );
        let today = today.rfc3339().to_string();
        let validity = Regex::new(r"valid until (\d{4}-\d\d-\d\d)").expect("a pattern");
        let text = validity.replace_all(&text, |found: &regex::Captures<'_>| {
            let over = found[1] < today[..10];
            format!("valid until {}", if over { "2026-11-14" } else { "2027-11-21" })
        });
        let digest = Regex::new(r"\b[0-9a-fA-F]{64}\b").expect("a pattern");
        let mut seen: Vec<String> = Vec::new();
        let text = digest.replace_all(&text, |found: &regex::Captures<'_>| {
            let found = found[0].to_lowercase();
            let number = seen.iter().position(|one| *one == found).unwrap_or_else(|| {
                seen.push(found.clone());
                seen.len() - 1
            });
            format!("{}...", ["6c58", "a1f0", "0d3b", "77e2", "e914"][number % 5].repeat(3))
        });
        // What stood in place of nothing but times is no line.
        let lines = text.lines().filter(|line| line.is_empty() || !line.trim().is_empty());
        lines.map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

/// Lines of some width; what follows is so far to the right.
fn fold(text: &str, width: usize, indent: usize) -> String {
    let mut folded = String::new();
    for line in text.lines() {
        let mut column = 0;
        for (at, word) in line.split(' ').enumerate() {
            if at > 0 && column + 1 + word.len() > width {
                folded.push('\n');
                folded.push_str(&" ".repeat(indent));
                column = indent;
            } else if at > 0 {
                folded.push(' ');
                column += 1;
            }
            folded.push_str(word);
            column += word.len();
        }
        folded.push('\n');
    }
    folded
}
