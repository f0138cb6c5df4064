//! Where TLSA records stand.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use waxseal_types::Domain;

/// The port of mail between servers.
const SMTP: u16 = 25;

/// A name and a port at which clients hold a certificate against TLSA records: `mx.example.org:25`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Place {
    /// The TLSA base domain (RFC 7672 §2.2.3): the name of the mail host.
    pub name: Domain,
    /// The port of the service.
    pub port: u16,
}

impl Place {
    /// A name and its port.
    #[must_use]
    pub const fn new(name: Domain, port: u16) -> Self {
        Self { name, port }
    }

    /// Where its records stand (RFC 6698 §3): `_25._tcp.mx.example.org`.
    ///
    /// # Errors
    /// The name is so long that none can.
    pub fn owner(&self) -> Result<Domain, String> {
        Domain::new(&format!("_{}._tcp.{}", self.port, self.name)).map_err(|error| format!("{self}: {error}"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

/// `mx.example.org`, which is port 25, or `mx.example.org:465`.
impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, port.parse().map_err(|_| format!("{port:?} is no port"))?),
            None => (text, SMTP),
        };
        let name = Domain::new(name).map_err(|error| format!("{text:?}: {error}"))?;
        Ok(Self { name, port })
    }
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.to_string()
    }
}
