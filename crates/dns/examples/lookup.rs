//! Asks a resolver and prints each answer with its proof.
//!
//! `lookup trust-ad 127.0.0.1:53 MX example.com`, `lookup validate 192.0.2.53:53 TLSA mx.example.com`; the environment
//! variable `ANCHOR` names a trust anchor file. Without a question, lines of `TYPE NAME` are read from standard input.

use std::{env, error::Error, fmt::Debug, io};

use waxseal_dns::{DnssecMode, Families, Resolver, Settings};
use waxseal_types::{DnsAnswer, DnsFailure, Domain, Lookup};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [mode, server, question @ ..] = words.as_slice() else {
        return Err("usage: lookup validate|trust-ad|off SERVER [TYPE NAME]".into());
    };
    let resolver = Resolver::new(Settings {
        servers: vec![server.parse()?],
        dnssec: match mode.as_str() {
            "trust-ad" => DnssecMode::TrustAd,
            "off" => DnssecMode::Off,
            _ => DnssecMode::Validate,
        },
        trust_anchor: env::var_os("ANCHOR").map(Into::into),
        ..Settings::default()
    })?;
    match question {
        [] => {
            for line in io::stdin().lines() {
                if let Some((kind, name)) = line?.split_once(' ') {
                    print(&resolver, kind, name).await?;
                }
            }
        }
        [kind, name] => print(&resolver, kind, name).await?,
        _ => return Err("one type and one name".into()),
    }
    Ok(())
}

async fn print(resolver: &Resolver, kind: &str, name: &str) -> Result<(), Box<dyn Error>> {
    let domain = Domain::new(name)?;
    let words = match kind {
        "A" => words(resolver.addresses(&domain, Families::V4).await),
        "MX" => words(resolver.mx(&domain).await),
        "CNAME" => words(resolver.cname(&domain).await),
        "TLSA" => words(resolver.tlsa(&domain, 25).await),
        _ => return Err("A, MX, CNAME or TLSA".into()),
    };
    println!("{kind} {name}: {words}");
    Ok(())
}

fn words<T: Debug>(outcome: Result<DnsAnswer<T>, DnsFailure>) -> String {
    match outcome {
        Ok(DnsAnswer { lookup: Lookup::Found(found), proof, .. }) => format!("{} {found:?}", proof.as_str()),
        Ok(DnsAnswer { lookup: Lookup::NoData, proof, .. }) => format!("{} no data", proof.as_str()),
        Ok(DnsAnswer { lookup: Lookup::NxDomain, proof, .. }) => format!("{} no such name", proof.as_str()),
        Err(failure) => format!("failed, {:?}: {}", failure.failure, failure.detail),
    }
}
