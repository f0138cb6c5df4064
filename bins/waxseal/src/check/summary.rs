//! The settings in a few lines, for a person who looks whether it is the configuration that was meant.

use waxseal_config::Config;
use waxseal_dns::DnssecMode;
use waxseal_policy::TableName;

use crate::terminal::{Printable, Terminal};

pub(super) fn tell(config: &Config, terminal: &mut Terminal) {
    let joined = |list: Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let mut field = |name: &str, value: &str| terminal.line(format_args!("{name:<15}{}", Printable(value)));
    field("hostname", config.hostname.as_str());
    field("intake", &joined(config.intake.listen.iter().map(ToString::to_string).collect()));
    field("spool", &config.spool.path.display().to_string());
    let servers = match config.dns.servers.as_slice() {
        [] => "the system's resolvers".to_owned(),
        servers => joined(servers.iter().map(ToString::to_string).collect()),
    };
    let dnssec = match config.dns.dnssec {
        DnssecMode::Validate => "DNSSEC validated here",
        DnssecMode::TrustAd => "DNSSEC as the resolver says (AD bit)",
        DnssecMode::Off => "without DNSSEC",
    };
    field("dns", &format!("{servers}; {dnssec}"));
    let (policy, client) = (&config.policy, &config.policy.smtp);
    field("tls level", &format!("{} where no table has an entry", client.level));
    let tables = |names: &[TableName]| {
        let entries =
            |name: &TableName| format!("{name} ({})", count_entries(config.tables.entries(name).len()));
        joined(names.iter().map(entries).collect())
    };
    field("tls policies", &tables(&client.policy_maps));
    if policy.lmtp.level != client.level || policy.lmtp.policy_maps != client.policy_maps {
        field("lmtp", &format!("{}; {}", policy.lmtp.level, tables(&policy.lmtp.policy_maps)));
    }
    field("routes", &tables(&policy.transport_maps));
    if policy.default_transport != "smtp" {
        field("otherwise", &policy.default_transport);
    }
    let hops = |hops: &[waxseal_types::NextHop]| joined(hops.iter().map(ToString::to_string).collect());
    if !policy.relayhost.is_empty() {
        field("relayhost", &hops(&policy.relayhost));
    }
    if !client.fallback_relay.is_empty() {
        field("fallback relay", &hops(&client.fallback_relay));
    }
}

fn count_entries(number: usize) -> String {
    if number == 1 { "1 entry".to_owned() } else { format!("{number} entries") }
}
