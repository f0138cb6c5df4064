//! `docs/metrics.md` says what the catalogue says; the dashboard and the alert rules name nothing else.
#![allow(clippy::unwrap_used, reason = "a test that fails panics, its helpers as well")]

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use waxseal_telemetry::metrics::{CATALOGUE, Kind, reference};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_page_is_what_the_catalogue_says() {
    let page = root().join("docs/metrics.md");
    if env::var_os("WRITE").is_some() {
        fs::write(&page, reference()).unwrap();
    }
    let written = fs::read_to_string(&page).unwrap_or_default();
    assert!(
        written == reference(),
        "docs/metrics.md is not up to date: WRITE=1 cargo test -p waxseal-telemetry --test reference"
    );
}

#[test]
fn names_are_distinct_and_well_formed() {
    let names: BTreeSet<_> = CATALOGUE.iter().map(|metric| metric.name).collect();
    let texts: BTreeSet<_> = CATALOGUE.iter().map(|metric| metric.prometheus_name()).collect();
    assert_eq!((names.len(), texts.len()), (CATALOGUE.len(), CATALOGUE.len()));
    for metric in CATALOGUE {
        let fine = |c: char| c.is_ascii_lowercase() || matches!(c, '.' | '_');
        assert!(metric.name.starts_with("waxseal.") && metric.name.chars().all(fine), "{}", metric.name);
        assert!(
            metric.help.ends_with(['.', 'S']) || metric.help.contains(": "),
            "{}: {}",
            metric.name,
            metric.help
        );
        assert!(metric.labels.iter().all(|label| label.chars().all(fine)), "{}", metric.name);
    }
}

/// All series names that Prometheus gets to see.
fn exposed() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for metric in CATALOGUE {
        let name = metric.prometheus_name();
        match metric.kind {
            Kind::Counter | Kind::Gauge => {
                names.insert(name);
            }
            Kind::Histogram(_) => {
                names.extend(["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")));
            }
        }
    }
    names
}

/// The words in a text that look like series of ours.
fn named(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !word(c)).filter(|word| word.starts_with("waxseal_")).map(str::to_owned).collect()
}

#[test]
fn dashboard_and_alerts_name_only_metrics_that_exist() {
    for file in ["contrib/grafana/waxseal.json", "contrib/prometheus/alerts.yml"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let (named, exposed) = (named(&text), exposed());
        assert!(named.len() > 5, "{file} names hardly anything: {named:?}");
        let unknown: Vec<_> = named.difference(&exposed).collect();
        assert!(unknown.is_empty(), "{file} names what does not exist: {unknown:?}");
    }
}

#[test]
fn the_dashboard_is_one_that_grafana_can_read() {
    let text = fs::read_to_string(root().join("contrib/grafana/waxseal.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
        let at = &panel["gridPos"];
        assert!(at["x"].as_u64().unwrap() + at["w"].as_u64().unwrap() <= 24, "{}", panel["title"]);
        if panel["type"] != "row" {
            let queries = panel["targets"].as_array().unwrap();
            assert!(queries.iter().all(|query| query["expr"].as_str().unwrap().contains("waxseal_")));
        }
    }
}
