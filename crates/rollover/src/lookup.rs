//! What every server serves: asked of the real ones.

use waxseal_dns::{Authorities, NameServer, Resolver, Zone};
use waxseal_types::{Domain, Lookup};

use crate::{Error, Place, RecordSet, Served, Sight};

/// RFC 7672 §2.1.3 wants a limit on aliases; ten is Postfix's.
const MAX_ALIASES: usize = 10;

/// Asks all authoritative servers of a name, and the resolver.
#[derive(Debug)]
pub struct Lookups {
    authorities: Authorities,
    resolver: Resolver,
}

impl Lookups {
    /// With these.
    #[must_use]
    pub const fn new(authorities: Authorities, resolver: Resolver) -> Self {
        Self { authorities, resolver }
    }

    pub(crate) const fn authorities(&self) -> &Authorities {
        &self.authorities
    }

    /// What is served for `place`, by everybody who may be asked for it.
    ///
    /// # Errors
    /// Anybody who cannot be asked, and an answer that is bogus: what clients are told there is not known.
    pub async fn look(&self, place: &Place) -> Result<Sight, Error> {
        let unknown = |error: &dyn std::fmt::Display| Error::Unknown(format!("{place}: {error}"));
        // With its proof: what does not validate is no answer, here as in mail that goes out.
        let answer = self.resolver.tlsa(&place.name, place.port).await.map_err(|error| unknown(&error))?;
        let set = match answer.lookup {
            Lookup::Found(records) => RecordSet::new(records),
            Lookup::NoData | Lookup::NxDomain => RecordSet::default(),
        };
        let resolver = Served { server: "the resolver".into(), set, ttl: answer.ttl, signed_until: None };
        let is_absent = resolver.set.is_empty();
        let mut served = vec![resolver];
        let Some((owner, zone)) = self.end(place).await? else {
            // A private name, or a slip of the keyboard. Where the resolver has records all the same, it knows a zone that we do not.
            let odd = "the resolver has records, and no zone for them can be found";
            return if is_absent { Ok(Sight { served }) } else { Err(unknown(&odd)) };
        };
        for server in &zone.servers {
            let told = self.authorities.tlsa(server, &owner).await.map_err(|error| unknown(&error))?;
            if let Some(alias) = told.alias {
                return Err(unknown(&format!("{server} has an alias to {alias}, and others have not")));
            }
            let set = RecordSet::new(told.records);
            served.push(Served {
                server: server.to_string(),
                set,
                ttl: told.ttl,
                signed_until: told.signed_until,
            });
        }
        Ok(Sight { served })
    }

    /// Where the records of `place` really stand, behind all aliases, and the zone around it.
    ///
    /// # Errors
    /// As [`Lookups::look`]; and servers that do not agree on an alias.
    pub async fn end(&self, place: &Place) -> Result<Option<(Domain, Zone)>, Error> {
        let unknown = |error: &dyn std::fmt::Display| Error::Unknown(format!("{place}: {error}"));
        let mut owner = place.owner().map_err(Error::Wrong)?;
        for _ in 0..=MAX_ALIASES {
            let zone = self.authorities.zone(&owner).await.map_err(|error| unknown(&error))?;
            let Some(zone) = zone else { return Ok(None) };
            let mut aliases = Vec::new();
            for server in &zone.servers {
                aliases.push(self.alias(server, &owner).await?);
            }
            aliases.dedup();
            match aliases.as_slice() {
                [None] => return Ok(Some((owner, zone))),
                [Some(target)] => owner = target.clone(),
                _ => return Err(unknown(&"the servers do not agree on an alias; wait until they do")),
            }
        }
        Err(unknown(&"too many aliases"))
    }

    async fn alias(&self, server: &NameServer, owner: &Domain) -> Result<Option<Domain>, Error> {
        let told = self.authorities.tlsa(server, owner).await;
        Ok(told.map_err(|error| Error::Unknown(error.to_string()))?.alias)
    }
}
