//! The whole engine in process.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use waxseal_dns::DnssecMode;
use waxseal_policy::TableName;
use waxseal_queue_manager::{Engine, EngineSettings};
use waxseal_testbed::{Client, within};
use waxseal_types::TlsLevel;

use crate::{Entries, LIMIT, Recorder};

/// A configuration, a spool folder that lives as long, and what the queue told. Engines are started from it one after
/// the other, as an operator restarts a daemon.
#[derive(Debug)]
pub struct World {
    /// The configuration.
    pub settings: EngineSettings,
    /// What was told.
    pub recorder: Arc<Recorder>,
    folder: tempfile::TempDir,
}

impl World {
    /// Mail goes to `nexthop`, at this level; failed attempts are repeated soon.
    ///
    /// # Panics
    ///
    /// If there is no folder to be had, or `nexthop` is none.
    #[must_use]
    pub fn new(nexthop: &str, level: TlsLevel) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = EngineSettings::default();
        settings.spool.path = folder.path().join("spool");
        settings.intake.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        settings.intake.protocol.hostname = "queue.test".into();
        settings.dns.servers = vec![SocketAddr::from(([127, 0, 0, 1], 9))];
        settings.dns.dnssec = DnssecMode::Off;
        settings.transport.helo_name = "queue.test".into();
        settings.queue.hostname = "queue.test".into();
        settings.queue.minimal_backoff = Duration::from_millis(200);
        settings.queue.maximal_backoff = Duration::from_millis(400);
        settings.queue.bounce_gather = Duration::from_millis(50);
        // The same on every machine.
        settings.queue.delivery_threads = Some(0);
        let mut policy = waxseal_policy::Settings::default();
        policy.smtp.level = level;
        policy.relayhost = vec![nexthop.parse().expect("a scenario writes good next hops")];
        settings.policy = Arc::new(policy);
        settings.tables = Arc::new(Entries::default());
        Self { settings, recorder: Arc::default(), folder }
    }

    /// With a transport table; what it has no entry for goes to the next hop of all.
    #[must_use]
    pub fn routes(mut self, lines: &[&str]) -> Self {
        let mut policy = (*self.settings.policy).clone();
        policy.transport_maps = vec![TableName::new(Entries::NAME)];
        self.settings.policy = Arc::new(policy);
        self.settings.tables = Arc::new(Entries::new(lines));
        self
    }

    /// Starts an engine.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub async fn start(&self) -> Engine {
        let sink = Arc::clone(&self.recorder);
        within(LIMIT, Engine::start(self.settings.clone(), sink)).await.expect("the engine starts")
    }

    /// Submits a message, which must be taken.
    ///
    /// # Panics
    ///
    /// If it is not.
    pub async fn submit(&self, engine: &Engine, from: &str, to: &[&str], text: &str) {
        let reply = self.offer(engine, from, to, text).await;
        assert!(reply.starts_with("250 "), "{reply}");
    }

    /// Submits a message and gives the reply.
    ///
    /// # Panics
    ///
    /// If the intake is not there.
    pub async fn offer(&self, engine: &Engine, from: &str, to: &[&str], text: &str) -> String {
        let talk = async {
            let mut client = Client::connect(engine.addresses()[0]).await?;
            client.submit(from, to, text).await
        };
        within(LIMIT, talk).await.expect("the intake answers")
    }

    /// Where files of the test may be put.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}
