//! The page that documents the metrics, made from the catalogue.

use std::fmt::Write as _;

use super::{BOUND_TABLE, CATALOGUE, Kind};

/// `docs/metrics.md`.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from(HEAD);
    for metric in CATALOGUE {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a String does not fail.
        let _ = writeln!(
            out,
            "| `{}` | `{}` | {} | `{}` | {} | {} |",
            metric.name,
            metric.prometheus_name(),
            metric.kind.as_str(),
            metric.unit,
            labels.join(", "),
            metric.help.replace('|', "\\|")
        );
    }
    out.push_str(BOUNDS_HEAD);
    for bound in BOUND_TABLE {
        let _ = writeln!(out, "| `{}` | {} | {} |", bound.name, bound.limit, bound.beyond);
    }
    out.push_str("\n## Buckets\n\nUpper bounds of the histograms, in seconds:\n\n");
    let mut shown: Vec<&[u64]> = Vec::new();
    for metric in CATALOGUE {
        let Kind::Histogram(bounds) = metric.kind else { continue };
        if shown.contains(&bounds) {
            continue;
        }
        shown.push(bounds);
        let same = CATALOGUE.iter().filter(|other| other.kind == metric.kind);
        let names: Vec<_> = same.map(|other| format!("`{}`", other.name)).collect();
        let bounds: Vec<_> = bounds.iter().map(|bound| (*bound as f64 / 1e6).to_string()).collect();
        let _ = writeln!(out, "- {}: {}", names.join(", "), bounds.join(", "));
    }
    out
}

const HEAD: &str = "\
# Metrics

This page is made from the catalogue in `crates/telemetry/src/metrics/catalogue.rs`; a test holds it to that
(`WRITE=1 cargo test -p waxseal-telemetry --test reference` writes it anew).

Every metric is served as Prometheus text at `listen.admin`/metrics, and sent by OTLP where `telemetry.otlp_endpoint` is set. Counters count from the
start of the process (`waxseal_start_time_seconds`); a series that has never occurred is absent. No label grows without limit: `destination` has at
most the 50 largest destinations and `other`.

`contrib/grafana/waxseal.json` is a dashboard over them, `contrib/prometheus/alerts.yml` has alert rules.

| OpenTelemetry | Prometheus | kind | unit | labels | meaning |
| --- | --- | --- | --- | --- | --- |
";

const BOUNDS_HEAD: &str = "
## Bounds

Nothing grows without limit. `waxseal.bounds.reached` counts, by `bound`, how often one of these was reached:

| bound | what is bounded | what happens to more |
| --- | --- | --- |
";
