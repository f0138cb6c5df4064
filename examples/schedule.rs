//! When is which message tried? The queue's schedule with a clock that is a number.

use std::{error::Error, time::Duration};

use waxseal_queue::{Destination, Feedback, Job, Schedule, Settings};
use waxseal_types::{QueueId, Service, UnixTime};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings { initial_destination_concurrency: 2, ..Settings::default() };
    let mut schedule = Schedule::new(&settings);
    let mut now = UnixTime::from_secs(1_795_262_400);
    let destination =
        |name: &str| Ok::<_, Box<dyn Error>>(Destination { service: Service::SMTP, nexthop: name.parse()? });
    let (alive, dead) = (destination("alive.example")?, destination("dead.example")?);
    for number in 0..3 {
        for (first, place) in [(100, &alive), (200, &dead)] {
            let job = Job { id: QueueId::from_u64(first + number), part: 0, attempts: 0, client: 0 };
            schedule.add(place, job, now, now);
        }
    }

    // Destinations take turns, and each begins with a window of two.
    let mut under_way = Vec::new();
    while let Some(start) = schedule.poll(now) {
        println!("{}: message {} begins", start.destination.nexthop, start.job.id);
        under_way.push(start);
    }
    println!("{} are under way, {} wait", schedule.active(), schedule.waiting());

    now = now + Duration::from_secs(30);
    for start in under_way {
        let feedback = if start.destination == alive { Feedback::Alive } else { Feedback::Dead };
        schedule.finished(&start, feedback, now);
        if feedback == Feedback::Dead {
            let job = Job { attempts: 1, ..start.job };
            let due = now + schedule.backoff(job.attempts);
            schedule.add(&start.destination, job, due, now);
        }
    }
    while let Some(start) = schedule.poll(now) {
        println!("{}: message {} begins", start.destination.nexthop, start.job.id);
    }
    let until = schedule.dead_until(&dead).map(|until| until.since(now));
    println!(
        "{} is left alone for {until:?}; the next wake-up is in {:?}",
        dead.nexthop,
        schedule.next_wakeup().map(|at| at.since(now))
    );
    Ok(())
}
