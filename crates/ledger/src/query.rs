//! What is looked for.

use waxseal_queue::Connection;
use waxseal_types::{NextHop, QueueId, TlsLevel, TlsStatus, UnixTime};

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
    sender: Option<Address>,
    recipient: Option<Address>,
    message_id: Option<String>,
    /// `@example.com`.
    at_domain: Option<String>,
    /// Connections are asked for.
    calls: bool,
}

/// An address that is looked for, as it may stand in the ledger.
struct Address {
    plain: String,
    /// In lower case, where that is not a matter of ASCII.
    folded: Option<String>,
    /// Behind the veil.
    veiled: Option<String>,
}

impl Address {
    fn new(text: &str, veil: &Veil) -> Self {
        Self {
            plain: text.to_owned(),
            folded: (!text.is_ascii()).then(|| text.to_lowercase()),
            veiled: (!veil.is_none()).then(|| veil.address(text).into_owned()),
        }
    }

    fn is(&self, written: &str) -> bool {
        written.eq_ignore_ascii_case(&self.plain)
            || self.folded.as_ref().is_some_and(|wanted| written.to_lowercase() == *wanted)
            || self.veiled.as_deref() == Some(written)
    }

    /// Whether it may stand somewhere in these octets.
    fn may_be_in(&self, octets: &[u8]) -> bool {
        // Other letters have other lengths in other cases.
        self.folded.is_some()
            || stands_in(octets, &self.plain)
            || self.veiled.as_deref().is_some_and(|veiled| stands_in(octets, veiled))
    }
}

/// Whether an address, or `@` and a domain, stands in these octets, whatever the case of ASCII letters. What has no `@` may be anywhere.
fn stands_in(octets: &[u8], wanted: &str) -> bool {
    let Some(at) = wanted.rfind('@') else { return true };
    let (before, behind) = (at, wanted.len() - at);
    let here = |place: usize| {
        let start = place.checked_sub(before)?;
        octets.get(start..place + behind).filter(|found| found.eq_ignore_ascii_case(wanted.as_bytes()))
    };
    memchr::memchr_iter(b'@', octets).any(|place| here(place).is_some())
}

fn bare(id: &str) -> &str {
    id.trim_matches(['<', '>'])
}

impl Asked {
    pub(crate) fn new(mut query: Query, veil: &Veil) -> Self {
        for text in [&mut query.domain, &mut query.host].into_iter().flatten() {
            *text = text.trim_end_matches('.').to_lowercase();
        }
        let address = |text: &Option<String>| text.as_deref().map(|text| Address::new(text, veil));
        Self {
            sender: address(&query.sender),
            recipient: address(&query.recipient),
            message_id: query.message_id.as_deref().map(|id| bare(id).to_owned()),
            at_domain: query.domain.as_ref().map(|domain| format!("@{domain}")),
            calls: query.host.is_some() || query.tls.is_some() || query.level.is_some(),
            query,
        }
    }

    /// Whether plain successes cannot match: what failed and what went in clear is in the other ring.
    pub(crate) const fn passes_over_successes(&self) -> bool {
        match (self.query.ended, self.query.tls) {
            (Some(Ended::Deferred | Ended::Bounced | Ended::Expired | Ended::Removed), _) => true,
            (None | Some(Ended::Delivered), tls) => matches!(tls, Some(TlsStatus::None)),
        }
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

    /// Whether a block may hold something: what is looked for stands in its records as it is, but for the case of letters.
    pub(crate) fn may_be_in(&self, block: &[u8]) -> bool {
        let holds = |wanted: &[u8]| memchr::memmem::find(block, wanted).is_some();
        self.query.id.is_none_or(|id| holds(&id.as_u64().to_le_bytes()))
            && self.message_id.as_deref().is_none_or(|id| holds(id.as_bytes()))
            && self.sender.as_ref().is_none_or(|sender| sender.may_be_in(block))
            && self.recipient.as_ref().is_none_or(|recipient| recipient.may_be_in(block))
    }

    /// What can be told without reading it all.
    pub(crate) fn may_match(&self, flags: u8, time: u64, head: &Head<'_>) -> bool {
        let query = &self.query;
        time >= query.since.map_or(0, UnixTime::as_micros)
            && query.until.is_none_or(|until| time < until.as_micros())
            && query.id.is_none_or(|id| id.as_u64() == head.id)
            && query.ended.is_none_or(|ended| flags & ended.flags() != 0)
            && (query.tls != Some(TlsStatus::None) || query.ended.is_some() || flags & flag::CLEAR != 0)
            && self.sender.as_ref().is_none_or(|sender| sender.is(head.sender.unwrap_or_default()))
            && self
                .message_id
                .as_deref()
                .is_none_or(|wanted| head.message_id.is_some_and(|id| bare(id) == wanted))
    }

    /// What can be told without making an entry of it: `rest` is all behind the record's head, `nexthop` is asked for only where the recipients do not tell.
    /// What is passed over here could not match; what is not may not match either.
    pub(crate) fn may_have(&self, rest: &[u8], nexthop: impl FnOnce() -> Option<NextHop>) -> bool {
        let domain = self.query.domain.as_deref().is_none_or(|domain| {
            !domain.is_ascii()
                || self.at_domain.as_deref().is_none_or(|domain| stands_in(rest, domain))
                || nexthop().is_some_and(|nexthop| is_of(&nexthop, domain))
        });
        domain && self.recipient.as_ref().is_none_or(|wanted| wanted.may_be_in(rest))
    }

    /// Whether connections are asked for.
    pub(crate) const fn asks_for_calls(&self) -> bool {
        self.calls
    }

    /// Whether a connection is in any way what is asked for.
    pub(crate) fn may_be_over(&self, connection: &Connection) -> bool {
        let query = &self.query;
        query.host.as_deref().is_some_and(|host| is_host(connection, host))
            || query.tls.is_some_and(|status| connection.status == status)
            || query.level.is_some_and(|level| connection.level == level)
    }

    pub(crate) fn matches(&self, entry: &Entry) -> bool {
        let query = &self.query;
        let recipients = || entry.envelope().recipients.iter().map(|recipient| recipient.mailbox.as_str());
        self.recipient.as_ref().is_none_or(|wanted| recipients().any(|written| wanted.is(written)))
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
        of_recipient || entry.destination().is_some_and(|destination| is_of(&destination.nexthop, domain))
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

fn is_of(nexthop: &NextHop, domain: &str) -> bool {
    nexthop.domain().is_some_and(|of| of.as_str() == domain)
}

fn is_host(connection: &Connection, host: &str) -> bool {
    connection.host.as_ref().is_some_and(|name| name.as_str() == host)
        || connection.address.is_some_and(|address| address.to_string() == host)
}
