//! One delivery, without a queue.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use waxseal_dns::{DnssecMode, Resolver};
use waxseal_policy::TableName;
use waxseal_queue::{Account, AccountStep, Destination, Direct, Order, Outcome, Plan, Settings, drive};
use waxseal_testbed::within;
use waxseal_transport::Connector;
use waxseal_trust::Store;
use waxseal_types::{Service, TlsLevel};

use crate::{Entries, LIMIT, Letter};

/// Where letters are delivered one by one, under one configuration.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Of the plan.
    pub queue: Settings,
    /// Of policies.
    pub policy: waxseal_policy::Settings,
    /// Of connections.
    pub transport: waxseal_transport::Settings,
    /// Of lookups.
    pub dns: waxseal_dns::Settings,
    /// Of trust stores.
    pub trust: waxseal_trust::Settings,
    /// The policy table.
    pub table: Entries,
}

impl Lane {
    /// With this level for all destinations.
    #[must_use]
    pub fn at(level: TlsLevel) -> Self {
        let mut policy = waxseal_policy::Settings::default();
        policy.smtp.level = level;
        policy.lmtp.level = level;
        let queue = Settings { hostname: "client.test".into(), ..Settings::default() };
        let transport = waxseal_transport::Settings { helo_name: "client.test".into(), ..Default::default() };
        // Nobody listens there: scenarios without names need no resolver.
        let dns = waxseal_dns::Settings {
            servers: vec![SocketAddr::from(([127, 0, 0, 1], 9))],
            dnssec: DnssecMode::Off,
            ..Default::default()
        };
        Self {
            queue,
            policy,
            transport,
            dns,
            trust: waxseal_trust::Settings::default(),
            table: Entries::default(),
        }
    }

    /// With a policy table.
    #[must_use]
    pub fn policies(mut self, lines: &[&str]) -> Self {
        self.table = Entries::new(lines);
        self.policy.smtp.policy_maps = vec![TableName::new(Entries::NAME)];
        self
    }

    /// With this resolver, whose AD bit is believed, and this port for all hosts.
    #[must_use]
    pub fn names(mut self, resolver: SocketAddr, port: u16) -> Self {
        self.dns.servers = vec![resolver];
        self.dns.dnssec = DnssecMode::TrustAd;
        self.queue.port = port;
        self
    }

    /// With every reply awaited no longer than this.
    #[must_use]
    pub fn patience(mut self, limit: Duration) -> Self {
        let settings = &mut self.transport;
        for timeout in [
            &mut settings.helo_timeout,
            &mut settings.starttls_timeout,
            &mut settings.mail_timeout,
            &mut settings.rcpt_timeout,
            &mut settings.data_init_timeout,
            &mut settings.data_done_timeout,
        ] {
            *timeout = limit;
        }
        self
    }

    /// The services, to be used for several letters.
    ///
    /// # Panics
    ///
    /// If the settings are unusable.
    #[must_use]
    pub fn services(&self) -> Direct {
        Direct {
            resolver: Resolver::new(self.dns.clone()).expect("a resolver"),
            policy: Arc::new(self.policy.clone()),
            tables: Arc::new(self.table.clone()),
            store: Arc::new(Store::open(self.trust.clone()).expect("a store").0),
            connector: Connector::new(self.transport.clone()).expect("a connector"),
        }
    }

    /// Delivers to the first next hop, or else to the others in turn.
    ///
    /// # Panics
    ///
    /// If it does not come to an end, or leaves a recipient without a result.
    pub async fn deliver(&self, letter: &Letter, nexthops: &[&str]) -> Account {
        self.deliver_with(&self.services(), letter, nexthops).await
    }

    /// The same with services that have been used before.
    ///
    /// # Panics
    ///
    /// As [`Lane::deliver`].
    pub async fn deliver_with(&self, services: &Direct, letter: &Letter, nexthops: &[&str]) -> Account {
        let mut hops = nexthops.iter().map(|hop| hop.parse().expect("a scenario writes good next hops"));
        let nexthop = hops.next().expect("somewhere to go");
        let recipients = letter.envelope.recipients.len();
        let order = Order {
            destination: Destination { service: Service::SMTP, nexthop },
            alternatives: hops.collect(),
            envelope: Arc::new(letter.envelope.clone()),
            recipients: (0..recipients).collect(),
            body: letter.text.clone().into(),
            attempt: 1,
            seed: 1,
            rehearsal: false,
        };
        let now = letter.envelope.arrived + letter.age;
        let plan = Plan::new(Arc::new(self.queue.clone()), order, now);
        let (account, _) = within(LIMIT, drive(plan, services, || now)).await;
        let mut settled: Vec<usize> = account.results.iter().map(|result| result.index).collect();
        settled.sort_unstable();
        assert!(
            settled.into_iter().eq(0..recipients),
            "not one result for each recipient: {:?}",
            account.results
        );
        *account
    }
}

/// Whether every recipient was delivered.
#[must_use]
pub fn delivered(account: &Account) -> bool {
    account.results.iter().all(|result| matches!(result.outcome, Outcome::Delivered { .. }))
}

/// The status code, if every recipient was deferred with the same.
///
/// # Panics
///
/// If one was not.
#[must_use]
pub fn deferred(account: &Account) -> String {
    same(account, |outcome| matches!(outcome, Outcome::Deferred(_)), "deferred")
}

/// The status code, if every recipient was bounced with the same.
///
/// # Panics
///
/// If one was not.
#[must_use]
pub fn bounced(account: &Account) -> String {
    same(account, |outcome| matches!(outcome, Outcome::Bounced(_)), "bounced")
}

fn same(account: &Account, wanted: impl Fn(&Outcome) -> bool, word: &str) -> String {
    let steps: Vec<&AccountStep> = account.steps.iter().collect();
    let status = |outcome: &Outcome| outcome.failure().map(|failure| failure.status.to_string());
    let mut codes: Vec<String> =
        account.results.iter().filter_map(|result| status(&result.outcome)).collect();
    codes.dedup();
    let all = account.results.iter().all(|result| wanted(&result.outcome));
    assert!(all && codes.len() == 1, "not all {word} alike: {:#?}\n{steps:#?}", account.results);
    codes.remove(0)
}
