//! Which certificate a server shows.

use std::{net::SocketAddr, sync::Arc};

use waxseal_config::Config;
use waxseal_dns::{Families, Resolver};
use waxseal_rollover::{Answer, Error, Place, Probe};
use waxseal_transport::{Connector, Endpoint, OpenRequest, TlsUse};
use waxseal_types::{Lookup, Service, TlsShape};

/// RFC 8314 §3.3: TLS from the first octet on.
const SUBMISSIONS: u16 = 465;
/// Suites of TLS 1.2 that name the kind of the key: a server with two certificates shows each of them.
const ECDSA: [u16; 3] = [0xC02B, 0xC02C, 0xCCA9];
const RSA: [u16; 3] = [0xC02F, 0xC030, 0xCCA8];
const TLS13: [u16; 3] = [0x1301, 0x1302, 0x1303];

/// Calls servers as mail does.
pub(super) struct Caller {
    connector: Connector,
    resolver: Resolver,
    families: Families,
}

impl Caller {
    pub(super) fn new(config: &Config, resolver: Resolver) -> Result<Self, Error> {
        // It is our own server that is called: its name is no mail loop, at whatever port. Nobody connects to port 0.
        let settings = waxseal_transport::Settings { loop_port: 0, ..config.transport.clone() };
        let connector = Connector::new(settings).map_err(|error| Error::Wrong(error.to_string()))?;
        Ok(Self { connector, resolver, families: config.queue.families })
    }

    async fn look(&self, place: &Place, leaf: &[u8]) -> Result<(), Error> {
        let unknown = |error: &dyn std::fmt::Display| Error::Unknown(error.to_string());
        let answer =
            self.resolver.addresses(&place.name, self.families).await.map_err(|error| unknown(&error))?;
        let Lookup::Found(addresses) = answer.lookup else {
            return Err(unknown(&format!("{} has no address", place.name)));
        };
        for address in addresses {
            let address = SocketAddr::new(address, place.port);
            let mut shown = Vec::new();
            let mut last = None;
            for (tls12, suites) in [(false, TLS13), (true, ECDSA), (true, RSA)] {
                match self.leaf(place, address, (tls12, &suites)).await {
                    Ok(leaf) => shown.push(leaf),
                    Err(error) => last = Some(error),
                }
            }
            if shown.iter().any(|one| one == leaf) {
                continue;
            }
            return Err(match last.filter(|_| shown.is_empty()) {
                Some(why) => unknown(&format!("{address} cannot be asked for its certificate: {why}")),
                None => unknown(&format!(
                    "the next certificate is installed, and {address} still shows another one"
                )),
            });
        }
        Ok(())
    }

    /// The certificate of one handshake.
    async fn leaf(
        &self,
        place: &Place,
        address: SocketAddr,
        kind: (bool, &[u16]),
    ) -> Result<Vec<u8>, String> {
        let (tls12, suites) = kind;
        let shape = TlsShape {
            sni: Some(place.name.clone()),
            tls12,
            tls13: !tls12,
            suites: suites.into(),
            client: Arc::default(),
        };
        let tls = if place.port == SUBMISSIONS { TlsUse::Implicit(shape) } else { TlsUse::Required(shape) };
        let request = OpenRequest {
            endpoint: Endpoint::Inet(address),
            host: Some(place.name.clone()),
            service: Service::SMTP,
            tls,
            reuse: false,
            resume: false,
        };
        let opened = self.connector.open(&request).await.map_err(|error| error.cause.to_string())?;
        let leaf = opened.report.facts().and_then(|facts| facts.chain.first().cloned());
        opened.session.quit().await;
        leaf.ok_or_else(|| "it showed no certificate".to_owned())
    }
}

impl Probe for Caller {
    fn shows<'a>(&'a self, place: &'a Place, leaf: &'a [u8]) -> Answer<'a, Result<(), Error>> {
        Box::pin(self.look(place, leaf))
    }
}
