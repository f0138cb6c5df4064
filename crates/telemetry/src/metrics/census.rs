//! The queue by destination and age.

use std::time::Duration;

use waxseal_queue::{Census, DestinationCount};

use super::{
    Page, QUEUE_ACTIVE, QUEUE_CENSUS_AGE, QUEUE_DELIVERIES, QUEUE_DESTINATIONS, QUEUE_HELD, QUEUE_OLDEST_AGE,
    QUEUE_UNTRIED_AGE,
};

/// Destinations that are named; the rest is `other`. A label that anybody can make grow is a way to fill the memory of whoever collects.
pub const LARGEST: usize = 50;

/// What the label `age` says of each class of [`Census::AGES`], and of what is older.
const WORDS: [&str; Census::AGES.len() + 1] = ["1m", "10m", "1h", "6h", "1d", "5d", "older"];

impl Page {
    /// Writes down how the queue was when it was counted, which was `ago`.
    pub fn set_census(&mut self, census: &Census, ago: Duration) {
        self.set(&QUEUE_CENSUS_AGE, &[], ago);
        self.set(&QUEUE_ACTIVE, &[], census.active);
        self.set(&QUEUE_HELD, &[], census.held);
        self.set(&QUEUE_UNTRIED_AGE, &[], census.oldest_untried.unwrap_or_default());
        self.set(&QUEUE_OLDEST_AGE, &[], census.oldest.unwrap_or_default());
        let waits = |(_, count): &(_, &DestinationCount)| count.dead || count.total() > 0;
        let dead = census.destinations().filter(|(_, count)| count.dead).count();
        self.set(&QUEUE_DESTINATIONS, &["alive"], census.destinations().filter(waits).count() - dead);
        self.set(&QUEUE_DESTINATIONS, &["dead"], dead);
        let mut all: Vec<_> =
            census.destinations().map(|(name, count)| (count.total(), name, count)).collect();
        all.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        let (named, rest) = all.split_at(all.len().min(LARGEST));
        for (_, name, count) in named {
            self.ages(name.nexthop.as_str(), &count.by_age);
        }
        let mut other = [0u64; WORDS.len()];
        for (_, _, count) in rest {
            other.iter_mut().zip(&count.by_age).for_each(|(sum, more)| *sum += more);
        }
        if !rest.is_empty() {
            self.ages("other", &other);
        }
    }

    fn ages(&mut self, destination: &str, by_age: &[u64]) {
        for (word, count) in WORDS.iter().zip(by_age) {
            if *count > 0 {
                self.set(&QUEUE_DELIVERIES, &[destination, word], *count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use waxseal_queue::{Destination, Job, Schedule, Settings};
    use waxseal_types::{QueueId, Service, UnixTime};

    use super::super::Number;
    use super::*;

    fn page(destinations: usize) -> Page {
        let now = UnixTime::from_secs(1_795_249_800);
        let mut schedule = Schedule::new(&Settings::default());
        for number in 0..destinations {
            // The later ones have more.
            for part in 0..=number {
                let nexthop = format!("d{number}.example").parse().unwrap();
                let destination = Destination { service: Service::SMTP, nexthop };
                let id = QueueId::from_u64(now.as_micros() - 2_000_000 * u64::try_from(number).unwrap());
                let job = Job { id, part: part as u32, attempts: 0, client: 0 };
                schedule.add(&destination, job, now, now);
            }
        }
        let mut census = Census::new(now);
        while !schedule.count(&mut census) {}
        let mut page = Page::new(now, now);
        page.set_census(&census, Duration::ZERO);
        page
    }

    #[test]
    fn fifty_destinations_are_named_and_the_rest_is_summed() {
        let page = page(60);
        let count = |name: &str, age: &str| page.number(&QUEUE_DELIVERIES, &[name, age]);
        // Sixty of the last one, 118 s old; the ten smallest, of one to ten, are not named.
        assert_eq!(count("d59.example", "10m"), Some(Number::Whole(60)));
        assert_eq!(count("d9.example", "1m"), None);
        assert_eq!(count("other", "1m"), Some(Number::Whole((1..=10).sum())));
        assert_eq!(page.number(&QUEUE_DESTINATIONS, &["alive"]), Some(Number::Whole(60)));
        assert_eq!(page.number(&QUEUE_UNTRIED_AGE, &[]), Some(Number::Real(118.0)));
    }
}
