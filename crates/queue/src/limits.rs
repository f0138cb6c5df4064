//! What tables say of single destinations and clients: how much of us they may have.
//!
//! `queue.destination_limits` is asked for the next hop as it is looked up (`example.com`, `[mx.example.com]:587`), for the domains
//! above a domain (`.example.com`, `.com`), and for `*`; the right-hand side has words such as
//! `concurrency=3 initial=1 rate_delay=2s recipients=10`. `queue.client_quotas` is asked for the client as the intake names it, and for `*`: `active=50`.
//! A table that cannot be asked gives nobody more: one connection at a time, until it answers.
//!
//! What is told nowhere for a destination is what its transport has ([`TransportLimits`]: `slow_destination_concurrency_limit` of a `main.cf` for the
//! service `slow`), and what that has nowhere of its own is what holds for all (`queue.destination_concurrency_limit`). Word by word: a table that
//! says `concurrency=3` leaves the rate delay of the transport in force.

use std::{fmt, str::FromStr, time::Duration};

use waxseal_types::{NextHop, Target};

/// What a table has for a destination; the rest is as for all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DestinationLimits {
    /// In place of `destination_concurrency_limit`.
    pub concurrency: Option<u32>,
    /// In place of `initial_destination_concurrency`.
    pub initial: Option<u32>,
    /// In place of `destination_rate_delay`.
    pub rate_delay: Option<Duration>,
    /// In place of `destination_recipient_limit`.
    pub recipients: Option<u32>,
}

impl DestinationLimits {
    /// For a destination of which nothing is known because nobody could be asked.
    pub const CAREFUL: Self =
        Self { concurrency: Some(1), initial: None, rate_delay: None, recipients: None };

    /// Reads a right-hand side.
    ///
    /// # Errors
    /// What is wrong with it, for the log.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut limits = Self::default();
        for (name, value) in words(text) {
            match name {
                "concurrency" => limits.concurrency = Some(positive(name, value)?),
                "initial" => limits.initial = Some(positive(name, value)?),
                "rate_delay" => limits.rate_delay = Some(span(value)?),
                "recipients" => limits.recipients = Some(positive(name, value)?),
                _ => {
                    return Err(format!(
                        "{name:?} is none of concurrency, initial, rate_delay and recipients"
                    ));
                }
            }
        }
        Ok(limits)
    }
}

/// What holds for the mail of one transport, where no table says otherwise for its destination (postconf(5), `transport_destination_...`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TransportLimits {
    /// Connections to one destination (`transport_destination_concurrency_limit`).
    pub concurrency: u32,
    /// What a destination begins with (`transport_initial_destination_concurrency`).
    pub initial: u32,
    /// The pause between deliveries to one destination (`transport_destination_rate_delay`).
    pub rate_delay: Duration,
    /// Recipients in one transaction (`transport_destination_recipient_limit`).
    pub recipients: usize,
    /// How much a delivery opens the window (`transport_destination_concurrency_positive_feedback`).
    pub positive: FeedbackAmount,
    /// How much a failed connection closes it (`transport_destination_concurrency_negative_feedback`).
    pub negative: FeedbackAmount,
    /// Cohorts that must fail before the destination is dead; 0 is never (`transport_destination_concurrency_failed_cohort_limit`).
    pub failed_cohorts: u32,
}

/// How much one result moves a window: a number from 0 to 1, as it is or over the window (postconf(5), `default_destination_concurrency_positive_feedback`).
///
/// Windows are kept with their fractions here, and a part of a connection is none; so one failure at `1/concurrency` takes a connection at once, and
/// a whole cohort of successes gives it back, as in Postfix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeedbackAmount {
    number: f64,
    over: Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Nothing,
    Concurrency,
    Root,
}

impl FeedbackAmount {
    /// A whole connection: Postfix's default.
    pub const ONE: Self = Self { number: 1.0, over: Over::Nothing };

    /// How much that is for a window.
    #[must_use]
    pub fn at(self, window: f64) -> f64 {
        let window = window.max(1.0);
        match self.over {
            Over::Nothing => self.number,
            Over::Concurrency => self.number / window,
            Over::Root => self.number / window.sqrt(),
        }
    }
}

impl FromStr for FeedbackAmount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, over) = match text.split_once('/') {
            None => (text, Over::Nothing),
            Some((number, over)) => match over.trim() {
                "concurrency" => (number, Over::Concurrency),
                "sqrt_concurrency" => (number, Over::Root),
                _ => return Err(format!("{over:?} is neither concurrency nor sqrt_concurrency")),
            },
        };
        let number = number.trim().parse().ok().filter(|number| (0.0..=1.0).contains(number));
        let number = number.ok_or_else(|| {
            format!("{text:?} is no number from 0 to 1, nor such a number/concurrency or /sqrt_concurrency")
        })?;
        Ok(Self { number, over })
    }
}

impl fmt::Display for FeedbackAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.over {
            Over::Nothing => write!(f, "{}", self.number),
            Over::Concurrency => write!(f, "{}/concurrency", self.number),
            Over::Root => write!(f, "{}/sqrt_concurrency", self.number),
        }
    }
}

/// Reads the right-hand side of a client: how many deliveries it may have under way.
///
/// # Errors
/// What is wrong with it, for the log.
pub fn client_quota(text: &str) -> Result<Option<u32>, String> {
    let mut quota = None;
    for (name, value) in words(text) {
        match name {
            "active" => quota = Some(positive(name, value)?),
            _ => return Err(format!("{name:?} is not active")),
        }
    }
    Ok(quota)
}

fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let words = text.split([' ', '\t', ',']).filter(|word| !word.is_empty());
    words.map(|word| word.split_once('=').unwrap_or((word, "")))
}

fn positive(name: &str, value: &str) -> Result<u32, String> {
    let number = value.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("{name}={value} is not a number from 1 on"))
}

/// As postconf(5) writes times: a number and `s` (or nothing), `m`, `h` or `d`.
fn span(value: &str) -> Result<Duration, String> {
    let wrong = || format!("rate_delay={value} is no time, such as 2s");
    let split = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(split);
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// What is asked for a next hop, the most particular first.
#[must_use]
pub fn destination_keys(nexthop: &NextHop) -> Vec<String> {
    let mut keys = vec![nexthop.to_string()];
    if let Target::Mx(domain) = nexthop.target() {
        let mut rest = domain.as_str();
        if nexthop.port().is_some() {
            keys.push(rest.to_owned());
        }
        while let Some((_, parent)) = rest.split_once('.') {
            keys.push(format!(".{parent}"));
            rest = parent;
        }
    }
    keys.push("*".to_owned());
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_hand_sides() {
        let limits = |concurrency, initial, delay: Option<u64>| DestinationLimits {
            concurrency,
            initial,
            rate_delay: delay.map(Duration::from_secs),
            recipients: None,
        };
        let few = DestinationLimits { recipients: Some(10), ..DestinationLimits::default() };
        let table = [
            ("recipients=10", Some(few)),
            ("recipients=0", None),
            ("concurrency=3", Some(limits(Some(3), None, None))),
            ("concurrency=3, initial=1 rate_delay=2m", Some(limits(Some(3), Some(1), Some(120)))),
            ("rate_delay=0", Some(limits(None, None, Some(0)))),
            ("", Some(limits(None, None, None))),
            ("concurrency=0", None),
            ("concurrency", None),
            ("speed=9", None),
            ("rate_delay=2x", None),
            ("rate_delay=s", None),
            ("rate_delay=99999999999999999999", None),
        ];
        for (text, expected) in table {
            assert_eq!(DestinationLimits::parse(text).ok(), expected, "{text:?}");
        }
        assert_eq!(client_quota("active=7"), Ok(Some(7)));
        assert!(client_quota("active=no").is_err() && client_quota("weight=2").is_err());
    }

    #[test]
    fn amounts_of_feedback_as_postconf_writes_them() {
        let table = [
            ("1", Some((20.0, 1.0))),
            ("0.25", Some((20.0, 0.25))),
            ("1/concurrency", Some((20.0, 0.05))),
            ("0.5 / concurrency", Some((5.0, 0.1))),
            ("1/sqrt_concurrency", Some((16.0, 0.25))),
            ("1/concurrency", Some((0.0, 1.0))),
            ("2", None),
            ("-1", None),
            ("NaN", None),
            ("1/window", None),
            ("", None),
        ];
        for (text, expected) in table {
            let amount = text.parse::<FeedbackAmount>().ok();
            assert_eq!(amount.is_some(), expected.is_some(), "{text:?}");
            if let (Some(amount), Some((window, expected))) = (amount, expected) {
                assert!((amount.at(window) - expected).abs() < 1e-9, "{text:?}: {}", amount.at(window));
                assert_eq!(amount.to_string().parse(), Ok(amount));
            }
        }
    }

    #[test]
    fn keys_go_from_the_particular_to_the_general() {
        let table = [
            ("mail.example.com", &["mail.example.com", ".example.com", ".com", "*"][..]),
            ("example.com:26", &["example.com:26", "example.com", ".com", "*"]),
            ("[mx.example.com]:587", &["[mx.example.com]:587", "*"]),
        ];
        for (nexthop, keys) in table {
            assert_eq!(destination_keys(&nexthop.parse().unwrap()), keys, "{nexthop}");
        }
    }
}
