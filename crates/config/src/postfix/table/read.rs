//! Parameters that are read, and decide about something without being a key of their own.

const LMTP: &str = "the limits of the transport lmtp";
const RELAY: &str = "the limits of the transport relay, where master.cf has it";

/// Name, Postfix's default, and what it decides. The defaults of those that depend on the machine are made by `file`.
pub(super) const ROWS: &[(&str, &str, &str)] = &[
    ("compatibility_level", "0", "which defaults hold"),
    ("config_directory", "", "for $config_directory: the folder of the file"),
    ("myhostname", "", "`hostname`, where it is set"),
    ("mydomain", "", "for $mydomain: myhostname without its first label"),
    ("mynetworks", "", "`listen.relay_from`, where it is set; otherwise only this machine may relay"),
    ("smtp_helo_name", "$myhostname", "`transport.helo_name`, where it is set"),
    (
        "tls_wildcard_matches_multiple_labels",
        "yes",
        "`wildcard_matches_multiple_labels` of `tls` and `lmtp_tls`, where it is set",
    ),
    (
        "smtp_connection_cache_destinations",
        "",
        "`transport.connection_cache`: whether connections in clear are kept",
    ),
    (
        "smtp_connection_cache_on_demand",
        "yes",
        "`transport.connection_cache`: whether connections in clear are kept",
    ),
    ("smtp_tls_session_cache_database", "", "whether TLS sessions are resumed; they are kept in memory"),
    ("lmtp_tls_session_cache_database", "", "whether TLS sessions are resumed; they are kept in memory"),
    ("smtpd_use_tls", "no", "`listen_tls.security_level`, where smtpd_tls_security_level is empty"),
    ("smtpd_enforce_tls", "no", "`listen_tls.security_level`, where smtpd_tls_security_level is empty"),
    (
        "smtpd_client_ipv6_prefix_length",
        "84",
        "`listen.client_ipv6_prefix_length`, where it is set; otherwise 64",
    ),
    ("smtp_use_tls", "no", "`tls.security_level`, where smtp_tls_security_level is empty"),
    ("smtp_enforce_tls", "no", "`tls.security_level`, where smtp_tls_security_level is empty"),
    ("smtp_tls_enforce_peername", "yes", "`tls.security_level`, where smtp_tls_security_level is empty"),
    ("lmtp_use_tls", "no", "`lmtp_tls.security_level`, where lmtp_tls_security_level is empty"),
    ("lmtp_enforce_tls", "no", "`lmtp_tls.security_level`, where lmtp_tls_security_level is empty"),
    ("lmtp_tls_enforce_peername", "yes", "`lmtp_tls.security_level`, where lmtp_tls_security_level is empty"),
    ("default_destination_rate_delay", "0s", "the default of smtp_destination_rate_delay"),
    ("tls_dane_digests", "sha512 sha256", "`dane_digests` of `tls` and `lmtp_tls`, where it is set"),
    ("default_destination_concurrency_limit", "20", "the default of smtp_destination_concurrency_limit"),
    ("default_destination_recipient_limit", "50", "the default of smtp_destination_recipient_limit"),
    ("initial_destination_concurrency", "5", "the default of smtp_initial_destination_concurrency"),
    (
        "default_destination_concurrency_positive_feedback",
        "1",
        "the default of smtp_destination_concurrency_positive_feedback",
    ),
    (
        "default_destination_concurrency_negative_feedback",
        "1",
        "the default of smtp_destination_concurrency_negative_feedback",
    ),
    (
        "default_destination_concurrency_failed_cohort_limit",
        "1",
        "the default of smtp_destination_concurrency_failed_cohort_limit",
    ),
    ("lmtp_destination_concurrency_limit", "$default_destination_concurrency_limit", LMTP),
    ("lmtp_destination_recipient_limit", "$default_destination_recipient_limit", LMTP),
    ("lmtp_destination_rate_delay", "$default_destination_rate_delay", LMTP),
    (
        "lmtp_destination_concurrency_positive_feedback",
        "$default_destination_concurrency_positive_feedback",
        LMTP,
    ),
    (
        "lmtp_destination_concurrency_negative_feedback",
        "$default_destination_concurrency_negative_feedback",
        LMTP,
    ),
    (
        "lmtp_destination_concurrency_failed_cohort_limit",
        "$default_destination_concurrency_failed_cohort_limit",
        LMTP,
    ),
    ("lmtp_initial_destination_concurrency", "$initial_destination_concurrency", LMTP),
    ("relay_destination_concurrency_limit", "$default_destination_concurrency_limit", RELAY),
    ("relay_destination_recipient_limit", "$default_destination_recipient_limit", RELAY),
    ("relay_destination_rate_delay", "$default_destination_rate_delay", RELAY),
    (
        "relay_destination_concurrency_positive_feedback",
        "$default_destination_concurrency_positive_feedback",
        RELAY,
    ),
    (
        "relay_destination_concurrency_negative_feedback",
        "$default_destination_concurrency_negative_feedback",
        RELAY,
    ),
    (
        "relay_destination_concurrency_failed_cohort_limit",
        "$default_destination_concurrency_failed_cohort_limit",
        RELAY,
    ),
    ("relay_initial_destination_concurrency", "$initial_destination_concurrency", RELAY),
    ("fallback_relay", "", "the default of smtp_fallback_relay"),
];
