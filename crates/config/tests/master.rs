//! `master.cf` beside `main.cf`: whose options hold, and what is said of the others.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{fs, time::Duration};

use waxseal_config::{Config, Gravity, Problems};
use waxseal_dns::Families;
use waxseal_policy::Transport;
use waxseal_types::{NextHop, Protocol, Service, TlsLevel};

fn load(main: &str, master: &str, toml: &str) -> Result<Config, Problems> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let main = format!("myhostname = a.example.com\nmydestination =\n{main}");
    for (name, text) in [("main.cf", main.as_str()), ("master.cf", master), ("waxseal.toml", toml)] {
        fs::write(path(name), text).unwrap();
    }
    Config::load(&[path("main.cf"), path("waxseal.toml")], std::iter::empty())
}

/// `file:line key`, with the folder left out.
fn places(config: &Config) -> Vec<String> {
    let shown = |place: String| place.rsplit('/').next().unwrap_or_default().to_owned();
    config.warnings.iter().map(|one| format!("{} {}", shown(one.place.to_string()), one.key)).collect()
}

const DEBIAN: &str = "smtp inet n - y - - smtpd\nsmtp unix - - y - - smtp\nrelay unix - - y - - smtp\n  -o syslog_name=postfix/$service_name\n\
                      lmtp unix - - y - - lmtp\n";

#[test]
fn the_services_of_a_package_change_nothing() {
    let config = load("smtp_tls_security_level = may\n", DEBIAN, "").unwrap();
    assert_eq!(config.warnings, []);
    assert_eq!(config.policy.transports.get("relay"), Some(&Transport::Deliver(Service::SMTP)));
    assert_eq!(config.policy.smtp.level, TlsLevel::May);
}

#[test]
fn options_of_smtp_and_lmtp_are_above_main_cf_and_below_later_files() {
    let master = "smtp unix - - y - - smtp -o smtp_tls_security_level=$level -o { smtp_connect_timeout = 7s }\n  -o inet_protocols=ipv4\n  -o level=encrypt\n\
                  lmtp unix - - y - - lmtp -o lmtp_tls_security_level=verify -o myhostname=x.test\n";
    let main = "smtp_tls_security_level = may\nsmtp_helo_timeout = 9\n";
    let config = load(main, master, "").unwrap();
    assert_eq!((config.policy.smtp.level, config.policy.lmtp.level), (TlsLevel::Encrypt, TlsLevel::Verify));
    assert_eq!(config.transport.connect_timeout, Duration::from_secs(7));
    assert_eq!(config.transport.helo_timeout, Duration::from_secs(9));
    assert_eq!(config.queue.families, Families::V4);
    // The name of lmtp alone is not honoured, and is told with its line.
    assert_eq!(places(&config), ["master.cf:4 myhostname"]);
    let above = load(main, master, "[tls]\nsecurity_level = \"secure\"\n").unwrap();
    assert_eq!(above.policy.smtp.level, TlsLevel::Secure);
}

#[test]
fn a_wrong_option_names_its_line() {
    let problems =
        load("", "smtp unix - - y - - smtp\n  -o smtp_tls_security_level=strict\n", "").unwrap_err();
    let first = problems.errors().next().unwrap();
    assert!(first.place.to_string().ends_with("/master.cf:1"), "{first}");
    assert_eq!(first.key, "smtp_tls_security_level");
}

#[test]
fn a_service_has_what_its_options_say_and_the_rest_of_main_cf() {
    let master = "smtp unix - - y - - smtp\nrelay unix - - y - - smtp\n  -o smtp_tls_security_level=encrypt -o smtp_fallback_relay=\n  -o smtp_helo_timeout=5 -o inet_protocols=ipv6\n\
                  secure-smtp unix - - y - 2 smtp -o smtp_tls_policy_maps= -o { smtp_tls_protocols = >=TLSv1.3 } -o smtp_tls_security_level=$grade -o grade=secure\n  \
                  -o myhostname=out.example.com -o smtp_tcp_port=587 -o smtp_bind_address=192.0.2.7\n\
                  box unix - - y - - lmtp -o lmtp_tls_security_level=verify -o smtp_tls_security_level=none\nother unix - - y - - smtp\n";
    let main = "smtp_tls_security_level = may\nsmtp_tls_policy_maps = inline:{a.test=none}\nsmtp_fallback_relay = [f.test]\nsmtp_mail_timeout = 9\nrelay_domains = b.test\n";
    let config = load(main, master, "").unwrap();
    let of = |name: &str| config.policy.client(&named(name)).unwrap();
    assert_eq!((of("relay").level, of("relay").policy_maps.len()), (TlsLevel::Encrypt, 1));
    assert_eq!((of("secure-smtp").level, of("secure-smtp").policy_maps.len()), (TlsLevel::Secure, 0));
    assert_eq!((config.policy.smtp.level, config.policy.lmtp.level), (TlsLevel::May, TlsLevel::None));
    let relay: Vec<NextHop> = vec!["[f.test]".parse().unwrap()];
    assert_eq!((&of("relay").fallback_relay, &of("secure-smtp").fallback_relay), (&vec![], &relay));
    let mailbox = Service::named(Protocol::Lmtp, "box");
    assert_eq!(config.policy.client(&mailbox).unwrap().level, TlsLevel::Verify);
    // What does not differ goes by the settings of the main one, and shares its connections.
    let transport = |name: &str| config.policy.transports.get(name).cloned().unwrap();
    let expected = [named("relay"), named("secure-smtp"), mailbox, Service::SMTP].map(Transport::Deliver);
    assert_eq!(["relay", "secure-smtp", "box", "other"].map(transport), expected);

    let wire = |name: &str| &config.transport.services[&named(name)];
    assert_eq!(wire("relay").helo_timeout, Duration::from_secs(5));
    assert_eq!(wire("relay").mail_timeout, Duration::from_secs(9));
    assert_eq!(
        (wire("relay").helo_name.as_str(), wire("secure-smtp").helo_name.as_str()),
        ("a.example.com", "out.example.com")
    );
    assert_eq!(wire("secure-smtp").bind_address, Some("192.0.2.7".parse().unwrap()));
    let reach = |name: &str| config.queue.reach(&named(name));
    assert_eq!((reach("relay").families, reach("relay").port), (Families::V6, 25));
    assert_eq!((reach("secure-smtp").families, reach("secure-smtp").port), (Families::Both, 587));
    // relay_domains matter from here on, although relay_transport is the default.
    assert_eq!(config.policy.relay_domains.names.len(), 1);
    // An LMTP service has nothing of smtp_ parameters.
    let mut found = places(&config);
    found.sort();
    assert_eq!(found, ["master.cf:5 maxproc", "master.cf:7 smtp_tls_security_level"]);

    // A later file is above all of them; a service that is not there is nobody's.
    let above = load(main, master, "[tls]\nsecurity_level = \"dane\"\n").unwrap();
    assert_eq!(above.policy.client(&named("relay")).unwrap().level, TlsLevel::Dane);
    assert!(config.policy.client(&named("other")).is_err());
}

#[test]
fn a_wrong_option_of_any_service_names_its_line() {
    let master = "smtp unix - - y - - smtp\nrelay unix - - y - - smtp\n  -o smtp_tls_security_level=strict\n";
    let problems = load("", master, "").unwrap_err();
    let first = problems.errors().next().unwrap();
    assert!(first.place.to_string().ends_with("/master.cf:2"), "{first}");
    assert_eq!(problems.errors().count(), 1);
}

#[test]
fn a_service_with_settings_that_are_not_implemented_parks_its_mail() {
    let master = "smtp unix - - y - - smtp\nwrapped unix - - y - - smtp -o smtp_tls_wrappermode=yes\n\
                  slow unix - - y - 2 smtp -o smtp_destination_recipient_limit=5\nother unix - - y - - smtp\n";
    let config = load("slow_transport_rate_delay = 2\n", master, "").unwrap();
    let policy = &config.policy;
    let refused = |name: &str| matches!(policy.transports.get(name), Some(Transport::Refused(_)));
    assert_eq!(["wrapped", "slow", "other"].map(refused), [true, false, false]);
    assert!(policy.services.is_empty());
    let mut found = places(&config);
    found.sort();
    let expected = [
        "main.cf:3 slow_transport_rate_delay",
        "master.cf:2 smtp_tls_wrappermode",
        "master.cf:2 wrapped",
        "master.cf:3 maxproc",
        "master.cf:3 slow",
    ];
    assert_eq!(found, expected);
    let notices = config.warnings.iter().filter(|one| one.gravity == Gravity::Notice).count();
    assert_eq!(notices, 1);
}

fn named(name: &str) -> Service {
    Service::named(Protocol::Smtp, name)
}

/// postconf(5), `transport_destination_...`: by the transport's name, else the default of all transports, which is not what `smtp` has.
#[test]
fn the_queue_has_limits_for_each_transport_by_its_name() {
    let master = "smtp unix - - y - - smtp\nslow unix - - y - - smtp\nother unix - - y - - smtp\nmail unix - - y - - lmtp\n";
    let main = "slow_destination_concurrency_limit = 2\nslow_destination_recipient_limit = 5\nslow_initial_destination_concurrency = 1\n\
                slow_destination_rate_delay = 3\nslow_destination_concurrency_positive_feedback = 1/concurrency\n\
                slow_destination_concurrency_negative_feedback = 1/sqrt_concurrency\nslow_destination_concurrency_failed_cohort_limit = 7\n\
                lmtp_destination_recipient_limit = 9\n";
    let config = load(main, master, "").unwrap();
    assert_eq!(places(&config), [""; 0]);
    let queue = &config.queue;
    let general = queue.limits_of_all();
    let slow = queue.limits(&named("slow"));
    assert_eq!((slow.concurrency, slow.initial, slow.recipients), (2, 1, 5));
    assert_eq!((slow.rate_delay.as_secs(), slow.failed_cohorts), (3, 7));
    assert_eq!(
        (slow.positive.to_string(), slow.negative.to_string()),
        ("1/concurrency".into(), "1/sqrt_concurrency".into())
    );
    // It has a name of its own for that alone.
    assert!(
        matches!(config.policy.transports.get("slow"), Some(Transport::Deliver(client)) if client.name() == Some("slow"))
    );
    assert_eq!(queue.limits(&named("other")), general);
    let lmtp = queue.limits(&Service::LMTP);
    assert_eq!((lmtp.recipients, lmtp.concurrency), (9, 20));
    // Another transport of that protocol has what is the default, not what lmtp has.
    assert_eq!(queue.limits(&Service::named(Protocol::Lmtp, "mail")).recipients, 50);

    // What smtp has is nobody else's; a key of a later file is for all who have nothing else.
    let config = load(
        "smtp_destination_concurrency_limit = 3\nslow_destination_recipient_limit = 50\n",
        master,
        "[queue]\ndestination_recipient_limit = 4\n",
    );
    let queue = config.unwrap().queue;
    let (all, slow, other) =
        (queue.limits_of_all(), queue.limits(&named("slow")), queue.limits(&named("other")));
    assert_eq!((all.concurrency, all.recipients), (3, 4));
    assert_eq!((slow.concurrency, slow.recipients), (20, 50));
    assert_eq!((other.concurrency, other.recipients), (20, 4));

    // A wrong one names its line; that of a transport that is not there is nobody's.
    let wrong = "slow_destination_concurrency_limit = 0\nslow_destination_concurrency_positive_feedback = 1/window\nnobody_destination_rate_delay = x\n";
    let problems = load(wrong, master, "").unwrap_err();
    let found: Vec<String> = problems
        .errors()
        .map(|one| format!("{}", one.place).rsplit('/').next().unwrap().to_owned())
        .collect();
    assert_eq!(found, ["main.cf:3", "main.cf:4"]);
}

#[test]
fn listeners_are_those_of_smtpd_unless_a_later_file_says_otherwise() {
    let master = "smtp inet n - y - - smtpd\n127.0.0.1:10025 inet n - y - - smtpd -o smtpd_client_restrictions=permit\nsubmission inet n - y - - smtpd\n  \
                  -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes -o smtpd_relay_restrictions=permit_sasl_authenticated,reject\n\
                  [::1]:smtps inet n - y - - smtpd -o smtpd_tls_wrappermode=yes\nodd inet n - y - - smtpd\n2525 inet n - y - 1 postscreen\nsmtp unix - - y - - smtp\n";
    let main =
        "inet_interfaces = 192.0.2.1, 192.0.2.2\ninet_protocols = ipv4\nsmtpd_tls_security_level = may\n";
    let config = load(main, master, "").unwrap();
    let shown = |list: &[waxseal_intake::ListenAddr]| {
        list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let intake = &config.intake;
    assert_eq!(shown(&intake.listen), "192.0.2.1:25 192.0.2.2:25 127.0.0.1:10025");
    assert_eq!(shown(&intake.submission), "192.0.2.1:587 192.0.2.2:587");
    assert_eq!(shown(&intake.submissions), "[::1]:465");
    let mut found = places(&config);
    found.sort();
    let expected = [
        "master.cf:2 smtpd_client_restrictions",
        "master.cf:3 smtpd_relay_restrictions",
        "master.cf:3 smtpd_sasl_auth_enable",
        "master.cf:6 odd",
        "master.cf:7 2525",
    ];
    assert_eq!(found, expected);
    // Where all demand TLS, none is special.
    let all = load(&main.replace("may", "encrypt"), "smtp inet n - y - - smtpd\n", "").unwrap();
    assert_eq!(
        (shown(&all.intake.listen), all.intake.submission.len()),
        ("192.0.2.1:25 192.0.2.2:25".into(), 0)
    );
    let toml = "[listen]\nsmtp = [\"127.0.0.1:2526\"]\nsubmissions = []\n";
    let above = load(main, master, toml).unwrap().intake;
    assert_eq!((shown(&above.listen), above.submissions.len()), ("127.0.0.1:2526".into(), 0));
    assert_eq!(shown(&above.submission), "192.0.2.1:587 192.0.2.2:587");
    // Without a server in it, nothing is said of listeners.
    assert_eq!(shown(&load(main, "smtp unix - - y - - smtp\n", "").unwrap().intake.listen), "127.0.0.1:2525");
}

#[test]
fn names_that_postfix_does_not_have_are_told() {
    let main = "smtp_tls_securty_level = encrypt\nours = x\nmine = y\nrelayhost = [$mine.test]\nsmtpd_bannr = z\nsmtp_bind_address = ${ours:a}\nsmtp_helo_name = ${nothing?{$}}$myhostname\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("main.cf");
    fs::write(&path, main).unwrap();
    let (_, found) = Config::check(&[path], std::iter::empty());
    let of =
        |key: &str| found.iter().find(|one| one.key == key).map(|one| (one.gravity, one.remedy.as_str()));
    assert_eq!(
        of("smtp_tls_securty_level"),
        Some((Gravity::Warning, "did you mean smtp_tls_security_level?"))
    );
    assert_eq!(of("smtpd_bannr"), Some((Gravity::Notice, "did you mean smtpd_banner?")));
    assert_eq!((of("ours"), of("mine")), (None, None), "what a value refers to is the operator's own");
    assert_eq!(of("smtp_helo_name"), Some((Gravity::Warning, "correct it before something changes")));
}

#[test]
fn a_name_given_twice_and_a_line_out_of_place_are_told_as_postfix_tells_them() {
    let config = load(
        "  relayhost = [a.test]\nrelayhost = [b.test]\nrelayhost = [b.test]\nrelayhost = [c.test]\n",
        DEBIAN,
        "",
    );
    let config = config.unwrap();
    // The first line continues the one above it, as Postfix reads it.
    assert_eq!(config.policy.relayhost[0].to_string(), "[c.test]");
    assert!(places(&config).contains(&"main.cf:6 relayhost".to_owned()), "{:?}", config.warnings);
}

#[test]
fn per_site_tables_are_refused_unless_policy_maps_replace_them() {
    let site = "smtp_tls_per_site = texthash:/nowhere\n";
    let problems = load(site, DEBIAN, "").unwrap_err();
    let first = problems.errors().next().unwrap();
    assert_eq!((first.key.as_str(), first.gravity), ("smtp_tls_per_site", Gravity::Error));
    assert!(
        first.place.to_string().ends_with("/main.cf:3") && first.remedy.contains("policy table"),
        "{first}"
    );
    // postconf(5), smtp_tls_policy_maps: "all per-site tables are ignored".
    let maps = format!("{site}smtp_tls_policy_maps = inline:{{a.test=may}}\n");
    assert!(!places(&load(&maps, DEBIAN, "").unwrap()).iter().any(|place| place.ends_with("per_site")));
    let service = "smtp unix - - y - - smtp\n  -o smtp_tls_per_site=texthash:/nowhere\n";
    assert_eq!(load("", service, "").unwrap_err().errors().count(), 1);
}
