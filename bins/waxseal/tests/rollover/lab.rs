//! Name servers, a resolver, our intake, certificates.

use std::{
    cell::Cell,
    fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use waxseal_config::Config;
use waxseal_queue_manager::{Engine, EngineSettings};
use waxseal_telemetry::{Settings as TelemetrySettings, Target, Telemetry};
use waxseal_testbed::{Authority, within};

use crate::senders::Senders;

/// Of the TLSA records.
pub(crate) const TTL: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(60);
const OWNER: &str = "_25._tcp.mx.lab.test";

const PRIMARY: &str = "server:\n  listen: {own}@53\n  rundir: {dir}\nlog:\n  - target: stderr\n    any: warning\n\
database:\n  storage: {dir}\ncontrol:\n  listen: {dir}/ctl\n\
key:\n  - id: ddns\n    algorithm: hmac-sha256\n    secret: bGFib3JhdG9yeSBzZWNyZXQgb2Ygbm9ib2R5\n\
remote:\n  - id: secondary\n    address: {other}@53\n    via: {own}\n\
acl:\n  - id: transfer\n    address: 127.0.0.0/8\n    action: [transfer]\n  - id: update\n    key: ddns\n    action: update\n\
policy:\n  - id: fast\n    algorithm: ecdsap256sha256\n    single-type-signing: on\n\
zone:\n  - domain: lab.test\n    storage: {dir}\n    file: lab.test.zone\n    acl: [transfer, update]\n    notify: secondary\n    \
dnssec-signing: on\n    dnssec-policy: fast\n    zonefile-load: whole\n    zonefile-sync: -1\n    semantic-checks: off\n";

const SECONDARY: &str = "server:\n  listen: {own}@53\n  rundir: {dir}\nlog:\n  - target: stderr\n    any: warning\n\
database:\n  storage: {dir}\ncontrol:\n  listen: {dir}/ctl\n\
remote:\n  - id: primary\n    address: {other}@53\n    via: {own}\n\
acl:\n  - id: notify\n    address: 127.0.0.0/8\n    action: notify\n\
zone:\n  - domain: lab.test\n    storage: {dir}\n    master: primary\n    acl: notify\n    zonefile-sync: -1\n";

const ZONE: &str = "$ORIGIN lab.test.\n$TTL 2\n@ 1 SOA ns1 hostmaster 1 2 1 3600 1\n@ NS ns1\n@ NS ns2\nns1 A {ns1}\nns2 A {ns2}\n\
@ MX 10 mx\nmx A {mx}\n_25._tcp.mx TLSA {tlsa}\n";

const UNBOUND: &str = "server:\n  interface: {resolver}\n  port: 53\n  do-ip6: no\n  do-daemonize: no\n  username: \"\"\n  chroot: \"\"\n  \
directory: {dir}\n  pidfile: \"\"\n  use-syslog: no\n  access-control: 127.0.0.0/8 allow\n  do-not-query-localhost: no\n  \
module-config: \"validator iterator\"\n  local-zone: \"test.\" nodefault\n  trust-anchor: \"{anchor}\"\n  cache-max-negative-ttl: 2\n  \
aggressive-nsec: no\n  num-threads: 1\nremote-control:\n  control-enable: yes\n  control-interface: {dir}/unbound.ctl\n  control-use-cert: no\n\
stub-zone:\n  name: lab.test\n  stub-addr: {ns1}\n  stub-addr: {ns2}\n";

const SERVER: &str = "hostname = \"mx.lab.test\"\n[spool]\npath = \"{dir}/spool\"\n[listen]\nsmtp = [\"{mx}:25\"]\nrelay_from = [\"127.0.0.0/8\"]\n\
[listen_tls]\nsecurity_level = \"may\"\nchain_files = [\"{dir}/tls.pem\"]\n[dns]\nservers = [\"{resolver}:53\"]\ndnssec = \"trust-ad\"\n\
[tls]\nsecurity_level = \"may\"\n[transport]\nrelayhost = \"[{resolver}]:9\"\n[queue]\nminimal_backoff = \"1h\"\n";

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    fn of(done: &std::process::Output) -> Self {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        Self { status: done.status.code().unwrap_or(-1), out: text(&done.stdout), err: text(&done.stderr) }
    }
}

/// Name servers and the like; they end with it.
#[derive(Default)]
struct Programs(Vec<Child>);

impl Drop for Programs {
    fn drop(&mut self) {
        for program in &mut self.0 {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

/// All of it; nothing outlives it.
pub(crate) struct Lab {
    folder: tempfile::TempDir,
    places: [Ipv4Addr; 4],
    issuers: [Authority; 2],
    issued: Cell<u32>,
    programs: Programs,
    engine: Engine,
    senders: Senders,
}

/// A program that lives as long as the laboratory.
fn start(folder: &Path, command: &mut Command) -> Child {
    let log =
        fs::File::options().append(true).create(true).open(folder.join("log")).expect("the folder is ours");
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Output of a program that has to succeed.
fn output(command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Until it is so; other programs give nothing to be woken by.
pub(crate) async fn until(what: &str, folder: &Path, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > LIMIT {
            panic!("never: {what}\n{}", fs::read_to_string(folder.join("log")).unwrap_or_default());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Lab {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path();
        // Addresses on loopback that nobody else has: port 53 is what resolv.conf knows, and 25 what mail does.
        let id = std::process::id();
        let place = |host| Ipv4Addr::new(127, 64 + (id % 128) as u8, (id / 128 % 256) as u8, host);
        let places @ [resolver, ns1, ns2, mx] = [1, 2, 3, 4].map(place);
        let issuers = [Authority::new("Lab CA 1").expect("a CA"), Authority::new("Lab CA 2").expect("a CA")];
        let leaf = issuers[0].leaf(&["mx.lab.test"]).issue().expect("a leaf");
        let pem = format!("{}{}{}", leaf.key_pem(), leaf.pem(), issuers[0].intermediate_pem());
        put_file(&dir.join("tls.pem"), &pem);
        let record =
            waxseal_rollover::RecordSet::new(waxseal_rollover::leaf_record(leaf.der(), &Default::default()));
        let fill = |text: &str| {
            let text = text.replace("{resolver}", &resolver.to_string()).replace("{ns1}", &ns1.to_string());
            let text = text.replace("{ns2}", &ns2.to_string()).replace("{mx}", &mx.to_string());
            text.replace("{tlsa}", &record.lines()[0]).replace("{dir}", &dir.display().to_string())
        };
        let mut programs = Programs::default();
        for (name, text, own, other) in [("ns1", PRIMARY, ns1, ns2), ("ns2", SECONDARY, ns2, ns1)] {
            let home = dir.join(name);
            fs::create_dir(&home).expect("the folder is ours");
            // The secondary gets it from the primary.
            if name == "ns1" {
                fs::write(home.join("lab.test.zone"), fill(ZONE)).expect("the folder is ours");
            }
            let text = text.replace("{own}", &own.to_string()).replace("{other}", &other.to_string());
            let text = text.replace("{dir}", &home.display().to_string());
            fs::write(home.join("knot.conf"), text).expect("the folder is ours");
            programs.0.push(start(dir, Command::new("knotd").arg("-c").arg(home.join("knot.conf"))));
            let serves = || asked(own, OWNER, "TLSA").contains(" RRSIG ");
            until("the name server has the zone", dir, serves).await;
        }
        let mut keymgr = Command::new("keymgr");
        let anchors = output(keymgr.arg("-c").arg(dir.join("ns1/knot.conf")).args(["lab.test", "ds"]));
        let anchor =
            anchors.lines().find(|line| line.split_whitespace().nth(4) == Some("2")).expect("a DS record");
        fs::write(dir.join("unbound.conf"), fill(UNBOUND).replace("{anchor}", anchor))
            .expect("the folder is ours");
        programs
            .0
            .push(start(dir, Command::new("unbound").arg("-d").arg("-c").arg(dir.join("unbound.conf"))));
        until("the resolver validates", dir, || asked(resolver, OWNER, "TLSA").contains(" ad;")).await;
        put_file(&dir.join("ddns.key"), DDNS);
        put_file(&dir.join("server.toml"), &fill(SERVER));
        let engine = engine(&dir.join("server.toml"), None).await;
        let senders = Senders::start(dir, IpAddr::V4(resolver)).await;
        Self { folder, places, issuers, issued: Cell::new(0), programs, engine, senders }
    }

    fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// `waxseal tlsa rollover`, right after the resolver has forgotten what it knew, and fetched what is served now: it will hold that for a
    /// whole TTL.
    pub(crate) async fn step(&self, arguments: &[impl AsRef<str>]) -> Ran {
        self.prime();
        let done = within(LIMIT, self.rollover(arguments).output()).await.expect("the command can be run");
        Ran::of(&done)
    }

    fn rollover(&self, arguments: &[impl AsRef<str>]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_waxseal"));
        command.args(["tlsa", "rollover"]).args(arguments.iter().map(AsRef::as_ref));
        command.arg("--config").arg(self.dir().join("server.toml"));
        command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The same, killed (SIGKILL) where it has not ended after so long; `None` is that it was.
    pub(crate) async fn step_or_kill(&self, arguments: &[impl AsRef<str>], after: Duration) -> Option<Ran> {
        self.prime();
        // Dropped before its end, it is killed.
        let done = tokio::time::timeout(after, self.rollover(arguments).output()).await.ok()?;
        Some(Ran::of(&done.expect("the command can be run")))
    }

    fn prime(&self) {
        let mut control = Command::new("unbound-control");
        output(control.arg("-c").arg(self.dir().join("unbound.conf")).args(["flush_zone", "lab.test"]));
        asked(self.places[0], OWNER, "TLSA");
    }

    pub(crate) async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    /// How rollovers are begun here.
    pub(crate) fn begin(&self, verb: &str, more: &[&str]) -> Vec<String> {
        let key = self.dir().join("ddns.key").display().to_string();
        let usual = [verb, "--nsupdate-key", &key, "--ttl-only", "--json"];
        usual.iter().chain(more).map(ToString::to_string).collect()
    }

    /// What the primary serves.
    pub(crate) fn records(&self) -> Vec<String> {
        let text = asked(self.places[1], OWNER, "TLSA");
        let lines = text.lines().filter(|line| line.starts_with(OWNER) && !line.contains("RRSIG"));
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.sort();
        lines
    }

    pub(crate) fn freeze_secondary(&self, frozen: bool) {
        let verb = if frozen { "zone-freeze" } else { "zone-thaw" };
        let mut control = Command::new("knotc");
        output(control.arg("-b").arg("-c").arg(self.dir().join("ns2/knot.conf")).args([verb, "lab.test"]));
        if !frozen {
            let mut control = Command::new("knotc");
            output(
                control.arg("-c").arg(self.dir().join("ns2/knot.conf")).args(["zone-refresh", "lab.test"]),
            );
        }
    }

    pub(crate) fn tls_file(&self) -> String {
        self.dir().join("tls.pem").display().to_string()
    }

    pub(crate) fn served_file(&self) -> String {
        self.read(&self.tls_file())
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(file).expect("it is there")
    }

    /// Replaces the intake's file behind everybody's back.
    pub(crate) fn put(&self, text: &str) {
        let fresh = self.dir().join("tls.new");
        put_file(&fresh, text);
        fs::rename(fresh, self.tls_file()).expect("the folder is ours");
    }

    fn next_file(&self) -> PathBuf {
        self.issued.set(self.issued.get() + 1);
        self.dir().join(format!("given-{}.pem", self.issued.get()))
    }

    /// A new certificate for the key that is served.
    pub(crate) fn renewed(&self) -> String {
        let file = self.next_file();
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-days",
            "30",
            "-subj",
            "/CN=mx.lab.test",
            "-addext",
            "subjectAltName=DNS:mx.lab.test",
        ]);
        output(openssl.arg("-key").arg(self.tls_file()).arg("-out").arg(&file));
        file.display().to_string()
    }

    /// A new key with a certificate of an authority, its intermediate behind it.
    pub(crate) fn issued(&self, issuer: usize) -> String {
        let issuer = &self.issuers[issuer];
        let leaf = issuer.leaf(&["mx.lab.test"]).issue().expect("a leaf");
        let file = self.next_file();
        put_file(&file, &format!("{}{}{}", leaf.key_pem(), leaf.pem(), issuer.intermediate_pem()));
        file.display().to_string()
    }

    /// The intake has said why it keeps its certificate, and doctor repeats it.
    pub(crate) async fn refusal_is_told(&self, told: bool) {
        let kept = self.dir().join("spool").join(waxseal_queue_manager::GATE_FILE);
        until("the gate has refused", self.dir(), || waxseal_rollover::refusal(&kept).is_some() == told)
            .await;
        let mut doctor = tokio::process::Command::new(env!("CARGO_BIN_EXE_waxseal"));
        doctor.args(["doctor", "--offline", "--json", "--config"]).arg(self.dir().join("server.toml"));
        let said = within(LIMIT, doctor.output()).await.expect("the command can be run");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert_eq!(said.contains("keeps its certificate"), told, "{said}");
    }

    /// From now on, some messages more come through from each sender, and none has waited.
    pub(crate) async fn mail_flows(&self, when: &str) {
        self.senders.flow(when).await;
    }

    /// How many each sender delivered in all.
    pub(crate) async fn end(self) -> (usize, usize) {
        let Self { engine, senders, programs, .. } = self;
        let counts = senders.end().await;
        engine.shut_down().await;
        drop(programs);
        counts
    }
}

const DDNS: &str =
    "key \"ddns\" {\n\talgorithm hmac-sha256;\n\tsecret \"bGFib3JhdG9yeSBzZWNyZXQgb2Ygbm9ib2R5\";\n};\n";

/// A private file.
fn put_file(path: &Path, text: &str) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("the folder is ours");
}

fn asked(server: Ipv4Addr, name: &str, kind: &str) -> String {
    let mut kdig = Command::new("kdig");
    kdig.args([&format!("@{server}"), name, kind, "+dnssec", "+timeout=2", "+retry=0"]);
    kdig.output().map(|done| String::from_utf8_lossy(&done.stdout).replace('\t', " ")).unwrap_or_default()
}

/// A queue-manager in this process.
pub(crate) async fn engine(config: &Path, events: Option<&Path>) -> Engine {
    let config = Config::load(&[config.to_owned()], std::iter::empty()).expect("a good configuration");
    let delivery_events = events.map_or(Target::Off, |path| Target::File(path.to_owned()));
    let telemetry = Telemetry::start(TelemetrySettings { delivery_events, ..TelemetrySettings::default() });
    let sink = Arc::new(telemetry.expect("it starts"));
    within(LIMIT, Engine::start(EngineSettings::from(&config), sink)).await.expect("the engine starts")
}
