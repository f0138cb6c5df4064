//! The commands and a running engine, over the API between them: what they show, and what they do.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};
use waxseal_config::Config;
use waxseal_ledger::Recorder;
use waxseal_queue::{Several, Sink};
use waxseal_queue_manager::{Archive, Engine, EngineSettings};
use waxseal_telemetry::{Settings, Telemetry};
use waxseal_testbed::{Client, Peer, within};

const LIMIT: Duration = Duration::from_secs(60);

/// A running engine with a ledger, and the folder of its configuration.
struct Post {
    folder: tempfile::TempDir,
    engine: Engine,
    recorder: Arc<Recorder>,
}

impl Post {
    /// One that sends everything to `nexthop`.
    async fn start(nexthop: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let toml = format!(
            "hostname = \"queue.test\"\n[spool]\npath = \"{}\"\n[listen]\nsmtp = [\"127.0.0.1:0\"]\n\
             [dns]\nservers = [\"127.0.0.1:9\"]\ndnssec = \"off\"\n[tls]\nsecurity_level = \"encrypt\"\n\
             [transport]\nrelayhost = \"{nexthop}\"\n",
            folder.path().join("spool").display()
        );
        let file = folder.path().join("waxseal.toml");
        std::fs::write(&file, toml).expect("the folder is ours");
        let config = Config::load(&[file], std::iter::empty()).expect("a good configuration");
        let ledger = config.ledger.clone().expect("there is one by default");
        let recorder = Arc::new(Recorder::start(ledger).expect("the folder is ours"));
        let telemetry = Arc::new(Telemetry::start(Settings::default()).expect("it tells nobody"));
        let sinks = vec![Arc::clone(&telemetry) as Arc<dyn Sink>, Arc::clone(&recorder) as Arc<dyn Sink>];
        let started = Engine::start(EngineSettings::from(&config), Arc::new(Several::of(sinks)));
        let engine = within(LIMIT, started).await.expect("it starts");
        engine.provide(Archive { telemetry, ledger: Some(Arc::clone(&recorder)) });
        Self { folder, engine, recorder }
    }

    async fn submit(&self, to: &str) {
        let talk = async {
            let mut client = Client::connect(self.engine.addresses()[0]).await?;
            client.submit("a@a.test", &[to], "Subject: x\n\nx\n").await
        };
        let reply = within(LIMIT, talk).await.expect("it answers");
        assert!(reply.starts_with("250 "), "{reply}");
    }

    fn config(&self) -> String {
        self.folder.path().join("waxseal.toml").display().to_string()
    }

    /// Runs a command, which ends well.
    async fn says(&self, words: &[&str]) -> String {
        let output = run(&self.config(), words).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {text}{errors}");
        text
    }

    async fn value(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.says(words).await).expect("JSON")
    }

    /// The rows of `queue list`, once there are so many that have been tried and wait.
    async fn waiting(&self, count: usize, words: &[&str]) -> Vec<Value> {
        let looks = async {
            loop {
                let text = self.says(&[&["queue", "list", "--json"], words].concat()).await;
                let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
                let rows: Vec<Value> = rows.filter(|row| row["queue_id"].is_string()).collect();
                if rows.len() == count && rows.iter().all(|row| row["state"] == "waiting") {
                    return rows;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        within(LIMIT, looks).await
    }

    /// The answer of the API, over the socket in the spool's folder.
    async fn asks(&self, line: &str, body: &str) -> Value {
        let socket = self.folder.path().join("spool/control.sock");
        ask(&socket, line, body).await
    }
}

async fn run(config: &str, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
    let (group, rest) = words.split_at(1);
    command.args(group).arg("--config").arg(config).args(rest).stdin(Stdio::null());
    // The engine that it asks lives on this thread.
    let ended = tokio::task::spawn_blocking(move || command.output());
    within(LIMIT, ended).await.expect("no panic").expect("it runs")
}

async fn ask(socket: &Path, line: &str, body: &str) -> Value {
    let mut stream = UnixStream::connect(socket).await.expect("it is there");
    let head = "Host: localhost\r\nX-Waxseal: 1\r\nConnection: close\r\nContent-Type: application/json";
    let request = format!("{line} HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut answer = String::new();
    let talk = async {
        stream.write_all(request.as_bytes()).await?;
        stream.read_to_string(&mut answer).await
    };
    within(LIMIT, talk).await.expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 "), "{line}: {answer}");
    serde_json::from_str(body).expect("JSON")
}

fn id(row: &Value) -> String {
    row["queue_id"].as_str().expect("an id").to_owned()
}

#[actix_rt::test]
async fn what_waits_is_shown_sent_elsewhere_and_given_up() {
    // TLS is demanded, and it has none.
    let bare = Peer::builder().without_starttls().start().await.expect("starts");
    let post = Post::start(&bare.nexthop()).await;
    for number in 0..3 {
        post.submit(&format!("b{number}@b.test")).await;
    }
    let rows = post.waiting(3, &[]).await;

    let glance = post.value(&["top", "--once", "--json"]).await;
    assert_eq!((&glance["queue"]["messages"], &glance["queue"]["waiting"]), (&3.into(), &3.into()));
    let one = post.value(&["destinations", "--json"]).await;
    assert_eq!(one, glance["destinations"][0], "the same numbers");
    assert_eq!((&one["destination"], &one["active"]), (&bare.nexthop().into(), &0.into()));
    assert!(one["oldest"].as_str() <= rows[0]["arrived"].as_str(), "{one}");
    assert!(one["reason"].as_str().is_some_and(|reason| reason.contains("TLS is required")), "{one}");
    let page = post.says(&["top", "--once"]).await;
    assert!(page.contains("queue.test  takes mail") && page.contains("3 messages: 3 waiting"), "{page}");

    // Another next hop has a policy of its own: it is the same one, and so it waits there as well, named in the words of a transport table.
    let other = Peer::builder().without_starttls().start().await.expect("starts");
    let to = format!("smtp:{}", other.nexthop());
    let said = post.says(&["queue", "reroute", &id(&rows[0]), "--to", &to]).await;
    assert!(said.contains("1 message (1 delivery)"), "{said}");
    let moved = post.waiting(1, &["--destination", &other.nexthop()]).await;
    assert_eq!((id(&moved[0]), &moved[0]["attempts"]), (id(&rows[0]), &2.into()));
    assert!(other.connections() > 0 && other.accepted().is_empty());

    let said = post.says(&["queue", "bounce", &id(&rows[1]), "--reason", "no longer wanted"]).await;
    assert!(said.contains("1 message (1 delivery)"), "{said}");
    let notice = post.waiting(1, &["--sender", ""]).await;
    let text = post.says(&["queue", "show", "--raw", &id(&notice[0])]).await;
    assert!(text.contains("returned by an operator: no longer wanted"), "{text}");
    assert!(text.contains("An administrator of this mail system took the message out"), "{text}");
    let gone = run(&post.config(), &["queue", "show", &id(&rows[1])]).await;
    assert_eq!(gone.status.code(), Some(1), "it is no longer there");

    // The story of a message is the same, whoever tells it.
    post.recorder.flush();
    for row in [&rows[0], &rows[1], &rows[2]] {
        let told = post.value(&["explain", "--json", &id(row)]).await;
        let api = post.asks(&format!("GET /api/v1/messages/{}/explain", id(row)), "").await;
        assert_eq!(told, api);
    }
    let told = post.value(&["explain", "--json", &id(&rows[2])]).await;
    assert_eq!(told["entries"][0]["attempt"]["results"][0]["trouble"], "no-starttls");
    let letter = told["entries"][0]["letter"].as_str().expect("something is wrong over there");
    assert!(letter.starts_with("To the postmaster of "), "{letter}");
    assert_eq!(told["waiting"]["queue_id"], id(&rows[2]));
    let settled = post.value(&["explain", "--json", &id(&rows[1])]).await;
    let settled = settled["entries"].as_array().and_then(|all| all.last()).expect("its end");
    assert_eq!(
        (&settled["settled"]["outcome"], &settled["settled"]["trouble"]),
        (&"bounced".into(), &"operator".into())
    );
    assert!(post.engine.shut_down().await);
}

/// All names in it, with what they are in; and of each whether it is `null`.
fn shape(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| shape(value, &format!("{at}.{key}"), out)),
        Value::Array(list) => list.iter().for_each(|value| shape(value, &format!("{at}[]"), out)),
        Value::Null => out.push(format!("{at} is null")),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => out.push(at.to_owned()),
    }
}

#[actix_rt::test]
async fn the_api_explains_what_the_command_explains() {
    let bare = Peer::builder().without_starttls().start().await.expect("starts");
    let post = Post::start(&bare.nexthop()).await;
    for (target, connect) in [("b@b.test", true), ("b@b.test", false)] {
        let words = if connect {
            &["explain", "--json", target][..]
        } else {
            &["explain", "--json", "--no-connect", target]
        };
        let output = run(&post.config(), words).await;
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let body = format!("{{\"target\":\"{target}\",\"connect\":{connect}}}");
        let mut api = post.asks("POST /api/v1/explain", &body).await;
        for field in ["route", "ok", "calls", "results", "nexthop", "protocol"] {
            assert_eq!(told[field], api[field], "{field}");
        }
        for field in ["verdict", "demanded", "if_it_fails"] {
            assert_eq!(told["conclusion"][field], api["conclusion"][field], "{field}");
        }
        let letter = |value: &Value| value["conclusion"]["letter"].is_string();
        assert_eq!((letter(&told), letter(&api)), (connect, connect), "{api}");
        // A command asks the resolver anew; the engine knows what it found when it last looked.
        api["dnssec"] = told["dnssec"].clone();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        shape(&told, "", &mut ours);
        shape(&api, "", &mut theirs);
        assert_eq!(ours, theirs);
    }
    assert!(post.engine.shut_down().await);
}

#[actix_rt::test]
async fn a_running_queue_manager_that_goes_by_older_tables_is_named() {
    let bare = Peer::builder().without_starttls().start().await.expect("starts");
    let post = Post::start(&bare.nexthop()).await;
    let words = ["explain", "--json", "--no-connect", "b@b.test"];
    let config = post.config();
    let ask = async || -> Value { serde_json::from_slice(&run(&config, &words).await.stdout).expect("JSON") };
    assert!(ask().await.get("running").is_none(), "both read the same");
    let file = post.folder.path().join("waxseal.toml");
    let text = std::fs::read_to_string(&file).expect("it is there");
    std::fs::write(&file, text.replace("\"encrypt\"", "\"may\"")).expect("it is ours");
    let told = ask().await;
    let running = told["running"].as_str().expect("the running one has not read this");
    assert!(running.contains("in force: encrypt "), "{running}");
    assert!(post.engine.shut_down().await);
    assert!(ask().await.get("running").is_none(), "none runs");
}

#[actix_rt::test]
async fn the_policy_of_a_next_hop_is_that_of_the_service_that_mail_goes_there_by() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("master.cf"), "sealed unix - - n - - smtp\n  -o smtp_tls_security_level=secure\n")
        .expect("the folder is ours");
    let main = "myhostname = queue.test\nmynetworks = 127.0.0.0/8\nsmtp_tls_security_level = may\n\
         transport_maps = inline:{ { partner.test = sealed: } }\n";
    std::fs::write(at("main.cf"), main).expect("the folder is ours");
    let toml = format!(
        "[spool]\npath = \"{}\"\n[listen]\nsmtp = [\"127.0.0.1:0\"]\n[dns]\nservers = [\"127.0.0.1:9\"]\ndnssec = \"off\"\n",
        at("spool")
    );
    std::fs::write(at("more.toml"), toml).expect("the folder is ours");
    let files = [at("main.cf"), at("more.toml")];
    let config = Config::load(&files.clone().map(Into::into), std::iter::empty()).expect("it is good");
    let started = Engine::start(EngineSettings::from(&config), Arc::new(Several::of(Vec::new())));
    let engine = within(LIMIT, started).await.expect("it starts");
    let socket = folder.path().join("spool/control.sock");
    for (hop, level, service) in [
        ("partner.test", "secure", "sealed"),
        ("other.test", "may", "smtp"),
        ("sealed:other.test", "secure", "sealed"),
        ("smtp:partner.test", "may", "smtp"),
    ] {
        let told = ask(&socket, &format!("GET /api/v1/policy/{hop}"), "").await;
        assert_eq!((told["level"].as_str(), told["service"].as_str()), (Some(level), Some(service)), "{hop}");
        let body = format!("{{\"target\":\"{hop}\",\"connect\":false}}");
        let told = ask(&socket, "POST /api/v1/explain", &body).await;
        assert_eq!(told["route"]["service"], service, "{hop}: {told}");
    }
    assert!(engine.shut_down().await);
}
