//! Configurations as they are written, and what they come to.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{fs, path::PathBuf, time::Duration};

use waxseal_config::{Config, Gravity, Place, Problems};
use waxseal_dns::{DnssecMode, Families};
use waxseal_policy::{InsecureMx, ServerName, TableAnswer};
use waxseal_types::{Strength, TlsLevel};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn load(&self, files: &[(&str, &str)]) -> Result<Config, Problems> {
        let files: Vec<PathBuf> = files.iter().map(|(name, text)| self.file(name, text)).collect();
        Config::load(&files, std::iter::empty())
    }

    /// The problems, with the folder's name taken out.
    fn problems(&self, files: &[(&str, &str)]) -> Vec<String> {
        let folder = format!("{}/", self.0.path().display());
        let problems = self.load(files).unwrap_err();
        problems.errors().map(|problem| problem.to_string().replace(&folder, "")).collect()
    }
}

fn environment(pairs: &[(&str, &str)]) -> Result<Config, Problems> {
    Config::load(&[], pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[test]
fn without_anything_the_defaults_of_the_interface_hold() {
    let config = environment(&[]).unwrap();
    assert_eq!(config.spool.path, PathBuf::from("./waxseal-spool"));
    assert_eq!(config.intake.listen[0].to_string(), "127.0.0.1:2525");
    assert_eq!(config.admin.listen.unwrap().to_string(), "127.0.0.1:8025");
    assert_eq!(config.policy.smtp.level, TlsLevel::Dane);
    assert_eq!(config.dns.dnssec, DnssecMode::Validate);
    assert!(config.policy.smtp.connection_reuse && config.queue.reuse_clear);
    assert_eq!(config.policy.smtp.insecure_mx, InsecureMx::Dane);
    assert_eq!(config.intake.protocol.message_size_limit, 50 << 20);
    assert_eq!(
        (config.log.level.as_str(), config.log.delivery_events, config.telemetry.otlp_endpoint),
        ("info", None, None)
    );
}

#[test]
fn the_example_of_the_interface_is_read() {
    let folder = Folder::new();
    let table = folder.file("tls_policy", "example.com encrypt\n");
    let text = format!(
        r#"
hostname = "mail.example.org"
[spool]
path = "/var/spool/waxseal"
[listen]
smtp = ["127.0.0.1:2525", "unix:/run/waxseal"]
admin = ""
relay_from = ["127.0.0.0/8", "::1/128"]
message_size_limit = "50 MiB"
[dns]
servers = ["127.0.0.1:53"]
dnssec = "trust-ad"
timeout = "5s"
trusted = []
[tls]
security_level = "encrypt"
policy_maps = ["texthash:{}"]
trust_anchor_file = []
CAfile = ""
CApath = ""
protocols = ">=TLSv1.2"
mandatory_protocols = "TLSv1.3"
[transport]
maps = ["inline:{{a.test=smtp:[b.test]:25}}"]
relayhost = ""
port = 25
connect_timeout = "30s"
[queue]
minimal_backoff = "300s"
maximal_backoff = "4000s"
maximal_lifetime = "5d"
bounce_lifetime = "5d"
[log]
level = "info"
delivery_events = "/var/log/waxseal/delivery.jsonl"
[telemetry]
otlp_endpoint = ""
"#,
        table.display()
    );
    let config = folder.load(&[("waxseal.toml", &text)]).unwrap();
    assert_eq!(config.hostname.as_str(), "mail.example.org");
    assert_eq!(config.transport.helo_name, "mail.example.org");
    assert_eq!(config.intake.protocol.hostname, "mail.example.org");
    assert!(
        !config.policy.smtp.mandatory.protocols.tls12 && config.policy.smtp.opportunistic.protocols.tls12
    );
    // LMTP is as SMTP, unless [lmtp_tls] says something else.
    assert_eq!(config.policy.lmtp.level, TlsLevel::Encrypt);
    assert_eq!(config.queue.maximal_lifetime, Duration::from_secs(432_000));
    assert!(config.admin.listen.is_none() && config.warnings.is_empty(), "{:?}", config.warnings);
    let TableAnswer::Found { value, origin } =
        config.tables.lookup(&config.policy.smtp.policy_maps[0], "Example.COM")
    else {
        panic!()
    };
    assert_eq!((value.as_str(), origin.to_string()), ("encrypt", format!("{}:1", table.display())));
    let TableAnswer::Found { origin, .. } = config.tables.lookup(&config.policy.transport_maps[0], "a.test")
    else {
        panic!()
    };
    let line = text.lines().position(|line| line.starts_with("maps = ")).unwrap() + 1;
    assert!(origin.to_string().ends_with(&format!("waxseal.toml:{line}")), "{origin}");
}

#[test]
fn all_problems_are_found_at_once_with_line_key_and_remedy() {
    let text = "\
hostnam = \"a.example\"
[queue]
minimal_backof = \"1s\"
bounce_lifetime = 5
[listen]
admin = 8025
message_size_limit = \"fifty\"
[tls]
security_level = \"maybe\"
protocols = \">=SSLv9\"
policy_maps = [\"ldap:/etc/x\"]
CAfile = \"/nowhere/ca.pem\"
servername = \"bad..name\"
CApath = \"relative\"
[tsl]
[spool]
colour = \"green\"
[dns]
dnssec = \"maybe\"
servers = [\"localhost\"]
port = 25
";
    let got = Folder::new().problems(&[("waxseal.toml", text)]);
    let expected = [
        "waxseal.toml:1: hostnam: unknown key; did you mean hostname?",
        "waxseal.toml:3: queue.minimal_backof: unknown key; did you mean minimal_backoff?",
        "waxseal.toml:4: queue.bounce_lifetime: 5 is not a time with its unit",
        "waxseal.toml:6: listen.admin: 8025 is not a text in quotes",
        "waxseal.toml:7: listen.message_size_limit: \"fifty\" is not a size",
        "waxseal.toml:9: tls.security_level: unknown TLS security level \"maybe\" (one of none, may, encrypt, dane,",
        "waxseal.toml:10: tls.protocols: unknown TLS protocol \">=SSLv9\"",
        "waxseal.toml:11: tls.policy_maps: table type \"ldap\" is not supported yet",
        "waxseal.toml:12: tls.CAfile: cannot read /nowhere/ca.pem: No such file",
        "waxseal.toml:13: tls.servername: \"bad..name\" is no hostname; write a name",
        "waxseal.toml:14: tls.CApath: \"relative\" is a relative path; write the whole path",
        "waxseal.toml:15: tsl: unknown section; did you mean [tls]?",
        "waxseal.toml:17: spool.colour: unknown key; the keys here are path",
        "waxseal.toml:19: dns.dnssec: \"maybe\" is none of",
        "waxseal.toml:20: dns.servers: \"localhost\" is no address of a resolver",
        "waxseal.toml:21: dns.port: unknown key; it belongs into [transport]",
    ];
    for (got, start) in got.iter().zip(expected) {
        assert!(got.starts_with(start), "{got}\nshould be {start}");
    }
    assert_eq!(got.len(), expected.len(), "{got:#?}");
}

/// What Postfix has no parameter for: it may be tightened, and never loosened.
#[test]
fn keys_and_signatures_can_be_demanded_stronger_and_not_weaker() {
    let text = "[tls]\nminimum_rsa_bits = 2048\nrefuse_sha1 = true\n";
    let config = Folder::new().load(&[("waxseal.toml", text)]).unwrap();
    assert_eq!(config.policy.smtp.strength, Strength { rsa_bits: 2048, refuse_sha1: true });
    assert_eq!(config.policy.lmtp.strength, config.policy.smtp.strength);
    for bits in [0, 512, 70_000] {
        let got = Folder::new().problems(&[("waxseal.toml", &format!("[tls]\nminimum_rsa_bits = {bits}\n"))]);
        let expected =
            format!("waxseal.toml:2: tls.minimum_rsa_bits: {bits} is not between 1024 and 16384; 2048 is");
        assert!(got.len() == 1 && got[0].starts_with(&expected), "{got:?}");
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = Folder::new();
    let table = [
        ("a.toml", "hostname = \n", "a.toml:1: not TOML: "),
        ("a.toml", "[listen\n", "a.toml:1: not TOML: "),
        ("a.toml", "spool = 1\n", "a.toml:1: spool: is a section, not a key"),
        ("a.conf", "", "a.conf: not a configuration file; name it *.toml or"),
        (
            "main.cf",
            "no equals sign\n",
            "main.cf:1: missing '=' after attribute name: \"no equals sign\"; write: name = value",
        ),
        ("main.cf", "myhostname = ${x\n", "main.cf:1: myhostname: truncated macro reference"),
        (
            "main.cf",
            "smtp_connect_timeout = soon\n",
            "main.cf:1: smtp_connect_timeout: \"soon\" is not a time",
        ),
        (
            "main.cf",
            "smtp_tls_connection_reuse = maybe\n",
            "main.cf:1: smtp_tls_connection_reuse: \"maybe\" is not yes or no",
        ),
        (
            "main.cf",
            "smtp_tls_security_level = strict\n",
            "main.cf:1: smtp_tls_security_level: unknown TLS security level \"strict\"",
        ),
        (
            "main.cf",
            "#\nmynetworks = 127.0.0.1/8\n",
            "main.cf:2: mynetworks: \"127.0.0.1/8\" has bits set behind its prefix",
        ),
        (
            "main.cf",
            "mynetworks = !10.0.0.1, 10.0.0.0/8\n",
            "main.cf:1: mynetworks: exclusion \"!10.0.0.1\" is not supported",
        ),
    ];
    for (name, text, start) in table {
        let got = folder.problems(&[(name, text)]);
        assert!(got.first().is_some_and(|line| line.starts_with(start)), "{name} {text:?}\n{got:#?}");
    }
    let missing =
        Config::load(&[folder.0.path().join("none.toml")], std::iter::empty()).unwrap_err().to_string();
    assert!(missing.contains("none.toml: cannot be read: No such file"), "{missing}");
    fs::write(folder.0.path().join("b.toml"), b"#\nhostname = \"\xff\"\n").unwrap();
    let binary = Config::load(&[folder.0.path().join("b.toml")], std::iter::empty()).unwrap_err().to_string();
    assert!(binary.ends_with("b.toml:2: not UTF-8"), "{binary}");
}

#[test]
fn the_environment_is_on_top_without_regard_to_case() {
    let folder = Folder::new();
    let file = folder.file(
        "waxseal.toml",
        "[tls]\nsecurity_level = \"none\"\nprotocols = \"TLSv1.2\"\n[queue]\nminimal_backoff = \"1s\"\n",
    );
    let variables = [
        ("WAXSEAL_TLS__SECURITY_LEVEL", "encrypt"),
        ("waxseal_listen__smtp", "127.0.0.1:1,unix:/run/x"),
        ("Waxseal_Tls__cafile", ""),
        ("WAXSEAL_QUEUE__DESTINATION_CONCURRENCY_LIMIT", "7"),
        ("WAXSEAL_HOSTNAME", "env.example.com"),
        ("WAXSEALX", "other"),
        ("PATH", "/bin"),
    ];
    let variables = || variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let config = Config::load(std::slice::from_ref(&file), variables()).unwrap();
    assert_eq!(config.policy.smtp.level, TlsLevel::Encrypt);
    assert!(!config.policy.smtp.opportunistic.protocols.tls13);
    assert_eq!(config.intake.listen.len(), 2);
    assert_eq!(
        (config.queue.destination_concurrency_limit, config.hostname.as_str()),
        (7, "env.example.com")
    );
    let wrong = environment(&[
        ("WAXSEAL_TLS__SECURITY_LEVLE", "may"),
        ("WAXSEAL_LSITEN__SMTP", "x"),
        ("WAXSEAL_QUEUE__MINIMAL_BACKOFF", "9"),
    ]);
    let lines: Vec<String> = wrong.unwrap_err().errors().map(ToString::to_string).collect();
    let expected = [
        "environment variable WAXSEAL_LSITEN__SMTP: LSITEN: unknown section; did you mean [listen]?",
        "environment variable WAXSEAL_QUEUE__MINIMAL_BACKOFF: queue.minimal_backoff: \"9\" is not a time",
        "environment variable WAXSEAL_TLS__SECURITY_LEVLE: tls.SECURITY_LEVLE: unknown key; did you mean security_level?",
    ];
    assert_eq!(lines.len(), expected.len());
    assert!(lines.iter().zip(expected).all(|(line, start)| line.starts_with(start)), "{lines:?}");
}

/// The files that the parity lab writes.
#[test]
fn a_main_cf_and_a_toml_file_on_top_of_it() {
    let folder = Folder::new();
    let (policy, transport) =
        (folder.file("policy", "a.test encrypt\n"), folder.file("transport", "a.test smtp:[b.test]:25\n"));
    let main_cf = format!(
        "# profile\ncompatibility_level = 3.6\ninet_protocols = ipv4\nsmtp_dns_support_level = dnssec\n\
         smtp_tls_security_level = may\nsmtp_tls_policy_maps = texthash:{}\n  inline:{{ {{ b.test = encrypt }} }}\n\
         smtp_tls_CAfile = /nowhere.pem\nsmtp_tls_protocols = >=TLSv1.2\nsmtp_tls_exclude_ciphers = aNULL\nsmtp_tls_loglevel = 1\n\
         smtp_connect_timeout = 5s\nsmtp_quit_timeout = 3\nmaximal_queue_lifetime = 2\nsmtp_tls_servername = bad..name\n\
         smtp_tls_mandatory_exclude_ciphers = AESGCM\nsmtp_fallback_relay = [c.test]:25 d.test\n\
         smtp_connection_cache_destinations = static:all\ntransport_maps = texthash:{}\nsmtp_tls_cert_file = /nowhere/cert.pem\n",
        policy.display(),
        transport.display()
    );
    let toml = "hostname = \"client.lab.test\"\n[spool]\npath = \"/tmp/x\"\n[listen]\nsmtp = [\"127.0.0.1:12000\"]\n[dns]\nservers = [\"127.0.0.1:53\"]\ndnssec = \"trust-ad\"\n[log]\ndelivery_events = \"/tmp/e\"\n";
    let config = folder.load(&[("main.cf", &main_cf), ("waxseal.toml", toml)]).unwrap();
    let smtp = &config.policy.smtp;
    assert_eq!((smtp.level, smtp.policy_maps.len(), smtp.connection_reuse), (TlsLevel::May, 2, false));
    assert_eq!(smtp.servername, Some(ServerName::Invalid("bad..name".into())));
    assert_eq!(smtp.dane_blind, None);
    assert_eq!(smtp.insecure_mx, InsecureMx::May);
    assert_eq!(
        smtp.fallback_relay.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["[c.test]:25", "d.test"]
    );
    assert_eq!(config.policy.lmtp.level, TlsLevel::None);
    assert_eq!(config.policy.lmtp.dane_blind.as_deref(), Some("lmtp_dns_support_level is not dnssec"));
    assert_eq!(config.policy.recipient_delimiter, "");
    assert_eq!((config.queue.families, config.queue.reuse_clear), (Families::V4, true));
    assert_eq!(config.queue.maximal_lifetime, Duration::from_secs(2 * 86_400));
    assert_eq!(
        (config.transport.connect_timeout, config.transport.quit_timeout),
        (Duration::from_secs(5), Duration::from_secs(3))
    );
    assert_eq!(config.transport.session_cache_timeout, Duration::ZERO);
    assert_eq!(config.intake.protocol.message_size_limit, 10_240_000);
    assert_eq!(
        (config.hostname.as_str(), config.transport.helo_name.as_str()),
        ("client.lab.test", "client.lab.test")
    );
    // CAfile, servername and the certificate; its key, which is in the same file, is not told again.
    assert_eq!(config.warnings.len(), 3, "{:?}", config.warnings);
    assert!(
        config
            .warnings
            .iter()
            .any(|warning| warning.to_string().contains("main.cf:8: smtp_tls_CAfile: cannot read"))
    );
}

#[test]
fn of_several_files_the_last_one_wins_key_by_key() {
    let folder = Folder::new();
    let config = folder
        .load(&[
            ("main.cf", "smtp_tls_security_level = encrypt\nsmtp_tls_servername = a.test\nmyhostname = a.example.com\n"),
            ("a.toml", "[tls]\nsecurity_level = \"none\"\n[queue]\nminimal_backoff = \"7s\"\n"),
            ("b.cf", "minimal_backoff_time = 9\nsmtp_helo_name = helo.$mydomain\n"),
        ])
        .unwrap();
    assert_eq!(config.policy.smtp.level, TlsLevel::None);
    assert_eq!(config.policy.smtp.servername, Some(ServerName::parse("a.test")));
    assert_eq!(config.queue.minimal_backoff, Duration::from_secs(9));
    assert_eq!(
        (config.hostname.as_str(), config.transport.helo_name.as_str()),
        ("a.example.com", "helo.example.com")
    );
}

#[test]
fn parameters_that_matter_and_are_not_implemented_give_one_warning_each() {
    let folder = Folder::new();
    let text = "myhostname = a.example.com\nsmtp_sasl_auth_enable = yes\nsmtp_tls_wrappermode = no\nmydestination =\nsmtp_tls_loglevel = 1\nsoft_bounce = yes\nbiff = no\n";
    let warnings = folder.load(&[("main.cf", text)]).unwrap().warnings;
    let names: Vec<(&str, &Place)> = warnings.iter().map(|one| (one.key.as_str(), &one.place)).collect();
    let at = |line| Place::line(&folder.0.path().join("main.cf"), line);
    let (sasl, bounce) = (at(2), at(6));
    assert_eq!(names, [("smtp_sasl_auth_enable", &sasl), ("soft_bounce", &bounce)]);
    assert!(warnings.iter().all(|one| one.what.starts_with("is not implemented: ")), "{warnings:?}");
}

#[test]
fn the_obsolete_parameters_give_the_level_where_it_is_empty() {
    let folder = Folder::new();
    let table = [
        ("", TlsLevel::None),
        ("smtp_use_tls = yes\n", TlsLevel::May),
        ("smtp_enforce_tls = yes\nsmtp_tls_enforce_peername = no\n", TlsLevel::Encrypt),
        ("smtp_enforce_tls = yes\n", TlsLevel::Verify),
        ("smtp_use_tls = yes\nsmtp_tls_security_level = encrypt\n", TlsLevel::Encrypt),
        ("compatibility_level = 3.11\n", TlsLevel::May),
    ];
    for (text, level) in table {
        let config = folder.load(&[("main.cf", &format!("myhostname = a.example.com\n{text}"))]).unwrap();
        assert_eq!(config.policy.smtp.level, level, "{text}");
    }
}

#[test]
fn a_check_names_each_invalid_entry_and_the_daemon_starts_all_the_same() {
    let folder = Folder::new();
    let policy =
        folder.file("policy", "# head\na.test encrypt\nb.test strict\nc.test secure match=\nlonely\n");
    let transport = folder.file("transport", "a.test smtp:[b.test\nb.test local:\n");
    let text = format!(
        "hostname = \"a.example.com\"\n[tls]\npolicy_maps = [\"texthash:{}\", \"texthash:/nowhere\"]\n[transport]\nmaps = [\"texthash:{}\"]\n",
        policy.display(),
        transport.display()
    );
    let file = folder.file("a.toml", &text);
    let (config, found) = Config::check(&[file], std::iter::empty());
    let config = config.unwrap();
    let errors = found.iter().filter(|problem| problem.gravity == Gravity::Error);
    let places: Vec<String> = errors.map(|problem| problem.place.to_string()).collect();
    let expected = [(&policy, 3), (&policy, 4), (&transport, 1), (&transport, 2)];
    let expected: Vec<String> =
        expected.iter().map(|(path, line)| format!("{}:{line}", path.display())).collect();
    assert_eq!(places, expected);
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
    let missing = &config.policy.smtp.policy_maps[1];
    assert!(matches!(config.tables.lookup(missing, "a.test"), TableAnswer::TempFail(_)));
}

#[test]
fn the_admin_api_is_open_to_the_network_only_with_a_token() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let token = folder.file("token", "correct horse battery\n");
    let mode = |mode| std::fs::set_permissions(&token, std::fs::Permissions::from_mode(mode)).unwrap();
    let with =
        format!("[listen]\nadmin = \"192.0.2.1:8025\"\n[admin]\ntoken_file = \"{}\"\n", token.display());
    mode(0o600);
    let keys = Folder::new().load(&[("waxseal.toml", &with)]).unwrap().admin;
    assert!(keys.wanted && keys.listen.is_some() && keys.token_file == Some(token.clone()));
    mode(0o644);
    let got = Folder::new().problems(&[("waxseal.toml", &with)]);
    assert!(
        got[0].starts_with("waxseal.toml:4: admin.token_file: ") && got[0].contains("everybody"),
        "{got:?}"
    );
    mode(0o600);
    std::fs::write(&token, "short\n").unwrap();
    let got = Folder::new().problems(&[("waxseal.toml", &with)]);
    assert!(got[0].contains("holds no token"), "{got:?}");
    for (address, words) in [
        ("192.0.2.1:8025", "is open to the network; set admin.token_file"),
        ("0.0.0.0:8025", "is open to the network"),
        ("[::]:8025", "is open to the network"),
        ("localhost", "is no address"),
        ("unix:/run/waxseal", "is no address"),
    ] {
        let text = format!("[listen]\nadmin = \"{address}\"\n");
        let got = Folder::new().problems(&[("waxseal.toml", &text)]);
        assert!(
            got.len() == 1 && got[0].starts_with("waxseal.toml:2: listen.admin: ") && got[0].contains(words),
            "{got:?}"
        );
    }
}

#[test]
fn a_part_of_all_is_written_as_a_number_or_as_a_text() {
    let folder = Folder::new();
    for (written, expected) in
        [("0.01", Some(0.01)), ("\"0.01\"", Some(0.01)), ("1", Some(1.0)), ("1.5", None), ("-0.1", None)]
    {
        let text =
            format!("[telemetry]\notlp_endpoint = \"http://127.0.0.1:4318\"\nsampling_ratio = {written}\n");
        let ratio = folder.load(&[("waxseal.toml", &text)]).map(|config| config.intake.sampling_ratio);
        assert_eq!(ratio.ok(), expected, "{written}");
    }
}
