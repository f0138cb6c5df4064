//! From octets to accounts.

use std::{sync::Arc, time::Duration};

use waxseal_queue::{Account, Connection, Destination, Failure, Outcome, RecipientResult, Settled, Times};
use waxseal_types::{EnhancedStatus, Envelope, Mailbox, QueueId, Recipient, Reply, TraceContext, UnixTime};

use crate::{
    entry::{Entry, Happening},
    facts::{self, Way},
    octets::{Flaw, Read, Reader},
    words,
};

/// What searches compare first; all of it borrowed.
pub(crate) struct Head<'a> {
    pub(crate) id: u64,
    pub(crate) sender: Option<&'a str>,
    pub(crate) message_id: Option<&'a str>,
}

pub(crate) fn head<'a>(reader: &mut Reader<'a>) -> Read<Head<'a>> {
    Ok(Head {
        id: u64::from_le_bytes(reader.array()?),
        sender: reader.maybe_text()?,
        message_id: reader.maybe_text()?,
    })
}

/// Where facts are found by their places.
pub(crate) trait Facts {
    fn client(&mut self, place: u32) -> Option<Arc<str>>;
    fn destination(&mut self, place: u32) -> Option<Destination>;
    fn way(&mut self, place: u32) -> Option<Way>;
    fn connection(&mut self, place: u32) -> Option<Connection>;
    fn chain(&mut self, place: u32) -> Option<Arc<[waxseal_queue::CertificateFact]>>;
}

/// Finds nothing: for those who want to know only where texts are.
pub(crate) struct NoFacts;

impl Facts for NoFacts {
    fn client(&mut self, _: u32) -> Option<Arc<str>> {
        None
    }

    fn destination(&mut self, _: u32) -> Option<Destination> {
        None
    }

    fn way(&mut self, _: u32) -> Option<Way> {
        None
    }

    fn connection(&mut self, _: u32) -> Option<Connection> {
        None
    }

    fn chain(&mut self, _: u32) -> Option<Arc<[waxseal_queue::CertificateFact]>> {
        None
    }
}

/// What `ledger erase` has taken out reads as this where it is no address any more.
fn mailbox(text: &str) -> Read<Mailbox> {
    Mailbox::new(text).or_else(|_| Mailbox::new("postmaster")).map_err(|_| Flaw)
}

fn recipient(text: &str) -> Read<Recipient> {
    Ok(Recipient { mailbox: mailbox(text)?, notify: None, original: None })
}

fn envelope(head: &Head<'_>, client: Option<Arc<str>>) -> Read<Envelope> {
    let client = client.unwrap_or_else(|| Arc::from(""));
    Ok(Envelope {
        sender: head.sender.map(mailbox).transpose()?,
        message_id: head.message_id.map(Arc::from),
        ..Envelope::empty(QueueId::from_u64(head.id), UnixTime::default(), client)
    })
}

/// The end of what attempts and settlements have in common; the number of recipients of the whole message.
fn tail(reader: &mut Reader<'_>, envelope: &mut Envelope, time: UnixTime) -> Read<usize> {
    envelope.arrived = UnixTime::from_micros(time.as_micros().saturating_sub(reader.number()?));
    envelope.size = reader.number()?;
    let recipients = reader.small()?;
    let trace_id = u128::from_le_bytes(reader.array()?);
    envelope.trace = TraceContext { trace_id, ..TraceContext::default() };
    Ok(recipients)
}

/// A record of the kind ATTEMPT, from behind its head.
pub(crate) fn attempt(
    reader: &mut Reader<'_>,
    head: &Head<'_>,
    places: &[u32],
    time: UnixTime,
    found: &mut impl Facts,
) -> Read<Entry> {
    let place = |at: usize| places.get(at).copied().filter(|place| *place != 0);
    let client = place(0).and_then(|place| found.client(place));
    let mut envelope = envelope(head, client)?;
    let mut results = read_results(reader, &mut envelope)?;
    let recipients = tail(reader, &mut envelope, time)?;
    let attempt = reader.small()?;
    let started = UnixTime::from_micros(time.as_micros().saturating_sub(reader.number()?));
    let next_attempt = reader.number()?.checked_sub(1).map(|after| time + Duration::from_micros(after));
    let mut times = Vec::new();
    for _ in 0..reader.count()? {
        times.push((reader.number()?, reader.number()?));
    }
    let mut courses = Vec::new();
    for _ in 0..reader.count()? {
        courses.push(read_course(reader, started)?);
    }
    let destination = place(1).and_then(|place| found.destination(place));
    let way = place(2).and_then(|place| found.way(place));
    let mut connections = Vec::with_capacity(courses.len());
    for (number, course) in courses.iter().enumerate() {
        let connection = place(3 + 2 * number).and_then(|place| found.connection(place));
        let chain = place(4 + 2 * number).and_then(|place| found.chain(place));
        connections.extend(connection.map(|connection| course.over(connection, chain)));
    }
    // A connection whose facts are lost must not look like one in clear: none is shown then.
    let complete = connections.len() == courses.len() && way.is_some() && destination.is_some();
    if !complete {
        connections.clear();
        results.iter_mut().for_each(|result| result.connection = None);
    }
    let Way { policies, facts } =
        way.filter(|_| complete).unwrap_or(Way { policies: Vec::new(), facts: Vec::new() });
    let account = Account {
        envelope: Arc::new(envelope),
        destination: destination.unwrap_or_else(nowhere),
        attempt,
        started,
        ended: time,
        steps: facts::steps(facts, &times, started),
        policies,
        connections,
        results,
    };
    let happening = Happening::Attempt { account: Box::new(account), next_attempt };
    Ok(Entry { time, recipients, complete, happening })
}

fn nowhere() -> Destination {
    Destination { service: waxseal_types::Service::SMTP, nexthop: waxseal_types::NextHop::nowhere() }
}

/// A record of the kind SETTLED, from behind its head.
pub(crate) fn settled(
    reader: &mut Reader<'_>,
    head: &Head<'_>,
    places: &[u32],
    time: UnixTime,
    found: &mut impl Facts,
) -> Read<Entry> {
    let place = |at: usize| places.get(at).copied().filter(|place| *place != 0);
    let mut envelope = envelope(head, place(0).and_then(|place| found.client(place)))?;
    for _ in 0..reader.count()? {
        reader.number()?;
        envelope.recipients.push(recipient(reader.text()?)?);
    }
    let recipients = tail(reader, &mut envelope, time)?;
    let how: Settled = words::to_settled(reader.octet()?);
    let attempts = reader.small()?;
    let failure = read_failure(reader)?;
    let destination = place(1).map(|place| found.destination(place));
    let complete = destination != Some(None);
    let happening = Happening::Settled {
        envelope: Arc::new(envelope),
        destination: destination.flatten(),
        how,
        failure,
        attempts,
    };
    Ok(Entry { time, recipients, complete, happening })
}

/// The recipients of an attempt are numbered anew from 0: those of the message that were not in it are not in its record.
fn read_results(reader: &mut Reader<'_>, envelope: &mut Envelope) -> Read<Vec<RecipientResult>> {
    let mut results: Vec<RecipientResult> = Vec::new();
    for index in 0..reader.count()? {
        reader.number()?;
        envelope.recipients.push(recipient(reader.text()?)?);
        let connection = reader.small::<usize>()?.checked_sub(1);
        let outcome = match reader.octet()? {
            0 => results.last().ok_or(Flaw)?.outcome.clone(),
            kind @ (1 | 2) => Outcome::Delivered { reply: read_reply(reader)?, without_dsn: kind == 2 },
            3 => Outcome::Deferred(read_failure(reader)?),
            4 => Outcome::Bounced(read_failure(reader)?),
            _ => return Err(Flaw),
        };
        results.push(RecipientResult { index, outcome, connection });
    }
    Ok(results)
}

fn read_failure(reader: &mut Reader<'_>) -> Read<Failure> {
    let status = words::to_enhanced(reader.number()?);
    let trouble = words::to_trouble(reader.octet()?);
    let reason = reader.text()?.to_owned();
    let reply = if reader.octet()? == 0 { None } else { Some(read_reply(reader)?) };
    Ok(Failure { status: status.unwrap_or(EnhancedStatus::transient(0, 0)), reason, reply, trouble })
}

fn read_reply(reader: &mut Reader<'_>) -> Read<Reply> {
    let code = reader.small()?;
    let status = reader.number()?;
    let text = reader.text()?;
    let status = if status == 1 {
        EnhancedStatus::split_from(text).map(|(status, _)| status)
    } else {
        words::to_enhanced(status)
    };
    Ok(Reply { code, status, text: text.into() })
}

/// What a connection was for one message.
struct Course {
    at: UnixTime,
    ended: UnixTime,
    pooled: bool,
    times: Times,
    failure: Option<Failure>,
}

fn read_course(reader: &mut Reader<'_>, started: UnixTime) -> Read<Course> {
    let at = started + Duration::from_micros(reader.number()?);
    let ended = at + Duration::from_micros(reader.number()?);
    let flags = reader.octet()?;
    let mut time = || reader.number().map(Duration::from_micros);
    let times = Times { connect: time()?, greeting: time()?, tls: time()?, transaction: time()? };
    let failure = if flags & 2 == 0 { None } else { Some(read_failure(reader)?) };
    Ok(Course { at, ended, pooled: flags & 1 != 0, times, failure })
}

impl Course {
    fn over(&self, facts: Connection, chain: Option<Arc<[waxseal_queue::CertificateFact]>>) -> Connection {
        Connection {
            at: self.at,
            ended: self.ended,
            pooled: self.pooled,
            times: self.times,
            failure: self.failure.clone(),
            presented: chain,
            ..facts
        }
    }
}
