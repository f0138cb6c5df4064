//! What the command line asks for.

use std::{path::PathBuf, time::Duration};

use waxseal_config::Config;
use waxseal_rollover::{
    Error, NewKey, Patience, Place, Publisher, Route, Source, Target, Wish, address, check_ready, read_chain,
    read_key,
};
use waxseal_types::Domain;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Ecdsa,
    Rsa,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    /// 3 1 1 of the current key and of the next one.
    CurrentNext,
    /// 3 1 1 of the key and 2 1 1 of an issuer that stays.
    StableIssuer,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("next").required(true).args(["new_key", "certificate"]))]
pub(super) struct Options {
    /// A name and port at which the certificate is served: every MX host name and every name that clients ask for. Default: hostname and
    /// listen_tls.tlsa_names of the configuration.
    #[arg(long = "name", value_name = "NAME[:PORT]")]
    names: Vec<Place>,
    /// The chain file that is served, and will be replaced; the key stands in it, unless --install-key names another file. Default: the only one
    /// of listen_tls.chain_files.
    #[arg(long, value_name = "FILE")]
    install: Option<PathBuf>,
    /// The key's own file.
    #[arg(long, value_name = "FILE", requires = "install")]
    install_key: Option<PathBuf>,
    /// Makes the next key. Its certificate is signed by itself, which is enough for 3 1 1, unless one is awaited.
    #[arg(long, value_name = "KIND")]
    new_key: Option<Kind>,
    /// With --new-key: waits until a certificate for it appears in this file; a request for it is made.
    #[arg(long, value_name = "FILE", requires = "new_key")]
    await_certificate: Option<PathBuf>,
    /// Takes this certificate, with its chain behind it. For the key that is served already nothing has to be published.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Its key, where that is not in the same file.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Which records carry clients over.
    #[arg(long, value_name = "ROUTE", default_value = "current-next")]
    route: Way,
    /// Changes the zone by RFC 2136, with the TSIG key in this file (as tsig-keygen writes it).
    #[arg(long, value_name = "FILE", conflicts_with = "hook")]
    nsupdate_key: Option<PathBuf>,
    /// Where updates go; default is the primary server in the zone's SOA record.
    #[arg(long, value_name = "ADDRESS[:PORT]", requires = "nsupdate_key")]
    nsupdate_server: Option<String>,
    /// Changes the zone by this program, which finds what to do in TLSA_OWNER, TLSA_TTL, TLSA_ADD, TLSA_REMOVE and TLSA_SET. Without
    /// it and --nsupdate-key you are told what to publish.
    #[arg(long, value_name = "PROGRAM")]
    hook: Option<String>,
    /// An argument of it; again for each.
    #[arg(long, value_name = "ARGUMENT", requires = "hook", allow_hyphen_values = true)]
    hook_arg: Vec<String>,
    /// A program that makes the server take the certificate. Waxseal's intake needs none.
    #[arg(long, value_name = "PROGRAM")]
    deploy: Option<String>,
    /// An argument of it; again for each.
    #[arg(long, value_name = "ARGUMENT", requires = "deploy", allow_hyphen_values = true)]
    deploy_arg: Vec<String>,
    /// The TTL of what is published. Default: that of the records that are there, or 3600.
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u32>,
    /// Waits for TTLs only, and not until the signatures over the old records have expired as well. No cache that keeps to the standards holds
    /// anything longer; resolvers that serve stale answers, and whoever replays them, can.
    #[arg(long)]
    ttl_only: bool,
    /// Does not call the server after the switch to see the new certificate there: for servers that cannot be reached from here.
    #[arg(long)]
    no_probe: bool,
}

impl Options {
    pub(super) const fn makes_a_key(&self) -> bool {
        self.new_key.is_some()
    }

    pub(super) const fn wants_a_request(&self) -> bool {
        self.await_certificate.is_some()
    }

    /// Where the next key comes from.
    pub(super) fn source(&self) -> Result<Source, Error> {
        let kind = self.new_key.map(|kind| match kind {
            Kind::Ecdsa => NewKey::Ecdsa,
            Kind::Rsa => NewKey::Rsa,
        });
        match (kind, &self.await_certificate, &self.certificate) {
            (Some(kind), None, _) => Ok(Source::Make(kind)),
            (Some(kind), Some(awaited), _) => Ok(Source::Request(kind, awaited.clone())),
            (None, _, Some(chain)) => Ok(Source::Given { chain: chain.clone(), key: self.key.clone() }),
            (None, _, None) => Err(Error::Wrong("name --new-key or --certificate".into())),
        }
    }

    pub(super) fn wish(&self, config: &Config) -> Result<Wish, Error> {
        let target = self.target(config)?;
        check_ready(&target, self.hook.iter().chain(&self.deploy).map(String::as_str))?;
        let route = match self.route {
            Way::CurrentNext => Route::CurrentNext,
            Way::StableIssuer => Route::StableIssuer,
        };
        if route == Route::StableIssuer && self.makes_a_key() {
            let why = "stable-issuer needs the next certificate with its issuer: name --certificate";
            return Err(Error::Wrong(why.into()));
        }
        let command = |program: &Option<String>, arguments: &[String]| -> Vec<String> {
            program.iter().chain(arguments.iter().filter(|_| program.is_some())).cloned().collect()
        };
        Ok(Wish {
            route,
            places: self.places(config)?,
            beside: self.beside(config, &target)?,
            target,
            deploy: command(&self.deploy, &self.deploy_arg),
            publisher: self.publisher()?,
            ttl: self.ttl.map(|secs| Duration::from_secs(u64::from(secs))),
            patience: if self.ttl_only { Patience::Ttl } else { Patience::Signatures },
            probe: !self.no_probe,
            awaits: self.await_certificate.clone(),
        })
    }

    fn places(&self, config: &Config) -> Result<Vec<Place>, Error> {
        let mut places = self.names.clone();
        if places.is_empty() {
            let named = config.intake.tls.tlsa_places.iter();
            for (name, port) in named {
                places.push(Place::new(domain(name)?, *port));
            }
            places.push(config.intake.protocol.hostname.parse().map_err(Error::Wrong)?);
        }
        places.sort();
        places.dedup();
        Ok(places)
    }

    fn target(&self, config: &Config) -> Result<Target, Error> {
        let absolute = |path: &PathBuf| {
            std::path::absolute(path)
                .map_err(|error| Error::File { path: path.clone(), problem: error.to_string() })
        };
        let file = match (&self.install, config.intake.tls.files.chain_files.as_slice()) {
            (Some(file), _) | (None, [file]) => absolute(file)?,
            (None, several) => {
                let number = several.len();
                let why = format!(
                    "listen_tls.chain_files names {number} files; name the one to be replaced with --install"
                );
                return Err(Error::Wrong(why));
            }
        };
        Ok(Target { file, key_file: self.install_key.as_ref().map(absolute).transpose()? })
    }

    /// The other chains of the configuration.
    fn beside(&self, config: &Config, target: &Target) -> Result<Vec<Vec<Vec<u8>>>, Error> {
        let files = config.intake.tls.files.chain_files.iter();
        let others = files.filter(|file| std::path::absolute(file).is_ok_and(|file| file != target.file));
        others.map(|file| read_chain(file, None)).collect()
    }

    fn publisher(&self) -> Result<Publisher, Error> {
        if let Some(key_file) = &self.nsupdate_key {
            // Better told now than when it is needed.
            read_key(key_file)?;
            self.nsupdate_server.as_deref().map(address).transpose()?;
            let key_file = std::path::absolute(key_file)
                .map_err(|error| Error::File { path: key_file.clone(), problem: error.to_string() })?;
            return Ok(Publisher::Update { key_file, server: self.nsupdate_server.clone() });
        }
        Ok(match &self.hook {
            Some(program) => Publisher::Hook([program].into_iter().chain(&self.hook_arg).cloned().collect()),
            None => Publisher::Hand,
        })
    }
}

fn domain(name: &str) -> Result<Domain, Error> {
    Domain::new(name).map_err(|error| Error::Wrong(format!("{name:?}: {error}")))
}

/// The names for a certificate of our own making.
pub(super) fn names(wish: &Wish) -> Vec<Domain> {
    let mut names: Vec<Domain> = wish.places.iter().map(|place| place.name.clone()).collect();
    names.dedup();
    names
}
