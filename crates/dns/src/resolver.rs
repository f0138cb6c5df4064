use std::{net::IpAddr, sync::Arc};

use waxseal_types::{DnsAnswer, DnsFailure, DnsFailureKind, Domain, MxHost, RecordKind, Tlsa};

use crate::{Error, Families, Settings};

/// Security-aware lookups. Cheap to clone; all clones share the cache. `Send + Sync`, and at home on any tokio runtime.
#[derive(Debug, Clone)]
pub struct Resolver {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    notices: Vec<String>,
}

impl Resolver {
    /// Takes the settings, reads `/etc/resolv.conf` and the trust anchor where they are asked for. Asks no question yet.
    ///
    /// # Errors
    /// [`Error`] names the file or the setting that is wrong.
    pub fn new(_settings: Settings) -> Result<Self, Error> {
        Ok(Self { shared: Arc::new(Shared { notices: Vec::new() }) })
    }

    /// The mail exchangers of `domain`.
    ///
    /// # Errors
    /// [`DnsFailure`] when there is no answer.
    pub async fn mx(&self, domain: &Domain) -> Result<DnsAnswer<Vec<MxHost>>, DnsFailure> {
        Err(unavailable(domain, RecordKind::Mx))
    }

    /// The addresses of `host`.
    ///
    /// # Errors
    /// [`DnsFailure`] when there is no answer.
    pub async fn addresses(
        &self,
        host: &Domain,
        _families: Families,
    ) -> Result<DnsAnswer<Vec<IpAddr>>, DnsFailure> {
        Err(unavailable(host, RecordKind::A))
    }

    /// The TLSA records of `base` for `port`.
    ///
    /// # Errors
    /// [`DnsFailure`] when there is no answer.
    pub async fn tlsa(&self, base: &Domain, _port: u16) -> Result<DnsAnswer<Vec<Tlsa>>, DnsFailure> {
        Err(unavailable(base, RecordKind::Tlsa))
    }

    /// The alias record of `name` itself.
    ///
    /// # Errors
    /// [`DnsFailure`] when there is no answer.
    pub async fn cname(&self, name: &Domain) -> Result<DnsAnswer<Domain>, DnsFailure> {
        Err(unavailable(name, RecordKind::Cname))
    }

    /// What the operator should know of the settings, a sentence each.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        self.shared.notices.clone()
    }
}

fn unavailable(name: &Domain, kind: RecordKind) -> DnsFailure {
    DnsFailure { name: name.to_string(), kind, failure: DnsFailureKind::Unavailable, detail: "not built yet".into() }
}
