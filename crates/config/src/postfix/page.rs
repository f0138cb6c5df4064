//! The list of parameters, for people: the page in the documentation, and `waxseal check --parameters`.

use std::fmt::Write as _;

use super::table::{self, Fate};

/// A parameter of `main.cf`, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Postfix's default, unexpanded. Where a version has another one, this is that of Postfix 3.11 with its switch by compatibility level.
    pub default: &'static str,
    /// `key`, `read`, `warned` or `ignored`.
    pub fate: &'static str,
    /// The key; what it decides; what it means that it is not implemented; why it does not matter.
    pub meaning: String,
}

/// All parameters of Postfix 3.11, by name.
#[must_use]
pub fn parameters() -> Vec<Parameter> {
    let parameter = |(name, row): (&'static String, &'static table::Row)| {
        let (fate, meaning) = match row.fate {
            Fate::Key { section, key, .. } => ("key", format!("{section}.{key}")),
            Fate::Read(what) => ("read", what.to_owned()),
            Fate::Warned(what) => ("warned", what.to_owned()),
            Fate::Ignored(why) => ("ignored", why.to_owned()),
        };
        Parameter { name, default: row.default, fate, meaning }
    };
    table::rows().iter().map(parameter).collect()
}

const HEAD: &str = "\
<!-- Made from the table in crates/config/src/postfix/table; a test fails when it is stale, and writes it where WAXSEAL_WRITE_DOCS is set. -->

# Parameters of main.cf, and what becomes of them

`queue-manager --config /etc/postfix/main.cf` reads the file as Postfix does: logical lines, `$name`, `${name?text}`, `${name:text}`, comparisons,
and Postfix's defaults (postconf(5) of 3.11, with its switches by `compatibility_level`). `-o` options of `master.cf` beside the file override it for their
service. One beside `smtp` and `lmtp` that differs from them has policies, trust stores, time-outs and connections of its own; where it differs in what is not
implemented and concerns TLS or credentials, it is not carried out, and its mail waits. The services of `smtpd` are the listeners.
What the queue has for transports by name (`NAME_destination_concurrency_limit`, `NAME_initial_destination_concurrency`, `NAME_destination_rate_delay`,
`NAME_destination_recipient_limit`, and `NAME_destination_concurrency_` `positive_feedback`, `negative_feedback` and `failed_cohort_limit`) holds for each service NAME
of `master.cf` that sends mail out, and for `lmtp`; of main.cf only, as in Postfix. A table of `queue.destination_limits` is above it, word by word, and the
keys of `[queue]` are below: those are what holds for `smtp`, and for whoever has nothing else. A recipient limit of 1 does not make the other limits those of single recipients.

`waxseal check --parameters` prints this list, and `waxseal check` tells what of it concerns a configuration.

One default is not that of 3.11: `smtp_tls_dane_insecure_mx_policy` is `dane` only where `smtp_tls_security_level` is, as up to Postfix 3.7.11.
";

const PARTS: [(&str, &str, &str); 3] = [
    (
        "key",
        "Parameters that are keys",
        "Each is the value of the key; a TOML file or the environment may override it. An empty default is shown as nothing.",
    ),
    ("read", "Parameters that decide something else", ""),
    (
        "warned",
        "Parameters that are not implemented, although they matter",
        "Set to something else than their default, they give one warning each, when the daemon starts and in `waxseal check`.",
    ),
];

/// The page `docs/parameters.md`.
#[must_use]
pub fn parameters_page() -> String {
    let all = parameters();
    let mut page = HEAD.to_owned();
    for (fate, title, text) in PARTS {
        let column = if fate == "key" { "key" } else { "meaning" };
        let _ = write!(page, "\n## {title}\n\n");
        if !text.is_empty() {
            let _ = write!(page, "{text}\n\n");
        }
        let _ = writeln!(page, "| parameter | Postfix's default | {column} |\n| --- | --- | --- |");
        for one in all.iter().filter(|one| one.fate == fate) {
            let meaning =
                if fate == "key" { format!("`{}`", one.meaning) } else { one.meaning.replace('|', "\\|") };
            let _ = writeln!(page, "| `{}` | {} | {meaning} |", one.name, cell(one.default));
        }
    }
    page.push_str("\n## Parameters that are ignored\n\nThey do not concern what Waxseal does; their values count where others refer to them.\n");
    let mut reasons: Vec<&str> =
        all.iter().filter(|one| one.fate == "ignored").map(|one| one.meaning.as_str()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    for reason in reasons {
        let names = all.iter().filter(|one| one.fate == "ignored" && one.meaning == reason);
        let names: Vec<String> = names.map(|one| format!("`{}`", one.name)).collect();
        let _ = write!(page, "\n**{reason}**: {}\n", names.join(", "));
    }
    page
}

fn cell(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{}`", text.replace('|', "\\|")) }
}
