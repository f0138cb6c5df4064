//! `[spool]` and `[listen]`.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use waxseal_intake::{Cidr, ListenAddr, Settings as IntakeSettings};
use waxseal_ledger::Settings as LedgerSettings;
use waxseal_spool::Settings as SpoolSettings;
use waxseal_types::Domain;

use crate::AdminKeys;

use super::{Build, count, flag, set, span};

/// Without any configuration.
const FIRST_START_SPOOL: &str = "./waxseal-spool";
const FIRST_START_ADMIN: &str = "127.0.0.1:8025";
/// With one that does not say.
const SPOOL: &str = "/var/spool/waxseal";
const LISTEN: &str = "127.0.0.1:2525";
/// Smaller ones are of no use.
const SMALLEST_LEDGER: u64 = 1 << 20;
/// What a message's envelope may take in the spool beyond its text.
const ENVELOPE_ROOM: u64 = 64 << 20;

impl Build<'_> {
    pub(super) fn spool(&mut self, intake: &IntakeSettings) -> SpoolSettings {
        let default = if self.configured { SPOOL } else { FIRST_START_SPOOL };
        let path = self.view.raw.spool.path.clone().map(|text| text.0).filter(|text| !text.is_empty());
        let mut settings = SpoolSettings {
            path: path.map_or_else(|| PathBuf::from(default), PathBuf::from),
            ..SpoolSettings::default()
        };
        let message = u64::try_from(intake.protocol.message_size_limit).unwrap_or(u64::MAX);
        settings.message_limit = settings.message_limit.max(message.saturating_add(ENVELOPE_ROOM));
        settings
    }

    /// `ledger.size = 0` turns it off.
    pub(super) fn ledger(&mut self, spool: &Path) -> Option<LedgerSettings> {
        let raw = self.view.raw.ledger.clone();
        let path = self.file("ledger", "path", raw.path.as_ref());
        let mut settings = LedgerSettings::new(path.unwrap_or_else(|| spool.join("ledger")));
        set(&mut settings.size, raw.size.map(|size| size.0));
        set(&mut settings.redact, flag(&raw.redact));
        if (1..SMALLEST_LEDGER).contains(&settings.size) {
            self.problem(
                "ledger",
                "size",
                "is less than 1 MiB",
                "write at least \"1 MiB\", or 0 for no ledger",
            );
        }
        (settings.size > 0).then_some(settings)
    }

    pub(super) fn intake(&mut self, hostname: &Domain) -> IntakeSettings {
        let raw = self.view.raw.listen.clone();
        let mut settings = IntakeSettings::default();
        let submission = raw.submission.clone().map_or_else(Vec::new, |words| words.0);
        let submissions = raw.submissions.clone().map_or_else(Vec::new, |words| words.0);
        let listen = raw.smtp.clone().map_or_else(|| vec![LISTEN.to_owned()], |words| words.0);
        settings.listen = self.parsed_words(("listen", "smtp"), &listen, str::parse::<ListenAddr>);
        settings.submission =
            self.parsed_words(("listen", "submission"), &submission, str::parse::<ListenAddr>);
        settings.submissions =
            self.parsed_words(("listen", "submissions"), &submissions, str::parse::<ListenAddr>);
        if listen.is_empty() && submission.is_empty() && submissions.is_empty() {
            self.problem("listen", "smtp", "is empty", format!("name an address, such as \"{LISTEN}\""));
        }
        self.relay_rules(&mut settings);
        self.limits(&mut settings);
        if let Some(words) = raw.relay_from {
            settings.relay_from = self.networks("relay_from", &words.0);
        }
        if let Some(words) = raw.trace_from {
            settings.trace_from = self.networks("trace_from", &words.0);
        }
        set(&mut settings.keep_traceparent, flag(&raw.keep_traceparent));
        settings.sampling_ratio = self.sampling_ratio();
        settings.protocol.hostname = hostname.as_str().to_owned();
        let octets = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        // postconf(5), message_size_limit: 0 is no limit. Something must bound memory: 1 GiB.
        let size = raw.message_size_limit.map(|size| if size.0 == 0 { 1 << 30 } else { octets(size.0) });
        set(&mut settings.protocol.message_size_limit, size);
        set(&mut settings.protocol.header_size_limit, raw.header_size_limit.map(|size| octets(size.0)));
        set(&mut settings.memory_limit, raw.memory_limit.map(|size| octets(size.0)));
        set(&mut settings.protocol.recipient_limit, count(&raw.recipient_limit));
        set(&mut settings.protocol.hop_count_limit, count(&raw.hopcount_limit));
        settings.threads = count(&raw.threads);
        set(&mut settings.connection_limit, count(&raw.connection_limit));
        // postconf(5), smtpd_client_connection_count_limit: 0 is no limit.
        let clients =
            count(&raw.client_connection_limit).map(|limit| if limit == 0 { usize::MAX } else { limit });
        set(&mut settings.client_connection_limit, clients);
        set(&mut settings.timeout, span(&raw.timeout));
        settings
    }

    /// How many messages have their trace exported; none where nothing is exported.
    fn sampling_ratio(&mut self) -> f64 {
        let exported = self.view.raw.telemetry.otlp_endpoint.as_ref().is_some_and(|text| !text.0.is_empty());
        let Some(text) = self.view.raw.telemetry.sampling_ratio.clone() else {
            return f64::from(u8::from(exported));
        };
        match text.0.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
            Ok(_) | Err(_) => {
                let what = format!("{:?} is no number from 0 to 1", text.0);
                self.problem("telemetry", "sampling_ratio", what, "write 0.01 for one message in a hundred");
                1.0
            }
        }
    }

    /// postconf(5), `mynetworks`. What is left out lets fewer clients relay; an exclusion cannot be left out.
    fn networks(&mut self, key: &str, words: &[String]) -> Vec<Cidr> {
        let section = "listen";
        let mut networks = Vec::new();
        for word in words {
            let table = word.starts_with('/') || word.split_once(":/").is_some();
            match word.parse::<Cidr>() {
                Ok(network) => networks.push(network),
                Err(_) if table && self.is_postfix(section, key) => {
                    self.warning(
                        section,
                        key,
                        &format!("{word:?} is ignored: only networks are read; its clients cannot relay"),
                    );
                }
                Err(_) if word.starts_with('!') => {
                    self.problem(
                        section,
                        key,
                        format!("exclusion {word:?} is not supported"),
                        "list the networks that may relay",
                    );
                }
                Err(error) => self.problem(section, key, error.to_string(), ""),
            }
        }
        networks
    }

    pub(super) fn admin(&mut self) -> AdminKeys {
        let default = if self.configured { "" } else { FIRST_START_ADMIN };
        let wanted = self.view.raw.listen.admin.is_some();
        let text = self.view.raw.listen.admin.clone().map_or_else(|| default.to_owned(), |text| text.0);
        let listen = match text.parse::<SocketAddr>() {
            _ if text.is_empty() => None,
            Ok(address) => Some(address),
            Err(_) => {
                let remedy = "write an address with its port, such as \"127.0.0.1:8025\", or \"\" for none";
                self.problem("listen", "admin", format!("{text:?} is no address"), remedy);
                None
            }
        };
        let token = self.view.raw.admin.token_file.clone();
        let token_file = self.file("admin", "token_file", token.as_ref());
        if let Some(Err(what)) = token_file.as_deref().map(holds_token) {
            let remedy = "it has a line of 16 to 1024 characters, and chmod 640 or stricter";
            self.problem("admin", "token_file", what, remedy);
        }
        if let Some(address) = listen.filter(|address| !address.ip().is_loopback() && token_file.is_none()) {
            let remedy = "set admin.token_file, or listen on 127.0.0.1";
            self.problem("listen", "admin", format!("{address} is open to the network"), remedy);
        }
        AdminKeys { listen, wanted, token_file }
    }
}

/// What makes a file unfit to hold a token. The token itself is read by who guards with it.
fn holds_token(path: &Path) -> Result<(), String> {
    let fault = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    if fs::metadata(path).map_err(fault)?.permissions().mode() & 0o007 != 0 {
        return Err(format!("{} can be read by everybody", path.display()));
    }
    let text = fs::read_to_string(path).map_err(fault)?;
    let token = text.lines().next().unwrap_or_default().trim();
    let fit = (16..=1024).contains(&token.len()) && token.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if fit { Ok(()) } else { Err(format!("{} holds no token", path.display())) }
}
