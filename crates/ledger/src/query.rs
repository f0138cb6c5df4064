//! What is looked for.

use waxseal_queue::Connection;
use waxseal_types::{QueueId, TlsLevel, TlsStatus, UnixTime};

use crate::{
    decode::Head,
    encode::flag,
    entry::{Entry, Happening},
    veil::Veil,
};

/// The end that recipients came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Taken by a server.
    Delivered,
    /// To be tried again.
    Deferred,
    /// Refused for good.
    Bounced,
    /// Too old.
    Expired,
    /// Taken out by the operator.
    Removed,
}

impl Ended {
    /// The word of the delivery event.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Deferred => "deferred",
            Self::Bounced => "bounced",
            Self::Expired => "expired",
            Self::Removed => "removed",
        }
    }

    const fn flags(self) -> u8 {
        match self {
            Self::Delivered => flag::DELIVERED,
            Self::Deferred => flag::DEFERRED,
            Self::Bounced | Self::Expired => flag::BOUNCED,
            Self::Removed => flag::OTHER,
        }
    }
}

/// What an entry must be; what is `None` is of no matter. Letter case of names and addresses does not matter.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Of this message.
    pub id: Option<QueueId>,
    /// With this `Message-ID:`, with or without its angle brackets.
    pub message_id: Option<String>,
    /// From this address; `""` is the null sender.
    pub sender: Option<String>,
    /// To this address.
    pub recipient: Option<String>,
    /// A recipient or the next hop is in this domain.
    pub domain: Option<String>,
    /// A connection was made to this host: its name or its address.
    pub host: Option<String>,
    /// A recipient came to this end.
    pub ended: Option<Ended>,
    /// A text went over a connection of this security; for other ends than `delivered`, a connection came to it.
    pub tls: Option<TlsStatus>,
    /// A connection was at this level in effect.
    pub level: Option<TlsLevel>,
    /// Not before.
    pub since: Option<UnixTime>,
    /// Before.
    pub until: Option<UnixTime>,
}

/// A query with all that can be worked out once.
pub(crate) struct Asked {
    pub(crate) query: Query,
    veil: Veil,
}

impl Asked {
    pub(crate) fn new(mut query: Query, veil: Veil) -> Self {
        for text in [&mut query.domain, &mut query.host].into_iter().flatten() {
            *text = text.trim_end_matches('.').to_lowercase();
        }
        Self { query, veil }
    }

    /// Whether a block or file that begins then may hold something.
    pub(crate) fn may_be_before(&self, time: u64) -> bool {
        self.query.until.is_none_or(|until| time < until.as_micros())
    }

    /// Before this nothing is looked for.
    pub(crate) fn since(&self) -> u64 {
        // A queue id is the time of arrival; what happened to a message happened later.
        let arrived = self.query.id.map_or(0, QueueId::as_u64);
        self.query.since.map_or(0, UnixTime::as_micros).max(arrived)
    }

    /// What can be told without reading it all.
    pub(crate) fn may_match(&self, flags: u8, time: u64, head: &Head<'_>) -> bool {
        let query = &self.query;
        let plain = |id: &str| id.trim_matches(['<', '>']).to_owned();
        time >= query.since.map_or(0, UnixTime::as_micros)
            && query.until.is_none_or(|until| time < until.as_micros())
            && query.id.is_none_or(|id| id.as_u64() == head.id)
            && query.ended.is_none_or(|ended| flags & ended.flags() != 0)
            && (query.tls != Some(TlsStatus::None) || query.ended.is_some() || flags & flag::CLEAR != 0)
            && query.sender.as_deref().is_none_or(|sender| self.is(head.sender.unwrap_or_default(), sender))
            && query
                .message_id
                .as_deref()
                .is_none_or(|wanted| head.message_id.is_some_and(|id| plain(id) == plain(wanted)))
    }

    /// Whether an address as it stands in the ledger is the one that is looked for.
    fn is(&self, written: &str, wanted: &str) -> bool {
        written.eq_ignore_ascii_case(wanted)
            || written.to_lowercase() == wanted.to_lowercase()
            || (!self.veil.is_none() && written == self.veil.address(wanted))
    }

    pub(crate) fn matches(&self, entry: &Entry) -> bool {
        let query = &self.query;
        let recipients = || entry.envelope().recipients.iter().map(|recipient| recipient.mailbox.as_str());
        query.recipient.as_deref().is_none_or(|wanted| recipients().any(|written| self.is(written, wanted)))
            && query.domain.as_deref().is_none_or(|domain| Self::is_in(entry, domain))
            && query.host.as_deref().is_none_or(|host| Self::connections(entry).any(|c| is_host(c, host)))
            && query.ended.is_none_or(|ended| entry.outcomes().any(|(_, word, _)| word == ended.as_str()))
            && query.tls.is_none_or(|status| self.went_over(entry, status))
            && query.level.is_none_or(|level| Self::connections(entry).any(|c| c.level == level))
    }

    fn is_in(entry: &Entry, domain: &str) -> bool {
        let of_recipient = entry
            .envelope()
            .recipients
            .iter()
            .any(|recipient| recipient.mailbox.domain().is_some_and(|of| of.to_lowercase() == domain));
        let nexthop = entry.destination().and_then(|destination| destination.nexthop.domain());
        of_recipient || nexthop.is_some_and(|of| of.as_str() == domain)
    }

    fn connections(entry: &Entry) -> impl Iterator<Item = &Connection> {
        entry.account().into_iter().flat_map(|account| &account.connections)
    }

    fn went_over(&self, entry: &Entry, status: TlsStatus) -> bool {
        let Happening::Attempt { account, .. } = &entry.happening else { return false };
        account.results.iter().any(|result| {
            let of_query = match self.query.ended {
                None | Some(Ended::Delivered) => result.outcome.failure().is_none(),
                Some(Ended::Deferred | Ended::Bounced | Ended::Expired | Ended::Removed) => true,
            };
            let connection = result.connection.and_then(|number| account.connections.get(number));
            of_query && connection.is_some_and(|c| c.status == status && c.id.is_some())
        })
    }
}

fn is_host(connection: &Connection, host: &str) -> bool {
    connection.host.as_ref().is_some_and(|name| name.as_str() == host)
        || connection.address.is_some_and(|address| address.to_string() == host)
}
