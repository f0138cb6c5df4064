//! Where a record lies, and how it is written there.

use std::fmt;

use serde_json::{Value, json};
use waxseal_types::{Domain, Matching, Selector, Tlsa, Usage};

use crate::rdata;

/// The name of a TLSA record set: `_25._tcp.mx.example.com.` (RFC 6698 §3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The host as MX records name it, which is the TLSA base domain.
    pub host: Domain,
    /// The port it serves.
    pub port: u16,
}

impl Owner {
    /// Of TCP, since mail is.
    #[must_use]
    pub const fn new(host: Domain, port: u16) -> Self {
        Self { host, port }
    }

    /// A line of a zone file.
    #[must_use]
    pub fn zone_line(&self, record: &Tlsa, ttl: u32) -> String {
        format!("{self} {ttl} IN TLSA {}", rdata(record))
    }

    /// Input for nsupdate(1): takes away `old` (each record by itself, so that what others published stays), adds `new`, in one update.
    /// Without `zone` nsupdate asks for it.
    #[must_use]
    pub fn nsupdate(&self, zone: Option<&Domain>, ttl: u32, old: &[Tlsa], new: &[Tlsa]) -> String {
        let mut lines: Vec<String> = zone.map(|zone| format!("zone {zone}.")).into_iter().collect();
        lines.extend(old.iter().map(|record| format!("update delete {self} TLSA {}", rdata(record))));
        lines.extend(new.iter().map(|record| format!("update add {self} {ttl} TLSA {}", rdata(record))));
        lines.push("send".into());
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// The record as an object, numbers and names of the registry (RFC 7218) both.
    #[must_use]
    pub fn json(&self, record: &Tlsa, ttl: u32) -> Value {
        let usage = match record.usage {
            Usage::PkixTa => "PKIX-TA",
            Usage::PkixEe => "PKIX-EE",
            Usage::DaneTa => "DANE-TA",
            Usage::DaneEe => "DANE-EE",
            Usage::Unassigned(_) => "unassigned",
        };
        let selector = match record.selector {
            Selector::Cert => "Cert",
            Selector::Spki => "SPKI",
            Selector::Unassigned(_) => "unassigned",
        };
        let matching = match record.matching {
            Matching::Full => "Full",
            Matching::Sha256 => "SHA2-256",
            Matching::Sha512 => "SHA2-512",
            Matching::Unassigned(_) => "unassigned",
        };
        let text = rdata(record);
        let data = text.rsplit(' ').next().unwrap_or_default();
        json!({
            "owner": self.to_string(),
            "host": self.host.as_str(),
            "port": self.port,
            "ttl": ttl,
            "usage": u8::from(record.usage),
            "selector": u8::from(record.selector),
            "matching": u8::from(record.matching),
            "usage_name": usage,
            "selector_name": selector,
            "matching_name": matching,
            "data": data,
            "text": text,
        })
    }
}

/// Absolute, with the last dot.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "_{}._tcp.{}.", self.port, self.host)
    }
}
