//! Parameters that become keys, with Postfix's defaults (postconf(5) of 3.11; where it has a version switch, by compatibility level).

use super::As::{self, Number, Plain, Time, YesNo};

/// Parameter, default, section, key. Defaults may refer to other parameters.
pub(super) type Row = (&'static str, &'static str, &'static str, &'static str, As);

pub(super) const ROWS: &[Row] = &[
    ("message_size_limit", "10240000", "listen", "message_size_limit", Number),
    ("smtpd_recipient_limit", "1000", "listen", "recipient_limit", Number),
    ("smtpd_client_connection_count_limit", "50", "listen", "client_connection_limit", Number),
    ("header_size_limit", "102400", "listen", "header_size_limit", Number),
    ("hopcount_limit", "50", "listen", "hopcount_limit", Number),
    ("smtpd_timeout", "300s", "listen", "timeout", Time('s')),
    ("transport_maps", "", "transport", "maps", Plain),
    ("relayhost", "", "transport", "relayhost", Plain),
    ("smtp_fallback_relay", "$fallback_relay", "transport", "fallback_relay", Plain),
    ("lmtp_fallback_relay", "", "transport", "lmtp_fallback_relay", Plain),
    ("recipient_delimiter", "", "transport", "recipient_delimiter", Plain),
    ("smtp_tcp_port", "smtp", "transport", "port", Plain),
    ("lmtp_tcp_port", "24", "transport", "lmtp_port", Plain),
    ("inet_protocols", "all", "transport", "inet_protocols", Plain),
    ("smtp_bind_address", "", "transport", "bind_address", Plain),
    ("smtp_bind_address6", "", "transport", "bind_address6", Plain),
    ("smtp_line_length_limit", "998", "transport", "line_length_limit", Number),
    ("smtp_connect_timeout", "30s", "transport", "connect_timeout", Time('s')),
    ("smtp_helo_timeout", "300s", "transport", "helo_timeout", Time('s')),
    ("smtp_starttls_timeout", "300s", "transport", "starttls_timeout", Time('s')),
    ("smtp_mail_timeout", "300s", "transport", "mail_timeout", Time('s')),
    ("smtp_rcpt_timeout", "300s", "transport", "rcpt_timeout", Time('s')),
    ("smtp_data_init_timeout", "120s", "transport", "data_init_timeout", Time('s')),
    ("smtp_data_xfer_timeout", "180s", "transport", "data_xfer_timeout", Time('s')),
    ("smtp_data_done_timeout", "600s", "transport", "data_done_timeout", Time('s')),
    ("smtp_rset_timeout", "20s", "transport", "rset_timeout", Time('s')),
    ("smtp_quit_timeout", "300s", "transport", "quit_timeout", Time('s')),
    ("smtp_connection_cache_time_limit", "2s", "transport", "connection_cache_time_limit", Time('s')),
    ("smtp_connection_reuse_time_limit", "300s", "transport", "connection_reuse_time_limit", Time('s')),
    ("smtp_mx_address_limit", "5", "transport", "mx_address_limit", Number),
    ("smtp_mx_session_limit", "2", "transport", "mx_session_limit", Number),
    ("smtp_dns_support_level", "", "transport", "dns_support_level", Plain),
    ("lmtp_dns_support_level", "", "transport", "lmtp_dns_support_level", Plain),
    ("ignore_mx_lookup_error", "no", "transport", "ignore_mx_lookup_error", YesNo),
    ("default_transport", "smtp", "transport", "default_transport", Plain),
    ("relay_transport", "relay", "transport", "relay_transport", Plain),
    (
        "relay_domains",
        "${{$compatibility_level} <level {2} ? {$mydestination} : {}}",
        "transport",
        "relay_domains",
        Plain,
    ),
    ("minimal_backoff_time", "300s", "queue", "minimal_backoff", Time('s')),
    ("maximal_backoff_time", "4000s", "queue", "maximal_backoff", Time('s')),
    ("maximal_queue_lifetime", "5d", "queue", "maximal_lifetime", Time('d')),
    ("bounce_queue_lifetime", "5d", "queue", "bounce_lifetime", Time('d')),
    (
        "smtp_destination_concurrency_limit",
        "$default_destination_concurrency_limit",
        "queue",
        "destination_concurrency_limit",
        Number,
    ),
    (
        "smtp_destination_rate_delay",
        "$default_destination_rate_delay",
        "queue",
        "destination_rate_delay",
        Time('s'),
    ),
    (
        "smtp_initial_destination_concurrency",
        "$initial_destination_concurrency",
        "queue",
        "initial_destination_concurrency",
        Number,
    ),
    (
        "smtp_destination_recipient_limit",
        "$default_destination_recipient_limit",
        "queue",
        "destination_recipient_limit",
        Number,
    ),
    ("delay_warning_time", "0h", "queue", "delay_warning", Time('h')),
    ("bounce_size_limit", "50000", "queue", "bounce_size_limit", Number),
];

/// The same for `smtp_tls_` and `lmtp_tls_`: name behind the prefix, both defaults, key.
pub(super) type TlsRow = (&'static str, &'static str, &'static str, &'static str, As);

pub(super) const TLS_ROWS: &[TlsRow] = &[
    ("security_level", "${{$compatibility_level} <level {3.11} ? {} : {may}}", "", "security_level", Plain),
    ("policy_maps", "", "", "policy_maps", Plain),
    ("protocols", ">=TLSv1", ">=TLSv1", "protocols", Plain),
    ("mandatory_protocols", ">=TLSv1", ">=TLSv1", "mandatory_protocols", Plain),
    ("ciphers", "medium", "medium", "ciphers", Plain),
    ("mandatory_ciphers", "medium", "medium", "mandatory_ciphers", Plain),
    ("exclude_ciphers", "", "", "exclude_ciphers", Plain),
    ("mandatory_exclude_ciphers", "", "", "mandatory_exclude_ciphers", Plain),
    ("servername", "", "", "servername", Plain),
    ("fingerprint_digest", FINGERPRINT_DIGEST, FINGERPRINT_DIGEST, "fingerprint_digest", Plain),
    ("fingerprint_cert_match", "", "", "fingerprint_cert_match", Plain),
    ("verify_cert_match", "hostname", "hostname", "verify_cert_match", Plain),
    ("secure_cert_match", "nexthop, dot-nexthop", "nexthop", "secure_cert_match", Plain),
    ("trust_anchor_file", "", "", "trust_anchor_file", Plain),
    ("CAfile", "", "", "CAfile", Plain),
    ("CApath", "", "", "CApath", Plain),
    ("scert_verifydepth", "9", "9", "scert_verifydepth", Number),
    ("connection_reuse", "no", "no", "connection_reuse", YesNo),
    ("enable_rpk", "no", "no", "enable_rpk", YesNo),
    (
        "dane_insecure_mx_policy",
        INSECURE_MX,
        "$smtp_tls_dane_insecure_mx_policy",
        "dane_insecure_mx_policy",
        Plain,
    ),
    ("cert_file", "", "", "cert_file", Plain),
    ("key_file", "$smtp_tls_cert_file", "$lmtp_tls_cert_file", "key_file", Plain),
    ("eccert_file", "", "", "eccert_file", Plain),
    ("eckey_file", "$smtp_tls_eccert_file", "$lmtp_tls_eccert_file", "eckey_file", Plain),
    ("chain_files", "", "", "chain_files", Plain),
    ("session_cache_timeout", "3600s", "3600s", "session_cache_timeout", Time('s')),
    ("note_starttls_offer", "no", "no", "note_starttls_offer", YesNo),
];

const FINGERPRINT_DIGEST: &str = "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}";
/// Up to 3.7.11 the default depends on the level; later ones have `dane`. The lower one never demands what the operator has not tested.
const INSECURE_MX: &str = "${{$smtp_tls_security_level} == {dane} ? {dane} : {may}}";
