//! Who is at the other end, and how many of them there are.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;
use waxseal_smtp::server::Refusal;

use crate::{Settings, rates::Network};

/// One client.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// `name[address]`, for envelopes and logs.
    pub(crate) label: Arc<str>,
    /// The same for the comment in `Received:` (RFC 5321 §4.4: `TCP-info`).
    pub(crate) comment: Arc<str>,
    /// Whether it is in `relay_from`, or came by a unix socket.
    pub(crate) is_ours: bool,
    /// Whether it may say which trace its messages belong to.
    pub(crate) may_trace: bool,
    /// What it is counted as; `None` is a process on this machine.
    pub(crate) network: Option<Network>,
}

impl Client {
    /// A client on the network. Its name is not looked up: nothing is decided by it, and it would delay the greeting.
    pub(crate) fn inet(address: IpAddr, settings: &Settings) -> Self {
        let address = address.to_canonical();
        let tag = if address.is_ipv6() { "IPv6:" } else { "" };
        Self {
            label: format!("unknown[{address}]").into(),
            comment: format!("unknown [{tag}{address}]").into(),
            is_ours: settings.is_ours(address),
            may_trace: settings.may_trace(address),
            network: Some(Network::of(address, settings.rates.ipv6_prefix)),
        }
    }

    /// A process on this machine: the file system decided that it may.
    pub(crate) fn local(uid: Option<u32>) -> Self {
        let label: Arc<str> = uid.map_or_else(|| "local".into(), |uid| format!("local[uid {uid}]").into());
        Self { comment: Arc::clone(&label), label, is_ours: true, may_trace: true, network: None }
    }

    /// What it is counted as where limits hold for it (postconf(5), smtpd_client_event_limit_exceptions).
    pub(crate) fn limited(&self) -> Option<Network> {
        self.network.filter(|_| !self.is_ours)
    }
}

/// Counts connections. Shared by all threads.
#[derive(Debug)]
pub(crate) struct Clients {
    total: watch::Sender<usize>,
    by_network: Mutex<HashMap<Network, usize>>,
}

/// One counted connection; dropping it uncounts it.
#[derive(Debug)]
pub(crate) struct Admission {
    clients: Arc<Clients>,
    network: Option<Network>,
}

/// The share of all connections, in tenths, from which on clients have less time, and which only clients of ours may go beyond.
const STRESS: usize = 9;

impl Clients {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { total: watch::Sender::new(0), by_network: Mutex::default() })
    }

    /// Lets a client in, or says why not.
    pub(crate) fn admit(
        self: &Arc<Self>,
        client: &Client,
        settings: &Settings,
    ) -> Result<Admission, Refusal> {
        let network = client.limited().filter(|_| settings.client_connection_limit > 0);
        if let Some(network) = network {
            let mut counts = self.counts();
            let count = counts.entry(network).or_insert(0);
            if *count >= settings.client_connection_limit {
                return Err(Refusal::TOO_MANY_CONNECTIONS);
            }
            *count += 1;
        }
        let mut total = 0;
        self.total.send_modify(|count| {
            *count += 1;
            total = *count;
        });
        let admission = Admission { clients: Arc::clone(self), network };
        // However many strangers come, there is room for the mail that this server is for.
        let limit = if client.is_ours { settings.connection_limit } else { crowded(settings) };
        if total > limit { Err(Refusal::TOO_BUSY) } else { Ok(admission) }
    }

    /// Whether so many are connected that each has less time (postconf(5), STRESS_README: the server ports are all busy).
    pub(crate) fn is_stressed(&self, settings: &Settings) -> bool {
        self.count() >= crowded(settings)
    }

    /// Resolves when nobody is connected.
    pub(crate) async fn gone(&self) {
        // The sender lives as long as `self`.
        let _ = self.total.subscribe().wait_for(|count| *count == 0).await;
    }

    pub(crate) fn count(&self) -> usize {
        *self.total.borrow()
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Network, usize>> {
        // The map is whole between any two statements.
        self.by_network.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// At least one connection short of the limit, where that is not a limit of one.
fn crowded(settings: &Settings) -> usize {
    (settings.connection_limit.saturating_mul(STRESS) / 10).max(1)
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(network) = self.network {
            let mut counts = self.clients.counts();
            if let Some(count) = counts.get_mut(&network) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&network);
                }
            }
        }
        self.clients.total.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(client_connection_limit: usize, connection_limit: usize) -> Settings {
        Settings { client_connection_limit, connection_limit, ..Settings::default() }
    }

    #[test]
    fn a_stranger_has_few_connections_and_a_relay_client_many() {
        let (clients, settings) = (Clients::new(), settings(2, 100));
        let stranger = Client::inet("192.0.2.1".parse().unwrap(), &settings);
        let first = clients.admit(&stranger, &settings).unwrap();
        let _second = clients.admit(&stranger, &settings).unwrap();
        assert_eq!(clients.admit(&stranger, &settings).unwrap_err(), Refusal::TOO_MANY_CONNECTIONS);
        let other = Client::inet("192.0.2.2".parse().unwrap(), &settings);
        let _other = clients.admit(&other, &settings).unwrap();
        drop(first);
        let _again = clients.admit(&stranger, &settings).unwrap();
        let ours = Client::inet("::ffff:127.0.0.1".parse().unwrap(), &settings);
        let many: Vec<_> = (0..40).map(|_| clients.admit(&ours, &settings).unwrap()).collect();
        assert_eq!(clients.count(), 43);
        drop(many);
        assert_eq!(clients.count(), 3);
    }

    #[test]
    fn the_total_is_limited_and_refused_clients_do_not_count() {
        let (clients, settings) = (Clients::new(), settings(50, 1));
        let ours = Client::local(Some(0));
        let first = clients.admit(&ours, &settings).unwrap();
        assert_eq!(clients.admit(&ours, &settings).unwrap_err(), Refusal::TOO_BUSY);
        assert_eq!(clients.count(), 1);
        drop(first);
        assert!(clients.admit(&ours, &settings).is_ok());
        assert_eq!(clients.count(), 0);
        assert!(clients.counts().is_empty());
    }

    #[test]
    fn labels_name_the_address() {
        let settings = Settings::default();
        let label = |text: &str| {
            let client = Client::inet(text.parse().unwrap(), &settings);
            (client.label.to_string(), client.comment.to_string(), client.is_ours)
        };
        assert_eq!(label("127.0.0.1"), ("unknown[127.0.0.1]".into(), "unknown [127.0.0.1]".into(), true));
        assert_eq!(
            label("2001:db8::1"),
            ("unknown[2001:db8::1]".into(), "unknown [IPv6:2001:db8::1]".into(), false)
        );
        assert_eq!(&*Client::local(Some(7)).label, "local[uid 7]");
    }
}
