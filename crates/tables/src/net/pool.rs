//! Connections to servers that have the same to say.

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::{BuildHasher, Hasher},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, time::timeout};

use super::Endpoint;

/// Questions under way at once: so many connections at most, and the others wait for their turn.
const CONNECTIONS: usize = 8;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// To connect.
    pub(crate) connect: Duration,
    /// To answer.
    pub(crate) answer: Duration,
    /// All in all, waiting for a connection included. Less than a delivery waits for its policy (60 s).
    pub(crate) whole: Duration,
    /// mysql_table(5), pgsql_table(5), `idle_interval`: a connection that was idle for so long is not used again.
    pub(crate) idle: Duration,
    /// The same, `retry_interval`: the longest that a server is left alone after it failed. Postfix waits that long after the first failure; here it
    /// begins with a second, and doubles.
    pub(crate) retry: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let [connect, answer, whole, minute] = [5, 20, 30, 60].map(Duration::from_secs);
        Self { connect, answer, whole, idle: minute, retry: minute }
    }
}

/// Why a connection gave no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It is dead, or nobody knows what it would say next.
    Lost(String),
    /// The server said so; the connection is sound.
    Said(String),
}

impl Trouble {
    pub(crate) fn lost(error: impl fmt::Display) -> Self {
        Self::Lost(error.to_string())
    }
}

/// How one kind of server is spoken with.
pub(crate) trait Dial: Send + Sync {
    /// A connection.
    type Connection: Send;
    /// What an answer is.
    type Answer: Send;

    /// Connects.
    fn dial(&self, server: &Endpoint) -> impl Future<Output = Result<Self::Connection, String>> + Send;

    /// Asks one question.
    fn talk(
        &self,
        connection: &mut Self::Connection,
        question: &str,
    ) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send;
}

/// Connections that are idle, and servers that rest.
pub(crate) struct Pool<D: Dial> {
    dial: D,
    limits: Limits,
    permits: Semaphore,
    /// Questions for which there was no place at once.
    waited: AtomicU64,
    idle: Mutex<Vec<(D::Connection, Instant)>>,
    servers: Vec<Server>,
}

#[derive(Debug)]
struct Server {
    endpoint: Endpoint,
    rest: Mutex<Option<Rest>>,
}

/// A server is left alone for a while after it failed.
#[derive(Debug, Clone)]
struct Rest {
    until: Instant,
    span: Duration,
    reason: String,
}

impl<D: Dial> fmt::Debug for Pool<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("servers", &self.servers).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<D: Dial> Pool<D> {
    pub(crate) fn new(dial: D, endpoints: Vec<Endpoint>, limits: Limits) -> Self {
        let servers =
            endpoints.into_iter().map(|endpoint| Server { endpoint, rest: Mutex::default() }).collect();
        Self {
            dial,
            limits,
            permits: Semaphore::new(CONNECTIONS),
            waited: AtomicU64::new(0),
            idle: Mutex::default(),
            servers,
        }
    }

    /// How many questions waited for others to be answered.
    pub(crate) fn waited(&self) -> u64 {
        self.waited.load(Ordering::Relaxed)
    }

    /// Asks one of the servers. The error is the words of the last one that failed.
    pub(crate) async fn ask(&self, question: &str) -> Result<D::Answer, Arc<str>> {
        let asked = timeout(self.limits.whole, self.ask_in_time(question)).await;
        asked.unwrap_or_else(|_| Err("no answer in time".to_owned())).map_err(Arc::from)
    }

    async fn ask_in_time(&self, question: &str) -> Result<D::Answer, String> {
        if self.permits.available_permits() == 0 {
            self.waited.fetch_add(1, Ordering::Relaxed);
        }
        let _permit = self.permits.acquire().await.map_err(|_| "closed".to_owned())?;
        // The other end may have closed a connection that was idle. That is no failure yet: the question is asked again on another one.
        while let Some(connection) = self.take_idle() {
            match self.talk(connection, question).await {
                Err(Trouble::Lost(_)) => {}
                Err(Trouble::Said(words)) => return Err(words),
                Ok(answer) => return Ok(answer),
            }
        }
        let mut problem = None;
        for server in self.in_order() {
            if let Some(rest) = server.resting() {
                problem.get_or_insert(rest);
                continue;
            }
            let dialled = timeout(self.limits.connect, self.dial.dial(&server.endpoint)).await;
            let lost = match dialled.unwrap_or_else(|_| Err("no connection in time".to_owned())) {
                Err(reason) => reason,
                Ok(connection) => match self.talk(connection, question).await {
                    Err(Trouble::Lost(reason)) => reason,
                    Err(Trouble::Said(words)) => {
                        server.works();
                        return Err(words);
                    }
                    Ok(answer) => {
                        server.works();
                        return Ok(answer);
                    }
                },
            };
            problem = Some(server.failed(&lost, self.limits.retry));
        }
        Err(problem.unwrap_or_else(|| "no servers".to_owned()))
    }

    /// Asks on one connection, which is kept when it is still good.
    async fn talk(&self, mut connection: D::Connection, question: &str) -> Result<D::Answer, Trouble> {
        let talk = timeout(self.limits.answer, self.dial.talk(&mut connection, question)).await;
        let answer = talk.unwrap_or_else(|_| Err(Trouble::Lost("no answer in time".to_owned())));
        if !matches!(answer, Err(Trouble::Lost(_))) {
            lock(&self.idle).push((connection, Instant::now()));
        }
        answer
    }

    /// The connection that was used last.
    fn take_idle(&self) -> Option<D::Connection> {
        let mut idle = lock(&self.idle);
        idle.retain(|(_, since)| since.elapsed() < self.limits.idle);
        idle.pop().map(|(connection, _)| connection)
    }

    /// mysql_table(5), `hosts`: "tried in random order, with all connections over UNIX domain sockets being tried before those over TCP".
    fn in_order(&self) -> Vec<&Server> {
        let state = RandomState::new();
        let mut servers: Vec<(bool, u64, &Server)> = (0_u64..)
            .zip(&self.servers)
            .map(|(number, server)| {
                let mut hasher = state.build_hasher();
                hasher.write_u64(number);
                (matches!(server.endpoint, Endpoint::Inet { .. }), hasher.finish(), server)
            })
            .collect();
        servers.sort_by_key(|(inet, random, _)| (*inet, *random));
        servers.into_iter().map(|(.., server)| server).collect()
    }
}

/// The first rest after a failure.
const FIRST_REST: Duration = Duration::from_secs(1);

impl Server {
    fn resting(&self) -> Option<String> {
        let rest = lock(&self.rest);
        rest.as_ref().filter(|rest| Instant::now() < rest.until).map(|rest| rest.reason.clone())
    }

    fn works(&self) {
        *lock(&self.rest) = None;
    }

    fn failed(&self, reason: &str, longest: Duration) -> String {
        let reason = format!("{}: {reason}", self.endpoint);
        let mut rest = lock(&self.rest);
        let span = rest.as_ref().map_or(FIRST_REST, |rest| rest.span * 2).min(longest);
        *rest = Some(Rest { until: Instant::now() + span, span, reason: reason.clone() });
        reason
    }
}

/// What is left of a reply that may have so many octets.
pub(crate) fn remaining(limit: usize, have: usize) -> Result<usize, Trouble> {
    let left = limit.saturating_sub(have);
    if left == 0 { Err(Trouble::Lost(format!("a reply of more than {limit} octets"))) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// What the server does, in the order of the questions; the number of connections.
    #[derive(Default)]
    struct Scripted {
        acts: Mutex<Vec<Act>>,
        dialled: AtomicUsize,
    }

    #[derive(Debug, Clone, Copy)]
    enum Act {
        Answer,
        Say,
        Lose,
        Hang,
    }

    impl Dial for Scripted {
        type Connection = ();
        type Answer = String;

        async fn dial(&self, _: &Endpoint) -> Result<(), String> {
            self.dialled.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }

        async fn talk(&self, (): &mut (), question: &str) -> Result<String, Trouble> {
            let act = lock(&self.acts).pop().unwrap_or(Act::Answer);
            match act {
                Act::Answer => Ok(question.to_owned()),
                Act::Say => Err(Trouble::Said("no".into())),
                Act::Lose => Err(Trouble::Lost("lost".into())),
                Act::Hang => std::future::pending().await,
            }
        }
    }

    fn pool(limits: Limits) -> Pool<Scripted> {
        let servers = vec![Endpoint::Inet { host: "a.test".into(), port: 1 }];
        Pool::new(Scripted::default(), servers, limits)
    }

    /// Asks once for each act, and gives the answers and how often was dialled.
    async fn run(pool: &Pool<Scripted>, acts: &[Act]) -> Vec<Result<String, String>> {
        *lock(&pool.dial.acts) = acts.iter().rev().copied().collect();
        let mut answers = Vec::new();
        while !lock(&pool.dial.acts).is_empty() {
            answers.push(pool.ask("q").await.map_err(|reason| reason.to_string()));
        }
        answers
    }

    #[tokio::test]
    async fn who_finds_no_place_waits_for_one_and_is_counted() {
        let pool = pool(Limits::default());
        assert_eq!((pool.ask("q").await.as_deref(), pool.waited()), (Ok("q"), 0));
        let others = pool.permits.acquire_many(8).await.unwrap();
        let leave = async {
            tokio::task::yield_now().await;
            drop(others);
        };
        let (answer, ()) = tokio::join!(pool.ask("q"), leave);
        assert_eq!((answer.as_deref(), pool.waited()), (Ok("q"), 1));
    }

    #[tokio::test]
    async fn a_connection_is_used_again_and_one_that_died_meanwhile_is_no_failure() {
        let pool = pool(Limits::default());
        let answers =
            run(&pool, &[Act::Answer, Act::Answer, Act::Say, Act::Answer, Act::Lose, Act::Answer]).await;
        let ok = || Ok("q".to_owned());
        assert_eq!(answers, [ok(), ok(), Err("no".into()), ok(), ok()]);
        assert_eq!(pool.dial.dialled.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_server_that_failed_rests_and_fails_at_once_meanwhile() {
        let pool = pool(Limits::default());
        let lost = || Err("a.test:1: lost".to_owned());
        assert_eq!(run(&pool, &[Act::Lose]).await, [lost()]);
        assert_eq!(pool.ask("q").await.map_err(|reason| reason.to_string()), lost());
        assert_eq!(pool.dial.dialled.load(Ordering::Relaxed), 1, "it was left alone");
        lock(&pool.servers[0].rest).as_mut().unwrap().until = Instant::now();
        assert_eq!(pool.ask("q").await, Ok("q".to_owned()));
    }

    #[tokio::test]
    async fn each_failure_doubles_the_rest_up_to_the_limit() {
        let pool = pool(Limits { retry: Duration::from_secs(3), ..Limits::default() });
        let mut spans = Vec::new();
        for _ in 0..3 {
            assert!(run(&pool, &[Act::Lose]).await[0].is_err());
            let mut rest = lock(&pool.servers[0].rest);
            let rest = rest.as_mut().unwrap();
            spans.push(rest.span.as_secs());
            rest.until = Instant::now();
        }
        assert_eq!(spans, [1, 2, 3]);
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_costs_only_its_limit_and_others_are_answered_meanwhile() {
        let limits = Limits { answer: Duration::from_millis(200), ..Limits::default() };
        let pool = pool(limits);
        *lock(&pool.dial.acts) = vec![Act::Hang];
        let hanging = pool.ask("slow");
        let others = async {
            tokio::task::yield_now().await;
            for _ in 0..100 {
                assert_eq!(pool.ask("fast").await, Ok("fast".to_owned()));
            }
        };
        let (slow, ()) = tokio::join!(hanging, others);
        assert_eq!(slow.map_err(|reason| reason.to_string()), Err("a.test:1: no answer in time".to_owned()));
    }
}
