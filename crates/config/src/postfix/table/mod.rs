//! The one table of Postfix's parameters (postconf(5) of 3.11) and of what becomes of each. The loader, the warnings at the start, `waxseal check
//! --parameters` and the page in the documentation are all made from it.

mod ignored;
mod keys;
mod read;
mod warned;

use std::{collections::BTreeMap, sync::LazyLock};

/// How a value becomes that of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    /// As it is.
    Plain,
    /// A time; a bare number has this unit.
    Time(char),
    /// `yes` or `no`.
    YesNo,
    /// A number; `0` has the meaning that Postfix gives it.
    Number,
}

/// What becomes of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is the value of a key.
    Key { section: &'static str, key: &'static str, kind: As },
    /// It decides about something, which is told.
    Read(&'static str),
    /// It would matter and is not implemented: what that means.
    Warned(&'static str),
    /// It does not concern what Waxseal does: why.
    Ignored(&'static str),
}

/// A parameter of Postfix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Postfix's default, unexpanded.
    pub(super) default: &'static str,
    pub(super) fate: Fate,
}

static ROWS: LazyLock<BTreeMap<String, Row>> = LazyLock::new(|| {
    let mut rows = BTreeMap::new();
    let mut add = |name: String, default: &'static str, fate: Fate| {
        let before = rows.insert(name, Row { default, fate });
        debug_assert!(before.is_none(), "a parameter has two fates: {before:?}");
    };
    for (name, default, section, key, kind) in keys::ROWS {
        add((*name).to_owned(), default, Fate::Key { section, key, kind: *kind });
    }
    for (name, smtp, lmtp, key, kind) in keys::TLS_ROWS {
        add(format!("smtp_tls_{name}"), smtp, Fate::Key { section: "tls", key, kind: *kind });
        add(format!("lmtp_tls_{name}"), lmtp, Fate::Key { section: "lmtp_tls", key, kind: *kind });
    }
    for (name, default, means) in read::ROWS {
        add((*name).to_owned(), default, Fate::Read(means));
    }
    for (name, default, means) in warned::ROWS {
        add((*name).to_owned(), default, Fate::Warned(means));
    }
    for (name, default) in ignored::rows() {
        add(name.to_owned(), default, Fate::Ignored(ignored::reason(name)));
    }
    rows
});

/// All parameters, by name.
pub(super) fn rows() -> &'static BTreeMap<String, Row> {
    &ROWS
}

/// One parameter, where Postfix has it.
pub(super) fn row(name: &str) -> Option<&'static Row> {
    ROWS.get(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_has_one_fate() {
        assert!(rows().len() > 900, "{}", rows().len());
        let fate = |name: &str| row(name).map(|row| row.fate);
        assert!(matches!(fate("smtp_tls_security_level"), Some(Fate::Key { section: "tls", .. })));
        assert!(matches!(fate("lmtp_tls_security_level"), Some(Fate::Key { section: "lmtp_tls", .. })));
        assert!(matches!(fate("smtp_sasl_auth_enable"), Some(Fate::Warned(_))));
        assert!(matches!(fate("smtpd_banner"), Some(Fate::Ignored(_))));
        assert_eq!(fate("smtp_tls_securty_level"), None);
    }
}
