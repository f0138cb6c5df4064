//! `cidr:` tables (cidr_table(5)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    lines::LogicalLine,
    patterns::Warn,
    script::{Script, Statement, negation},
};

/// The rules of a table.
#[derive(Debug)]
pub(crate) struct Cidr {
    script: Script<Net, String>,
}

/// `!10.0.0.0/8`
#[derive(Debug)]
struct Net {
    network: IpAddr,
    bits: u32,
    negated: bool,
    text: String,
}

impl Net {
    /// Negation or not, an address of the other family does not match.
    fn matches(&self, address: IpAddr) -> bool {
        let inside = match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => masked_v4(address, self.bits) == network,
            (IpAddr::V6(network), IpAddr::V6(address)) => masked_v6(address, self.bits) == network,
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        inside != self.negated
    }

    /// `10.0.0.1`, `10.0.0.0/8`, `[::1]`, `[2001:db8::]/32` or `[2001:db8::/32]`.
    fn parse(text: &str, negated: bool) -> Result<Self, String> {
        let (address, mask) = match text.strip_prefix('[') {
            Some(inner) => {
                let (inner, behind) =
                    inner.split_once(']').ok_or_else(|| format!("missing ']' character after {text:?}"))?;
                match (behind.strip_prefix('/'), inner.split_once('/')) {
                    (Some(mask), _) => (inner, Some(mask)),
                    (None, _) if !behind.is_empty() => return Err(format!("garbage after \"[{inner}]\"")),
                    (None, Some((inner, mask))) => (inner, Some(mask)),
                    (None, None) => (inner, None),
                }
            }
            None => match text.split_once('/') {
                Some((address, mask)) => (address, Some(mask)),
                None => (text, None),
            },
        };
        let Some(mask) = mask else {
            let network = parse_address(address).ok_or_else(|| format!("bad address pattern {text:?}"))?;
            return Ok(Self { network, bits: width(network), negated, text: text.to_owned() });
        };
        if mask.is_empty() || !mask.bytes().all(|b| b.is_ascii_digit()) {
            return Err(format!("bad mask value in {text:?}"));
        }
        let network = parse_address(address).ok_or_else(|| format!("bad network value in {text:?}"))?;
        let bits = mask.parse().unwrap_or(u32::MAX);
        if bits > width(network) {
            return Err(format!("bad mask length in {text:?}"));
        }
        let masked = match network {
            IpAddr::V4(address) => IpAddr::V4(masked_v4(address, bits)),
            IpAddr::V6(address) => IpAddr::V6(masked_v6(address, bits)),
        };
        if masked != network {
            return Err(format!(
                "non-null host address bits in {text:?}, perhaps you should use \"{masked}/{bits}\" instead"
            ));
        }
        Ok(Self { network, bits, negated, text: text.to_owned() })
    }
}

const fn width(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => u32::BITS,
        IpAddr::V6(_) => u128::BITS,
    }
}

fn masked_v4(address: Ipv4Addr, bits: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(address.to_bits() & u32::MAX.checked_shl(u32::BITS - bits).unwrap_or(0))
}

fn masked_v6(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & u128::MAX.checked_shl(u128::BITS - bits).unwrap_or(0))
}

/// inet_pton(3), which takes no brackets and no zone.
fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

impl Cidr {
    pub(crate) fn parse<'a>(lines: impl Iterator<Item = LogicalLine<'a>>, warn: &mut Warn<'_>) -> Self {
        let mut script = Script::new();
        for line in lines {
            if let Err(problem) = parse_line(&mut script, &line, warn) {
                warn(line.line, format!("{problem}: rule skipped"));
            }
        }
        for line in script.unclosed() {
            warn(line, "if without endif: it holds for all rules below".to_owned());
        }
        Self { script }
    }

    /// The value of the first rule that matches, and its line. What is no address is in no network.
    pub(crate) fn find(&self, key: &str) -> Option<(&str, u32)> {
        let address = parse_address(key)?;
        let matches = |(): &mut (), net: &Net, _| Ok::<_, std::convert::Infallible>(net.matches(address));
        let found = self.script.find(&mut (), |(), at| at, matches);
        match found {
            Ok(found) => found.map(|(_, value, line)| (value.as_str(), line)),
            Err(never) => match never {},
        }
    }

    pub(crate) fn rules(&self) -> impl Iterator<Item = (&str, &str, u32)> {
        self.script.rules().map(|(net, value, line)| (net.text.as_str(), value.as_str(), line))
    }
}

fn parse_line(
    script: &mut Script<Net, String>,
    line: &LogicalLine<'_>,
    warn: &mut Warn<'_>,
) -> Result<(), String> {
    if line.text.contains(char::REPLACEMENT_CHARACTER) {
        return Err("not UTF-8".to_owned());
    }
    match Statement::of(line.text.trim_end_matches(|c: char| c.is_ascii_whitespace())) {
        // cidr_table(5): nothing but the pattern, so what follows it belongs to it, and is wrong.
        Statement::If(rest) => {
            let (negated, net) = pattern(rest)?;
            script.open(line.line, Net::parse(net, negated)?);
        }
        Statement::Endif(rest) => {
            if !script.close() {
                return Err("endif without if".to_owned());
            }
            if !rest.is_empty() {
                warn(line.line, "ignoring the text behind endif".to_owned());
            }
        }
        Statement::Other(text) => {
            let (net, value) = net_and_rest(text)?;
            if value.is_empty() {
                return Err("no lookup result".to_owned());
            }
            script.rule(line.line, net, value.to_owned());
        }
    }
    Ok(())
}

fn net_and_rest(text: &str) -> Result<(Net, &str), String> {
    let (negated, text) = pattern(text)?;
    let (net, value) = text.split_at(text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len()));
    Ok((Net::parse(net, negated)?, value.trim_start()))
}

fn pattern(text: &str) -> Result<(bool, &str), String> {
    let (negated, text) = negation(text);
    if text.is_empty() { Err("no address pattern".to_owned()) } else { Ok((negated, text)) }
}
