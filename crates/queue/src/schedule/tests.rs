use std::time::Duration;

use waxseal_types::{QueueId, Service};

use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_000_000);

fn settings() -> Settings {
    Settings { active_limit: 4, delivery_threads: Some(0), ..Settings::default() }
}

fn to(name: &str) -> Destination {
    Destination { service: Service::SMTP, nexthop: name.parse().unwrap() }
}

fn job(id: u64) -> Job {
    Job { id: QueueId::from_u64(id), part: 0, attempts: 0, client: 0 }
}

fn begun(schedule: &mut Schedule, now: UnixTime) -> Vec<Start> {
    std::iter::from_fn(|| schedule.poll(now)).collect()
}

fn ids(starts: &[Start]) -> Vec<u64> {
    starts.iter().map(|s| s.job.id.as_u64()).collect()
}

#[test]
fn destinations_take_turns() {
    let mut schedule = Schedule::new(&settings());
    for id in 0..3 {
        schedule.add(&to("a.example"), job(id), NOW, NOW);
    }
    schedule.add(&to("b.example"), job(10), NOW, NOW);
    assert_eq!(ids(&begun(&mut schedule, NOW)), [0, 10, 1, 2]);
}

#[test]
fn a_window_opens_with_success_and_holds_the_rest_back() {
    let mut schedule =
        Schedule::new(&Settings { active_limit: 100, initial_destination_concurrency: 2, ..settings() });
    for id in 0..10 {
        schedule.add(&to("a.example"), job(id), NOW, NOW);
    }
    let first = begun(&mut schedule, NOW);
    assert_eq!(ids(&first), [0, 1]);
    schedule.finished(&first[0], Feedback::Alive, NOW);
    assert_eq!(ids(&begun(&mut schedule, NOW)), [2, 3], "one place freed, one added");
}

#[test]
fn a_connection_takes_more_of_what_its_full_window_holds_back() {
    let one = Settings { initial_destination_concurrency: 1, destination_concurrency_limit: 1, ..settings() };
    let mut schedule = Schedule::new(&one);
    for id in 0..6 {
        schedule.add(&to("a.example"), job(id), NOW, NOW);
    }
    let mut own = begun(&mut schedule, NOW);
    assert_eq!(ids(&own), [0], "the window counts connections");
    assert_eq!((schedule.take_held(), schedule.take_held()), (vec![to("a.example")], Vec::new()));
    let riding = schedule.another(&to("a.example")).unwrap();
    let back = schedule.another(&to("a.example")).unwrap();
    assert_eq!((riding.job.id.as_u64(), back.job.id.as_u64()), (1, 2));
    assert_eq!(schedule.another(&to("b.example")), None);
    // What could not begin is the next again.
    schedule.put_back(back, NOW);
    assert_eq!(begun(&mut schedule, NOW), []);
    // The first delivery ends, the connection goes on.
    own[0].leaves(true);
    schedule.finished(&own[0], Feedback::Alive, NOW);
    assert_eq!(begun(&mut schedule, NOW), []);
    let mut last = riding;
    last.leaves(false);
    schedule.finished(&last, Feedback::Alive, NOW);
    assert_eq!(ids(&begun(&mut schedule, NOW)), [2]);
    assert_eq!(schedule.active(), 1);
}

#[test]
fn nobody_comes_aboard_while_all_room_is_taken_or_the_destination_is_dead() {
    let mut schedule = Schedule::new(&Settings { initial_destination_concurrency: 2, ..settings() });
    for id in 0..9 {
        schedule.add(&to("a.example"), job(id), NOW, NOW);
        schedule.add(&to("b.example"), job(10 + id), NOW, NOW);
    }
    assert_eq!(begun(&mut schedule, NOW).len(), 4, "the limit of all");
    assert_eq!(schedule.another(&to("a.example")), None);

    let mut schedule = Schedule::new(&Settings { initial_destination_concurrency: 1, ..settings() });
    for id in 0..3 {
        schedule.add(&to("a.example"), job(id), NOW, NOW);
    }
    let first = begun(&mut schedule, NOW);
    schedule.finished(&first[0], Feedback::Dead, NOW);
    assert_eq!(schedule.another(&to("a.example")), None);
}

#[test]
fn fresh_mail_goes_before_retries_which_get_half_at_most() {
    let mut schedule = Schedule::new(&Settings { initial_destination_concurrency: 1, ..settings() });
    for id in 0..4 {
        let due = Job { attempts: 1, ..job(id) };
        schedule.add(&to(&format!("r{id}.example")), due, NOW, NOW);
    }
    for id in 10..13 {
        schedule.add(&to("a.example"), job(id), NOW, NOW);
    }
    // a.example has a window of one: its other fresh jobs do not wait in the turn, they cannot begin anyway.
    let mut all = ids(&begun(&mut schedule, NOW));
    assert_eq!(all[0], 10);
    // At their pace.
    for millisecond in 1..9 {
        all.extend(ids(&begun(&mut schedule, NOW + Duration::from_millis(millisecond))));
    }
    assert_eq!(all.len(), 4);
}

#[test]
fn a_dead_destination_waits_and_is_probed_once() {
    let mut schedule = Schedule::new(&Settings { initial_destination_concurrency: 1, ..settings() });
    for id in 0..3 {
        schedule.add(&to("dead.example"), job(id), NOW, NOW);
    }
    let first = begun(&mut schedule, NOW);
    assert_eq!(ids(&first), [0]);
    schedule.finished(&first[0], Feedback::Dead, NOW);
    assert_eq!(begun(&mut schedule, NOW), []);
    let until = schedule.next_wakeup().unwrap();
    assert_eq!(until, NOW + Duration::from_secs(300));
    let probe = begun(&mut schedule, until);
    assert_eq!(ids(&probe), [1]);
    schedule.finished(&probe[0], Feedback::Dead, until);
    assert_eq!(
        schedule.next_wakeup(),
        Some(until + Duration::from_secs(600)),
        "the second sentence is longer"
    );
    let later = until + Duration::from_secs(600);
    let probe = begun(&mut schedule, later);
    schedule.finished(&probe[0], Feedback::Alive, later);
    assert_eq!(begun(&mut schedule, later), [], "nothing left");
}

#[test]
fn jobs_wait_for_their_time_without_being_looked_at() {
    let mut schedule = Schedule::new(&settings());
    let due = NOW + Duration::from_secs(300);
    schedule.add(&to("a.example"), Job { attempts: 1, ..job(1) }, due, NOW);
    assert_eq!(schedule.poll(NOW), None);
    assert_eq!(schedule.next_wakeup(), Some(due));
    assert_eq!(ids(&begun(&mut schedule, due)), [1]);
}

#[test]
fn a_job_is_taken_back_and_given_anew() {
    let mut schedule = Schedule::new(&settings());
    let later = Job { attempts: 3, ..job(1) };
    let due = NOW + Duration::from_secs(4000);
    schedule.add(&to("a.example"), later.clone(), due, NOW);
    schedule.take_back(&later, due);
    schedule.add(&to("a.example"), later, NOW, NOW);
    assert_eq!(ids(&begun(&mut schedule, NOW)), [1]);
    assert_eq!((schedule.waiting(), schedule.next_wakeup()), (0, None));
}

#[test]
fn nothing_begins_to_a_suspended_destination_until_it_is_resumed() {
    let mut schedule = Schedule::new(&settings());
    let nexthop = "a.example".parse().unwrap();
    schedule.suspend(&nexthop, true);
    schedule.add(&to("a.example"), job(1), NOW, NOW);
    schedule.add(&to("b.example"), job(2), NOW, NOW);
    let others = begun(&mut schedule, NOW);
    assert_eq!(ids(&others), [2]);
    schedule.finished(&others[0], Feedback::Alive, NOW);
    assert_eq!((schedule.another(&to("a.example")), schedule.next_wakeup()), (None, None));
    assert!(schedule.is_suspended(&to("a.example")));
    schedule.suspend(&nexthop, false);
    assert_eq!(ids(&begun(&mut schedule, NOW)), [1]);
}

#[test]
fn nothing_begins_while_all_is_deferred_and_nobody_is_woken_for_it() {
    let mut schedule = Schedule::new(&settings());
    schedule.pause(true);
    let due = NOW + Duration::from_secs(1);
    schedule.add(&to("a.example"), job(1), NOW, NOW);
    schedule.add(&to("a.example"), Job { attempts: 1, ..job(2) }, due, NOW);
    assert_eq!((schedule.poll(due), schedule.another(&to("a.example"))), (None, None));
    assert_eq!(schedule.next_wakeup(), None);
    schedule.pause(false);
    assert_eq!(ids(&begun(&mut schedule, due)), [1, 2]);
}

#[test]
fn what_is_swept_out_leaves_the_others_and_an_idle_destination_is_forgotten() {
    let mut schedule = Schedule::new(&Settings { active_limit: 5, ..settings() });
    schedule.suspend(&"a.example".parse().unwrap(), true);
    for id in 0..10 {
        schedule.add(&to("a.example"), Job { client: (id % 3) as u32, ..job(id) }, NOW, NOW);
    }
    schedule.sweep(&to("a.example"), |job| job.id.as_u64() % 2 == 0, NOW);
    schedule.suspend(&"a.example".parse().unwrap(), false);
    let mut left = ids(&begun(&mut schedule, NOW));
    left.sort_unstable();
    assert_eq!(left, [0, 2, 4, 6, 8]);
}

#[test]
fn idle_destinations_are_forgotten() {
    let mut schedule = Schedule::new(&settings());
    for id in 0..1000 {
        schedule.add(&to(&format!("d{id}.example")), job(id), NOW, NOW);
        for start in begun(&mut schedule, NOW) {
            schedule.finished(&start, Feedback::Alive, NOW);
        }
    }
    assert!(schedule.lines.len() <= 2, "{} lines", schedule.lines.len());
}

#[test]
fn back_off_doubles_up_to_its_limit() {
    let schedule = Schedule::new(&settings());
    let seconds: Vec<_> = (1..=6).map(|n| schedule.backoff(n).as_secs()).collect();
    assert_eq!(seconds, [300, 600, 1200, 2400, 4000, 4000]);
}

#[test]
fn clients_take_turns_at_a_destination() {
    let one = Settings { active_limit: 100, initial_destination_concurrency: 100, ..settings() };
    let mut schedule = Schedule::new(&Settings { destination_concurrency_limit: 100, ..one });
    for id in 0..5 {
        schedule.add(&to("a.example"), Job { client: 1, ..job(id) }, NOW, NOW);
    }
    for (id, client) in [(10, 2), (11, 2), (20, 3)] {
        schedule.add(&to("a.example"), Job { client, ..job(id) }, NOW, NOW);
    }
    // Whoever submitted much waits for itself.
    assert_eq!(ids(&begun(&mut schedule, NOW)), [0, 10, 20, 1, 11, 2, 3, 4]);
}

#[test]
fn feedback_moves_the_window() {
    // Connections under way at once after each ended, one after the other, in this way; the destination never lacks jobs.
    use Feedback::{Alive, Busy, Dead, None};
    let table: [(&[Feedback], usize); 7] = [
        (&[], 5),
        (&[Alive, Alive, Alive], 8),
        (&[Alive; 30], 20),
        // A server that asks for less gets half, and is not dead for it.
        (&[Busy], 2),
        (&[Busy, Busy, Busy], 1),
        // One that cannot be reached takes one off; a whole cohort of those is its death.
        (&[Dead], 4),
        (&[None, None], 5),
    ];
    for (feedback, expected) in table {
        let mut schedule = Schedule::new(&Settings { active_limit: 1000, ..settings() });
        for id in 0..100 {
            schedule.add(&to("a.example"), job(id), NOW, NOW);
        }
        let mut under_way: VecDeque<_> = begun(&mut schedule, NOW).into();
        for feedback in feedback {
            let ended = under_way.pop_front().unwrap();
            schedule.finished(&ended, *feedback, NOW);
            under_way.extend(begun(&mut schedule, NOW));
        }
        // What a smaller window has too many of ends by itself.
        while schedule.lines[0].active as usize > schedule.lines[0].window as usize {
            schedule.finished(&under_way.pop_front().unwrap(), None, NOW);
        }
        assert_eq!(schedule.lines[0].active as usize, expected, "{feedback:?}");
    }
}

#[test]
fn a_destination_with_a_rate_delay_gets_one_at_a_time_and_then_a_pause() {
    let delay = Duration::from_secs(2);
    let mut schedule = Schedule::new(&Settings { destination_rate_delay: delay, ..settings() });
    for id in 0..3 {
        schedule.add(&to("a.example"), job(id), NOW, NOW);
    }
    let first = begun(&mut schedule, NOW);
    assert_eq!(ids(&first), [0]);
    assert_eq!(schedule.another(&to("a.example")), None);
    schedule.finished(&first[0], Feedback::Alive, NOW);
    assert_eq!(begun(&mut schedule, NOW), []);
    assert_eq!(schedule.next_wakeup(), Some(NOW + delay));
    let second = begun(&mut schedule, NOW + delay);
    assert_eq!(ids(&second), [1]);
    // The pause outlives an empty line.
    schedule.finished(&second[0], Feedback::Alive, NOW + delay);
    assert_eq!(ids(&begun(&mut schedule, NOW + 2 * delay)), [2]);
}

#[test]
fn a_connection_that_failed_does_not_make_its_message_wait_longer_each_time() {
    let schedule = Schedule::new(&settings());
    let table = [
        (Feedback::Dead, 1, 300),
        (Feedback::Dead, 5, 300),
        (Feedback::Alive, 1, 300),
        (Feedback::Alive, 3, 1200),
        (Feedback::Busy, 3, 1200),
        (Feedback::None, 2, 600),
    ];
    for (feedback, attempts, seconds) in table {
        assert_eq!(schedule.wait_after(feedback, attempts).as_secs(), seconds, "{feedback:?} {attempts}");
    }
}

#[test]
fn what_came_due_before_a_restart_is_spread() {
    let schedule = Schedule::new(&settings());
    let (past, future) = (UnixTime::from_secs(999_991), NOW + Duration::from_secs(9));
    let at = |id, attempts, due| schedule.after_restart(QueueId::from_u64(id), attempts, due, NOW);
    assert_eq!(at(1, 0, past), past, "fresh mail goes at once");
    assert_eq!(at(1, 1, future), future, "what is not due keeps its time");
    let end = NOW + Duration::from_secs(60);
    let mut seconds = [0; 60];
    for id in 0..6000 {
        let due = at(NOW.as_micros() + id, 1, past);
        assert!(due >= NOW && due < end);
        seconds[due.since(NOW).as_secs() as usize] += 1;
    }
    assert!(seconds.iter().all(|count| (50..200).contains(count)), "{seconds:?}");
    assert_eq!(at(7, 1, past), at(7, 1, past));
}

#[test]
fn deliveries_that_take_long_leave_their_places_to_others() {
    let mut schedule = Schedule::new(&settings());
    for id in 0..12 {
        schedule.add(&to("tarpit.example"), job(id), NOW, NOW);
    }
    let stuck = begun(&mut schedule, NOW);
    assert_eq!(stuck.len(), 4, "the limit");
    schedule.add(&to("healthy.example"), job(20), NOW, NOW);
    assert_eq!(begun(&mut schedule, NOW), []);
    let later = NOW + Duration::from_secs(1);
    assert_eq!(schedule.next_wakeup(), Some(later), "then there is room");
    let begun_then = begun(&mut schedule, later);
    assert_eq!(ids(&begun_then), [20], "and none for more of those");
    assert_eq!(schedule.active(), 5);
    // One of them comes to its end: others of the same window take its place.
    schedule.finished(&stuck[0], Feedback::Alive, later);
    assert_eq!(ids(&begun(&mut schedule, later)), [4, 5]);
    for start in stuck[1..].iter().chain(&begun_then) {
        schedule.finished(start, Feedback::Alive, later);
    }
    assert_eq!(begun(&mut schedule, later).len() + 2, schedule.active() as usize);
}

#[test]
fn slow_and_prompt_together_are_bounded() {
    let mut schedule = Schedule::new(&settings());
    for id in 0..100 {
        schedule.add(&to(&format!("tarpit{id}.example")), job(id), NOW, NOW);
    }
    let under_way = |schedule: &mut Schedule, seconds| {
        begun(schedule, NOW + Duration::from_secs(seconds));
        schedule.active()
    };
    let counts: Vec<_> = (0..5).map(|seconds| under_way(&mut schedule, seconds)).collect();
    assert_eq!(counts, [4, 6, 6, 6, 6], "the last quarter of twice the limit is not for those nobody knows");
}

#[test]
fn servers_that_nobody_knows_do_not_take_the_last_places_from_those_known_to_be_prompt() {
    let mut schedule = Schedule::new(&settings());
    let second = |seconds| NOW + Duration::from_secs(seconds);
    schedule.add(&to("known.example"), job(1000), NOW, NOW);
    let prompt = schedule.poll(NOW).unwrap();
    schedule.finished(&prompt, Feedback::Alive, NOW);
    for id in 0..20 {
        schedule.add(&to(&format!("tarpit{id}.example")), job(id), NOW, NOW);
    }
    let mut stuck = begun(&mut schedule, NOW);
    stuck.extend(begun(&mut schedule, second(1)));
    stuck.extend(begun(&mut schedule, second(2)));
    assert_eq!(stuck.len(), 6);
    schedule.add(&to("known.example"), job(1001), second(2), second(2));
    schedule.add(&to("new.example"), job(1002), second(2), second(2));
    let known = begun(&mut schedule, second(2));
    assert_eq!(ids(&known), [1001], "it was forgotten when it had nothing to do, and is known all the same");
    // With the end of any of them the unknown come in, in turn; one that was slow is slow no more when it has ended in time.
    schedule.finished(&stuck[0], Feedback::Alive, second(2));
    assert_eq!(begun(&mut schedule, second(2)), [], "the place is the known one's");
    schedule.finished(&known[0], Feedback::Alive, second(2));
    assert_eq!(ids(&begun(&mut schedule, second(2))), [6]);
    // And who is slow once is known no more.
    schedule.add(&to("known.example"), job(1003), second(2), second(2));
    assert_eq!(ids(&begun(&mut schedule, second(2))), [1003]);
    schedule.finished(&stuck[1], Feedback::Alive, second(4));
    let _ = begun(&mut schedule, second(4));
    schedule.add(&to("known.example"), job(1004), second(4), second(4));
    assert!(!ids(&begun(&mut schedule, second(4))).contains(&1004));
}

#[test]
fn all_that_waits_behind_unknown_servers_is_tried_in_the_end() {
    let mut schedule = Schedule::new(&settings());
    for id in 0..500 {
        schedule.add(&to(&format!("d{}.example", id % 100)), job(id), NOW, NOW);
    }
    let (mut under_way, mut tried) = (Vec::new(), 0);
    for second in 0..2000 {
        let now = NOW + Duration::from_secs(second);
        under_way.extend(begun(&mut schedule, now));
        if !under_way.is_empty() {
            // The first to begin is the first to end: each takes some seconds.
            schedule.finished(&under_way.remove(0), Feedback::Alive, now);
            tried += 1;
        }
    }
    assert_eq!((tried, schedule.active()), (500, 0));
}

#[test]
fn a_crowd_of_retries_is_let_in_at_a_pace_that_fresh_mail_and_handshakes_slow() {
    for (fresh, at_once, cold, warm) in [(false, 15, 15 * 30 / 2, 15), (true, 3, 3 * 30 / 2, 3)] {
        let mut schedule = Schedule::new(&Settings { active_limit: 1000, ..settings() });
        for id in 0..at_once + cold {
            schedule.add(&to(&format!("r{id}.example")), Job { attempts: 1, ..job(id) }, NOW, NOW);
            schedule.add(&to(&format!("r{id}.example")), Job { attempts: 1, ..job(1000 + id) }, NOW, NOW);
        }
        if fresh {
            schedule.add(&to("a.example"), job(5000), NOW, NOW);
        }
        let mut under_way = begun(&mut schedule, NOW);
        assert_eq!(ids(&under_way).iter().filter(|id| **id < 5000).count() as u64, at_once);
        let (mut now, mut next) = (NOW, Vec::new());
        for _ in 0..30 {
            now = now + Duration::from_millis(1);
            assert_eq!(schedule.next_wakeup(), Some(now));
            next.extend(begun(&mut schedule, now));
        }
        assert_eq!(next.len() as u64, cold, "each has to make a connection");
        under_way.extend(next);
        for start in &under_way {
            schedule.finished(start, Feedback::Alive, now);
        }
        let mut again = 0;
        for _ in 0..10 {
            now = now + Duration::from_millis(1);
            again += begun(&mut schedule, now).len();
        }
        assert!((10 * warm - 2..=10 * warm).contains(&again), "{again}: each finds the one that was made");
    }
}

#[test]
fn a_crowd_that_does_not_end_is_let_in_faster_and_rides_at_the_same_pace() {
    let mut schedule = Schedule::new(&Settings { active_limit: 1000, ..settings() });
    for id in 0..25_000 {
        schedule.add(&to(&format!("r{}.example", id % 10)), Job { attempts: 1, ..job(id) }, NOW, NOW);
    }
    let mut began = [0; 6];
    for millisecond in 0..6000 {
        let now = NOW + Duration::from_millis(millisecond);
        if millisecond % 500 == 0 {
            schedule.add(&to("a.example"), job(50_000 + millisecond), now, now);
        }
        for start in begun(&mut schedule, now) {
            // One more would go with each over its connection.
            let rides = schedule.another(&start.destination);
            for start in rides.into_iter().chain([start]) {
                began[usize::try_from(millisecond / 1000).unwrap()] += usize::from(start.retry);
                schedule.finished(&start, Feedback::Alive, now);
            }
        }
    }
    assert!(began[1..5].iter().all(|began| *began == 3000), "{began:?}");
    assert_eq!(began[5], 6000);
}

#[test]
fn nobody_is_woken_when_the_crowd_is_gone() {
    let mut schedule = Schedule::new(&settings());
    schedule.add(&to("a.example"), Job { attempts: 1, ..job(1) }, NOW, NOW);
    let all = begun(&mut schedule, NOW);
    schedule.finished(&all[0], Feedback::Alive, NOW);
    assert_eq!((schedule.poll(NOW), schedule.next_wakeup()), (None, None));
}

#[test]
fn a_quarter_of_the_places_is_never_taken_by_retries() {
    let mut schedule = Schedule::new(&settings());
    for id in 0..9 {
        schedule.add(&to(&format!("r{id}.example")), Job { attempts: 1, ..job(id) }, NOW, NOW);
    }
    assert_eq!(begun(&mut schedule, NOW).len(), 3);
    schedule.add(&to("a.example"), job(20), NOW, NOW);
    assert_eq!(ids(&begun(&mut schedule, NOW)), [20]);
}

#[test]
fn who_finds_too_many_connections_waits_a_moment_and_holds_no_place_meanwhile() {
    let mut schedule = Schedule::new(&settings());
    for id in 0..3 {
        schedule.add(&to("a.example"), job(id), NOW, NOW);
    }
    schedule.add(&to("b.example"), job(10), NOW, NOW);
    let first = schedule.poll(NOW).unwrap();
    schedule.crowded_out(first, NOW);
    let others = begun(&mut schedule, NOW);
    assert_eq!(ids(&others), [10]);
    schedule.finished(&others[0], Feedback::Alive, NOW);
    let then = NOW + Duration::from_secs(1);
    assert_eq!((schedule.active(), schedule.next_wakeup()), (0, Some(then)));
    assert_eq!(ids(&begun(&mut schedule, then)), [0, 1, 2], "in their order, and not dead");
}

#[test]
fn a_destination_waits_for_what_the_tables_say_and_has_its_own_limits_then() {
    use crate::DestinationLimits;
    let wide = Settings { active_limit: 100, ..settings() };
    let mut schedule = Schedule::new(&wide);
    for id in 0..9 {
        schedule.add(&to("a.example"), job(id), NOW, NOW);
    }
    assert!(schedule.wants_limits(&to("a.example"), 1));
    assert!(!schedule.wants_limits(&to("a.example"), 1), "asked once");
    assert_eq!(begun(&mut schedule, NOW), []);
    let limits = DestinationLimits { concurrency: Some(2), ..DestinationLimits::default() };
    schedule.set_limits(&to("a.example"), limits, NOW);
    let first = begun(&mut schedule, NOW);
    assert_eq!(ids(&first), [0, 1]);
    schedule.finished(&first[0], Feedback::Alive, NOW);
    assert_eq!(begun(&mut schedule, NOW).len(), 1, "success opens no window beyond it");
    // The tables change: what was in force stays so until they have answered.
    assert!(schedule.wants_limits(&to("a.example"), 2));
    schedule.finished(&first[1], Feedback::Alive, NOW);
    let slow = DestinationLimits { rate_delay: Some(Duration::from_secs(9)), ..DestinationLimits::default() };
    let more = begun(&mut schedule, NOW);
    assert_eq!(more.len(), 1);
    schedule.set_limits(&to("a.example"), slow, NOW);
    assert_eq!((begun(&mut schedule, NOW), schedule.another(&to("a.example"))), (Vec::new(), None));
}

#[test]
fn a_client_with_a_quota_waits_behind_itself_only() {
    let mut schedule = Schedule::new(&Settings { active_limit: 100, ..settings() });
    schedule.set_quota(7, Some(2));
    for id in 0..6 {
        schedule.add(&to(&format!("d{id}.example")), Job { client: 7, ..job(id) }, NOW, NOW);
    }
    schedule.add(&to("d5.example"), Job { client: 8, ..job(20) }, NOW, NOW);
    let mut first = begun(&mut schedule, NOW);
    assert_eq!(ids(&first), [0, 1, 20]);
    assert_eq!(schedule.another(&to("d2.example")), None);
    // Each that ends lets one in, wherever it goes.
    let mut order = Vec::new();
    while let Some(start) = first.pop() {
        schedule.finished(&start, Feedback::Alive, NOW);
        let next = begun(&mut schedule, NOW);
        order.extend(ids(&next));
        first.extend(next);
    }
    order.sort_unstable();
    assert_eq!(order, [2, 3, 4, 5]);
    assert_eq!(schedule.active(), 0);
}

#[test]
fn a_quota_that_is_lifted_lets_all_in() {
    let mut schedule = Schedule::new(&Settings { active_limit: 100, ..settings() });
    schedule.set_quota(7, Some(1));
    for id in 0..4 {
        schedule.add(&to(&format!("d{id}.example")), Job { client: 7, ..job(id) }, NOW, NOW);
    }
    assert_eq!(begun(&mut schedule, NOW).len(), 1);
    schedule.set_quota(7, None);
    assert_eq!(begun(&mut schedule, NOW).len(), 3);
}

#[test]
fn a_clock_that_jumps_ten_years_makes_nobody_wait_ten_years_and_nobody_run_wild() {
    const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);
    let later = NOW + TEN_YEARS;
    let mut schedule = Schedule::new(&settings());
    for id in 0..1000 {
        let job = Job { attempts: 1, ..job(id) };
        schedule.add(
            &to(&format!("d{}.example", id % 50)),
            job,
            NOW + Duration::from_secs(300 + id % 7),
            NOW,
        );
    }
    assert_eq!(schedule.poll(NOW), None);
    // Ahead: everything is due, and the limits hold.
    let begun_later = begun(&mut schedule, later);
    assert!((1..=4).contains(&begun_later.len()));
    assert_eq!(schedule.poll(later), None);
    for start in &begun_later {
        schedule.finished(start, Feedback::Alive, later);
        schedule.add(&start.destination, start.job.clone(), later + Duration::from_secs(300), later);
    }
    // And back again: what was put off until then waits its five minutes.
    let (mut now, mut tried) = (NOW, 0);
    for _ in 0..100_000 {
        while let Some(start) = schedule.poll(now) {
            schedule.finished(&start, Feedback::Alive, now);
            tried += 1;
        }
        let Some(next) = schedule.next_wakeup() else { break };
        now = now.max(next);
    }
    assert_eq!((tried, schedule.waiting()), (1000, 0));
    assert!(now > NOW && now <= NOW + Duration::from_secs(600), "{now:?}");
}

#[test]
fn a_hundred_thousand_dead_destinations_are_left_alone_until_their_time() {
    const MANY: u64 = 100_000;
    // A window of one: the first failure is a death.
    let mut schedule = Schedule::new(&Settings { initial_destination_concurrency: 1, ..settings() });
    for id in 0..MANY {
        let destination = to(&format!("d{id}.example"));
        schedule.add(&destination, job(id), NOW, NOW);
        schedule.add(&destination, job(MANY + id), NOW, NOW);
    }
    let mut tried = 0u64;
    while let Some(start) = schedule.poll(NOW) {
        schedule.finished(&start, Feedback::Dead, NOW);
        tried += 1;
    }
    assert_eq!(tried, MANY, "one of each");
    // Nobody is woken before a probe may go, and then each destination gets one.
    let wake = schedule.next_wakeup().unwrap();
    assert_eq!(wake, NOW + Duration::from_secs(300));
    assert_eq!(schedule.poll(wake.min(NOW + Duration::from_secs(299))), None);
    let mut probes = 0;
    while let Some(start) = schedule.poll(wake) {
        schedule.finished(&start, Feedback::Alive, wake);
        probes += 1;
    }
    assert_eq!(probes, MANY);
    assert_eq!((schedule.waiting(), schedule.active()), (0, 0));
}
