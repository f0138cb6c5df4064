//! Parameters that do not concern what Waxseal does. Their defaults count where another value refers to them, and their names tell a misspelling.

/// `name = default`, one on a line: what `postconf -d` says of the parameters that no other list has, with those of later versions up to 3.11.
const DEFAULTS: &str = include_str!("defaults.txt");

pub(super) fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    DEFAULTS.lines().filter_map(|line| line.split_once(" =")).map(|(name, value)| (name, value.trim()))
}

/// Why, by the name's beginning; the first that fits.
const REASONS: &[(&str, &str)] = &[
    (
        "smtp_tls_block_early_mail_reply",
        "what comes in clear behind the reply to STARTTLS is always thrown away",
    ),
    (
        "lmtp_tls_block_early_mail_reply",
        "what comes in clear behind the reply to STARTTLS is always thrown away",
    ),
    ("smtp_tls_loglevel", "delivery events and traces tell of TLS"),
    ("lmtp_tls_loglevel", "delivery events and traces tell of TLS"),
    ("smtp_tls_enforce_sts", "the attributes of policy plugins are kept, not yet enforced"),
    ("lmtp_tls_enforce_sts", "the attributes of policy plugins are kept, not yet enforced"),
    ("smtp_tlsrpt", "TLS reports are not made yet"),
    ("smtp_log_tls", "delivery events tell of TLS"),
    ("lmtp_log_tls", "delivery events tell of TLS"),
    ("tls_required_enable", "the header TLS-Required: no lowers no policy"),
    ("requiretls", "the intake does not offer REQUIRETLS"),
    ("smtp_pix", "no workarounds for PIX firewalls"),
    ("lmtp_pix", "no workarounds for PIX firewalls"),
    ("smtp_sasl", "no credentials are sent"),
    ("lmtp_sasl", "no credentials are sent"),
    ("smtpd_tls_auth_only", "the intake offers AUTH over TLS only"),
    ("smtpd_tls_always_issue_session_ids", "sessions are resumed by tickets"),
    (
        "smtpd_tls_session_cache_database",
        "sessions are resumed by tickets, under keys that are in memory only",
    ),
    ("smtpd_tls_loglevel", "log lines tell of TLS"),
    ("smtpd_tls_", "the TLS library knows neither DSA nor parameters of its own"),
    ("smtpd_sasl_", "the intake offers AUTH where listen.auth_users names a table"),
    ("smtpd_", "the intake takes mail from whom listen.relay_restrictions let relay"),
    ("postscreen_", "the intake takes mail from relay_from only"),
    ("dnsblog_", "the intake takes mail from relay_from only"),
    ("tlsproxy_", "TLS needs no process of its own"),
    ("tlsmgr_", "TLS needs no process of its own"),
    ("tls_", "the TLS library has its own defaults"),
    ("lmtp_", "not a matter of TLS policy"),
    ("smtp_", "not a matter of TLS policy"),
    ("virtual_", "nothing is delivered locally"),
    ("local_", "nothing is delivered locally"),
    ("mailbox_", "nothing is delivered locally"),
    ("qmgr_", "the queue works differently"),
    ("address_verify_", "addresses are not probed"),
    ("milter_", "mail is not filtered"),
    ("internal_mail_filter", "mail is not filtered"),
    ("ipc_", "there are no processes that talk to each other"),
    ("qmqpd_", "there is no QMQP"),
    ("lmdb_", "of the table type"),
    ("berkeley_db_", "of the table type"),
];

pub(super) fn reason(name: &str) -> &'static str {
    let found = REASONS.iter().find(|(start, _)| name.starts_with(start));
    found.map_or("not a matter of sending mail out", |(_, reason)| reason)
}
