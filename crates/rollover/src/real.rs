//! The world as it is.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use waxseal_dns::{TlsaUpdate, TsigKey, UpdateError};

use crate::{
    Answer, Change, Error, Folder, Lookups, Moment, Place, Publisher, RecordSet, Rollover, Sight, World,
    command, keep::read_text, key,
};

/// Calls a server, to see the certificate that it shows.
pub trait Probe {
    /// Whether it is this one, at each address of the place. The error is what is shown instead, or why nobody knows.
    fn shows<'a>(&'a self, place: &'a Place, leaf: &'a [u8]) -> Answer<'a, Result<(), Error>>;
}

/// Real servers, files and commands.
pub struct Real<'a> {
    folder: &'a Folder,
    lookups: Lookups,
    publisher: Publisher,
    probe: Box<dyn Probe + 'a>,
}

impl std::fmt::Debug for Real<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Real").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl<'a> Real<'a> {
    /// With the files of `folder`.
    #[must_use]
    pub fn new(
        folder: &'a Folder,
        lookups: Lookups,
        publisher: Publisher,
        probe: Box<dyn Probe + 'a>,
    ) -> Self {
        Self { folder, lookups, publisher, probe }
    }

    async fn update(&self, change: &Change, key_file: &Path, server: Option<&str>) -> Result<(), Error> {
        let key = read_key(key_file)?;
        let failed = |error: UpdateError| Error::Publish(error.to_string());
        let Some((owner, zone)) = self.lookups.end(&change.place).await? else {
            return Err(Error::Publish(format!("there is no zone for {}", change.place)));
        };
        let authorities = self.lookups.authorities();
        let address = match server {
            Some(server) => address(server)?,
            None => authorities.primary(&zone).await.map_err(failed)?,
        };
        let primary = waxseal_dns::NameServer { name: zone.primary.clone(), address };
        let unknown = |error: waxseal_types::DnsFailure| Error::Unknown(error.to_string());
        let there = authorities.tlsa(&primary, &owner).await.map_err(unknown)?;
        let before = RecordSet::new(there.records);
        let after = before.with(&change.add).without(&change.remove);
        if after == before {
            return Ok(());
        }
        let list = |set: &RecordSet| set.as_slice().to_vec();
        let (before, after) = (list(&before), list(&after));
        let update = TlsaUpdate { zone: zone.apex, owner, before, after, ttl: change.ttl };
        authorities.update(address, &key, &update).await.map_err(failed)
    }
}

/// Reads a TSIG key, and refuses one that everybody may read.
///
/// # Errors
/// [`Error::File`].
pub fn read_key(path: &Path) -> Result<TsigKey, Error> {
    use std::os::unix::fs::PermissionsExt as _;
    let known = std::fs::metadata(path).map_err(|error| Error::file(path, error))?;
    if known.permissions().mode() & 0o007 != 0 {
        return Err(Error::file(path, "everybody can get at this key; chmod 640 it, and replace the key"));
    }
    let text = read_text(path).map_err(|error| Error::file(path, error))?;
    TsigKey::parse(&text).map_err(|error| Error::file(path, error))
}

/// An address with a port, or without, which is 53.
///
/// # Errors
/// [`Error::Wrong`].
pub fn address(text: &str) -> Result<SocketAddr, Error> {
    let bare = |text: &str| text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    let parsed = text.parse().or_else(|_| bare(text));
    parsed.map_err(|_| {
        Error::Wrong(format!("{text:?} is no address of a name server; 192.0.2.1 or 192.0.2.1:53"))
    })
}

impl World for Real<'_> {
    fn now(&self) -> Moment {
        Moment::now()
    }

    fn look<'a>(&'a self, place: &'a Place) -> Answer<'a, Result<Sight, Error>> {
        Box::pin(self.lookups.look(place))
    }

    fn publish<'a>(&'a self, change: &'a Change) -> Answer<'a, Result<(), Error>> {
        Box::pin(async move {
            match &self.publisher {
                Publisher::Hand => Ok(()),
                Publisher::Update { key_file, server } => {
                    self.update(change, key_file, server.as_deref()).await
                }
                Publisher::Hook(argv) => command::run("the hook", argv, &command::environment(change)?).await,
            }
        })
    }

    fn next_chain(&self, rollover: &Rollover) -> Result<Vec<Vec<u8>>, Error> {
        match &rollover.awaits {
            Some(awaited) => key::complete(self.folder, awaited),
            None => key::read_chain(&self.folder.next_file(), None),
        }
    }

    fn current_chain(&self, rollover: &Rollover) -> Result<Vec<Vec<u8>>, Error> {
        key::read_chain(&rollover.target.file, rollover.target.key_file.as_deref())
    }

    fn install(&self, rollover: &Rollover) -> Result<(), Error> {
        key::install(self.folder, &rollover.target)
    }

    fn deploy<'a>(&'a self, rollover: &'a Rollover) -> Answer<'a, Result<(), Error>> {
        Box::pin(command::run("the deploy command", &rollover.deploy, &[]))
    }

    fn shows<'a>(&'a self, place: &'a Place, leaf: &'a [u8]) -> Answer<'a, Result<(), Error>> {
        self.probe.shows(place, leaf)
    }

    fn save(&self, rollover: &Rollover) -> Result<(), Error> {
        self.folder.save(rollover)
    }
}
