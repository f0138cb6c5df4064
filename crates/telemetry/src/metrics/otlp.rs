//! A page as OTLP (opentelemetry-proto, `metrics/v1/metrics.proto`).

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric as Data, NumberDataPoint,
        ScopeMetrics, Sum, metric, number_data_point,
    },
};
use waxseal_types::UnixTime;

use super::{Kind, Metric, Number, Page, Sample, Value};

impl Page {
    /// All metrics that have numbers. Counts are cumulative: an export that is lost costs a point of a curve, and no event.
    pub(crate) fn otlp(&self) -> ScopeMetrics {
        let scope = InstrumentationScope {
            name: "waxseal".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let metrics = self.metrics().map(|(metric, samples)| self.metric(metric, &samples)).collect();
        ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }
    }

    fn metric(&self, metric: &Metric, samples: &[&Sample]) -> Data {
        let numbers = || samples.iter().filter_map(|sample| self.number_point(metric, sample)).collect();
        let cumulative = AggregationTemporality::Cumulative.into();
        let data = match metric.kind {
            Kind::Counter => metric::Data::Sum(Sum {
                data_points: numbers(),
                aggregation_temporality: cumulative,
                is_monotonic: true,
            }),
            Kind::Gauge => metric::Data::Gauge(Gauge { data_points: numbers() }),
            Kind::Histogram(_) => metric::Data::Histogram(Histogram {
                data_points: samples.iter().filter_map(|sample| self.buckets_point(metric, sample)).collect(),
                aggregation_temporality: cumulative,
            }),
        };
        Data {
            name: metric.name.to_owned(),
            description: metric.help.to_owned(),
            unit: metric.unit.to_owned(),
            data: Some(data),
            ..Data::default()
        }
    }

    fn number_point(&self, metric: &Metric, sample: &Sample) -> Option<NumberDataPoint> {
        let Value::Number(number) = sample.value else { return None };
        let value = match number {
            Number::Whole(number) => {
                number_data_point::Value::AsInt(i64::try_from(number).unwrap_or(i64::MAX))
            }
            Number::Real(number) => number_data_point::Value::AsDouble(number),
        };
        Some(NumberDataPoint {
            attributes: attributes(metric, sample),
            start_time_unix_nano: nanos(self.since),
            time_unix_nano: nanos(self.at),
            value: Some(value),
            ..NumberDataPoint::default()
        })
    }

    fn buckets_point(&self, metric: &Metric, sample: &Sample) -> Option<HistogramDataPoint> {
        let Value::Buckets(buckets) = &sample.value else { return None };
        Some(HistogramDataPoint {
            attributes: attributes(metric, sample),
            start_time_unix_nano: nanos(self.since),
            time_unix_nano: nanos(self.at),
            count: buckets.count(),
            sum: Some(buckets.sum as f64 / 1e6),
            bucket_counts: buckets.counts.clone(),
            explicit_bounds: buckets.bounds.iter().map(|bound| *bound as f64 / 1e6).collect(),
            ..HistogramDataPoint::default()
        })
    }
}

fn attributes(metric: &Metric, sample: &Sample) -> Vec<KeyValue> {
    let pairs = metric.labels.iter().zip(&sample.labels);
    let pair = |(key, value): (&&str, &String)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue { value: Some(any_value::Value::StringValue(value.clone())) }),
        ..KeyValue::default()
    };
    pairs.map(pair).collect()
}

const fn nanos(time: UnixTime) -> u64 {
    time.as_micros().saturating_mul(1000)
}
