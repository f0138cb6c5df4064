//! Parameters that would weaken or change TLS policy or delivery, and are not implemented.

use super::MainCf;

/// Name, Postfix's default, and what it means that it is not obeyed.
const ROWS: &[(&str, &str, &str)] = &[
    ("smtp_tls_per_site", "", "obsolete; write smtp_tls_policy_maps instead"),
    ("lmtp_tls_per_site", "", "obsolete; write lmtp_tls_policy_maps instead"),
    ("smtp_tls_wrappermode", "no", "servers that speak TLS from the start cannot be reached"),
    ("lmtp_tls_wrappermode", "no", "servers that speak TLS from the start cannot be reached"),
    ("smtp_tls_force_insecure_host_tlsa_lookup", "no", "TLSA records of unsigned hosts are not looked up"),
    ("smtp_cname_overrides_servername", "no", "names are matched as they stand in MX records"),
    ("smtp_requiretls_policy", "", "REQUIRETLS is not implemented"),
    ("tls_append_default_CA", "no", "the system's authorities are not trusted"),
    ("tls_high_cipherlist", "", "cipher grades are fixed"),
    ("tls_medium_cipherlist", "", "cipher grades are fixed"),
    ("tls_config_file", "default", "OpenSSL is not used"),
    ("tls_ssl_options", "", "OpenSSL is not used"),
    ("tls_eecdh_auto_curves", "", "the groups are fixed"),
    ("smtp_sasl_auth_enable", "no", "no credentials are sent"),
    ("lmtp_sasl_auth_enable", "no", "no credentials are sent"),
    ("smtp_sender_dependent_authentication", "no", "the sender decides nothing"),
    ("sender_dependent_relayhost_maps", "", "the sender decides nothing"),
    ("sender_dependent_default_transport_maps", "", "the sender decides nothing"),
    ("default_transport", "smtp", "mail goes by SMTP"),
    ("relay_transport", "relay", "mail goes by SMTP"),
    ("local_transport", "local:$myhostname", "nothing is delivered locally"),
    (
        "mydestination",
        "$myhostname, localhost.$mydomain, localhost",
        "nothing is delivered locally; all mail is relayed",
    ),
    ("virtual_mailbox_domains", "$virtual_mailbox_maps", "nothing is delivered locally; all mail is relayed"),
    ("virtual_alias_maps", "$virtual_maps", "addresses are not rewritten"),
    ("virtual_alias_domains", "$virtual_alias_maps", "addresses are not rewritten"),
    ("canonical_maps", "", "addresses are not rewritten"),
    ("sender_canonical_maps", "", "addresses are not rewritten"),
    ("recipient_canonical_maps", "", "addresses are not rewritten"),
    ("smtp_generic_maps", "", "addresses are not rewritten"),
    ("masquerade_domains", "", "addresses are not rewritten"),
    ("always_bcc", "", "no copies are made"),
    ("sender_bcc_maps", "", "no copies are made"),
    ("recipient_bcc_maps", "", "no copies are made"),
    ("relocated_maps", "", "addresses are not looked up"),
    ("content_filter", "", "mail is not filtered"),
    ("smtpd_milters", "", "mail is not filtered"),
    ("non_smtpd_milters", "", "mail is not filtered"),
    ("header_checks", "", "mail is not filtered"),
    ("body_checks", "", "mail is not filtered"),
    ("smtp_header_checks", "", "mail is not filtered"),
    ("smtp_discard_ehlo_keywords", "", "all that a server offers is used"),
    ("smtp_discard_ehlo_keyword_address_maps", "", "all that a server offers is used"),
    ("smtp_reply_filter", "", "replies are taken as they are"),
    ("smtp_dns_reply_filter", "", "answers are taken as they are"),
    ("smtp_delivery_status_filter", "$default_delivery_status_filter", "replies are taken as they are"),
    ("smtp_host_lookup", "dns", "hosts are looked up in DNS only"),
    ("use_srv_lookup", "", "SRV records are not looked up"),
    ("disable_dns_lookups", "no", "DNS is always used"),
    ("ignore_mx_lookup_error", "no", "a failed MX lookup defers"),
    ("smtp_defer_if_no_mx_address_found", "no", "such mail bounces"),
    ("best_mx_transport", "", "mail that loops bounces"),
    ("smtp_skip_5xx_greeting", "yes", "a greeting with 5xx leads to the next host"),
    ("smtp_always_send_ehlo", "yes", "EHLO comes first"),
    ("smtp_never_send_ehlo", "no", "EHLO comes first"),
    ("soft_bounce", "no", "permanent failures bounce"),
    ("defer_transports", "", "nothing waits for a flush"),
    ("proxy_interfaces", "", "loops through these addresses are found by the Received: lines only"),
];

/// One warning for each that is set to something else than its default.
pub(super) fn warnings(cf: &MainCf) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, definition) in cf.definitions() {
        let Some((_, default, meaning)) = ROWS.iter().find(|(known, ..)| *known == name) else { continue };
        let value = cf.value(name).unwrap_or_else(|_| definition.raw.clone());
        if value.eq_ignore_ascii_case(default) || definition.raw == *default {
            continue;
        }
        // postconf(5), mydestination: without one, nothing is local anyway. Policy maps replace per-site tables.
        let maps = name.strip_suffix("per_site").map(|prefix| cf.value(&format!("{prefix}policy_maps")));
        if (name == "mydestination" && value.is_empty()) || matches!(maps, Some(Ok(maps)) if !maps.is_empty())
        {
            continue;
        }
        warnings.push(format!("{}: {name} is not implemented: {meaning}", definition.place));
    }
    warnings
}
