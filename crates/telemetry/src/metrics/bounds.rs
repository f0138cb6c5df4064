//! What is bounded, and what happens there: the label `bound` of [`super::BOUNDS`].

/// A bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The label.
    pub name: &'static str,
    /// How much there may be, and the key that says so where there is one.
    pub limit: &'static str,
    /// What happens to more.
    pub beyond: &'static str,
}

const fn bound(name: &'static str, limit: &'static str, beyond: &'static str) -> Bound {
    Bound { name, limit, beyond }
}

/// All that is counted.
pub const BOUND_TABLE: &[Bound] = &[
    bound(
        "queue.active",
        "attempts under way: `queue.active_limit`",
        "what is due waits for one of them to end",
    ),
    bound(
        "queue.memory",
        "texts of fresh messages in memory: 16 MiB",
        "the text is read back from the spool when its turn comes; nothing waits",
    ),
    bound(
        "spool.full",
        "the disk, but for a reserve that marks need",
        "452 at MAIL until there is room again; marks are written still",
    ),
    bound("spool.slow", "oldest request to the disk: 10 s", "452 at MAIL"),
    bound("spool.stale", "oldest request to the disk: 120 s", "451 for the message, which is cancelled"),
    bound(
        "intake.connections",
        "clients: `listen.connection_limit`",
        "421 at the greeting; a tenth of it is kept for clients in `relay_from`",
    ),
    bound(
        "intake.client_connections",
        "clients of one address: `listen.client_connection_limit`",
        "421 at the greeting",
    ),
    bound("intake.memory", "texts that sessions hold: `listen.memory_limit`", "452 at the end of the text"),
    bound(
        "intake.rates",
        "what a client may do in `listen.rate_time_unit`: `listen.*_rate_limit`",
        "421 or 450, as the command has it; `relay_from` is exempt, but not from guessing passwords",
    ),
    bound(
        "intake.rate_clients",
        "clients whose rates are counted: 65536",
        "counts that are over go, and then those of the clients that did least",
    ),
    bound(
        "intake.auth",
        "passwords that are looked at, or wait for that: 66",
        "454 to AUTH: the client is to come back",
    ),
    bound(
        "intake.descriptors",
        "files and memory of the process: RLIMIT_NOFILE",
        "nobody is let in for a tenth of a second; who waits, waits in the system's queue",
    ),
    bound("dns.cache", "answers and their octets", "the oldest answers are forgotten"),
    bound(
        "dns.questions",
        "questions to servers at a time: 512",
        "further ones wait; their time limit goes on",
    ),
    bound("pool.idle", "idle connections that are kept", "the longest idle one is closed"),
    bound(
        "tls.sessions",
        "servers with TLS sessions",
        "the longest unused one is forgotten: its next handshake is a full one",
    ),
    bound(
        "transport.graves",
        "addresses that did not answer: 4096",
        "further ones are not remembered, and are tried again at their full time limit",
    ),
    bound(
        "ledger.queue",
        "records that wait for the disk: 8 MiB",
        "further ones are lost; no delivery waits",
    ),
    bound(
        "connections.address",
        "connections to one address",
        "no further one is opened; its mail waits for one of them to end",
    ),
    bound(
        "connections.all",
        "connections to all servers together",
        "no further one is opened; the mail waits for one of them to end",
    ),
    bound(
        "connections.descriptors",
        "files and memory of the process: RLIMIT_NOFILE",
        "an idle connection is closed; the mail waits a second, and is not deferred",
    ),
    bound(
        "tables.cache",
        "answers that are kept of a table that a server or a database has: 4 MiB, for 2 s",
        "the least asked for are forgotten, and asked for anew",
    ),
    bound(
        "tables.questions",
        "questions under way to the servers of one table: 8 (to an SQLite file: 4)",
        "further ones wait, and fail after 30 s: then the mail waits",
    ),
    bound(
        "admin.tokens",
        "wrong tokens from one address: 5, of which one is forgiven every 12 s; addresses that are remembered: 1024",
        "429 to that address, also for the right token; whoever is beyond 1024 shares one count",
    ),
    bound("admin.listings", "listings that are streamed at a time: 16", "429"),
    bound("admin.explanations", "live explanations at a time: 2", "429"),
    bound(
        "queue.client",
        "attempts for the mail of one client",
        "the rest of its mail waits; that of others does not",
    ),
];
