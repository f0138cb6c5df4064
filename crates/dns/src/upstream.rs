//! The raw answers that the validator works on, with the chain of trust (DNSKEY, DS, NS) kept for its TTL.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use hickory_proto::{
    op::{DnsRequest, DnsResponse, Message},
    rr::{Name, RecordType},
};
use hickory_resolver::net::{NetError, runtime::TokioRuntimeProvider, xfer::DnsHandle};
use moka::future::Cache;
use tokio::time::Instant;

use crate::{exchange::Exchange, trouble::Trouble, wire::Wanted};

/// What a record takes in memory beside its data.
const RECORD: usize = size_of::<hickory_proto::rr::Record>();
/// How long a link is kept at least and at most. A link that turns out bogus is forgotten at once.
const LINK_LIFE: std::ops::RangeInclusive<u64> = 1..=3600;

/// Records of the chain of trust in one reply: real ones have a handful, a reply made to be expensive has hundreds
/// (KeyTrap, CVE-2023-50387).
const MAX_KEYS: usize = 32;
const MAX_SIGNATURES: usize = 64;

/// Shared by every step of every validation.
#[derive(Clone)]
pub(crate) struct Upstream {
    exchange: Arc<Exchange>,
    links: Cache<(Name, RecordType), Arc<Link>>,
}

struct Link {
    message: Message,
    expires: Instant,
    /// About what it holds in memory.
    octets: u32,
}

tokio::task_local! {
    /// What went wrong below one validation: the library tells its caller that, not what.
    static TROUBLES: std::cell::RefCell<Vec<Trouble>>;
}

/// Troubles kept of one validation.
const MAX_TROUBLES: usize = 4;

impl Upstream {
    /// Keeps about so many octets of the chain of trust: one link is some 2,000 of them, two or three links a domain.
    pub(crate) fn new(exchange: Arc<Exchange>, octets: usize) -> Self {
        let weigh = |_: &(Name, RecordType), link: &Arc<Link>| link.octets;
        let links = Cache::builder().weigher(weigh).max_capacity(octets as u64).build();
        Self { exchange, links }
    }

    /// About the octets that are kept.
    pub(crate) fn octets(&self) -> u64 {
        self.links.weighted_size()
    }

    /// Runs one validation, and gives the troubles met below it along with its result.
    pub(crate) async fn watched<T>(work: impl Future<Output = T>) -> (T, Vec<Trouble>) {
        TROUBLES
            .scope(Default::default(), async {
                let result = work.await;
                (result, TROUBLES.with(|troubles| troubles.take()))
            })
            .await
    }

    pub(crate) async fn fetch(&self, name: &Name, kind: RecordType) -> Result<Message, Trouble> {
        if !matches!(kind, RecordType::DNSKEY | RecordType::DS | RecordType::NS) {
            return self.ask(name, kind).await;
        }
        let key = (name.to_lowercase(), kind);
        if let Some(link) = self.links.get(&key).await {
            if link.expires > Instant::now() {
                return Ok(link.message.clone());
            }
            self.links.invalidate(&key).await;
        }
        let fetched = self.links.try_get_with(key, async {
            let message = self.ask(name, kind).await?;
            let expires = Instant::now() + life(&message);
            let records = message.all_sections().count().saturating_mul(RECORD);
            let octets = message.to_vec().map_or(0, |octets| octets.len()).saturating_add(records);
            Ok::<_, Trouble>(Arc::new(Link {
                message,
                expires,
                octets: u32::try_from(octets).unwrap_or(u32::MAX),
            }))
        });
        fetched.await.map(|link| link.message.clone()).map_err(|trouble| (*trouble).clone())
    }

    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Message, Trouble> {
        let message = self.exchange.ask(name, kind, Wanted::Proof).await?.message;
        let count = |kind| message.all_sections().filter(|record| record.record_type() == kind).count();
        let (signatures, keys) =
            (count(RecordType::RRSIG), count(RecordType::DNSKEY) + count(RecordType::DS));
        if signatures > MAX_SIGNATURES || keys > MAX_KEYS {
            return Err(Trouble::malformed(format!("{keys} keys and {signatures} signatures in one reply")));
        }
        Ok(message)
    }

    /// Forgets the links from `name` up to the root, for they may be what was forged.
    pub(crate) async fn forget(&self, name: &Name) {
        let mut at = name.to_lowercase();
        loop {
            for kind in [RecordType::DNSKEY, RecordType::DS, RecordType::NS] {
                self.links.invalidate(&(at.clone(), kind)).await;
            }
            if at.is_root() {
                return;
            }
            at = at.base_name();
        }
    }
}

fn life(message: &Message) -> Duration {
    let least = message.answers.iter().chain(&message.authorities).map(|record| u64::from(record.ttl)).min();
    Duration::from_secs(least.unwrap_or(0).clamp(*LINK_LIFE.start(), *LINK_LIFE.end()))
}

impl DnsHandle for Upstream {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        let upstream = self.clone();
        Box::pin(stream::once(async move {
            let Some(query) = request.queries.first() else { return Err(NetError::Message("no question")) };
            match upstream.fetch(query.name(), query.query_type()).await {
                Ok(message) => DnsResponse::from_message(message).map_err(NetError::from),
                Err(trouble) => Err(remember(trouble)),
            }
        }))
    }
}

fn remember(trouble: Trouble) -> NetError {
    let error = NetError::Msg(trouble.detail.clone());
    // Outside of `watched` there is nobody to tell.
    let _ = TROUBLES.try_with(|troubles| {
        let mut troubles = troubles.borrow_mut();
        if troubles.len() < MAX_TROUBLES && !troubles.contains(&trouble) {
            troubles.push(trouble);
        }
    });
    error
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("links", &self.links.entry_count()).finish_non_exhaustive()
    }
}
