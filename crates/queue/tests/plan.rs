//! The delivery plan against a scripted world: no socket, no clock, every branch in microseconds.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says by a panic what went wrong")]

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use waxseal_policy::{
    Origin, PolicyLookup, Settings as PolicySettings, Step as LookupStep, TableAnswer, TableName,
};
use waxseal_queue::{
    Account, Answer, Ask, Destination, Downgrade, Order, Outcome, Plan, Settings, Step, TrustAnswer,
};
use waxseal_transport::{
    Cause, Generation, OpenError, OpenReport, OpenTimes, RcptOutcome, Sent, SessionAfter, Stage,
    StarttlsOutcome, TlsUse,
};
use waxseal_types::{
    ConnectionId, DnsAnswer, DnsFailure, DnsFailureKind, Domain, Envelope, Lookup, MxHost, Proof, QueueId,
    Recipient, RecordKind, Reply, Service, TlsFacts, TlsLevel, Tlsa, UnixTime,
};

const ARRIVED: UnixTime = UnixTime::from_secs(1_795_249_800);

fn domain(name: &str) -> Domain {
    Domain::new(name).unwrap()
}

fn reply(code: u16, text: &str) -> Reply {
    let status = waxseal_types::EnhancedStatus::split_from(text).map(|(status, _)| status);
    Reply { code, status, text: text.into() }
}

fn answer<T>(lookup: Lookup<T>, proof: Proof) -> DnsAnswer<T> {
    DnsAnswer { lookup, proof, why: None, canonical: None, ttl: Duration::from_secs(300) }
}

fn servfail(name: &str, kind: RecordKind) -> DnsFailure {
    DnsFailure { name: name.into(), kind, failure: DnsFailureKind::ServerFailure, detail: "SERVFAIL".into() }
}

/// What a server does with a connection.
#[derive(Debug, Clone)]
enum Server {
    /// Takes TLS where it is wanted.
    Good,
    /// Takes TLS; the connection comes from the pool.
    Pooled,
    /// Has no STARTTLS.
    NoStarttls,
    /// Answers STARTTLS so.
    Refuses(Reply),
    /// Fails at this stage.
    Fails(Stage, Cause),
    /// As `Fails`, after TLS stood.
    Dies(Stage, Cause),
}

/// What it does with a message: one outcome for each recipient, or the same for all.
type Says = fn(usize) -> RcptOutcome;

fn takes(_: usize) -> RcptOutcome {
    RcptOutcome::Delivered(reply(250, "2.0.0 taken"))
}

#[derive(Default)]
struct World {
    mx: HashMap<String, Result<DnsAnswer<Vec<MxHost>>, DnsFailure>>,
    addresses: HashMap<String, Result<DnsAnswer<Vec<IpAddr>>, DnsFailure>>,
    tlsa: HashMap<String, Result<DnsAnswer<Vec<Tlsa>>, DnsFailure>>,
    cname: HashMap<String, Result<DnsAnswer<Domain>, DnsFailure>>,
    policy: PolicySettings,
    entries: HashMap<String, String>,
    servers: HashMap<IpAddr, VecDeque<(Server, Says)>>,
    down: Option<&'static str>,
    alternatives: Vec<waxseal_types::NextHop>,
    log: Vec<String>,
    judged_until: Vec<Option<UnixTime>>,
}

impl World {
    fn new(level: TlsLevel) -> Self {
        let mut policy = PolicySettings::default();
        policy.smtp.level = level;
        policy.smtp.policy_maps = vec![TableName::new("texthash:/t")];
        policy.smtp.dane_blind = None;
        Self { policy, ..Self::default() }
    }

    /// `example.com` with MX hosts `mx1`, `mx2`, ... at 192.0.2.1, .2, ..., each doing in turn what its list says.
    fn with_hosts(level: TlsLevel, hosts: &[&[(Server, Says)]]) -> Self {
        let mut world = Self::new(level);
        let mx = (1..=hosts.len())
            .map(|n| MxHost { preference: n as u16, host: Some(domain(&format!("mx{n}.example.com"))) });
        world.mx.insert("example.com".into(), Ok(answer(Lookup::Found(mx.collect()), Proof::Insecure)));
        for (n, script) in hosts.iter().enumerate() {
            let address: IpAddr = format!("192.0.2.{}", n + 1).parse().unwrap();
            world.addresses.insert(
                format!("mx{}.example.com", n + 1),
                Ok(answer(Lookup::Found(vec![address]), Proof::Insecure)),
            );
            world.servers.insert(address, script.iter().cloned().collect());
        }
        world
    }

    fn secure(mut self) -> Self {
        let proof =
            |answer: &mut Result<DnsAnswer<_>, DnsFailure>| answer.as_mut().unwrap().proof = Proof::Secure;
        self.mx.values_mut().for_each(proof);
        self.addresses.values_mut().for_each(|answer| answer.as_mut().unwrap().proof = Proof::Secure);
        self
    }

    fn policy(&self, service: &Service, nexthop: &waxseal_types::NextHop) -> Answer {
        let mut lookup = PolicyLookup::new(&self.policy, service, nexthop);
        loop {
            let found = match lookup.step() {
                LookupStep::Done(result) => {
                    return Answer::Policy(result.map(|policy| (Arc::new(policy), Generation::fixed(1))));
                }
                LookupStep::NeedKey { table, key } => {
                    self.entries.get(key).map_or(TableAnswer::Absent, |value| {
                        let origin = Origin::new(table.clone(), "/t:1", key);
                        TableAnswer::Found { value: value.clone(), origin }
                    })
                }
            };
            lookup.answer(found);
        }
    }

    fn open(&mut self, request: &waxseal_transport::OpenRequest, said: &mut Option<Says>) -> Answer {
        let waxseal_transport::Endpoint::Inet(at) = &request.endpoint else { panic!("no socket here") };
        let (server, says) =
            self.servers.get_mut(&at.ip()).and_then(VecDeque::pop_front).expect("an unexpected connection");
        let tls = !matches!(request.tls, TlsUse::Never);
        self.log.push(format!("open {} {}", at.ip(), if tls { "tls" } else { "clear" }));
        *said = Some(says);
        let facts = Arc::new(TlsFacts {
            protocol: "TLSv1.3",
            cipher: "TLS_AES_256_GCM_SHA384",
            group: None,
            sni: request.tls.shape().and_then(|shape| shape.sni.clone()),
            resumed: false,
            client_certificate: false,
            chain: Arc::new([]),
        });
        let established = if tls { StarttlsOutcome::Established(facts) } else { StarttlsOutcome::NotWanted };
        let required = matches!(request.tls, TlsUse::Required(_));
        let fail = |stage, cause, starttls| {
            Answer::Open(Err(Box::new(OpenError { stage, cause, report: Box::new(report(starttls, false)) })))
        };
        match server {
            Server::Good => Answer::Open(Ok(Box::new(report(established, false)))),
            Server::Pooled => Answer::Open(Ok(Box::new(report(established, request.reuse)))),
            Server::NoStarttls if required => {
                fail(Stage::StartTls, Cause::NotOffered, StarttlsOutcome::NotOffered)
            }
            Server::NoStarttls if !tls => {
                Answer::Open(Ok(Box::new(report(StarttlsOutcome::NotWanted, false))))
            }
            Server::NoStarttls => Answer::Open(Ok(Box::new(report(StarttlsOutcome::NotOffered, false)))),
            Server::Refuses(reply) if required => {
                fail(Stage::StartTls, Cause::Refused(reply), StarttlsOutcome::NotWanted)
            }
            Server::Refuses(reply) => {
                Answer::Open(Ok(Box::new(report(StarttlsOutcome::Refused(reply), false))))
            }
            Server::Fails(stage, cause) => fail(stage, cause, StarttlsOutcome::NotWanted),
            Server::Dies(stage, cause) => fail(stage, cause, established),
        }
    }

    fn answer(&mut self, ask: Ask, said: &mut Option<Says>) -> Answer {
        match ask {
            Ask::Policy { service, nexthop } if self.down != Some("policy") => {
                self.policy(&service, &nexthop)
            }
            Ask::Mx(name) if self.down != Some("dns") => {
                self.log.push(format!("mx {name}"));
                Answer::Mx(
                    self.mx
                        .get(name.as_str())
                        .cloned()
                        .unwrap_or(Ok(answer(Lookup::NxDomain, Proof::Insecure))),
                )
            }
            Ask::Addresses { host: name, .. } => {
                self.log.push(format!("addresses {name}"));
                Answer::Addresses(
                    self.addresses
                        .get(name.as_str())
                        .cloned()
                        .unwrap_or(Ok(answer(Lookup::NxDomain, Proof::Insecure))),
                )
            }
            Ask::Tlsa { base, port } => {
                self.log.push(format!("tlsa {port} {base}"));
                Answer::Tlsa(
                    self.tlsa
                        .get(base.as_str())
                        .cloned()
                        .unwrap_or(Ok(answer(Lookup::NxDomain, Proof::Secure))),
                )
            }
            Ask::Cname(name) => {
                self.log.push(format!("cname {name}"));
                Answer::Cname(
                    self.cname
                        .get(name.as_str())
                        .cloned()
                        .unwrap_or(Ok(answer(Lookup::NoData, Proof::Insecure))),
                )
            }
            Ask::Trust { .. } => Answer::Trust(TrustAnswer {
                anchors: Err("none configured".into()),
                client: Ok(Arc::new([])),
            }),
            Ask::Open(request) => self.open(&request, said),
            Ask::Judge(question) => {
                self.judged_until.push(question.expires);
                Answer::Judge(Box::new(waxseal_verify::judge(&question)))
            }
            Ask::Send(clearance, message) => {
                assert!(clearance.permits(clearance.connection(), ARRIVED, message.envelope.id).is_ok());
                let says = said.expect("a connection");
                let recipients: Vec<_> =
                    message.recipients.iter().map(|index| (*index, says(*index))).collect();
                let lost =
                    recipients.iter().any(|(_, outcome)| matches!(outcome, RcptOutcome::Failed { .. }));
                let session = if lost { SessionAfter::Closed } else { SessionAfter::Usable };
                Answer::Send(Sent {
                    recipients,
                    session,
                    ambiguous: false,
                    dsn: true,
                    took: Duration::from_millis(1),
                })
            }
            Ask::Release(_) => Answer::Released,
            Ask::Policy { .. } => Answer::Unavailable("policy"),
            Ask::Mx(_) => Answer::Unavailable("dns"),
        }
    }

    fn run_with(&mut self, settings: Settings, nexthop: &str, recipients: usize, age: Duration) -> Account {
        let order = Order {
            destination: Destination { service: Service::SMTP, nexthop: nexthop.parse().unwrap() },
            alternatives: self.alternatives.clone(),
            envelope: Arc::new(envelope(recipients)),
            recipients: (0..recipients).collect(),
            body: bytes::Bytes::from_static(b"Subject: x\r\n\r\nx\r\n").into(),
            attempt: 1,
            seed: 1,
            rehearsal: false,
        };
        let now = ARRIVED + age;
        let mut plan = Plan::new(Arc::new(settings), order, now);
        let mut said = None;
        for _ in 0..200 {
            match plan.poll(now) {
                Step::Ask(ask) => {
                    let answer = self.answer(ask, &mut said);
                    plan.answer(answer, now);
                }
                Step::Done => return *plan.into_account(now),
            }
        }
        panic!("the plan does not end: {:?}", self.log);
    }

    fn run(&mut self) -> Account {
        self.run_with(Settings::default(), "example.com", 1, Duration::ZERO)
    }

    fn run_aged(&mut self) -> Account {
        self.run_with(Settings::default(), "example.com", 1, Duration::from_secs(301))
    }
}

fn report(starttls: StarttlsOutcome, pooled: bool) -> OpenReport {
    OpenReport {
        connection: ConnectionId(1),
        pooled,
        greeting: None,
        starttls,
        injected: 0,
        ehlo: Arc::default(),
        starttls_offered: false,
        times: OpenTimes::default(),
    }
}

fn envelope(recipients: usize) -> Envelope {
    let recipient =
        |n| Recipient { mailbox: format!("r{n}@example.com").parse().unwrap(), notify: None, original: None };
    Envelope {
        sender: Some("s@example.org".parse().unwrap()),
        recipients: (0..recipients).map(recipient).collect(),
        size: 17,
        ..Envelope::empty(QueueId::from_u64(1), ARRIVED, "test")
    }
}

/// `sent`, or the status and the first words of the reason.
fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered { .. } => "sent".into(),
        Outcome::Deferred(failure) => format!("deferred {}", failure.status),
        Outcome::Bounced(failure) => format!("bounced {}", failure.status),
    }
}

fn words(account: &Account) -> Vec<String> {
    let mut results: Vec<_> =
        account.results.iter().map(|result| (result.index, word(&result.outcome))).collect();
    results.sort();
    results.into_iter().map(|(_, word)| word).collect()
}

fn lost(stage: Stage) -> Server {
    Server::Fails(stage, Cause::Lost)
}

fn handshake_fails() -> Server {
    Server::Fails(Stage::Tls, Cause::Handshake("alert".into()))
}

#[test]
fn rfc5321_5_1_the_next_host_is_tried_when_one_cannot_be_used() {
    let refuses = Server::Fails(Stage::Greeting, Cause::Reply(reply(421, "4.3.2 not now")));
    let refuses_for_good = Server::Fails(Stage::Greeting, Cause::Reply(reply(554, "go away")));
    for first in [lost(Stage::Connect), refuses, refuses_for_good, lost(Stage::Hello), handshake_fails()] {
        let mut world =
            World::with_hosts(TlsLevel::May, &[&[(first.clone(), takes)], &[(Server::Good, takes)]]);
        let account = world.run();
        assert_eq!(words(&account), ["sent"], "{first:?}");
        assert_eq!(account.connections.len(), 2);
        assert!(account.connections[0].failure.is_some());
    }
}

#[test]
fn the_last_failure_is_what_a_recipient_waits_for() {
    let table = [
        (lost(Stage::Connect), "deferred 4.4.2"),
        (
            Server::Fails(
                Stage::Connect,
                Cause::Io(std::io::ErrorKind::ConnectionRefused, "Connection refused".into()),
            ),
            "deferred 4.4.1",
        ),
        (Server::Fails(Stage::Greeting, Cause::Reply(reply(554, "5.7.1 go away"))), "deferred 4.7.1"),
        (Server::Fails(Stage::Hello, Cause::Reply(reply(550, "5.7.1 go away"))), "bounced 5.7.1"),
        (Server::Fails(Stage::Hello, Cause::LoopsToSelf), "bounced 5.4.6"),
        (handshake_fails(), "deferred 4.7.5"),
    ];
    for (server, expected) in table {
        let mut world = World::with_hosts(TlsLevel::Encrypt, &[&[(server.clone(), takes)]]);
        assert_eq!(words(&world.run()), [expected], "{server:?}");
    }
}

#[test]
fn clear_at_may_goes_at_once_where_starttls_is_not_to_be_had_and_is_recorded() {
    for (server, downgrade) in [
        (Server::NoStarttls, Downgrade::NotOffered),
        (Server::Refuses(reply(454, "4.7.0 no")), Downgrade::Refused),
    ] {
        let mut world = World::with_hosts(TlsLevel::May, &[&[(server, takes)]]);
        let account = world.run();
        assert_eq!(words(&account), ["sent"]);
        assert_eq!(account.connections[0].downgrade, Some(downgrade));
    }
}

#[test]
fn rfc7672_2_2_clear_above_may_never_happens_and_a_5xx_to_starttls_is_not_final() {
    for server in
        [Server::NoStarttls, Server::Refuses(reply(554, "5.7.0 never")), handshake_fails(), lost(Stage::Tls)]
    {
        let mut world =
            World::with_hosts(TlsLevel::Encrypt, &[&[(server, takes)], &[(Server::NoStarttls, takes)]]);
        let account = world.run_aged();
        assert_eq!(words(&account), ["deferred 4.7.4"]);
        assert!(world.log.iter().all(|line| !line.ends_with("clear")), "{:?}", world.log);
    }
}

#[test]
fn a_failed_handshake_at_may_falls_back_only_when_the_message_has_waited() {
    let mut young = World::with_hosts(TlsLevel::May, &[&[(handshake_fails(), takes)]]);
    assert_eq!(words(&young.run()), ["deferred 4.7.5"]);

    let mut aged = World::with_hosts(
        TlsLevel::May,
        &[&[(handshake_fails(), takes), (Server::Good, takes)], &[(Server::Good, takes)]],
    );
    let account = aged.run_aged();
    assert_eq!(words(&account), ["sent"]);
    assert_eq!(aged.log[2..], ["open 192.0.2.1 tls", "open 192.0.2.1 clear"], "the same host at once");
    assert_eq!(account.connections[1].downgrade, Some(Downgrade::HandshakeFailed));
}

#[test]
fn a_tls_session_that_dies_counts_like_a_failed_handshake() {
    fn dies(_: usize) -> RcptOutcome {
        RcptOutcome::Failed { stage: Stage::Mail, cause: Cause::Lost }
    }
    let died = Server::Dies(Stage::Hello, Cause::Lost);
    for script in [
        [(died, takes as Says), (Server::Good, takes)],
        [(Server::Good, dies as Says), (Server::Good, takes)],
    ] {
        let mut aged = World::with_hosts(TlsLevel::May, &[&script]);
        let account = aged.run_aged();
        assert_eq!(words(&account), ["sent"]);
        assert_eq!(account.connections[1].downgrade, Some(Downgrade::SessionDied));
        let mut young = World::with_hosts(TlsLevel::May, &[&script[..1]]);
        assert_eq!(words(&young.run()), ["deferred 4.4.2"]);
    }
}

#[test]
fn rfc5321_4_5_3_2_6_after_the_final_dot_nobody_else_gets_the_message() {
    fn lost_at_the_end(_: usize) -> RcptOutcome {
        RcptOutcome::Failed { stage: Stage::EndOfData, cause: Cause::Lost }
    }
    let mut world =
        World::with_hosts(TlsLevel::May, &[&[(Server::Good, lost_at_the_end)], &[(Server::Good, takes)]]);
    let account = world.run_aged();
    assert_eq!(words(&account), ["deferred 4.4.2"]);
    assert_eq!(account.connections.len(), 1, "no second host, and no second try in clear");
}

#[test]
fn each_recipient_has_its_own_end() {
    fn mixed(index: usize) -> RcptOutcome {
        let rejected = |code, text| RcptOutcome::Rejected { stage: Stage::Rcpt, reply: reply(code, text) };
        match index {
            0 => takes(0),
            1 => rejected(550, "5.1.1 nobody"),
            2 => rejected(450, "4.2.1 busy"),
            _ => rejected(552, "5.2.2 too many"),
        }
    }
    fn takes_only_two(index: usize) -> RcptOutcome {
        if index == 2 {
            takes(2)
        } else {
            RcptOutcome::Rejected { stage: Stage::Rcpt, reply: reply(451, "later") }
        }
    }
    let mut world =
        World::with_hosts(TlsLevel::May, &[&[(Server::Good, mixed)], &[(Server::Good, takes_only_two)]]);
    let account = world.run_with(Settings::default(), "example.com", 4, Duration::ZERO);
    // RFC 5321 §4.5.3.1.10: 552 to RCPT is temporary.
    assert_eq!(words(&account), ["sent", "bounced 5.1.1", "sent", "deferred 4.0.0"]);
}

#[test]
fn rfc5321_5_1_and_rfc7505_hosts_that_are_none() {
    let null = |others: &[&str]| {
        let hosts = others.iter().map(|name| MxHost { preference: 10, host: Some(domain(name)) });
        hosts.chain([MxHost { preference: 0, host: None }]).collect::<Vec<_>>()
    };
    let mx = |lookup| {
        let mut world = World::new(TlsLevel::May);
        world.mx.insert("example.com".into(), Ok(answer(lookup, Proof::Insecure)));
        world
    };
    assert_eq!(words(&mx(Lookup::Found(null(&[]))).run()), ["bounced 5.1.10"]);
    assert_eq!(words(&mx(Lookup::NxDomain).run()), ["bounced 5.4.4"]);
    assert_eq!(words(&mx(Lookup::NoData).run()), ["bounced 5.4.4"], "no MX and no address");
    assert_eq!(
        words(&mx(Lookup::Found(null(&["gone.example.com"]))).run()),
        ["bounced 5.4.4"],
        "MX without address: no fall-back to A"
    );
    let mut world = World::new(TlsLevel::May);
    world.mx.insert("example.com".into(), Err(servfail("example.com", RecordKind::Mx)));
    assert_eq!(words(&world.run()), ["deferred 4.4.3"]);
    // One host that does not exist must not turn another's temporary failure into a bounce.
    let mut world = World::with_hosts(TlsLevel::May, &[&[], &[]]);
    world.addresses.insert("mx1.example.com".into(), Err(servfail("mx1.example.com", RecordKind::A)));
    world.addresses.remove("mx2.example.com");
    assert_eq!(words(&world.run()), ["deferred 4.4.3"]);
}

#[test]
fn rfc5321_5_1_mail_for_ourselves_loops() {
    let own = Settings { own_endpoints: vec!["192.0.2.1:25".parse().unwrap()], ..Settings::default() };
    let mut best = World::with_hosts(TlsLevel::May, &[&[], &[]]);
    assert_eq!(words(&best.run_with(own.clone(), "example.com", 1, Duration::ZERO)), ["bounced 5.4.6"]);
    // Behind a better host, we and all worse ones are out.
    let mut second = World::with_hosts(TlsLevel::May, &[&[(lost(Stage::Connect), takes)], &[], &[]]);
    let own = Settings { own_endpoints: vec!["192.0.2.2:25".parse().unwrap()], ..Settings::default() };
    assert_eq!(words(&second.run_with(own, "example.com", 1, Duration::ZERO)), ["deferred 4.4.2"]);
}

#[test]
fn what_cannot_be_determined_is_not_sent() {
    let mut world = World::with_hosts(TlsLevel::May, &[&[]]);
    world.entries.insert("example.com".into(), "encrypt match=nonsense".into());
    let account = world.run();
    assert_eq!(words(&account), ["deferred 4.7.5"]);
    let reason = &account.results[0].outcome.failure().unwrap().reason;
    assert!(reason.contains("/t:1"), "{reason}");
    for service in ["policy", "dns"] {
        let mut world = World::with_hosts(TlsLevel::May, &[&[]]);
        world.down = Some(service);
        assert_eq!(words(&world.run()), ["deferred 4.3.0"], "{service}");
    }
}

#[test]
fn a_stale_pooled_connection_is_no_failure_of_the_server() {
    fn gone(_: usize) -> RcptOutcome {
        RcptOutcome::Failed { stage: Stage::Mail, cause: Cause::Lost }
    }
    let mut world = World::with_hosts(TlsLevel::Encrypt, &[&[(Server::Pooled, gone), (Server::Good, takes)]]);
    assert_eq!(words(&world.run()), ["sent"]);
}

/// Design §5.9: what is in force now decides, at once; but not without end.
#[test]
fn a_policy_that_changes_before_mail_is_asked_for_anew_three_times() {
    fn outdated(_: usize) -> RcptOutcome {
        let cause = Cause::NotCleared(waxseal_verify::ClearanceError::Policy);
        RcptOutcome::Failed { stage: Stage::Mail, cause }
    }
    for (changes, expected) in [(1, "sent"), (3, "sent"), (4, "deferred 4.7.5")] {
        let mut script = vec![(Server::Good, outdated as Says); changes];
        script.push((Server::Good, takes));
        let mut world = World::with_hosts(TlsLevel::Encrypt, &[&script]);
        let account = world.run();
        assert_eq!(words(&account), [expected], "{changes}");
        assert_eq!(account.policies.len(), changes.min(3) + 1, "each time the policy is asked for");
    }
}

#[test]
fn limits_of_addresses_and_sessions_end_an_attempt() {
    let refuses = || (lost(Stage::Connect), takes as Says);
    fn later(_: usize) -> RcptOutcome {
        RcptOutcome::Rejected { stage: Stage::Rcpt, reply: reply(450, "4.2.1 later") }
    }
    let talks = || (Server::Good, later as Says);
    let mut addresses = World::with_hosts(TlsLevel::May, &[&[refuses()], &[refuses()], &[refuses()]]);
    let two = Settings { mx_address_limit: 2, ..Settings::default() };
    assert_eq!(addresses.run_with(two, "example.com", 1, Duration::ZERO).connections.len(), 2);
    let mut sessions = World::with_hosts(TlsLevel::May, &[&[refuses()], &[talks()], &[talks()], &[talks()]]);
    assert_eq!(sessions.run().connections.len(), 3, "two sessions that came to mail, and one that did not");
}

#[test]
fn the_fallback_relay_has_a_policy_of_its_own() {
    let mut world = World::with_hosts(TlsLevel::May, &[&[(lost(Stage::Connect), takes)]]);
    world.entries.insert("example.com".into(), "encrypt".into());
    world.addresses.insert(
        "relay.example.net".into(),
        Ok(answer(Lookup::Found(vec!["192.0.2.9".parse().unwrap()]), Proof::Insecure)),
    );
    world.servers.insert("192.0.2.9".parse().unwrap(), [(Server::NoStarttls, takes as Says)].into());
    world.alternatives = vec!["[relay.example.net]".parse().unwrap()];
    let account = world.run();
    assert_eq!(words(&account), ["sent"]);
    assert_eq!(account.policies.len(), 2);
    assert_eq!(account.connections[1].level, TlsLevel::May);
}

fn tlsa(data: &[u8]) -> Vec<Tlsa> {
    vec![Tlsa::new(3, 1, 1, data)]
}

#[test]
fn rfc7672_2_2_2_addresses_are_asked_for_before_tlsa_and_insecure_ones_end_the_search() {
    let mut insecure = World::with_hosts(TlsLevel::Dane, &[&[(Server::NoStarttls, takes)]]);
    assert_eq!(words(&insecure.run()), ["sent"], "opportunistic");
    assert!(insecure.log.iter().all(|line| !line.starts_with("tlsa")), "item 29: {:?}", insecure.log);
    let mut secure = World::with_hosts(TlsLevel::Dane, &[&[(Server::NoStarttls, takes)]]).secure();
    assert_eq!(words(&secure.run()), ["sent"]);
    assert_eq!(secure.log[1..3], ["addresses mx1.example.com", "tlsa 25 mx1.example.com"], "item 27");
}

#[test]
fn rfc7672_2_1_2_a_tlsa_lookup_that_fails_means_no_connection_to_that_host() {
    let mut world = World::with_hosts(TlsLevel::Dane, &[&[], &[]]).secure();
    for host in ["mx1.example.com", "mx2.example.com"] {
        world.tlsa.insert(host.into(), Err(servfail(host, RecordKind::Tlsa)));
    }
    let account = world.run();
    assert_eq!(words(&account), ["deferred 4.7.5"]);
    assert!(account.connections.is_empty(), "RFC 7672 §10");
}

#[test]
fn rfc7672_2_2_unusable_records_demand_tls_without_authentication() {
    let unusable = Ok(answer(Lookup::Found(vec![Tlsa::new(1, 1, 1, &[0; 32])]), Proof::Secure));
    let mut with = World::with_hosts(TlsLevel::Dane, &[&[(Server::Good, takes)]]).secure();
    with.tlsa.insert("mx1.example.com".into(), unusable.clone());
    let account = with.run();
    assert_eq!((words(&account), account.connections[0].level), (vec!["sent".to_owned()], TlsLevel::Encrypt));
    let mut without = World::with_hosts(TlsLevel::Dane, &[&[(Server::NoStarttls, takes)]]).secure();
    without.tlsa.insert("mx1.example.com".into(), unusable);
    assert_eq!(words(&without.run()), ["deferred 4.7.4"]);
}

#[test]
fn rfc7672_2_2_records_that_do_not_match_defer_and_never_bounce() {
    let mut world = World::with_hosts(TlsLevel::Dane, &[&[(Server::Good, takes)]]).secure();
    world.tlsa.insert("mx1.example.com".into(), Ok(answer(Lookup::Found(tlsa(&[0; 32])), Proof::Secure)));
    assert_eq!(words(&world.run_aged()), ["deferred 4.7.5"]);
}

#[test]
fn rfc7672_2_1_3_an_alias_into_an_insecure_zone_takes_one_cname_question() {
    let mut world = World::with_hosts(TlsLevel::DaneOnly, &[&[]]).secure();
    let mut found = answer(Lookup::Found(vec!["192.0.2.1".parse().unwrap()]), Proof::Insecure);
    found.canonical = Some(domain("host.plain.example"));
    world.addresses.insert("mx1.example.com".into(), Ok(found));
    world.cname.insert(
        "mx1.example.com".into(),
        Ok(answer(Lookup::Found(domain("host.plain.example")), Proof::Secure)),
    );
    world.tlsa.insert("mx1.example.com".into(), Ok(answer(Lookup::Found(tlsa(&[0; 32])), Proof::Secure)));
    world.servers.insert("192.0.2.1".parse().unwrap(), [(Server::Good, takes as Says)].into());
    let account = world.run();
    assert_eq!(world.log[2..4], ["cname mx1.example.com", "tlsa 25 mx1.example.com"]);
    // RFC 7672 §8.1: the server name is the TLSA base domain.
    let sni = account.connections[0].tls.as_ref().unwrap().sni.clone();
    assert_eq!(sni, Some(domain("mx1.example.com")));
}

#[test]
fn dane_only_without_records_makes_no_connection() {
    let mut world = World::with_hosts(TlsLevel::DaneOnly, &[&[]]).secure();
    let account = world.run();
    assert_eq!(words(&account), ["deferred 4.7.5"]);
    assert!(account.connections.is_empty());
}

#[test]
fn rfc6698_4_1_a_judgement_lasts_as_long_as_the_records_it_rests_on() {
    // A minute at least, so that records with a TTL of seconds can be used at all: it is used at once, and for one delivery.
    for (mx, addresses, records, expected) in
        [(300, 200, 100, 100), (300, 100, 200, 100), (100, 200, 300, 100), (300, 300, 1, 60)]
    {
        let mut world = World::with_hosts(TlsLevel::Dane, &[&[(Server::Good, takes)]]).secure();
        let seconds = Duration::from_secs;
        world.mx.values_mut().for_each(|answer| answer.as_mut().unwrap().ttl = seconds(mx));
        world.addresses.values_mut().for_each(|answer| answer.as_mut().unwrap().ttl = seconds(addresses));
        let mut found = answer(Lookup::Found(tlsa(&[0; 32])), Proof::Secure);
        found.ttl = seconds(records);
        world.tlsa.insert("mx1.example.com".into(), Ok(found));
        world.run();
        assert_eq!(world.judged_until, [Some(ARRIVED + seconds(expected))], "{mx} {addresses} {records}");
    }
}
