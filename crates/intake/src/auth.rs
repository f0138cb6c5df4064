//! Whether a password is right.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use tokio::sync::Semaphore;
use waxseal_smtp::server::{Credentials, Refusal};

use crate::Lookup;

/// Hashes that are computed at a time. Each takes tens of milliseconds of a core and megabytes of memory, which is the point of argon2.
const CONCURRENT: usize = 2;
/// Clients that wait for theirs. The rest is told to come back.
const WAITING: usize = 64;
/// RFC 9106 §4 recommends 2 GiB or 64 MiB; a hash that asks for more than this (in KiB) is refused.
const LARGEST_MEMORY: u32 = 256 << 10;
/// Rounds beyond which a hash is refused.
const MOST_ROUNDS: u32 = 100;

/// Stands for the hash of a user that does not exist, so that the answer takes as long (RFC 9106 §4, second recommendation).
const NOBODY: &str =
    "$argon2id$v=19$m=65536,t=3,p=4$bm9ib2R5IGlzIGhlcmU$3q2+796tvu/erb7v3q2+796tvu/erb7v3q2+796tvu8";

/// Holds passwords against a table.
pub(crate) struct Authenticator {
    table: String,
    tables: Arc<dyn Lookup>,
    slots: Arc<Semaphore>,
    room: Arc<Semaphore>,
    /// How many were told to come back.
    crowded: AtomicU64,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").field("table", &self.table).finish_non_exhaustive()
    }
}

impl Authenticator {
    pub(crate) fn new(table: String, tables: Arc<dyn Lookup>) -> Self {
        let (slots, room) = (Semaphore::new(CONCURRENT), Semaphore::new(CONCURRENT + WAITING));
        Self { table, tables, slots: Arc::new(slots), room: Arc::new(room), crowded: AtomicU64::new(0) }
    }

    /// How many were told to come back because too many waited.
    pub(crate) fn crowded(&self) -> u64 {
        self.crowded.load(Ordering::Relaxed)
    }

    /// Whether these are right.
    pub(crate) async fn check(&self, given: Credentials) -> Result<(), Refusal> {
        let Ok(_place) = self.room.try_acquire() else {
            self.crowded.fetch_add(1, Ordering::Relaxed);
            return Err(Refusal::AUTH_UNAVAILABLE);
        };
        let known = self.tables.find(&self.table, &given.user).await.map_err(|reason| {
            tracing::error!(table = %self.table, reason, "cannot look up a user");
            Refusal::AUTH_UNAVAILABLE
        })?;
        let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
            return Err(Refusal::AUTH_UNAVAILABLE);
        };
        let user = given.user.clone();
        // Off the thread that messages come in on. The slot goes with it: a client that hangs up does not free what is still computed.
        let checked = tokio::task::spawn_blocking(move || {
            let verdict = verify(known.as_deref(), &given.password);
            drop(slot);
            verdict
        });
        match checked.await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(Refusal::BAD_CREDENTIALS),
            Ok(Err(what)) => {
                tracing::error!(table = %self.table, user, what, "the hash of a user cannot be used");
                Err(Refusal::AUTH_UNAVAILABLE)
            }
            Err(_) => Err(Refusal::AUTH_UNAVAILABLE),
        }
    }
}

/// Whether `password` has this hash, in PHC form; without one it has not, and that takes as long.
fn verify(known: Option<&str>, password: &str) -> Result<bool, &'static str> {
    let hash = PasswordHash::new(known.unwrap_or(NOBODY).trim()).map_err(|_| "it is no PHC string")?;
    if !hash.algorithm.as_str().starts_with("argon2") {
        return Err("it is not one of argon2");
    }
    let parameters = argon2::Params::try_from(&hash).map_err(|_| "its parameters are not understood")?;
    if parameters.m_cost() > LARGEST_MEMORY || parameters.t_cost() > MOST_ROUNDS {
        return Err("it asks for too much memory or time");
    }
    let right = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
    Ok(right && known.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of "secret" with the least parameters, made by argon2(1).
    fn hash(password: &str) -> String {
        use argon2::{Algorithm, Params, PasswordHasher, Version, password_hash::SaltString};
        let salt = SaltString::from_b64("c29tZXNhbHQ").unwrap();
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
        argon.hash_password(password.as_bytes(), &salt).unwrap().to_string()
    }

    #[test]
    fn only_the_right_password_of_a_known_user_is_right() {
        let good = hash("secret");
        assert_eq!(verify(Some(&good), "secret"), Ok(true));
        assert_eq!(verify(Some(&good), "Secret"), Ok(false));
        assert_eq!(verify(None, "secret"), Ok(false));
        for bad in [
            "",
            "secret",
            "{PLAIN}secret",
            "$1$abc$def",
            "$argon2id$v=19$m=9999999,t=1,p=1$c29tZXNhbHQ$c29tZXNhbHQ",
        ] {
            assert!(verify(Some(bad), "secret").is_err(), "{bad}");
        }
    }

    #[derive(Debug)]
    struct Users(String);

    impl Lookup for Users {
        fn find<'a>(&'a self, _: &'a str, key: &'a str) -> crate::Answer<'a, Result<Option<String>, String>> {
            let answer = match key {
                "ann" => Ok(Some(self.0.clone())),
                "down" => Err("is down".into()),
                _ => Ok(None),
            };
            Box::pin(async { answer })
        }
    }

    #[tokio::test]
    async fn a_table_that_fails_lets_nobody_in() {
        let authenticator = Authenticator::new("t".into(), Arc::new(Users(hash("secret"))));
        let given = |user: &str, password: &str| Credentials { user: user.into(), password: password.into() };
        assert_eq!(authenticator.check(given("ann", "secret")).await, Ok(()));
        assert_eq!(authenticator.check(given("ann", "wrong")).await, Err(Refusal::BAD_CREDENTIALS));
        assert_eq!(authenticator.check(given("bob", "secret")).await, Err(Refusal::BAD_CREDENTIALS));
        assert_eq!(authenticator.check(given("down", "secret")).await, Err(Refusal::AUTH_UNAVAILABLE));
    }
}
