//! Tables that change, break and vanish while mail is under way: nothing is lost, and nothing is sent weaker than the table said.
//!
//! Without an entry the level is `none` here, so that a table which fails and is read as empty would show as mail in clear.

#[path = "../../crates/tables/tests/servers/script.rs"]
#[expect(dead_code, reason = "it can say more than is needed here")]
mod script;
#[path = "../../crates/tables/tests/postmap/servers.rs"]
#[cfg_attr(not(feature = "mysql"), expect(dead_code, reason = "it can start more than is needed here"))]
#[expect(clippy::unwrap_used, reason = "helpers of tests")]
mod servers;

use std::{
    fs,
    sync::Arc,
    time::{Duration, SystemTime},
};

use script::{Says, Speaks, TableServer};
use waxseal_config::{Config, Severity, TableSet};
use waxseal_queue::{Account, Outcome};
use waxseal_queue_manager::Engine;
use waxseal_testbed::{Act, Authority, Builder, Gate, Peer, within};
use waxseal_tests::{LIMIT, World};
use waxseal_types::TlsLevel;

const TEXT: &str = "Subject: x\n\nx\n";

/// A server that offers TLS to all.
fn sealing_peer() -> Builder {
    let authority = Authority::new("Test CA").expect("an authority");
    let certificate = authority.leaf(&["mx.example.test"]).issue().expect("a leaf");
    Peer::builder().starttls(certificate)
}

/// All mail goes to the peer, at the level that the table says, or else in clear.
fn world(peer: &Peer, table: &str) -> (World, Arc<TableSet>) {
    world_with(peer, table, "")
}

/// The same, with more lines of `[transport]`.
fn world_with(peer: &Peer, table: &str, more: &str) -> (World, Arc<TableSet>) {
    let mut world = World::new(&peer.nexthop(), TlsLevel::None);
    let file = world.folder().join("waxseal.toml");
    let text = format!(
        "[tls]\nsecurity_level = \"none\"\npolicy_maps = ['{table}']\n[transport]\nrelayhost = \"{}\"\n{more}\n",
        peer.nexthop()
    );
    fs::write(&file, text).expect("the folder is ours");
    let config = Config::load(&[file], std::iter::empty()).expect("a good configuration");
    world.settings.policy = Arc::clone(&config.policy);
    world.settings.tables = Arc::clone(&config.tables) as Arc<_>;
    (world, config.tables)
}

fn deferred_for(account: &Account, words: &str) -> bool {
    account.results.iter().any(|result| match &result.outcome {
        Outcome::Deferred(failure) => failure.reason.contains(words),
        _ => false,
    })
}

/// Counts what was submitted, and holds it against what the peer has seen.
struct Load<'a> {
    world: &'a World,
    engine: &'a Engine,
    submitted: usize,
}

impl<'a> Load<'a> {
    const fn new(world: &'a World, engine: &'a Engine) -> Self {
        Self { world, engine, submitted: 0 }
    }

    async fn submit(&mut self, count: usize) {
        for _ in 0..count {
            let to = format!("b{}@b.test", self.submitted);
            self.world.submit(self.engine, "a@a.test", &[&to], TEXT).await;
            self.submitted += 1;
        }
    }

    /// Until mail waits for a reason with these words in it.
    async fn submit_until_deferred(&mut self, words: &str) {
        let waits = self.world.recorder.attempt(|account| deferred_for(account, words));
        let mut waits = std::pin::pin!(waits);
        while tokio::time::timeout(Duration::from_millis(50), &mut waits).await.is_err() {
            self.submit(1).await;
        }
    }

    /// All of it has come, each message once, and each under TLS.
    async fn all_arrived_sealed(&self, peer: &Peer) {
        let messages = within(LIMIT, peer.wait_for(self.submitted)).await;
        let weaker: Vec<_> = messages.iter().filter(|message| message.tls.is_none()).collect();
        assert!(weaker.is_empty(), "sent in clear: {weaker:#?}");
        let mut recipients: Vec<String> =
            messages.into_iter().flat_map(|message| message.recipients).collect();
        recipients.sort();
        let mut expected: Vec<String> = (0..self.submitted).map(|n| format!("b{n}@b.test")).collect();
        expected.sort();
        assert_eq!(recipients, expected);
    }
}

#[actix_rt::test]
async fn a_raised_level_holds_at_once_for_mail_that_is_under_way() {
    let gate = Gate::new();
    let hold = Act::Hold(gate.clone(), Box::new(Act::from("220 2.0.0 go ahead")));
    let peer = sealing_peer().reply_to_starttls(hold).start().await.expect("starts");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tls_policy");
    let write = |policy: &str| {
        fs::write(&file, format!("{} {policy}\n", peer.nexthop())).expect("the folder is ours");
    };
    write("encrypt");
    let (world, tables) = world(&peer, &format!("texthash:{}", file.display()));
    let engine = world.start().await;
    world.submit(&engine, "a@a.test", &["b@b.test"], TEXT).await;
    // The policy was asked for and the connection is open.
    within(LIMIT, gate.reached()).await;
    write(
        "fingerprint match=00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF",
    );
    let alerts = tables.refresh_all(SystemTime::now() + Duration::from_secs(10));
    assert!(alerts.iter().any(|alert| alert.severity == Severity::Reloaded), "{alerts:?}");
    gate.open();
    // It is planned anew at once, and this is not the server with that fingerprint.
    within(LIMIT, world.recorder.attempt(|account| deferred_for(account, "not verified"))).await;
    assert_eq!(peer.accepted(), []);
    assert!(!peer.commands().iter().any(|command| command.starts_with("MAIL")), "{:?}", peer.commands());
    assert!(engine.shut_down().await);
}

async fn survives_an_outage_of(speaks: Speaks) {
    let peer = sealing_peer().start().await.expect("starts");
    let nexthop = peer.nexthop();
    let answers = move |key: &str| if key == nexthop { Says::Value("encrypt".into()) } else { Says::Nothing };
    let any = "127.0.0.1:0".parse().expect("an address");
    let server = TableServer::start(speaks, any, answers.clone()).await.expect("starts");
    let address = server.address();
    let table = match speaks {
        Speaks::Socketmap => format!("socketmap:inet:{address}:policy"),
        Speaks::Tcp => format!("tcp:{address}"),
    };
    let (world, _) = world(&peer, &table);
    let engine = world.start().await;
    let mut load = Load::new(&world, &engine);
    load.submit(20).await;
    server.stop().await;
    load.submit_until_deferred("lookup error").await;
    load.submit(20).await;
    let _server = TableServer::start(speaks, address, answers).await.expect("the port is free again");
    load.submit(20).await;
    load.all_arrived_sealed(&peer).await;
    assert!(engine.shut_down().await);
}

/// The policy of one destination is asked of a server that never says a word about it.
#[actix_rt::test]
async fn a_question_that_hangs_stalls_no_other_destination() {
    let slow = sealing_peer().start().await.expect("starts");
    let quick = sealing_peer().start().await.expect("starts");
    let hung = slow.nexthop();
    let answers = move |key: &str| if key == hung { Says::Silence } else { Says::Value("encrypt".into()) };
    let any = "127.0.0.1:0".parse().expect("an address");
    let server = TableServer::start(Speaks::Socketmap, any, answers).await.expect("starts");
    let table = format!("socketmap:inet:{}:policy", server.address());
    let routes = format!("maps = ['inline:{{ slow.test=smtp:{} }}']", slow.nexthop());
    let (world, _) = world_with(&quick, &table, &routes);
    let engine = world.start().await;
    for number in 0..20 {
        world.submit(&engine, "a@a.test", &[&format!("b{number}@slow.test")], TEXT).await;
    }
    let mut load = Load::new(&world, &engine);
    load.submit(20).await;
    load.all_arrived_sealed(&quick).await;
    assert_eq!(slow.connections(), 0, "its policy is not known");
    assert!(engine.shut_down().await);
}

#[actix_rt::test]
async fn an_outage_of_a_socketmap_server_defers_and_loses_and_weakens_nothing() {
    survives_an_outage_of(Speaks::Socketmap).await;
}

#[actix_rt::test]
async fn an_outage_of_a_tcp_table_server_defers_and_loses_and_weakens_nothing() {
    survives_an_outage_of(Speaks::Tcp).await;
}

#[actix_rt::test]
async fn a_sqlite_database_that_vanishes_defers_and_loses_and_weakens_nothing() {
    let peer = sealing_peer().start().await.expect("starts");
    let folder = tempfile::tempdir().expect("a folder");
    let [database, away, query] = ["db", "away", "q.cf"].map(|name| folder.path().join(name));
    let content = format!("CREATE TABLE p (k, v); INSERT INTO p VALUES ('{}', 'encrypt');", peer.nexthop());
    rusqlite::Connection::open(&database).and_then(|db| db.execute_batch(&content)).expect("a database");
    let text = format!("dbpath = {}\nquery = SELECT v FROM p WHERE k = '%s'\n", database.display());
    fs::write(&query, text).expect("the folder is ours");
    let (world, _) = world(&peer, &format!("sqlite:{}", query.display()));
    let engine = world.start().await;
    let mut load = Load::new(&world, &engine);
    load.submit(10).await;
    fs::rename(&database, &away).expect("it is there");
    load.submit_until_deferred("lookup error").await;
    // Half of it is no database either.
    let whole = fs::read(&away).expect("it is there");
    fs::write(&database, &whole[..whole.len() / 2 + 100]).expect("the folder is ours");
    load.submit(10).await;
    fs::rename(&away, &database).expect("it is there");
    load.submit(10).await;
    load.all_arrived_sealed(&peer).await;
    assert!(engine.shut_down().await);
}

/// The table that both databases have.
fn content(peer: &Peer) -> String {
    let nexthop = peer.nexthop();
    format!("CREATE TABLE p (k varchar(99), v varchar(99)); INSERT INTO p VALUES ('{nexthop}', 'encrypt');")
}

fn query(program: &str, arguments: &[&str]) {
    let made = std::process::Command::new(program).args(arguments).status();
    assert!(made.expect("it can be run").success());
}

#[actix_rt::test]
#[ignore = "needs Debian's PostgreSQL, and root"]
async fn an_outage_of_postgresql_defers_and_loses_and_weakens_nothing() {
    let peer = sealing_peer().start().await.expect("starts");
    let server = servers::Server::postgres();
    let folder = server.folder().display().to_string();
    query("psql", &["-q", "-h", &folder, "-U", "waxseal", "-c", &content(&peer), "postgres"]);
    let file = peer_file(&format!(
        "hosts = unix:{folder}\nuser = waxseal\ndbname = postgres\nretry_interval = 2s\nquery = SELECT v FROM p WHERE k = '%s'\n"
    ));
    survives_outages_of(server, peer, &format!("pgsql:{}", file.path().display())).await;
}

#[cfg(feature = "mysql")]
#[actix_rt::test]
#[ignore = "needs Debian's MariaDB, and root"]
async fn an_outage_of_mariadb_defers_and_loses_and_weakens_nothing() {
    let peer = sealing_peer().start().await.expect("starts");
    let server = servers::Server::mariadb();
    let socket = format!("{}/socket", server.folder().display());
    let content = format!("CREATE DATABASE waxseal; USE waxseal; {}", content(&peer));
    query("mariadb", &["--no-defaults", "-S", &socket, "-u", "root", "-e", &content]);
    let file = peer_file(&format!(
        "hosts = unix:{socket}\nuser = root\ndbname = waxseal\noption_group =\nretry_interval = 2s\nquery = SELECT v FROM p WHERE k = '%s'\n"
    ));
    survives_outages_of(server, peer, &format!("mysql:{}", file.path().display())).await;
}

/// The server is killed and started again, twice, while mail comes in.
async fn survives_outages_of(mut server: servers::Server, peer: Peer, table: &str) {
    let (world, _) = world(&peer, table);
    let engine = world.start().await;
    let mut load = Load::new(&world, &engine);
    for _ in 0..2 {
        load.submit(20).await;
        server.stop();
        load.submit_until_deferred("lookup error").await;
        load.submit(20).await;
        server.start();
        load.submit(20).await;
        load.all_arrived_sealed(&peer).await;
    }
    assert!(engine.shut_down().await);
}

/// A query file.
fn peer_file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), text).expect("the file is ours");
    file
}

#[actix_rt::test]
async fn a_file_that_is_cut_off_deleted_or_mistyped_loses_and_weakens_nothing() {
    let peer = sealing_peer().start().await.expect("starts");
    let nexthop = peer.nexthop();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tls_policy");
    let write = |text: &str| fs::write(&file, text).expect("the folder is ours");
    write(&format!("{nexthop} encrypt\n"));
    let (world, tables) = world(&peer, &format!("texthash:{}", file.display()));
    // As the daemon does each second; here all that was written has been quiet for long.
    let refresh = || tables.refresh_all(SystemTime::now() + Duration::from_secs(10));
    let engine = world.start().await;
    let mut load = Load::new(&world, &engine);
    load.submit(5).await;
    let faults: [(&str, &dyn Fn()); 4] = [
        ("cut off", &|| write(&format!("{nexthop} enc"))),
        ("cut off in the key", &|| write(&nexthop[..4])),
        ("given twice", &|| write(&format!("{nexthop} encrypt\n{nexthop} none\n"))),
        ("deleted", &|| fs::remove_file(&file).expect("it is there")),
    ];
    for (fault, make) in faults {
        make();
        let alerts = refresh();
        // What is wrong is told once, however it changes.
        assert!(alerts.iter().all(|alert| alert.severity == Severity::Stale), "{fault}: {alerts:?}");
        load.submit(5).await;
        load.all_arrived_sealed(&peer).await;
    }
    // A change that tightens, with a mistake in it: a table that loads, but no policy.
    write(&format!("{nexthop} secrue match=mx.example.test\n"));
    let alerts = refresh();
    assert!(alerts.iter().any(|alert| alert.severity == Severity::Reloaded), "{alerts:?}");
    let before = peer.accepted().len();
    load.submit(5).await;
    load.submit_until_deferred("secrue").await;
    assert_eq!(peer.accepted().len(), before, "mail waits until the mistake is mended");
    write(&format!("{nexthop} encrypt\n"));
    let _ = refresh();
    load.all_arrived_sealed(&peer).await;
    assert!(engine.shut_down().await);
}
