//! The manager's words as those of the API.

use serde_json::{Value, json};
use waxseal_admin::{Filter, Page, Recipient, Refusal, Row, Shown, State};
use waxseal_policy::{RouteKind, find_policy, find_service, parse_hop};
use waxseal_queue::{
    Direct,
    actor::{List, Look, ShownMessage},
    levers::{Entry, Selection, State as QueueState},
    owner::Place,
};
use waxseal_spool::Recovered;
use waxseal_types::{Service, UnixTime};

use super::{EngineDesk, change::selection};

fn place(text: &str) -> Result<Place, Refusal> {
    let wrong = || Refusal::Wrong("after is what the page before had as next".into());
    let (id, part) = text.split_once('.').ok_or_else(wrong)?;
    Ok((id.parse().map_err(|_| wrong())?, part.parse().map_err(|_| wrong())?))
}

impl EngineDesk {
    /// A slice of the queue. The manager tells what its memory knows; what is asked of texts is looked up here, where nobody waits.
    pub(super) async fn look(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, Refusal> {
        let selection = selection(filter)?;
        let after = after.map(place).transpose()?;
        let look = Look { selection: selection.clone(), after, limit };
        let listing = self.ask(List(look)).await?;
        let next = listing.next.map(|(id, part)| format!("{id}.{part}"));
        let rows = listing.entries.iter().filter_map(|(entry, outline)| row(entry, outline, &selection));
        Ok(Page { messages: rows.collect(), next })
    }
}

/// Recipients in one row; their number is told.
const NAMED: usize = 20;

fn row(entry: &Entry, outline: &Recovered, selection: &Selection) -> Option<Row> {
    let envelope = &outline.envelope;
    let said = |index: usize| Some(&*outline.states.get(index)?.last.as_ref()?.reason);
    let recipients = selection.recipients(entry, envelope, said);
    let first = *recipients.first()?;
    let name = |index: &usize| envelope.recipients.get(*index).map(|recipient| recipient.mailbox.to_string());
    let state = match entry.state {
        QueueState::Active => State::Active,
        QueueState::Waiting => State::Waiting,
        QueueState::Held => State::Held,
    };
    Some(Row {
        queue_id: entry.id.to_string(),
        size: envelope.size,
        arrived: envelope.arrived,
        sender: envelope.sender.as_ref().map_or_else(String::new, ToString::to_string),
        recipients: recipients.iter().take(NAMED).filter_map(name).collect(),
        recipient_count: recipients.len(),
        destination: entry.destination.nexthop.to_string(),
        attempts: entry.attempts,
        state,
        active: state == State::Active,
        next_attempt: entry.due,
        reason: said(first).or_else(|| recipients.iter().find_map(|index| said(*index))).map(str::to_owned),
    })
}

pub(super) fn shown(message: &ShownMessage) -> Shown {
    let envelope = &message.stored.envelope;
    let body = &message.stored.body;
    let header = body.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(body.len());
    let destination = |index: usize| {
        let part = message.parts.iter().find(|part| part.recipients.contains(&index))?;
        Some(part.destination.nexthop.to_string())
    };
    let recipients = envelope.recipients.iter().zip(&message.stored.states).enumerate().map(
        |(index, (recipient, progress))| Recipient {
            recipient: recipient.mailbox.to_string(),
            destination: destination(index),
            state: format!("{:?}", progress.state).to_lowercase(),
            attempts: progress.attempts,
            next_attempt: (progress.next_attempt > UnixTime::default()).then_some(progress.next_attempt),
            reason: progress.last.as_ref().map(|last| last.reason.to_string()),
        },
    );
    Shown {
        queue_id: envelope.id.to_string(),
        size: envelope.size,
        arrived: envelope.arrived,
        sender: envelope.sender.as_ref().map_or_else(String::new, ToString::to_string),
        client: envelope.client.to_string(),
        message_id: envelope.message_id.as_ref().map(ToString::to_string),
        held: message.parts.iter().any(|part| part.state == QueueState::Held),
        recipients: recipients.collect(),
        header: String::from_utf8_lossy(&body[..header.min(64 << 10)]).into_owned(),
    }
}

/// The policy in force for what mail goes there by, with the line that it comes from.
pub(super) async fn policy(direct: &Direct, text: &str) -> Result<Value, Refusal> {
    let Direct { policy: settings, tables, .. } = direct;
    let (named, nexthop) = parse_hop(settings, text).map_err(Refusal::Wrong)?;
    let found = match named {
        Some(service) => Ok(service),
        None => find_service(settings, &**tables, &nexthop).await.map(|route| match route.kind {
            RouteKind::Deliver { service, .. } => service,
            RouteKind::Error(..) | RouteKind::Retry(..) | RouteKind::Discard(_) => Service::SMTP,
        }),
    };
    let asked = async |service: Service| {
        let policy = find_policy(settings, &**tables, &service, &nexthop).await?;
        Ok((service, policy))
    };
    let found = match found {
        Ok(service) => asked(service).await,
        Err(error) => Err(error),
    };
    Ok(match found {
        Ok((service, policy)) => json!({
            "nexthop": nexthop.as_str(),
            "service": service.as_str(),
            "level": policy.level.as_str(),
            "source": policy.source.to_string(),
            "entry": policy.to_entry().to_string(),
            "warnings": policy.remarks.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        Err(error) => json!({
            "nexthop": nexthop.as_str(),
            "error": error.to_string(),
            "status": error.status().to_string(),
            "source": error.origin.as_ref().map(ToString::to_string),
        }),
    })
}
