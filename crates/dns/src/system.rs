//! The system's resolvers.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

/// Where resolv.conf(5) is.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// resolv.conf(5), `MAXNS`.
const MAX_SERVERS: usize = 3;
/// resolv.conf(5): `timeout` is capped at 30, `attempts` at 5.
const MAX_TIMEOUT: u64 = 30;
const MAX_ATTEMPTS: u32 = 5;
const PORT: u16 = 53;

/// What resolv.conf(5) says of resolvers. Search lists are not for mail: every name here is complete.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SystemResolvers {
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) attempts: Option<u32>,
}

/// Reads the system's file. One that is missing or names nobody means the local resolver, as in resolv.conf(5).
pub(crate) fn resolvers() -> SystemResolvers {
    let mut found = parse(&fs::read_to_string(RESOLV_CONF).unwrap_or_default());
    if found.servers.is_empty() {
        found.servers.push((Ipv4Addr::LOCALHOST, PORT).into());
    }
    found
}

fn parse(text: &str) -> SystemResolvers {
    let mut found = SystemResolvers::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {
                let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                found.servers.extend(address.map(|ip| SocketAddr::new(ip, PORT)));
            }
            Some("options") => words.for_each(|option| read_option(option, &mut found)),
            Some(_) | None => {}
        }
    }
    found.servers.truncate(MAX_SERVERS);
    found
}

fn read_option(option: &str, found: &mut SystemResolvers) {
    match option.split_once(':') {
        Some(("timeout", value)) => {
            found.timeout =
                value.parse().ok().map(|seconds: u64| Duration::from_secs(seconds.clamp(1, MAX_TIMEOUT)));
        }
        Some(("attempts", value)) => {
            found.attempts = value.parse().ok().map(|times: u32| times.clamp(1, MAX_ATTEMPTS));
        }
        Some(_) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_as_its_manual_says() {
        let text = "# comment\nnameserver 192.0.2.1\nnameserver bad\n nameserver 2001:db8::1 # x\n\
                    search example.com\noptions ndots:2 timeout:90 attempts:3 trust-ad\n";
        assert_eq!(
            parse(text),
            SystemResolvers {
                servers: vec!["192.0.2.1:53".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap()],
                timeout: Some(Duration::from_secs(30)),
                attempts: Some(3),
            }
        );
        assert_eq!(parse(""), SystemResolvers::default());
    }
}
