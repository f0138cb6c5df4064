//! `[dns]`, `[transport]` and `[queue]`.

use std::net::{IpAddr, SocketAddr};

use waxseal_dns::{DnssecMode, Families, Settings as DnsSettings};
use waxseal_intake::{ListenAddr, Settings as IntakeSettings};
use waxseal_queue::{FeedbackAmount, Settings as QueueSettings, TransportLimits};
use waxseal_transport::{Discard, Settings as TransportSettings};
use waxseal_types::{Domain, NextHop};

use super::{Build, count, flag, set, span};
use crate::values::{Port, Text};

impl Build<'_> {
    pub(super) fn dns(&mut self) -> DnsSettings {
        let raw = self.view.raw.dns.clone();
        let servers = raw.servers.map(|words| words.0).unwrap_or_default();
        let trusted = raw.trusted.map(|words| words.0).unwrap_or_default();
        let servers = self.parsed_words(("dns", "servers"), &servers, server);
        let trusted = self.parsed_words(("dns", "trusted"), &trusted, |word| {
            word.parse::<IpAddr>().map_err(|_| format!("{word:?} is no IP address"))
        });
        let dnssec = self.parsed(("dns", "dnssec"), raw.dnssec.as_ref(), |word| match word {
            "validate" => Ok(DnssecMode::Validate),
            "trust-ad" => Ok(DnssecMode::TrustAd),
            "off" => Ok(DnssecMode::Off),
            _ => Err(format!("{word:?} is none of \"validate\", \"trust-ad\" and \"off\"")),
        });
        let trust_anchor = self.file("dns", "trust_anchor", raw.trust_anchor.as_ref());
        let mut settings = DnsSettings { servers, trusted, trust_anchor, ..DnsSettings::default() };
        set(&mut settings.dnssec, dnssec);
        set(&mut settings.timeout, span(&raw.timeout));
        settings
    }

    pub(super) fn transport(&mut self, hostname: &Domain) -> TransportSettings {
        let raw = self.view.raw.transport.clone();
        let mut settings =
            TransportSettings { helo_name: hostname.as_str().to_owned(), ..TransportSettings::default() };
        let helo = self.parsed(("transport", "helo_name"), given(&raw.helo_name), Domain::new);
        set(&mut settings.helo_name, helo.map(|name| name.as_str().to_owned()));
        let address = ("transport", "bind_address");
        settings.bind_address = self.parsed(address, given(&raw.bind_address), |text| {
            text.parse().map_err(|_| format!("{text:?} is no IPv4 address"))
        });
        let address = ("transport", "bind_address6");
        settings.bind_address6 = self.parsed(address, given(&raw.bind_address6), |text| {
            text.parse().map_err(|_| format!("{text:?} is no IPv6 address"))
        });
        for (slot, key, words) in [
            (&mut settings.discard, "discard_ehlo_keywords", &raw.discard_ehlo_keywords),
            (&mut settings.lmtp_discard, "lmtp_discard_lhlo_keywords", &raw.lmtp_discard_lhlo_keywords),
        ] {
            let words = words.clone().map(|words| words.0).unwrap_or_default();
            let discards = self.parsed_words(("transport", key), &words, |word| {
                Discard::default()
                    .with(word)
                    .ok_or_else(|| format!("{word:?} is no keyword of EHLO that is used"))
            });
            *slot = discards.into_iter().fold(Discard::default(), Discard::and);
        }
        set(&mut settings.address_connection_limit, count(&raw.address_connection_limit));
        set(&mut settings.connection_limit, count(&raw.connection_limit));
        set(&mut settings.line_length_limit, count(&raw.line_length_limit));
        for (slot, value) in [
            (&mut settings.connect_timeout, &raw.connect_timeout),
            (&mut settings.helo_timeout, &raw.helo_timeout),
            (&mut settings.starttls_timeout, &raw.starttls_timeout),
            (&mut settings.mail_timeout, &raw.mail_timeout),
            (&mut settings.rcpt_timeout, &raw.rcpt_timeout),
            (&mut settings.data_init_timeout, &raw.data_init_timeout),
            (&mut settings.data_xfer_timeout, &raw.data_xfer_timeout),
            (&mut settings.data_done_timeout, &raw.data_done_timeout),
            (&mut settings.rset_timeout, &raw.rset_timeout),
            (&mut settings.quit_timeout, &raw.quit_timeout),
            (&mut settings.cache_time_limit, &raw.connection_cache_time_limit),
            (&mut settings.reuse_time_limit, &raw.connection_reuse_time_limit),
            (&mut settings.session_cache_timeout, &self.view.raw.tls.session_cache_timeout),
        ] {
            set(slot, span(value));
        }
        settings
    }

    pub(super) fn queue(&mut self, hostname: &Domain, intake: &IntakeSettings) -> QueueSettings {
        let (raw, transport) = (self.view.raw.queue.clone(), self.view.raw.transport.clone());
        let mut settings =
            QueueSettings { hostname: hostname.as_str().to_owned(), ..QueueSettings::default() };
        for (slot, value) in [
            (&mut settings.minimal_backoff, &raw.minimal_backoff),
            (&mut settings.maximal_backoff, &raw.maximal_backoff),
            (&mut settings.maximal_lifetime, &raw.maximal_lifetime),
            (&mut settings.bounce_lifetime, &raw.bounce_lifetime),
            (&mut settings.destination_rate_delay, &raw.destination_rate_delay),
            (&mut settings.bounce_gather, &raw.bounce_gather),
            (&mut settings.delay_warning, &raw.delay_warning),
            (&mut settings.shutdown_grace, &raw.shutdown_grace),
        ] {
            set(slot, span(value));
        }
        let number = |value: Option<usize>| value.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        set(&mut settings.destination_concurrency_limit, number(count(&raw.destination_concurrency_limit)));
        set(
            &mut settings.initial_destination_concurrency,
            number(count(&raw.initial_destination_concurrency)),
        );
        set(&mut settings.destination_recipient_limit, count(&raw.destination_recipient_limit));
        set(
            &mut settings.destination_failed_cohort_limit,
            number(count(&raw.destination_concurrency_failed_cohort_limit)),
        );
        for (slot, key, value) in [
            (
                &mut settings.destination_positive_feedback,
                "destination_concurrency_positive_feedback",
                &raw.destination_concurrency_positive_feedback,
            ),
            (
                &mut settings.destination_negative_feedback,
                "destination_concurrency_negative_feedback",
                &raw.destination_concurrency_negative_feedback,
            ),
        ] {
            set(slot, self.parsed(("queue", key), value.as_ref(), str::parse::<FeedbackAmount>));
        }
        set(&mut settings.active_limit, number(count(&raw.active_limit)));
        settings.delivery_threads = count(&raw.delivery_threads);
        settings.destination_limits =
            self.table_names("queue", "destination_limits", raw.destination_limits.as_ref());
        settings.client_quotas = self.table_names("queue", "client_quotas", raw.client_quotas.as_ref());
        set(&mut settings.mx_address_limit, count(&transport.mx_address_limit));
        set(&mut settings.mx_session_limit, count(&transport.mx_session_limit));
        let bounce_size = raw.bounce_size_limit.map(|size| usize::try_from(size.0).unwrap_or(usize::MAX));
        set(&mut settings.bounce_size_limit, bounce_size);
        settings.families = self.families();
        set(&mut settings.port, self.port("port", transport.port.as_ref()));
        set(&mut settings.lmtp_port, self.port("lmtp_port", transport.lmtp_port.as_ref()));
        // Whether connections over TLS are kept is for each policy to say.
        set(&mut settings.reuse_clear, flag(&transport.connection_cache));
        let own = intake.listen.iter().filter_map(|listen| match listen {
            ListenAddr::Inet(address) => Some(*address),
            ListenAddr::Unix(_) => None,
        });
        settings.own_endpoints = own.collect();
        self.check_queue(&settings);
        settings
    }

    /// What single transports may have: what they say nothing of is as for all, or as for the main one of their protocol.
    pub(super) fn transport_limits(&self, settings: &mut QueueSettings) {
        for (service, keys) in &self.limits {
            let below = settings.limits(&service.protocol().into());
            let limits = TransportLimits {
                concurrency: keys.concurrency.unwrap_or(below.concurrency),
                initial: keys.initial.unwrap_or(below.initial),
                rate_delay: keys.rate_delay.unwrap_or(below.rate_delay),
                recipients: keys.recipients.map_or(below.recipients, |number| number as usize),
                positive: keys.positive.unwrap_or(below.positive),
                negative: keys.negative.unwrap_or(below.negative),
                failed_cohorts: keys.failed_cohorts.unwrap_or(below.failed_cohorts),
            };
            settings.transport_limits.insert(service.clone(), limits);
        }
    }

    /// What cannot work.
    fn check_queue(&mut self, settings: &QueueSettings) {
        if settings.minimal_backoff.is_zero() {
            self.problem("queue", "minimal_backoff", "is 0", "write at least \"1s\"");
        }
        if settings.maximal_backoff < settings.minimal_backoff {
            self.problem(
                "queue",
                "maximal_backoff",
                "is less than minimal_backoff",
                "make it at least as long",
            );
        }
        // Postfix: 0 is no limit; here the schedule needs one.
        for (key, limit) in [
            ("destination_concurrency_limit", settings.destination_concurrency_limit),
            ("initial_destination_concurrency", settings.initial_destination_concurrency),
            ("active_limit", settings.active_limit),
        ] {
            if limit == 0 {
                self.problem("queue", key, "is 0", "write at least 1");
            }
        }
        if settings.destination_recipient_limit == 0 {
            self.problem("queue", "destination_recipient_limit", "is 0", "write at least 1");
        }
    }

    /// postconf(5), `inet_protocols`.
    fn families(&mut self) -> Families {
        let Some(words) = self.view.raw.transport.inet_protocols.clone() else { return Families::default() };
        let (mut v4, mut v6) = (false, false);
        for word in &words.0 {
            match word.to_ascii_lowercase().as_str() {
                "all" => (v4, v6) = (true, true),
                "ipv4" => v4 = true,
                "ipv6" => v6 = true,
                _ => {
                    self.problem(
                        "transport",
                        "inet_protocols",
                        format!("unknown word {word:?}"),
                        "all, ipv4 or ipv6",
                    );
                    return Families::default();
                }
            }
        }
        match (v4, v6) {
            (true, false) => Families::V4,
            (false, true) => Families::V6,
            (true, true) => Families::Both,
            (false, false) => {
                self.problem("transport", "inet_protocols", "is empty", "all, ipv4 or ipv6");
                Families::default()
            }
        }
    }

    /// A number or the name of a service. TOML may have the number without quotes.
    fn port(&mut self, key: &str, value: Option<&Port>) -> Option<u16> {
        let text = value.map(|port| Text(port.0.clone()));
        self.parsed(("transport", key), text.as_ref(), |text| {
            let hop: Result<NextHop, _> = format!("x:{text}").parse();
            hop.ok()
                .and_then(|hop| hop.port())
                .ok_or_else(|| format!("{text:?} is no port (a number from 1 to 65535)"))
        })
    }
}

/// An empty text is as none.
fn given(value: &Option<Text>) -> Option<&Text> {
    value.as_ref().filter(|text| !text.0.is_empty())
}

/// `127.0.0.1:53`, `[::1]:53`, or an address alone for port 53.
fn server(word: &str) -> Result<SocketAddr, String> {
    let alone = |word: &str| word.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    word.parse()
        .or_else(|_| alone(word))
        .map_err(|_| format!("{word:?} is no address of a resolver; write 127.0.0.1:53 or [::1]:53"))
}
