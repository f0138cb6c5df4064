//! What the queue manager of Postfix has for each transport: `slow_destination_concurrency_limit` for the service `slow`, and its kin (postconf(5),
//! "transport_destination_..."). It reads them in `main.cf` only: options of `master.cf` are for the program that delivers.

use waxseal_queue::FeedbackAmount;
use waxseal_types::Service as Client;

use super::{
    MainCf,
    master::{self, main_service},
};
use crate::{
    TransportKeys,
    problem::{Place, Problem},
    values::duration,
};

/// The ends of their names, each with the parameter that is its default.
const PARAMETERS: [(&str, &str); 7] = [
    ("_destination_concurrency_limit", "default_destination_concurrency_limit"),
    ("_initial_destination_concurrency", "initial_destination_concurrency"),
    ("_destination_rate_delay", "default_destination_rate_delay"),
    ("_destination_recipient_limit", "default_destination_recipient_limit"),
    ("_destination_concurrency_positive_feedback", "default_destination_concurrency_positive_feedback"),
    ("_destination_concurrency_negative_feedback", "default_destination_concurrency_negative_feedback"),
    ("_destination_concurrency_failed_cohort_limit", "default_destination_concurrency_failed_cohort_limit"),
];

/// Whether a name is that of such a parameter, whatever the transport.
pub(super) fn is_one(name: &str) -> bool {
    PARAMETERS.iter().any(|(end, _)| name.ends_with(end))
}

/// In what a transport differs from `main`; nothing for `main` itself. What is set for it by name is its own even where it is the same, so that a key of
/// a later file, which holds for all, does not change it.
pub(super) fn of(cf: &MainCf, name: &str, main: &str, problems: &mut Vec<Problem>) -> TransportKeys {
    let mut keys = TransportKeys::default();
    if name == main {
        return keys;
    }
    for (end, default) in PARAMETERS {
        let [(own, place, is_set), (other, ..)] =
            [name, main].map(|transport| value(cf, transport, (end, default)));
        let (Ok(own), Ok(other)) = (own, other) else {
            // The default has been found wrong by itself.
            continue;
        };
        if (is_set || own != other)
            && let Err((what, remedy)) = put(&mut keys, end, &own)
        {
            problems.push(Problem::new(
                place,
                &format!("{name}{end}"),
                format!("{own:?} is not {what}"),
                remedy,
            ));
        }
    }
    keys
}

/// The value for a transport, where it comes from, and whether it is set by the transport's name.
fn value(
    cf: &MainCf,
    transport: &str,
    (end, default): (&str, &str),
) -> (Result<String, Problem>, Place, bool) {
    let name = format!("{transport}{end}");
    // What becomes a key is read as the service sees it.
    let service = cf.service(transport).filter(|service| main_service(service.protocol) == transport);
    let service = service.filter(|_| transport == "smtp");
    let own = cf.definition_for(&name, service);
    let definition = own.or_else(|| cf.definition_for(default, None));
    let place = definition.map_or(Place::Default, |definition| definition.place.clone());
    let value = if own.is_some() { cf.value_for(&name, service) } else { cf.value_for(default, None) };
    (value, place, own.is_some())
}

/// The error is what it should have been, and what to write.
fn put(keys: &mut TransportKeys, end: &str, value: &str) -> Result<(), (&'static str, &'static str)> {
    // Postfix: 0 is no limit; here the schedule needs one, as for all.
    let number = || value.parse::<u32>().ok();
    let positive = || number().filter(|number| *number > 0).ok_or(("a number from 1 on", "write at least 1"));
    let amount = || {
        let remedy = "write a number from 0 to 1, number/concurrency or number/sqrt_concurrency";
        value.parse::<FeedbackAmount>().map_err(|_| ("an amount of feedback", remedy))
    };
    match end {
        "_destination_concurrency_limit" => keys.concurrency = Some(positive()?),
        "_initial_destination_concurrency" => keys.initial = Some(positive()?),
        "_destination_rate_delay" => {
            let span = duration(value, Some('s'));
            keys.rate_delay = Some(span.ok_or(("a time", "write a number and a unit: s, m, h, d or w"))?);
        }
        "_destination_recipient_limit" => keys.recipients = Some(positive()?),
        "_destination_concurrency_positive_feedback" => keys.positive = Some(amount()?),
        "_destination_concurrency_negative_feedback" => keys.negative = Some(amount()?),
        _ => keys.failed_cohorts = Some(number().ok_or(("a number", "write a whole number; 0 is never"))?),
    }
    Ok(())
}

/// In what each transport differs: `lmtp` from `smtp`, and a service of `master.cf` from the main one of its protocol.
pub(super) fn all(cf: &MainCf, problems: &mut Vec<Problem>) -> Vec<(Client, TransportKeys)> {
    let mut all = vec![(Client::LMTP, of(cf, "lmtp", "smtp", problems))];
    for service in cf.services() {
        let main = main_service(service.protocol);
        if service.name != main && !master::is_refused(cf, service) {
            let client = Client::named(service.protocol, &service.name);
            all.push((client, of(cf, &service.name, main, problems)));
        }
    }
    all.retain(|(_, keys)| *keys != TransportKeys::default());
    all
}
