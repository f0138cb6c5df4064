//! Orders in the words of the queue.

use waxseal_admin::{Action, Done, Filter, Order, Refusal, State, Switches};
use waxseal_policy::{Settings, parse_hop};
use waxseal_queue::{
    Destination,
    actor::{Act, Suspend},
    levers::{Command, Levers, Selection, State as QueueState, Tally},
};
use waxseal_types::{NextHop, Service};

use super::{EngineDesk, ORDER_PATIENCE};
use crate::levers;

/// What senders are told where the operator gives no reason.
const NO_REASON: &str = "the message was given up";

pub(super) fn switches(levers: &Levers) -> Switches {
    Switches { defer_all: levers.defer_all, soft_bounce: levers.soft_bounce }
}

fn nexthop(text: &str) -> Result<NextHop, Refusal> {
    text.parse().map_err(|error| Refusal::Wrong(format!("{text:?}: {error}")))
}

/// A next hop, or the result of a transport table (transport(5)): `relay:` or another service, and a next hop.
fn destination(settings: &Settings, text: &str) -> Result<Destination, Refusal> {
    let (service, nexthop) = parse_hop(settings, text).map_err(Refusal::Wrong)?;
    Ok(Destination { service: service.unwrap_or(Service::SMTP), nexthop })
}

pub(super) fn selection(filter: &Filter) -> Result<Selection, Refusal> {
    let ids = filter.ids()?;
    Ok(Selection {
        ids: (!ids.is_empty()).then(|| ids.into_iter().collect()),
        nexthop: filter.destination.as_deref().map(nexthop).transpose()?,
        state: filter.state.map(|state| match state {
            State::Active => QueueState::Active,
            State::Waiting => QueueState::Waiting,
            State::Held => QueueState::Held,
        }),
        older_than: filter.older_than,
        younger_than: filter.younger_than,
        sender: filter.sender.clone(),
        recipient: filter.recipient.clone(),
        domain: filter.domain.clone(),
        reason: filter.reason.clone(),
    })
}

fn command(settings: &Settings, order: &Order) -> Result<Command, Refusal> {
    Ok(match order.action {
        Action::Hold => Command::Hold,
        Action::Release => Command::Release,
        Action::Retry => Command::Retry,
        Action::Remove => Command::Remove,
        Action::Bounce => Command::Bounce(order.reason.clone().unwrap_or_else(|| NO_REASON.to_owned())),
        Action::Reroute => Command::Reroute(destination(settings, order.to.as_deref().unwrap_or_default())?),
    })
}

fn done(tally: Tally) -> Done {
    Done { messages: tally.messages, deliveries: tally.parts, refused: tally.refused }
}

impl EngineDesk {
    pub(super) async fn obey(&self, order: Order) -> Result<Done, Refusal> {
        let (selection, command) = (selection(&order.select)?, command(&self.direct.policy, &order)?);
        let act = Act { selection, command, dry_run: order.dry_run };
        let tally = self.ask_for(act, ORDER_PATIENCE).await?;
        self.counted.lock().await.take();
        Ok(done(tally))
    }

    /// Closes a next hop or opens it; how much waits for it.
    pub(super) async fn close(&self, text: &str, closed: bool) -> Result<Done, Refusal> {
        let nexthop = nexthop(text)?;
        let now = self.ask(Suspend { nexthop: nexthop.clone(), closed }).await?;
        levers::keep(&self.folder, &now).map_err(|error| Refusal::Unavailable(error.to_string()))?;
        self.counted.lock().await.take();
        let selection = Selection { nexthop: Some(nexthop), ..Selection::default() };
        // What is counted is what could be released: all of it that is not under way.
        let act = Act { selection, command: Command::Release, dry_run: true };
        Ok(done(self.ask_for(act, ORDER_PATIENCE).await?))
    }
}

#[cfg(test)]
mod tests {
    use waxseal_types::Protocol;

    use super::*;

    #[test]
    fn mail_can_be_sent_where_a_transport_table_could_send_it() {
        for (text, expected) in [
            ("example.com", Some((Protocol::Smtp, "example.com"))),
            ("[mx.example.com]:587", Some((Protocol::Smtp, "[mx.example.com]:587"))),
            ("smtp:[192.0.2.1]:2525", Some((Protocol::Smtp, "[192.0.2.1]:2525"))),
            ("relay:example.com", Some((Protocol::Smtp, "example.com"))),
            ("lmtp:[127.0.0.1]:24", Some((Protocol::Lmtp, "[127.0.0.1]:24"))),
            ("lmtp:unix:/run/lmtp", Some((Protocol::Lmtp, "unix:/run/lmtp"))),
            ("unix:/run/lmtp", Some((Protocol::Lmtp, "unix:/run/lmtp"))),
            ("smtp:unix:/run/lmtp", None),
            ("lmtp:", None),
            ("", None),
            ("pipe:flags=F", None),
        ] {
            let found = destination(&Settings::default(), text).ok();
            let found = found.as_ref().map(|found| (found.service.protocol(), found.nexthop.as_str()));
            assert_eq!(found, expected, "{text}");
        }
    }
}
