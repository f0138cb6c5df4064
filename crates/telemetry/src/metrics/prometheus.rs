//! The text format of Prometheus (its documentation, "Exposition formats", version 0.0.4).

use std::fmt::Write as _;

use super::{Buckets, Metric, Number, Page, Sample, Value};

/// The media type of the text.
pub const PROMETHEUS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Page {
    /// As Prometheus reads it; [`PROMETHEUS_TYPE`] is its type.
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut out = String::with_capacity(16 << 10);
        for (metric, samples) in self.metrics() {
            let name = metric.prometheus_name();
            let help = metric.help.replace('\\', "\\\\").replace('\n', "\\n");
            put(&mut out, format_args!("# HELP {name} {help}\n# TYPE {name} {}\n", metric.kind.as_str()));
            for sample in samples {
                series(&mut out, &name, metric, sample);
            }
        }
        out
    }
}

fn series(out: &mut String, name: &str, metric: &Metric, sample: &Sample) {
    let labels = labels(metric, sample);
    match &sample.value {
        Value::Number(number) => line(out, name, &labels, *number),
        Value::Buckets(buckets) => histogram(out, name, &labels, buckets),
    }
}

fn histogram(out: &mut String, name: &str, labels: &str, buckets: &Buckets) {
    let comma = if labels.is_empty() { "" } else { "," };
    let (bucket, mut so_far) = (format!("{name}_bucket"), 0);
    let bounds = buckets.bounds.iter().map(|bound| seconds(*bound).to_string()).chain(["+Inf".to_owned()]);
    for (bound, count) in bounds.zip(&buckets.counts) {
        so_far += count;
        line(out, &bucket, &format!("{labels}{comma}le=\"{bound}\""), Number::Whole(so_far));
    }
    line(out, &format!("{name}_sum"), labels, Number::Real(seconds(buckets.sum)));
    line(out, &format!("{name}_count"), labels, Number::Whole(so_far));
}

fn line(out: &mut String, name: &str, labels: &str, number: Number) {
    out.push_str(name);
    if !labels.is_empty() {
        put(out, format_args!("{{{labels}}}"));
    }
    match number {
        Number::Whole(number) => put(out, format_args!(" {number}\n")),
        Number::Real(number) => put(out, format_args!(" {number}\n")),
    }
}

fn labels(metric: &Metric, sample: &Sample) -> String {
    let mut out = String::new();
    for (name, value) in metric.labels.iter().zip(&sample.labels) {
        let comma = if out.is_empty() { "" } else { "," };
        put(&mut out, format_args!("{comma}{name}=\"{}\"", escaped(value)));
    }
    out
}

/// Names of next hops can come from tables that others write: what could end the value, or move a terminal's cursor, does not get through.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c if crate::json::is_hidden(c) => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail; it grows.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use waxseal_types::UnixTime;

    use super::super::{Buckets, DNS_TIME, QUEUE_DELIVERIES, QUEUED, SPOOL_SIZE, histogram};
    use super::*;

    #[test]
    fn text_is_as_prometheus_wants_it() {
        let mut page = Page::new(UnixTime::from_secs(2), UnixTime::from_secs(1));
        page.set(&QUEUED, &[], 7u64);
        page.set(&SPOOL_SIZE, &["live"], 1024u64);
        page.set(&QUEUE_DELIVERIES, &["a\"b\\c\nd\u{1b}[2J", "1m"], 1u64);
        let mut counts = vec![0; histogram::NETWORK.len() + 1];
        (counts[0], counts[2], counts[histogram::NETWORK.len()]) = (1, 2, 1);
        page.set_buckets(
            &DNS_TIME,
            &["mx", "secure"],
            Buckets { bounds: histogram::NETWORK, counts, sum: 2_500_000 },
        );
        let text = page.prometheus();
        let expected = [
            "# TYPE waxseal_queued_recipients_total counter\nwaxseal_queued_recipients_total 7\n",
            "waxseal_spool_size_bytes{state=\"live\"} 1024\n",
            "waxseal_queue_deliveries{destination=\"a\\\"b\\\\c\\nd?[2J\",age=\"1m\"} 1\n",
            "waxseal_dns_lookup_duration_seconds_bucket{type=\"mx\",result=\"secure\",le=\"0.0001\"} 1\n",
            "waxseal_dns_lookup_duration_seconds_bucket{type=\"mx\",result=\"secure\",le=\"0.005\"} 3\n",
            "waxseal_dns_lookup_duration_seconds_bucket{type=\"mx\",result=\"secure\",le=\"+Inf\"} 4\n",
            "waxseal_dns_lookup_duration_seconds_sum{type=\"mx\",result=\"secure\"} 2.5\n",
            "waxseal_dns_lookup_duration_seconds_count{type=\"mx\",result=\"secure\"} 4\n",
        ];
        for part in expected {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
    }
}
