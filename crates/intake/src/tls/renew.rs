//! Certificates that change while the server runs, and the question whether they may.

use std::sync::atomic::Ordering;

use waxseal_types::{ClientCertificate, Service};

use super::{
    Change, Front,
    identity::{self, Identity},
    kept::First,
    sni,
};
use crate::{Error, Publication, Switch};

/// The copy of those certificates that belong to no entry of a table.
const DEFAULT: &str = "";

impl Front {
    /// The first certificates. What an operator should know of them.
    pub(super) fn begin(&self) -> Result<Option<String>, Error> {
        let read = sni::read(self.settings.files.clone(), &self.provider);
        let copy = self.kept.load(DEFAULT, &identity::files(&self.settings.files));
        match First::choose(read, copy, &self.provider)? {
            First::Files(identity) => self.install(identity).map(|()| None),
            First::Before(identity, why) => {
                self.install(identity)?;
                self.is_kept.store(true, Ordering::Relaxed);
                Ok(Some(format!("the intake goes on with the certificate that it served before: {why}")))
            }
        }
    }

    /// Writes down what is served, for the next start.
    fn keep(&self, chains: &[ClientCertificate]) -> Result<(), String> {
        if self.is_kept.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.kept.store(DEFAULT, &identity::files(&self.settings.files), chains)?;
        self.is_kept.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Has the next switch made without a question.
    pub(crate) fn insist(&self) {
        self.insists.store(true, Ordering::Relaxed);
    }

    /// Whether these chains may take the place of those. `insists` is used up by whoever needs it.
    async fn may_switch(&self, switch: Switch<'_>, insists: bool) -> Result<(), String> {
        match self.neighbours.records.may_switch(switch).await {
            Err(why) if insists => {
                tracing::warn!("the certificate is switched because an operator wants it so, although {why}");
                Ok(())
            }
            allowed => allowed,
        }
    }

    /// Looks whether the files have changed, and switches where that is allowed. Sessions that are there stay as they are.
    pub(crate) async fn refresh(&self, forced: bool) -> Change {
        if forced {
            for notice in self.store.reload() {
                tracing::warn!("{notice}");
            }
        }
        let insists = self.insists.swap(false, Ordering::Relaxed);
        let renewed = match self.renew(insists).await {
            Ok(switched) => self.renew_named(insists).await.map(|also| switched || also),
            Err(trouble) => Err(trouble),
        };
        match renewed {
            Ok(switched) => {
                *self.said.lock() = None;
                self.neighbours.records.settled();
                for notice in self.store.notices() {
                    tracing::warn!("{notice}");
                }
                if switched { Change::Switched } else { Change::None }
            }
            Err(trouble) => {
                let mut said = self.said.lock();
                if said.as_ref() == Some(&trouble) && !forced {
                    return Change::None;
                }
                *said = Some(trouble.clone());
                Change::Trouble(trouble)
            }
        }
    }

    /// Those of the server name maps whose files have changed.
    async fn renew_named(&self, insists: bool) -> Result<bool, String> {
        let (mut switched, mut trouble) = (false, None);
        for changed in self.maps.changed() {
            match self.renew_entry(&changed, insists).await {
                Ok(()) => switched = true,
                // The others need not wait for this one.
                Err(why) => {
                    let names = changed.names.join(", ");
                    trouble.get_or_insert(format!("the intake keeps its certificate for {names}: {why}"));
                }
            }
        }
        trouble.map_or(Ok(switched), Err)
    }

    async fn renew_entry(&self, changed: &sni::Changed, insists: bool) -> Result<(), String> {
        let fresh = changed.read(&self.provider).map_err(|error| error.to_string())?;
        let places: Vec<_> = changed.names.iter().flat_map(|name| self.at_ports(name)).collect();
        let named = self.named_besides(&places, [&changed.identity.chains, &fresh.chains]);
        let (old, new) = (&changed.identity.chains, &fresh.chains);
        self.may_switch(Switch { places: &places, named: &named, old, new }, insists).await?;
        if let Err(trouble) = self.maps.replace(changed, fresh) {
            tracing::warn!("{trouble}");
        }
        Ok(())
    }

    /// Where the names of certificates lead, but for those places.
    fn named_besides(
        &self,
        places: &[(String, u16)],
        chains: [&[ClientCertificate]; 2],
    ) -> Vec<(String, u16)> {
        let mut named: Vec<_> = chains
            .into_iter()
            .flat_map(identity::names)
            .flat_map(|name| self.at_ports(&name))
            .filter(|place| !places.contains(place))
            .collect();
        named.sort();
        named.dedup();
        named
    }

    async fn renew(&self, insists: bool) -> Result<bool, String> {
        let fresh = if self.settings.has_certificate() {
            if let Some(path) = identity::missing(&self.settings.files) {
                return Err(format!("{}: there is no such file; what was served stays", path.display()));
            }
            let chains = self.store.client(&Service::SMTP).map_err(|error| error.to_string())?;
            if chains.is_empty() {
                return Err("no certificate of the intake can be read; the one that was served stays".into());
            }
            chains.to_vec()
        } else if self.is_ready() {
            return Ok(false);
        } else {
            return self.make_own().await;
        };
        let old = self.offer.read().clone();
        let served: &[ClientCertificate] = old.as_ref().map_or(&[], |offer| &offer.identity.chains);
        if served == fresh {
            return self.keep(served).map(|()| false);
        }
        for path in identity::key_files(&self.settings.files) {
            if let Some(warning) = identity::check_permissions(path).map_err(|error| error.to_string())? {
                tracing::warn!("{warning}");
            }
        }
        let places = self.own_places();
        let named = self.named_besides(&places, [served, &fresh]);
        let switch = Switch { places: &places, named: &named, old: served, new: &fresh };
        let allowed = self.may_switch(switch, insists).await;
        allowed.map_err(|why| format!("the intake keeps its certificate: {why}"))?;
        let identity = Identity::new(fresh, &self.provider).map_err(|error| error.to_string())?;
        self.is_kept.store(false, Ordering::Relaxed);
        if let Err(trouble) = self.keep(&identity.chains) {
            // It is tried again at the next look.
            tracing::warn!("{trouble}");
        }
        self.install(identity).map_err(|error| error.to_string())?;
        Ok(true)
    }

    /// RFC 7672 §2.2: where TLSA records stand, a certificate that fits none of them is worse than no STARTTLS, and so would a wrong
    /// guess be: while nobody knows whether there are any, none is offered.
    async fn make_own(&self) -> Result<bool, String> {
        let Some(folder) = &self.settings.own_folder else {
            return Err("the intake has no certificate, and no folder for one of its own".into());
        };
        for (name, port) in &self.own_places() {
            let why = match self.neighbours.records.published(name, *port).await {
                Publication::None => continue,
                Publication::Some => format!("has TLSA records at port {port}"),
                Publication::Unknown(why) => format!("may have TLSA records at port {port} ({why})"),
            };
            return Err(format!(
                "no STARTTLS is offered: there is no certificate, and {name} {why}; set listen_tls.chain_files"
            ));
        }
        let path = identity::self_signed(folder, &self.hostname).map_err(|error| error.to_string())?;
        let files = waxseal_trust::StoreSettings { chain_files: vec![path.clone()], ..Default::default() };
        let identity = sni::read(files, &self.provider).map_err(|error| error.to_string())?;
        self.install(identity).map_err(|error| error.to_string())?;
        tracing::warn!(
            "no certificate is configured: {} is shown, which is self-signed. Mail to us is encrypted against those who only listen; \
             no client can tell this server from another one. Set listen_tls.chain_files",
            path.display()
        );
        Ok(true)
    }
}
