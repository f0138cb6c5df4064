//! Looks at a destination through the eyes of a delivery: the delivery plan itself asks, and goes from host to host and from address to
//! address because each connection is refused it, after it was looked at.

use std::{cell::RefCell, sync::Arc, time::Duration};

use bytes::Bytes;
use waxseal_dns::{Families, Resolver};
use waxseal_policy::{PolicyLookup, Settings as PolicySettings, Step as LookupStep, TableAnswer, TlsPolicy};
use waxseal_queue::{
    Answer, Ask, Destination, Order, Plan, Services, Settings as QueueSettings, TrustAnswer, drive,
};
use waxseal_tlsa::Owner;
use waxseal_transport::{
    Cause, Connector, Endpoint, Generation, OpenRequest, Opened, ServerKeys, Session,
    Settings as TransportSettings, Stage, TlsUse,
};
use waxseal_types::{
    DnsAnswer, Domain, Envelope, Lookup, Mailbox, NextHop, Proof, QueueId, Recipient, RecordKind, Service,
    Target, TlsLevel, UnixTime,
};
use waxseal_verify::{Question, Refused, RefusedKind};

use crate::{
    Error, Seen,
    seen::{Call, Host, Server, Shown},
};

/// Addresses that are called, in all; more than any honest destination has.
const MAX_ADDRESSES: usize = 100;

/// Ports where records of a mail host lie besides 25: submission (RFC 6409, RFC 8314) and LMTP.
const OTHER_PORTS: [u16; 4] = [25, 465, 587, 24];

/// What looks.
#[derive(Debug, Clone)]
pub struct Surveyor {
    resolver: Resolver,
    families: Families,
    policy: Arc<TlsPolicy>,
    any: Connector,
    rsa: Connector,
    ecdsa: Connector,
}

impl Surveyor {
    /// With the resolver and the way to the network that deliveries have. The policy is not theirs: it is `dane`, as that of those who send here.
    ///
    /// # Errors
    /// [`Error`] where the settings are wrong.
    pub fn new(
        dns: waxseal_dns::Settings,
        transport: &TransportSettings,
        families: Families,
    ) -> Result<Self, Error> {
        let connector = |server_keys| {
            let settings = TransportSettings {
                server_keys,
                // To look at one's own server is no loop.
                loop_port: 0,
                session_cache_timeout: Duration::ZERO,
                dead_address_time: Duration::ZERO,
                ..transport.clone()
            };
            Connector::new(settings)
        };
        Ok(Self {
            resolver: Resolver::new(dns)?,
            families,
            policy: Arc::new(policy()?),
            any: connector(ServerKeys::Any)?,
            rsa: connector(ServerKeys::Rsa)?,
            ecdsa: connector(ServerKeys::Ecdsa)?,
        })
    }

    /// Looks at everything there is to see of `nexthop`, whose hosts are at `port` where it names none.
    ///
    /// # Errors
    /// [`Error::Socket`].
    pub async fn look(
        &self,
        nexthop: &NextHop,
        port: u16,
        clock: impl Fn() -> UnixTime,
    ) -> Result<Seen, Error> {
        if matches!(nexthop.target(), Target::Unix(_)) {
            return Err(Error::Socket(nexthop.to_string()));
        }
        let now = clock();
        let seen = Seen {
            nexthop: nexthop.clone(),
            port: nexthop.port().unwrap_or(port),
            at: now,
            health: self.resolver.probe().await,
            mx: None,
            hosts: Vec::new(),
            signatures: Vec::new(),
            unread: Vec::new(),
        };
        let settings = QueueSettings {
            hostname: "survey.invalid".into(),
            mx_address_limit: MAX_ADDRESSES,
            mx_session_limit: 0,
            families: self.families,
            port,
            ..QueueSettings::default()
        };
        let plan = Plan::new(Arc::new(settings), order(nexthop, now), now);
        let watch = Watch { with: self, seen: RefCell::new(seen) };
        drive(plan, &watch, &clock).await;
        let mut seen = watch.seen.into_inner();
        self.look_elsewhere(&mut seen).await;
        self.look_at_signatures(&mut seen).await;
        Ok(seen)
    }

    /// Records where no client looks for them: at the domain instead of its host, or under another port.
    async fn look_elsewhere(&self, seen: &mut Seen) {
        let (port, domain) = (seen.port, seen.domain().cloned());
        for host in &mut seen.hosts {
            let (Some(name), None) = (host.name.clone(), host.records()) else { continue };
            if host.tlsa.is_empty() || host.tlsa.iter().any(|(_, answer)| answer.is_err()) {
                continue;
            }
            let others = OTHER_PORTS
                .into_iter()
                .filter(|other| *other != port)
                .map(|other| Owner::new(name.clone(), other));
            let above =
                domain.clone().filter(|domain| *domain != name).map(|domain| Owner::new(domain, port));
            for owner in others.chain(above) {
                let answer = self.resolver.tlsa(&owner.host, owner.port).await;
                if matches!(answer, Ok(DnsAnswer { lookup: Lookup::Found(_), .. })) {
                    host.elsewhere.push(owner);
                }
            }
        }
    }

    async fn look_at_signatures(&self, seen: &mut Seen) {
        let mut wanted: Vec<(Domain, RecordKind)> = Vec::new();
        if let (Some(domain), Some(Ok(DnsAnswer { proof: Proof::Secure, lookup: Lookup::Found(_), .. }))) =
            (seen.domain(), &seen.mx)
        {
            wanted.push((domain.clone(), RecordKind::Mx));
        }
        for host in &seen.hosts {
            if let (
                Some(name),
                Some(Ok(DnsAnswer { proof: Proof::Secure, lookup: Lookup::Found(list), .. })),
            ) = (&host.name, &host.addresses)
            {
                let families = [(RecordKind::A, false), (RecordKind::Aaaa, true)];
                let there = |six: bool| list.iter().any(|address| address.is_ipv6() == six);
                wanted.extend(
                    families.iter().filter(|(_, six)| there(*six)).map(|(kind, _)| (name.clone(), *kind)),
                );
            }
            wanted.extend(host.records().map(|(base, _)| (base.clone(), RecordKind::Tlsa)));
        }
        for (name, kind) in wanted {
            match self.resolver.signatures(&name, kind, seen.port).await {
                Ok(found) => {
                    for signature in found {
                        if !seen.signatures.contains(&signature) {
                            seen.signatures.push(signature);
                        }
                    }
                }
                Err(failure) => seen.unread.push(failure),
            }
        }
    }
}

/// Level `dane` and defaults: what a sender has who did nothing but turn DANE on.
fn policy() -> Result<TlsPolicy, Error> {
    let mut settings = PolicySettings::default();
    settings.smtp.level = TlsLevel::Dane;
    let mut lookup = PolicyLookup::new(&settings, &Service::SMTP, &NextHop::nowhere());
    loop {
        match lookup.step() {
            LookupStep::Done(policy) => return Ok(policy?),
            LookupStep::NeedKey { .. } => lookup.answer(TableAnswer::Absent),
        }
    }
}

fn order(nexthop: &NextHop, now: UnixTime) -> Order {
    let recipient = Mailbox::new("postmaster").ok();
    let recipients = recipient.map(|mailbox| Recipient { mailbox, notify: None, original: None });
    let envelope = Envelope {
        recipients: recipients.into_iter().collect(),
        ..Envelope::empty(QueueId::from_u64(0), now, "survey")
    };
    Order {
        destination: Destination { service: Service::SMTP, nexthop: nexthop.clone() },
        alternatives: Vec::new(),
        envelope: Arc::new(envelope),
        recipients: vec![0],
        body: Bytes::new().into(),
        attempt: 1,
        seed: now.as_micros(),
        rehearsal: true,
    }
}

struct Watch<'a> {
    with: &'a Surveyor,
    seen: RefCell<Seen>,
}

impl Services for Watch<'_> {
    async fn answer(&self, ask: Ask, _: &mut Option<Session>) -> Answer {
        let resolver = &self.with.resolver;
        match ask {
            Ask::Mx(domain) => {
                let answer = resolver.mx(&domain).await;
                self.seen.borrow_mut().mx = Some(answer.clone());
                Answer::Mx(answer)
            }
            Ask::Addresses { host, families } => {
                let answer = resolver.addresses(&host, families).await;
                let lost = self.lost_family(&host).await;
                let mut seen = self.seen.borrow_mut();
                // A host that two MX records name is one host.
                if !seen.hosts.iter().any(|known| known.name.as_ref() == Some(&host)) {
                    seen.hosts.push(Host { addresses: Some(answer.clone()), lost, ..Host::new(Some(host)) });
                }
                Answer::Addresses(answer)
            }
            Ask::Cname(name) => Answer::Cname(resolver.cname(&name).await),
            Ask::Tlsa { base, port } => {
                let answer = resolver.tlsa(&base, port).await;
                self.note_tlsa(&base, &answer);
                Answer::Tlsa(answer)
            }
            Ask::Policy { .. } => Answer::Policy(Ok((Arc::clone(&self.with.policy), Generation::default()))),
            Ask::Trust { .. } => {
                Answer::Trust(TrustAnswer { anchors: Ok(Arc::default()), client: Ok(Arc::from([])) })
            }
            Ask::Open(request) => self.open(request).await,
            Ask::Judge(question) => self.refuse(&question),
            // No connection is ever cleared, nor kept.
            Ask::Send(..) => Answer::Unavailable("survey"),
            Ask::Release(_) => Answer::Released,
        }
    }
}

impl Watch<'_> {
    /// A failure that a delivery does not mind while the other family has addresses; both are in the cache by now.
    async fn lost_family(&self, host: &Domain) -> Option<waxseal_types::DnsFailure> {
        if self.with.families != Families::Both {
            return None;
        }
        let four = self.with.resolver.addresses(host, Families::V4).await;
        let six = self.with.resolver.addresses(host, Families::V6).await;
        match (four, six) {
            (Ok(_), Err(lost)) | (Err(lost), Ok(_)) => Some(lost),
            (Ok(_), Ok(_)) | (Err(_), Err(_)) => None,
        }
    }

    /// Belongs to the first host that has this base and was not asked about it yet: the plan goes from host to host.
    fn note_tlsa(&self, base: &Domain, answer: &crate::seen::Answered<Vec<waxseal_types::Tlsa>>) {
        let mut seen = self.seen.borrow_mut();
        let fits = |host: &&mut Host| {
            let is_its = host.name.as_ref() == Some(base) || host.canonical() == Some(base);
            is_its && host.servers.is_empty() && !host.tlsa.iter().any(|(known, _)| known == base)
        };
        if let Some(host) = seen.hosts.iter_mut().find(fits) {
            host.tlsa.push((base.clone(), answer.clone()));
        }
    }

    async fn open(&self, request: OpenRequest) -> Answer {
        let request = OpenRequest { reuse: false, resume: false, ..request };
        let outcome = self.with.any.open(&request).await;
        let (call, answer) = match outcome {
            Ok(Opened { session, report }) => {
                session.quit().await;
                let call = match report.facts() {
                    Some(facts) => Call::Tls { facts: Arc::clone(facts), injected: report.injected },
                    None => Call::Clear(report.starttls.clone()),
                };
                (call, Answer::Open(Ok(Box::new(report))))
            }
            Err(error) => (Call::Failed(Box::new(error.clone())), Answer::Open(Err(Box::new(error)))),
        };
        if let Endpoint::Inet(address) = request.endpoint {
            let mut server = Server { address, demand: None, call, chains: Vec::new(), unasked: Vec::new() };
            self.look_at_chains(&mut server, &request).await;
            self.host_of(&request).servers.push(server);
        }
        answer
    }

    fn host_of(&self, request: &OpenRequest) -> std::cell::RefMut<'_, Host> {
        let mut seen = self.seen.borrow_mut();
        let at = seen.hosts.iter().position(|host| host.name == request.host);
        let at = at.unwrap_or_else(|| {
            // An address literal: nobody asked for its addresses.
            seen.hosts.push(Host::new(request.host.clone()));
            seen.hosts.len() - 1
        });
        std::cell::RefMut::map(seen, |seen| &mut seen.hosts[at])
    }

    /// A server with keys of two kinds shows each client one chain. Which one depends on what the client can verify, so both are asked for.
    async fn look_at_chains(&self, server: &mut Server, request: &OpenRequest) {
        let Call::Tls { facts, .. } = &server.call else { return };
        server.chains.push(Shown::new(&facts.chain));
        let shape = match &request.tls {
            TlsUse::Never => return,
            TlsUse::IfOffered(shape) | TlsUse::Required(shape) | TlsUse::Implicit(shape) => shape.clone(),
        };
        let request = OpenRequest { tls: TlsUse::Required(shape), ..request.clone() };
        for (kind, connector) in [("RSA", &self.with.rsa), ("ECDSA", &self.with.ecdsa)] {
            if server.chains.iter().any(|shown| shown.key == kind) {
                continue;
            }
            match connector.open(&request).await {
                Ok(Opened { session, report }) => {
                    session.quit().await;
                    let Some(facts) = report.facts() else { continue };
                    // A server may take no notice of what was asked for.
                    if !server.chains.iter().any(|shown| shown.chain == facts.chain) {
                        server.chains.push(Shown::new(&facts.chain));
                    }
                }
                // RFC 8446 §4.4.2.2: without a fitting certificate there is no handshake. Some servers say nothing and hang up.
                Err(error)
                    if error.stage == Stage::Tls
                        && matches!(error.cause, Cause::Handshake(_) | Cause::Lost) => {}
                Err(error) => server.unasked.push((kind, error.to_string())),
            }
        }
    }

    /// Keeps the demand, and lets the plan go on to the next address.
    fn refuse(&self, question: &Question) -> Answer {
        let mut verdict = waxseal_verify::judge(question);
        let mut seen = self.seen.borrow_mut();
        let last = seen
            .hosts
            .iter_mut()
            .flat_map(|host| host.servers.iter_mut())
            .filter(|server| server.demand.is_none());
        // Servers whose call failed are never judged, so that the one just opened is the last without a demand that could have one.
        let judged = last.filter(|server| !matches!(server.call, Call::Failed(_))).last();
        if let Some(server) = judged {
            server.demand = Some(Arc::clone(&question.demand));
        }
        verdict.outcome = Err(Refused::new(RefusedKind::NotTrusted, "only looked at"));
        Answer::Judge(Box::new(verdict))
    }
}
