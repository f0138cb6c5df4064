//! Whether mail servers elsewhere can be reached.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use waxseal_config::Config;
use waxseal_dns::{Families, Resolver};
use waxseal_types::{Domain, Lookup, NextHop, Target};

use super::Finding;

const AREA: &str = "outbound";
/// How long one address may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Addresses that are tried.
const ADDRESSES: usize = 4;

pub(super) fn examine(config: &Config, domain: &str) -> Finding {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(look(config, domain)),
        Err(error) => Finding::warning(AREA, format!("not looked at: {error}"), "try again"),
    }
}

async fn look(config: &Config, domain: &str) -> Finding {
    let relay = config.policy.relayhost.first();
    let target = relay.map_or_else(|| domain.to_owned(), ToString::to_string);
    let port = relay.and_then(|hop| hop.port()).unwrap_or(config.queue.port);
    let addresses = match addresses(config, relay.map(NextHop::target), domain).await {
        Ok(addresses) => addresses,
        Err(reason) => {
            let remedy = "see the finding about the resolver; --outbound DOMAIN tries another one";
            return Finding::warning(
                AREA,
                format!("the servers of {target} cannot be looked up: {reason}"),
                remedy,
            );
        }
    };
    let mut last = "it has no address".to_owned();
    for address in addresses.into_iter().take(ADDRESSES) {
        match timeout(PATIENCE, greet(SocketAddr::new(address, port))).await {
            Ok(Ok(words)) => return judge(&target, port, Ok(&words)),
            Ok(Err(error)) => last = format!("{address}: {error}"),
            Err(_) => last = format!("{address}: no answer within {} s", PATIENCE.as_secs()),
        }
    }
    judge(&target, port, Err(&last))
}

/// The MX hosts, or the domain itself where it has none (RFC 5321 §5.1).
async fn exchangers(resolver: &Resolver, domain: &Domain) -> Result<Vec<Domain>, String> {
    let answer = resolver.mx(domain).await.map_err(|error| error.to_string())?;
    let Lookup::Found(mut list) = answer.lookup else { return Ok(vec![domain.clone()]) };
    list.sort_by_key(|mx| mx.preference);
    Ok(list.into_iter().filter_map(|mx| mx.host).take(ADDRESSES).collect())
}

/// The addresses of the servers.
async fn addresses(config: &Config, relay: Option<&Target>, domain: &str) -> Result<Vec<IpAddr>, String> {
    let resolver = Resolver::new(config.dns.clone()).map_err(|error| error.to_string())?;
    let hosts = match relay {
        Some(Target::Address(address)) => return Ok(vec![*address]),
        Some(Target::Unix(path)) => return Err(format!("{path} is no host")),
        Some(Target::Host(host)) => vec![host.clone()],
        Some(Target::Mx(domain)) => exchangers(&resolver, domain).await?,
        None => exchangers(&resolver, &Domain::new(domain).map_err(|error| error.to_string())?).await?,
    };
    let mut found = Vec::new();
    for host in hosts {
        let answer = resolver.addresses(&host, Families::V4).await.map_err(|error| error.to_string())?;
        if let Lookup::Found(list) = answer.lookup {
            found.extend(list);
        }
    }
    Ok(found)
}

/// Reads the greeting, and takes leave.
async fn greet(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let mut octets = [0; 512];
    let length = stream.read(&mut octets).await?;
    // Whoever does not hear it will notice the end as well.
    let _ = stream.write_all(b"QUIT\r\n").await;
    Ok(String::from_utf8_lossy(&octets[..length]).lines().next().unwrap_or_default().to_owned())
}

fn judge(target: &str, port: u16, heard: Result<&str, &str>) -> Finding {
    match heard {
        Ok(words) if words.starts_with("220") => {
            Finding::good(AREA, format!("a server of {target} greets at port {port}"))
        }
        Ok(words) => Finding::warning(
            AREA,
            format!("a server of {target} answers at port {port} with {words:?}"),
            "that server does not want this host just now, or something in between answers for it",
        ),
        Err(reason) => Finding::bad(
            AREA,
            format!("no server of {target} can be reached at port {port}: {reason}"),
            "many networks block port 25: ask yours to open it, or send through a relay (transport.relayhost)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn a_closed_way_out_is_told() {
        for (heard, state) in [
            (Ok("220 mx.example ESMTP"), State::Good),
            (Ok("554 go away"), State::Warning),
            (Ok(""), State::Warning),
            (Err("192.0.2.1: refused"), State::Bad),
        ] {
            assert_eq!(judge("example.com", 25, heard).state, state, "{heard:?}");
        }
    }
}
