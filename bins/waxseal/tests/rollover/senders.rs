//! Two clients that deliver to nobody without DANE, and are never without something to deliver.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::task::JoinHandle;
use waxseal_queue_manager::Engine;
use waxseal_testbed::{Client, Postfix, within};

use crate::lab::{engine, until};

/// Between two messages of each.
const INTERVAL: Duration = Duration::from_millis(250);
/// The most that a start may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Messages that show that mail flows.
const SOME: usize = 3;

const WAXSEAL: &str = "hostname = \"waxseal.test\"\n[spool]\npath = \"{dir}/sender\"\n[listen]\nsmtp = [\"127.0.0.1:0\"]\n\
[dns]\nservers = [\"{resolver}:53\"]\ndnssec = \"trust-ad\"\n[tls]\nsecurity_level = \"dane-only\"\n[queue]\nminimal_backoff = \"2s\"\n";

const MAIN: &str = "smtpd_relay_restrictions = permit_mynetworks, reject
default_transport = smtp
smtp_dns_support_level = dnssec
smtp_tls_security_level = dane-only
smtp_connection_cache_on_demand = no
smtpd_peername_lookup = no
";

/// Both, sending.
pub(crate) struct Senders {
    folder: PathBuf,
    waxseal: Engine,
    postfix: Postfix,
    feeding: Vec<JoinHandle<()>>,
}

impl Senders {
    pub(crate) async fn start(dir: &Path, resolver: IpAddr) -> Self {
        let toml =
            WAXSEAL.replace("{dir}", &dir.display().to_string()).replace("{resolver}", &resolver.to_string());
        fs::write(dir.join("sender.toml"), toml).expect("the folder is ours");
        let waxseal = engine(&dir.join("sender.toml"), Some(&dir.join("events.jsonl"))).await;
        // Its programs are not root.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("the folder is ours");
        let postfix =
            Postfix::start_asking(&dir.join("postfix"), MAIN, "", resolver).expect("postfix can be run");
        within(LIMIT, postfix.greets()).await;
        let feeding = [waxseal.addresses()[0], postfix.smtp()].map(|to| actix_rt::spawn(feed(to))).into();
        Self { folder: dir.to_owned(), waxseal, postfix, feeding }
    }

    /// Deliveries so far; a single one that had to wait ends everything.
    fn counts(&self, when: &str) -> (usize, usize) {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        let (events, log) = (read("events.jsonl"), read("postfix/mail.log"));
        // An "attempt" is not among them: a connection that was open from before the switch does not fit what is published after it, and
        // gives way to a new one, which delivers in the same second. Where the new one did not, there is a "deferred", with one MX only.
        let bad = |line: &&str| {
            ["\"event\":\"deferred\"", "\"event\":\"bounced\"", "status=deferred", "status=bounced"]
                .iter()
                .any(|word| line.contains(word))
        };
        let waited: Vec<&str> = events.lines().chain(log.lines()).filter(bad).collect();
        assert!(waited.is_empty(), "{when}: {} deliveries waited, the first: {}", waited.len(), waited[0]);
        let waxseal = events.lines().filter(|line| line.contains("\"event\":\"delivered\""));
        let verified = |line: &&str| line.contains("\"status\":\"verified\"");
        let postfix = log.lines().filter(|line| line.contains("status=sent"));
        (waxseal.filter(verified).count(), postfix.count())
    }

    pub(crate) async fn flow(&self, when: &str) {
        let before = self.counts(when);
        let more = || {
            let now = self.counts(when);
            now.0 >= before.0 + SOME && now.1 >= before.1 + SOME
        };
        until(&format!("mail flows {when}"), &self.folder, more).await;
    }

    /// Nothing is left behind.
    pub(crate) async fn end(self) -> (usize, usize) {
        self.feeding.iter().for_each(JoinHandle::abort);
        self.flow_out().await;
        let counts = self.counts("at the end");
        let events = fs::read_to_string(self.folder.join("events.jsonl")).unwrap_or_default();
        let gave_way = events.lines().filter(|line| line.contains("\"event\":\"attempt\"")).count();
        println!("{gave_way} connections from before a switch gave way to new ones");
        drop(self.postfix);
        self.waxseal.shut_down().await;
        counts
    }

    /// Until each message that was taken has been delivered.
    async fn flow_out(&self) {
        let left = || {
            let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
            let count = |text: &str, word: &str| text.lines().filter(|line| line.contains(word)).count();
            let (events, log) = (read("events.jsonl"), read("postfix/mail.log"));
            let queued = count(&events, "\"event\":\"queued\"");
            let active = count(&log, "(queue active)");
            let (waxseal, postfix) = self.counts("at the end");
            queued == waxseal && active == postfix
        };
        until("all is delivered", &self.folder, left).await;
    }
}

/// One message after the other.
async fn feed(server: SocketAddr) {
    loop {
        let talk = async {
            let mut client = Client::connect(server).await?;
            client.submit("a@a.test", &["somebody@lab.test"], "Subject: x\n\nx\n").await
        };
        let reply = talk.await;
        assert!(reply.as_ref().is_ok_and(|reply| reply.starts_with("250 ")), "{reply:?}");
        tokio::time::sleep(INTERVAL).await;
    }
}
