//! What the operator can set of the queue.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use waxseal_dns::Families;
use waxseal_policy::TableName;
use waxseal_types::{Domain, Envelope, Protocol, Service};

use crate::{FeedbackAmount, TransportLimits, levers::Levers};

/// More threads than this would wait for the manager.
const MOST_THREADS: usize = 64;

/// Limits and times of the queue. `Default` is Waxseal's; the comments name the Postfix parameter (postconf(5)).
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our own name, in bounces (`myhostname`).
    pub hostname: String,
    /// First wait after a failed attempt, and the age from which a message may go in clear where TLS failed (`minimal_backoff_time`).
    pub minimal_backoff: Duration,
    /// Longest wait between attempts (`maximal_backoff_time`).
    pub maximal_backoff: Duration,
    /// After this a message expires (`maximal_queue_lifetime`).
    pub maximal_lifetime: Duration,
    /// The same for mail with a null reverse-path (`bounce_queue_lifetime`).
    pub bounce_lifetime: Duration,
    /// Parallel deliveries to one destination (`default_destination_concurrency_limit`).
    pub destination_concurrency_limit: u32,
    /// What a destination begins with (`initial_destination_concurrency`).
    pub initial_destination_concurrency: u32,
    /// The pause between deliveries to one destination, which then go one at a time (`default_destination_rate_delay`); zero is none.
    pub destination_rate_delay: Duration,
    /// Recipients in one transaction (`default_destination_recipient_limit`).
    pub destination_recipient_limit: usize,
    /// How much a delivery opens a destination's window (`default_destination_concurrency_positive_feedback`).
    pub destination_positive_feedback: FeedbackAmount,
    /// How much a failed connection closes it (`default_destination_concurrency_negative_feedback`).
    pub destination_negative_feedback: FeedbackAmount,
    /// Cohorts that fail before a destination is dead; 0 is never (`default_destination_concurrency_failed_cohort_limit`).
    pub destination_failed_cohort_limit: u32,
    /// What transports have instead of all of these (`transport_destination_...`).
    pub transport_limits: BTreeMap<Service, TransportLimits>,
    /// What single destinations may have: tables that are asked for [`crate::destination_keys`], with [`crate::DestinationLimits`] in them.
    pub destination_limits: Vec<TableName>,
    /// What single clients may have: tables that are asked for the client and for `*`, with a [`crate::client_quota`] in them.
    pub client_quotas: Vec<TableName>,
    /// Threads for deliveries, besides the manager's own; `None` is what the machine has to spare.
    pub delivery_threads: Option<usize>,
    /// Deliveries at once, in all.
    pub active_limit: u32,
    /// Addresses tried in one attempt (`smtp_mx_address_limit`); 0 is no limit.
    pub mx_address_limit: usize,
    /// Sessions begun in one attempt (`smtp_mx_session_limit`); 0 is no limit.
    pub mx_session_limit: usize,
    /// Address families (`inet_protocols`).
    pub families: Families,
    /// Default remote port.
    pub port: u16,
    /// Default remote port for LMTP.
    pub lmtp_port: u16,
    /// Whether connections in clear may carry more than one message (`smtp_connection_cache_on_demand`); for TLS the policy says
    /// so (`connection_reuse`).
    pub reuse_clear: bool,
    /// Where this host listens; a next hop that leads there is a loop.
    pub own_endpoints: Vec<SocketAddr>,
    /// How long recipients that failed wait for others of the same message, so that one notification tells of all.
    pub bounce_gather: Duration,
    /// The age from which a sender is told, once, that a recipient still waits (`delay_warning_time`); zero is never.
    pub delay_warning: Duration,
    /// Octets of the original message that a bounce returns at most (`bounce_size_limit`).
    pub bounce_size_limit: usize,
    /// Longest wait for final replies at shutdown.
    pub shutdown_grace: Duration,
    /// The domain of the addresses that bounces come from; `None` is `hostname`.
    pub bounce_domain: Option<Domain>,
    /// How the operators' switches stand at the start.
    pub levers: Levers,
    /// What holds instead for services with settings of their own (master(5)).
    pub services: BTreeMap<Service, Reach>,
}

/// How far a client goes to reach a server: what a service of `master.cf` may have for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// [`Settings::mx_address_limit`].
    pub mx_address_limit: usize,
    /// [`Settings::mx_session_limit`].
    pub mx_session_limit: usize,
    /// [`Settings::families`].
    pub families: Families,
    /// [`Settings::port`], or [`Settings::lmtp_port`].
    pub port: u16,
    /// [`Settings::reuse_clear`].
    pub reuse_clear: bool,
}

impl Settings {
    /// What holds for mail that goes by `service`.
    #[must_use]
    pub fn reach(&self, service: &Service) -> Reach {
        if let Some(own) = service.name().and_then(|_| self.services.get(service)) {
            return *own;
        }
        Reach {
            mx_address_limit: self.mx_address_limit,
            mx_session_limit: self.mx_session_limit,
            families: self.families,
            port: match service.protocol() {
                Protocol::Smtp => self.port,
                Protocol::Lmtp => self.lmtp_port,
            },
            reuse_clear: self.reuse_clear,
        }
    }

    /// What a destination may have that mail goes to by `service`, where no table says otherwise.
    #[must_use]
    pub fn limits(&self, service: &Service) -> TransportLimits {
        self.transport_limits.get(service).copied().unwrap_or_else(|| self.limits_of_all())
    }

    /// The same for transports that have none of their own.
    #[must_use]
    pub const fn limits_of_all(&self) -> TransportLimits {
        TransportLimits {
            concurrency: self.destination_concurrency_limit,
            initial: self.initial_destination_concurrency,
            rate_delay: self.destination_rate_delay,
            recipients: self.destination_recipient_limit,
            positive: self.destination_positive_feedback,
            negative: self.destination_negative_feedback,
            failed_cohorts: self.destination_failed_cohort_limit,
        }
    }

    /// Recipients that a part of a message may have when it is routed. Where a table has a say, its word comes later, and the part is divided when it is
    /// to be delivered.
    #[must_use]
    pub fn recipients_of_part(&self, service: &Service) -> usize {
        if self.destination_limits.is_empty() { self.limits(service).recipients.max(1) } else { usize::MAX }
    }

    /// How many threads deliveries have for themselves. One core is the manager's and a quarter of all, at least one, the intake's; where no more are
    /// there, the manager's thread delivers.
    #[must_use]
    pub fn threads_for_deliveries(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let spare = || cores().saturating_sub(1 + (cores() / 4).max(1));
        self.delivery_threads.unwrap_or_else(spare).min(MOST_THREADS)
    }

    /// How long a message may stay in the queue.
    #[must_use]
    pub const fn lifetime(&self, envelope: &Envelope) -> Duration {
        if envelope.sender.is_some() { self.maximal_lifetime } else { self.bounce_lifetime }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hostname: "localhost".into(),
            minimal_backoff: Duration::from_secs(300),
            maximal_backoff: Duration::from_secs(4000),
            maximal_lifetime: Duration::from_secs(5 * 86_400),
            bounce_lifetime: Duration::from_secs(5 * 86_400),
            destination_concurrency_limit: 20,
            initial_destination_concurrency: 5,
            destination_rate_delay: Duration::ZERO,
            destination_recipient_limit: 50,
            destination_positive_feedback: FeedbackAmount::ONE,
            destination_negative_feedback: FeedbackAmount::ONE,
            destination_failed_cohort_limit: 1,
            transport_limits: BTreeMap::new(),
            destination_limits: Vec::new(),
            client_quotas: Vec::new(),
            delivery_threads: None,
            active_limit: 1000,
            mx_address_limit: 5,
            mx_session_limit: 2,
            families: Families::Both,
            port: 25,
            lmtp_port: 24,
            reuse_clear: true,
            own_endpoints: Vec::new(),
            bounce_gather: Duration::from_secs(60),
            delay_warning: Duration::ZERO,
            bounce_size_limit: 50_000,
            shutdown_grace: Duration::from_secs(60),
            bounce_domain: None,
            levers: Levers::default(),
            services: BTreeMap::new(),
        }
    }
}
