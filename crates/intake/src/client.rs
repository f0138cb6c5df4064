//! Who is at the other end, and how many of them there are.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;
use waxseal_smtp::server::Refusal;

use crate::Settings;

/// One client.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// `name[address]`, for envelopes and logs.
    pub(crate) label: Arc<str>,
    /// The same for the comment in `Received:` (RFC 5321 §4.4: `TCP-info`).
    pub(crate) comment: Arc<str>,
    /// Whether it may send mail to anywhere.
    pub(crate) may_relay: bool,
    address: Option<IpAddr>,
}

impl Client {
    /// A client on the network. Its name is not looked up: nothing is decided by it, and it would delay the greeting.
    pub(crate) fn inet(address: IpAddr, settings: &Settings) -> Self {
        let address = address.to_canonical();
        let tag = if address.is_ipv6() { "IPv6:" } else { "" };
        Self {
            label: format!("unknown[{address}]").into(),
            comment: format!("unknown [{tag}{address}]").into(),
            may_relay: settings.may_relay(address),
            address: Some(address),
        }
    }

    /// A process on this machine: the file system decided that it may.
    pub(crate) fn local(uid: Option<u32>) -> Self {
        let label: Arc<str> = uid.map_or_else(|| "local".into(), |uid| format!("local[uid {uid}]").into());
        Self { comment: Arc::clone(&label), label, may_relay: true, address: None }
    }
}

/// Counts connections. Shared by all threads.
#[derive(Debug)]
pub(crate) struct Clients {
    total: watch::Sender<usize>,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// One counted connection; dropping it uncounts it.
#[derive(Debug)]
pub(crate) struct Admission {
    clients: Arc<Clients>,
    address: Option<IpAddr>,
}

impl Clients {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { total: watch::Sender::new(0), by_address: Mutex::default() })
    }

    /// Lets a client in, or says why not.
    pub(crate) fn admit(
        self: &Arc<Self>,
        client: &Client,
        settings: &Settings,
    ) -> Result<Admission, Refusal> {
        // postconf(5) smtpd_client_event_limit_exceptions.
        let address = client.address.filter(|_| !client.may_relay && settings.client_connection_limit > 0);
        if let Some(address) = address {
            let mut counts = self.counts();
            let count = counts.entry(address).or_insert(0);
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
        let admission = Admission { clients: Arc::clone(self), address };
        if total > settings.connection_limit { Err(Refusal::TOO_BUSY) } else { Ok(admission) }
    }

    /// Resolves when nobody is connected.
    pub(crate) async fn gone(&self) {
        // The sender lives as long as `self`.
        let _ = self.total.subscribe().wait_for(|count| *count == 0).await;
    }

    pub(crate) fn count(&self) -> usize {
        *self.total.borrow()
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // The map is whole between any two statements.
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            let mut counts = self.clients.counts();
            if let Some(count) = counts.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&address);
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
            (client.label.to_string(), client.comment.to_string(), client.may_relay)
        };
        assert_eq!(label("127.0.0.1"), ("unknown[127.0.0.1]".into(), "unknown [127.0.0.1]".into(), true));
        assert_eq!(
            label("2001:db8::1"),
            ("unknown[2001:db8::1]".into(), "unknown [IPv6:2001:db8::1]".into(), false)
        );
        assert_eq!(&*Client::local(Some(7)).label, "local[uid 7]");
    }
}
