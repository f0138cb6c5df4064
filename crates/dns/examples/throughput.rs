//! How long the lookups of one delivery take over many domains, cold and warm: MX, A, AAAA and TLSA each.
//!
//! `cargo run --release -p waxseal-dns --example throughput [DOMAINS]`. Server, keys and resolver share one process
//! and its cores.

use std::{env, error::Error, fs, time::Instant};

use waxseal_dns::{DnssecMode, Families, Resolver, Settings};
use waxseal_testbed::dns::{DnsServer, Zone};
use waxseal_types::Domain;

/// Questions under way at a time.
const IN_FLIGHT: usize = 64;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let domains: usize = env::args().nth(1).map_or(Ok(2000), |word| word.parse())?;
    let mut zone = Zone::new().ttl(3600);
    for number in 0..domains {
        let (apex, host) = (format!("d{number}.test"), format!("mx.d{number}.test"));
        zone = zone.mx(&apex, 10, &host).a(&host, [127, 0, 0, 1]).tlsa(&host, 25, (3, 1, 1), &[7; 32]);
        zone = zone.secure(&apex);
    }
    let anchor = env::temp_dir().join(format!("waxseal-throughput-{}.key", std::process::id()));
    for dnssec in [DnssecMode::TrustAd, DnssecMode::Validate] {
        let server = match dnssec {
            DnssecMode::Validate => DnsServer::forwarder(zone.clone()).await?,
            DnssecMode::TrustAd | DnssecMode::Off => DnsServer::start(zone.clone()).await?,
        };
        fs::write(&anchor, server.trust_anchor())?;
        let resolver = Resolver::new(Settings {
            servers: vec![server.addr()],
            dnssec,
            trust_anchor: Some(anchor.clone()),
            ..Settings::default()
        })?;
        for round in ["cold", "warm"] {
            let began = Instant::now();
            let workers = (0..IN_FLIGHT).map(|first| {
                let resolver = resolver.clone();
                tokio::spawn(async move {
                    for number in (first..domains).step_by(IN_FLIGHT) {
                        deliver(&resolver, number).await.map_err(|problem| problem.to_string())?;
                    }
                    Ok::<_, String>(())
                })
            });
            for worker in workers.collect::<Vec<_>>() {
                worker.await??;
            }
            let took = began.elapsed();
            let each = took.as_secs_f64() * 1e6 / domains as f64;
            println!(
                "{dnssec:?} {round}: {domains} domains in {took:.2?}, {each:.1} µs each; {:?}",
                resolver.statistics()
            );
        }
        println!("{dnssec:?} one hit: {:.2} µs", one_hit(&resolver).await?);
    }
    fs::remove_file(anchor)?;
    Ok(())
}

/// The best of twenty rounds, so that other work on the machine counts little.
async fn one_hit(resolver: &Resolver) -> Result<f64, Box<dyn Error>> {
    const LOOKUPS: u32 = 5_000;
    let host = Domain::new("mx.d0.test")?;
    let mut best = f64::MAX;
    for _ in 0..20 {
        let began = Instant::now();
        for _ in 0..LOOKUPS {
            resolver.tlsa(&host, 25).await?;
        }
        best = best.min(began.elapsed().as_secs_f64() * 1e6 / f64::from(LOOKUPS));
    }
    Ok(best)
}

async fn deliver(resolver: &Resolver, number: usize) -> Result<(), Box<dyn Error>> {
    resolver.mx(&Domain::new(&format!("d{number}.test"))?).await?;
    let host = Domain::new(&format!("mx.d{number}.test"))?;
    resolver.addresses(&host, Families::Both).await?;
    resolver.tlsa(&host, 25).await?;
    Ok(())
}
