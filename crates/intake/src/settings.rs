//! What the operator decides about the intake.

use std::{net::IpAddr, time::Duration};

use waxseal_smtp::server;

use crate::{Cidr, ListenAddr};

/// Listeners and limits. The defaults are Postfix's, by the names of postconf(5) given at each.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen.
    pub listen: Vec<ListenAddr>,
    /// Clients that may send mail to anywhere (`mynetworks`); who connects to a unix socket may, too.
    pub relay_from: Vec<Cidr>,
    /// Hostname, message size and the other limits of the protocol.
    pub protocol: server::Settings,
    /// How long a client may take for one command, and to take in our replies (`smtpd_timeout`).
    pub timeout: Duration,
    /// Octets a second that buy a client more time while it sends a text (`smtpd_min_data_rate`).
    pub min_data_rate: u64,
    /// How long the answer to one error after the other is held back (`smtpd_error_sleep_time`).
    pub error_delay: Duration,
    /// Connections of one client at a time (`smtpd_client_connection_count_limit`); 0 is no limit. Clients in `relay_from` are exempt
    /// (`smtpd_client_event_limit_exceptions`).
    pub client_connection_limit: usize,
    /// Connections in all (the process limit of Postfix's smtpd, which is 100 there, since a session costs a process).
    pub connection_limit: usize,
    /// Octets of texts in memory, over all sessions, beyond which no further one is begun.
    pub memory_limit: usize,
    /// Whether the traces of messages that come in here are exported.
    pub sample_traces: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            relay_from: Cidr::LOOPBACK.to_vec(),
            protocol: server::Settings::default(),
            timeout: Duration::from_secs(300),
            min_data_rate: 500,
            error_delay: Duration::from_secs(1),
            client_connection_limit: 50,
            connection_limit: 1000,
            memory_limit: 512 << 20,
            sample_traces: true,
        }
    }
}

impl Settings {
    /// Whether this client may send mail to anywhere.
    pub(crate) fn may_relay(&self, address: IpAddr) -> bool {
        self.relay_from.iter().any(|network| network.contains(address))
    }
}
