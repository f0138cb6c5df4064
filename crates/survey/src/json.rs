//! A report as one JSON object; docs/tlsa.md describes it.

use serde_json::{Value, json};
use waxseal_tlsa::{Standing, rdata};
use waxseal_types::{DnsAnswer, Lookup, TlsDemand, UnixTime};

use crate::{
    Finding, Report,
    assess::matrix,
    seen::{Answered, Call, Host, Server, Shown},
};

impl Report {
    /// As an object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let seen = &self.seen;
        json!({
            "target": seen.nexthop.as_str(),
            "port": seen.port,
            "time": time(seen.at),
            "until": time(self.horizon),
            "ok": self.is_healthy(),
            "dnssec": seen.health.as_str(),
            "mx": seen.mx.as_ref().map(|answer| answered(answer, |hosts| {
                hosts.iter().map(|mx| json!({
                    "preference": mx.preference,
                    "host": mx.host.as_ref().map(|host| host.as_str()),
                })).collect()
            })),
            "hosts": seen.hosts.iter().map(|host| self.host(host)).collect::<Vec<_>>(),
            "signatures": seen.signatures.iter().map(|signature| json!({
                "owner": signature.owner,
                "type": signature.kind,
                "zone": signature.signer,
                "expires": time(signature.expires),
            })).collect::<Vec<_>>(),
            "findings": self.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
        })
    }

    fn host(&self, host: &Host) -> Value {
        json!({
            "name": host.name.as_ref().map(|name| name.as_str()),
            "addresses": host.addresses.as_ref().map(|answer| answered(answer, |list| {
                list.iter().map(|address| json!(address.to_string())).collect()
            })),
            "tlsa": host.tlsa.iter().map(|(base, answer)| {
                let mut value = answered(answer, |records| records.iter().map(|record| json!(rdata(record))).collect());
                value["base"] = json!(base.as_str());
                value
            }).collect::<Vec<_>>(),
            "servers": host.servers.iter().map(|server| self.server(server)).collect::<Vec<_>>(),
        })
    }

    fn server(&self, server: &Server) -> Value {
        let (tls, problem) = match &server.call {
            Call::Tls { facts, .. } => (
                json!({ "protocol": facts.protocol, "cipher": facts.cipher, "sni": facts.sni.as_ref().map(|sni| sni.as_str()) }),
                None,
            ),
            Call::Clear(_) => (Value::Null, Some("in clear".to_owned())),
            Call::Failed(error) => (Value::Null, Some(error.to_string())),
        };
        json!({
            "address": server.address.ip().to_string(),
            "port": server.address.port(),
            "tls": tls,
            "problem": problem,
            "chains": server.chains.iter().map(|shown| self.chain(server, shown)).collect::<Vec<_>>(),
        })
    }

    fn chain(&self, server: &Server, shown: &Shown) -> Value {
        let certificates: Vec<Value> = shown
            .certificates()
            .map(|certificate| {
                json!({
                    "subject": certificate.subject().to_string(),
                    "issuer": certificate.issuer().to_string(),
                    "not_after": end(&certificate).map(time),
                })
            })
            .collect();
        let (matched, records) = match server.demand.as_deref() {
            Some(TlsDemand::Dane(demand)) => {
                let covered = matrix(&demand.records, &demand.names, shown, self.seen.at);
                let records: Vec<Value> = covered
                    .records
                    .iter()
                    .map(|(record, standing)| json!({ "record": rdata(record), "standing": standing_word(standing), "why": why(standing) }))
                    .collect();
                (covered.verdict.ok().map(|found| rdata(&found.record)), records)
            }
            Some(_) | None => (None, Vec::new()),
        };
        json!({ "key": shown.key, "certificates": certificates, "matched": matched, "records": records })
    }
}

impl Finding {
    /// As an object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "severity": self.fault.severity().as_str(),
            "fault": self.fault.as_str(),
            "host": self.host,
            "address": self.address.map(|address| address.ip().to_string()),
            "what": self.what,
            "remedy": self.remedy,
        })
    }
}

/// The end of a certificate, where it has a date that can be read.
pub(crate) fn end(certificate: &waxseal_trust::Certificate) -> Option<UnixTime> {
    u64::try_from(certificate.not_after()?).ok().map(UnixTime::from_secs)
}

/// What a record is to a chain, for programs.
pub(crate) const fn standing_word(standing: &Standing) -> &'static str {
    match standing {
        Standing::Matches(_) => "matches",
        Standing::Unusable(_) => "unusable",
        Standing::Other => "other",
        Standing::Fails(_) => "fails",
    }
}

fn why(standing: &Standing) -> Option<String> {
    match standing {
        Standing::Matches(found) => found.name.clone().map(|name| format!("name {name}")),
        Standing::Unusable(why) => Some(why.to_string()),
        Standing::Other => None,
        Standing::Fails(failure) => Some(failure.to_string()),
    }
}

fn time(time: UnixTime) -> String {
    time.rfc3339().to_string()
}

fn answered<T>(answer: &Answered<T>, list: impl Fn(&T) -> Vec<Value>) -> Value {
    match answer {
        Ok(DnsAnswer { lookup, proof, why, canonical, .. }) => json!({
            "dnssec": proof.as_str(),
            "why": why.as_deref(),
            "canonical": canonical.as_ref().map(|name| name.as_str()),
            "records": match lookup {
                Lookup::Found(found) => list(found),
                Lookup::NoData | Lookup::NxDomain => Vec::new(),
            },
        }),
        Err(failure) => json!({ "dnssec": Value::Null, "failure": failure.to_string(), "records": [] }),
    }
}
