//! The keys, as they are written. What they mean is for `build` to say.

use serde::Deserialize;

use crate::values::{Count, Flag, Port, Ratio, Size, Span, Text, Words};

macro_rules! section {
    ($(#[$meta:meta])* $name:ident { $($field:ident: $kind:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Default, Clone, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct $name { $(pub(crate) $field: Option<$kind>,)* }

        impl $name {
            pub(crate) const KEYS: &'static [&'static str] = &[$(stringify!($field)),*];
        }
    };
    (inherits $(#[$meta:meta])* $name:ident { $($field:ident: $kind:ty),* $(,)? }) => {
        section!($(#[$meta])* $name { $($field: $kind),* });

        impl $name {
            /// What is not set here is as there.
            pub(crate) fn or(self, other: &Self) -> Self {
                Self { $($field: self.$field.or_else(|| other.$field.clone()),)* }
            }
        }
    };
}

section!(Spool { path: Text });

section!(Listen {
    smtp: Words,
    admin: Text,
    submission: Words,
    submissions: Words,
    relay_from: Words,
    relay_restrictions: Words,
    relay_clientcerts: Words,
    auth_users: Text,
    message_size_limit: Size,
    recipient_limit: Count,
    connection_limit: Count,
    client_connection_limit: Count,
    threads: Count,
    memory_limit: Size,
    trace_from: Words,
    keep_traceparent: Flag,
    header_size_limit: Size,
    hopcount_limit: Count,
    timeout: Span,
    hard_error_limit: Count,
    soft_error_limit: Count,
    junk_command_limit: Count,
    error_sleep_time: Span,
    min_data_rate: Count,
    forbidden_commands: Text,
    connection_rate_limit: Count,
    message_rate_limit: Count,
    recipient_rate_limit: Count,
    new_tls_session_rate_limit: Count,
    auth_rate_limit: Count,
    auth_failure_limit: Count,
    rate_time_unit: Span,
    client_ipv6_prefix_length: Count,
});

section!(
    /// `[listen_tls]`: each key is the parameter of that name behind `smtpd_tls_`, but for `server_sni_maps` (`tls_`) and `starttls_timeout` (`smtpd_`).
    #[expect(non_snake_case, reason = "the names of Postfix's parameters")]
    ListenTls {
        security_level: Text,
        wrappermode: Flag,
        chain_files: Words,
        cert_file: Text,
        key_file: Text,
        eccert_file: Text,
        eckey_file: Text,
        CAfile: Text,
        CApath: Text,
        server_sni_maps: Words,
        protocols: Text,
        mandatory_protocols: Text,
        ciphers: Text,
        mandatory_ciphers: Text,
        exclude_ciphers: Text,
        mandatory_exclude_ciphers: Text,
        ask_ccert: Flag,
        req_ccert: Flag,
        ccert_verifydepth: Count,
        fingerprint_digest: Text,
        enable_rpk: Flag,
        received_header: Flag,
        session_cache_timeout: Span,
        starttls_timeout: Span,
        tlsa_names: Words,
    }
);

section!(Dns { servers: Words, dnssec: Text, trust_anchor: Text, timeout: Span, trusted: Words });

section!(inherits
    /// `[tls]` and `[lmtp_tls]`: each key is the parameter of that name behind `smtp_tls_` or `lmtp_tls_`.
    #[expect(non_snake_case, reason = "the names of Postfix's parameters")]
    Tls {
        security_level: Text,
        policy_maps: Words,
        protocols: Text,
        mandatory_protocols: Text,
        ciphers: Text,
        mandatory_ciphers: Text,
        exclude_ciphers: Text,
        mandatory_exclude_ciphers: Text,
        servername: Text,
        fingerprint_digest: Text,
        fingerprint_cert_match: Text,
        verify_cert_match: Text,
        secure_cert_match: Text,
        trust_anchor_file: Words,
        CAfile: Text,
        CApath: Text,
        scert_verifydepth: Count,
        wildcard_matches_multiple_labels: Flag,
        minimum_rsa_bits: Count,
        refuse_sha1: Flag,
        connection_reuse: Flag,
        enable_rpk: Flag,
        dane_insecure_mx_policy: Text,
        dane_digests: Text,
        cert_file: Text,
        key_file: Text,
        eccert_file: Text,
        eckey_file: Text,
        chain_files: Words,
        session_cache_timeout: Span,
        note_starttls_offer: Flag,
    }
);

section!(Transport {
    maps: Words,
    default_transport: Text,
    relay_transport: Text,
    relay_domains: Words,
    relayhost: Words,
    fallback_relay: Words,
    lmtp_fallback_relay: Words,
    recipient_delimiter: Text,
    port: Port,
    lmtp_port: Port,
    inet_protocols: Words,
    helo_name: Text,
    bind_address: Text,
    bind_address6: Text,
    line_length_limit: Count,
    discard_ehlo_keywords: Words,
    lmtp_discard_lhlo_keywords: Words,
    connect_timeout: Span,
    helo_timeout: Span,
    starttls_timeout: Span,
    mail_timeout: Span,
    rcpt_timeout: Span,
    data_init_timeout: Span,
    data_xfer_timeout: Span,
    data_done_timeout: Span,
    rset_timeout: Span,
    quit_timeout: Span,
    connection_cache: Flag,
    connection_cache_time_limit: Span,
    connection_reuse_time_limit: Span,
    address_connection_limit: Count,
    connection_limit: Count,
    mx_address_limit: Count,
    mx_session_limit: Count,
    dns_support_level: Text,
    lmtp_dns_support_level: Text,
    ignore_mx_lookup_error: Flag,
});

section!(Queue {
    minimal_backoff: Span,
    maximal_backoff: Span,
    maximal_lifetime: Span,
    bounce_lifetime: Span,
    destination_concurrency_limit: Count,
    initial_destination_concurrency: Count,
    destination_rate_delay: Span,
    destination_recipient_limit: Count,
    destination_concurrency_positive_feedback: Text,
    destination_concurrency_negative_feedback: Text,
    destination_concurrency_failed_cohort_limit: Count,
    active_limit: Count,
    delivery_threads: Count,
    destination_limits: Words,
    client_quotas: Words,
    bounce_gather: Span,
    bounce_size_limit: Size,
    delay_warning: Span,
    shutdown_grace: Span,
});

section!(Admin { token_file: Text });
section!(Log { level: Text, delivery_events: Text });
section!(Ledger { path: Text, size: Size, redact: Flag });
section!(Telemetry { otlp_endpoint: Text, protocol: Text, metrics_interval: Span, sampling_ratio: Ratio });
section!(Tables { stale_limit: Span });
section!(Process { user: Text });

/// All keys.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Raw {
    pub(crate) hostname: Option<Text>,
    pub(crate) spool: Spool,
    pub(crate) listen: Listen,
    pub(crate) listen_tls: ListenTls,
    pub(crate) dns: Dns,
    pub(crate) tls: Tls,
    pub(crate) lmtp_tls: Tls,
    pub(crate) transport: Transport,
    pub(crate) queue: Queue,
    pub(crate) admin: Admin,
    pub(crate) log: Log,
    pub(crate) ledger: Ledger,
    pub(crate) telemetry: Telemetry,
    pub(crate) tables: Tables,
    pub(crate) process: Process,
}

/// The sections with their keys.
pub(crate) const SECTIONS: &[(&str, &[&str])] = &[
    ("", &["hostname"]),
    ("spool", Spool::KEYS),
    ("listen", Listen::KEYS),
    ("listen_tls", ListenTls::KEYS),
    ("dns", Dns::KEYS),
    ("tls", Tls::KEYS),
    ("lmtp_tls", Tls::KEYS),
    ("transport", Transport::KEYS),
    ("queue", Queue::KEYS),
    ("admin", Admin::KEYS),
    ("log", Log::KEYS),
    ("ledger", Ledger::KEYS),
    ("telemetry", Telemetry::KEYS),
    ("tables", Tables::KEYS),
    ("process", Process::KEYS),
];

/// The keys of a section; `""` is the top.
pub(crate) fn keys_of(section: &str) -> Option<&'static [&'static str]> {
    SECTIONS.iter().find(|(name, _)| *name == section).map(|(_, keys)| *keys)
}
