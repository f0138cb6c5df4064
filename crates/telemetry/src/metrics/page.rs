//! All numbers at one moment.

use std::time::Duration;

use waxseal_types::UnixTime;

use super::{Buckets, CATALOGUE, Metric};

/// A number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A count.
    Whole(u64),
    /// Anything else.
    Real(f64),
}

impl Number {
    /// As a fraction, which counts beyond 2^53 are not quite.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Real(number) => number,
        }
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<u32> for Number {
    fn from(number: u32) -> Self {
        Self::Whole(number.into())
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Self {
        Self::Whole(crate::events::count(number))
    }
}

impl From<bool> for Number {
    fn from(flag: bool) -> Self {
        Self::Whole(flag.into())
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<Duration> for Number {
    fn from(span: Duration) -> Self {
        Self::Real(span.as_secs_f64())
    }
}

/// What a series is at.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a counter or a gauge.
    Number(Number),
    /// Of a histogram.
    Buckets(Buckets),
}

/// One series of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The values of the metric's labels, in their order.
    pub labels: Vec<String>,
    /// What it is at.
    pub value: Value,
}

/// The numbers of all metrics at one moment, whoever keeps them. Filled by those who have them, then read as text or as OTLP.
#[derive(Debug, Clone)]
pub struct Page {
    /// When.
    pub at: UnixTime,
    /// Since when counters count.
    pub since: UnixTime,
    samples: Vec<(&'static Metric, Sample)>,
}

impl Page {
    /// An empty one.
    #[must_use]
    pub const fn new(at: UnixTime, since: UnixTime) -> Self {
        Self { at, since, samples: Vec::new() }
    }

    /// Writes a number down; `labels` are the values of the metric's labels in their order.
    pub fn set(&mut self, metric: &'static Metric, labels: &[&str], number: impl Into<Number>) {
        self.add(metric, labels, Value::Number(number.into()));
    }

    /// Writes durations down.
    pub fn set_buckets(&mut self, metric: &'static Metric, labels: &[&str], buckets: Buckets) {
        self.add(metric, labels, Value::Buckets(buckets));
    }

    fn add(&mut self, metric: &'static Metric, labels: &[&str], value: Value) {
        debug_assert_eq!(labels.len(), metric.labels.len(), "{}", metric.name);
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        self.samples.push((metric, Sample { labels, value }));
    }

    /// The metrics that have numbers, in the order of the catalogue, each with its series.
    pub fn metrics(&self) -> impl Iterator<Item = (&'static Metric, Vec<&Sample>)> {
        CATALOGUE.iter().filter_map(|metric| {
            let of_it = self.samples.iter().filter(|(other, _)| std::ptr::eq(*other, *metric));
            let samples: Vec<_> = of_it.map(|(_, sample)| sample).collect();
            (!samples.is_empty()).then_some((*metric, samples))
        })
    }

    /// The number of one series, if it is there.
    #[must_use]
    pub fn number(&self, metric: &'static Metric, labels: &[&str]) -> Option<Number> {
        let series = self
            .samples
            .iter()
            .find(|(other, sample)| std::ptr::eq(*other, metric) && sample.labels == labels);
        match &series?.1.value {
            Value::Number(number) => Some(*number),
            Value::Buckets(_) => None,
        }
    }
}
