//! The list of parameters, and the page made from it.

use std::path::Path;

use waxseal_config::{parameters, parameters_page};

/// Set `WAXSEAL_WRITE_DOCS` to write the page anew.
#[test]
fn the_page_in_the_documentation_is_not_stale() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/parameters.md");
    if std::env::var_os("WAXSEAL_WRITE_DOCS").is_some() {
        std::fs::write(&path, parameters_page()).expect("the page can be written");
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == parameters_page(),
        "docs/parameters.md is stale: run WAXSEAL_WRITE_DOCS=1 cargo test -p waxseal-config --test parameters"
    );
}

#[test]
fn each_parameter_says_what_becomes_of_it() {
    let all = parameters();
    assert!(all.iter().all(|one| !one.meaning.is_empty()));
    let find =
        |name: &str| all.iter().find(|one| one.name == name).map(|one| (one.fate, one.meaning.as_str()));
    assert_eq!(find("smtp_tls_policy_maps"), Some(("key", "tls.policy_maps")));
    assert_eq!(find("lmtp_tls_CAfile"), Some(("key", "lmtp_tls.CAfile")));
    assert_eq!(find("relayhost"), Some(("key", "transport.relayhost")));
    assert!(find("smtp_sasl_auth_enable").is_some_and(|(fate, _)| fate == "warned"));
}
