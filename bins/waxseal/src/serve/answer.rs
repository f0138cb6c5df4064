//! The answer to one question of another mail server.

use std::{pin::Pin, sync::Arc, time::Duration};

use waxseal_config::Config;
use waxseal_policy::{PolicyError, TableAnswer, TableName, Tables, TlsPolicy, Transport, find_policy};
use waxseal_types::{NextHop, Service, Strength};

use super::socketmap::{Reply, Request};

/// Postfix gives up after 100 seconds (socketmap_table(5), "ipc_timeout" and the like); a table of ours should not take a quarter of it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers from a configuration.
#[derive(Debug, Clone)]
pub(super) struct Oracle {
    config: Arc<Config>,
}

impl Oracle {
    pub(super) const fn new(config: Arc<Config>) -> Self {
        Self { config }
    }

    /// Each question gets the whole result: Postfix asks for the next hop first and for its parents only where that has no entry. As it always
    /// has one here, be it the configuration's level, what Waxseal would do is what Postfix does. A parent that is asked for all the same
    /// gets what is in force below it.
    pub(super) async fn answer(&self, request: &Request) -> Reply {
        let Some(service) = self.service(&request.name) else {
            return Reply::Permanent(
                "there are the maps smtp and lmtp, those of the services of master.cf, and no other".into(),
            );
        };
        match tokio::time::timeout(PATIENCE, self.find(&service, &request.key)).await {
            Ok(Ok(policy)) => Reply::Found(policy.to_entry().to_string()),
            // An entry that cannot be used is not one that is missing.
            Ok(Err(reason)) => Reply::Temporary(reason),
            Err(_) => Reply::Late,
        }
    }

    /// A map has the name of the service whose policies it has; `smtp` and `lmtp` are there in any case.
    fn service(&self, name: &str) -> Option<Service> {
        match (self.config.policy.transports.get(name), name) {
            (Some(Transport::Deliver(service)), _) => Some(service.clone()),
            (Some(Transport::Refused(_)), _) => None,
            (None, "smtp") => Some(Service::SMTP),
            (None, "lmtp") => Some(Service::LMTP),
            (None, _) => None,
        }
    }

    async fn find(&self, service: &Service, key: &str) -> Result<TlsPolicy, String> {
        let hop =
            |text: &str| text.parse::<NextHop>().map_err(|error| format!("no policy for {text:?}: {error}"));
        let tables: &dyn Tables = &*self.config.tables;
        let told = |error: PolicyError| error.to_string();
        if key.starts_with('.') {
            // The label counts for nothing: only keys with a leading dot are looked up.
            let below = hop(&format!("any{key}"))?;
            find_policy(&self.config.policy, &ParentsOnly(tables), service, &below).await.map_err(told)
        } else {
            find_policy(&self.config.policy, tables, service, &hop(key)?).await.map_err(told)
        }
    }
}

/// The tables without entries for single next hops.
struct ParentsOnly<'a>(&'a dyn Tables);

impl Tables for ParentsOnly<'_> {
    fn find<'a>(
        &'a self,
        table: &'a TableName,
        key: &'a str,
    ) -> Pin<Box<dyn Future<Output = TableAnswer> + Send + 'a>> {
        if key.starts_with('.') {
            self.0.find(table, key)
        } else {
            Box::pin(std::future::ready(TableAnswer::Absent))
        }
    }

    fn generation(&self) -> u64 {
        self.0.generation()
    }
}

/// What of the configuration an entry cannot say, so that the asking server needs it from its own.
pub(super) fn left_out(config: &Config) -> Vec<String> {
    let mut list = Vec::new();
    for (client, prefix) in [(&config.policy.smtp, "smtp"), (&config.policy.lmtp, "lmtp")] {
        let digest = format!("{:?}", client.fingerprint_digest).to_lowercase();
        list.push(format!(
            "{prefix}_tls_fingerprint_digest must be {digest} there, or fingerprints never match"
        ));
        if client.strength != Strength::default() {
            list.push("minimum_rsa_bits and refuse_sha1 cannot be told to another server".to_owned());
        }
        if client.dane_blind.is_some() {
            list.push(format!(
                "dane is as may here ({prefix}); the asking server decides that by its own resolver"
            ));
        }
    }
    list.push(
        "certificates are judged there, by its CAfile and CApath, and TLSA records by its resolver"
            .to_owned(),
    );
    let mut seen = std::collections::BTreeSet::new();
    list.retain(|line| seen.insert(line.clone()));
    list
}
