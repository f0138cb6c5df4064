//! What tables say of destinations and clients, on its way to the schedule.

use std::{sync::Arc, time::Duration};

use actix::{AsyncContext as _, Context, Handler, Message};
use waxseal_policy::{TableAnswer, TableName, Tables};
use waxseal_types::UnixTime;

use super::manager::{QueueManager, now};
use crate::{Destination, DestinationLimits, Job, client_number, client_quota, destination_keys};

/// When a table that failed is asked again.
const AGAIN: Duration = Duration::from_secs(30);
/// Clients that are remembered as asked about; then all are asked about anew.
const MOST: usize = 10_000;

/// What was asked.
#[derive(Debug, Clone)]
enum About {
    Destination(Destination),
    Client(Arc<str>),
}

/// What the tables said.
#[derive(Debug)]
enum Said {
    Limits(Option<DestinationLimits>),
    Quota(Option<u32>),
}

/// An answer, or why there is none.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Learned {
    about: About,
    said: Result<Said, String>,
}

impl QueueManager {
    /// Gives a job to the schedule.
    pub(super) fn enlist(&mut self, destination: &Destination, job: Job, due: UnixTime, now: UnixTime) {
        self.schedule.add(destination, job, due, now);
        if !self.common.settings.destination_limits.is_empty() {
            let generation = self.common.tables.generation();
            if self.schedule.wants_limits(destination, generation) {
                self.ask_about(About::Destination(destination.clone()));
            }
        }
    }

    /// A client has submitted something.
    pub(super) fn meet(&mut self, client: &str) {
        if self.common.settings.client_quotas.is_empty() {
            return;
        }
        let (number, generation) = (client_number(client), self.common.tables.generation());
        if self.met.get(&number) == Some(&generation) {
            return;
        }
        if self.met.len() >= MOST {
            self.met.clear();
        }
        self.met.insert(number, generation);
        // One thing at a time until somebody has answered.
        if !self.schedule.has_quota(number) {
            self.schedule.set_quota(number, Some(1));
        }
        self.ask_about(About::Client(client.into()));
    }

    fn ask_about(&self, about: About) {
        let Some(manager) = self.address().cloned() else { return };
        let (settings, tables) = (Arc::clone(&self.common.settings), Arc::clone(&self.common.tables));
        actix_rt::spawn(async move {
            let said = match &about {
                About::Destination(destination) => {
                    let keys = destination_keys(&destination.nexthop);
                    let asked = ask(&tables, &settings.destination_limits, &keys, DestinationLimits::parse);
                    asked.await.map(Said::Limits)
                }
                About::Client(client) => {
                    let keys = [client.to_string(), "*".to_owned()];
                    let asked = ask(&tables, &settings.client_quotas, &keys, client_quota);
                    asked.await.map(|found| Said::Quota(found.flatten()))
                }
            };
            manager.do_send(Learned { about, said });
        });
    }
}

impl Handler<Learned> for QueueManager {
    type Result = ();

    fn handle(&mut self, Learned { about, said }: Learned, context: &mut Context<Self>) {
        let said = said.unwrap_or_else(|reason| {
            tracing::warn!("limits: {reason}; one connection at a time until this can be told");
            let again = about.clone();
            context.run_later(AGAIN, move |this, _| this.ask_about(again));
            match &about {
                About::Destination(_) => Said::Limits(Some(DestinationLimits::CAREFUL)),
                About::Client(_) => Said::Quota(Some(1)),
            }
        });
        match (about, said) {
            (About::Destination(destination), Said::Limits(found)) => {
                self.schedule.set_limits(&destination, found.unwrap_or_default(), now());
            }
            (About::Client(client), Said::Quota(quota)) => {
                self.schedule.set_quota(client_number(&client), quota)
            }
            // Each was asked for its own.
            (About::Destination(_), Said::Quota(_)) | (About::Client(_), Said::Limits(_)) => {}
        }
        self.pump(context);
    }
}

/// The first entry that one of the tables has for one of the keys; or why nobody knows, for the log: a table failed, or an entry is none.
async fn ask<T>(
    tables: &Arc<dyn Tables>,
    names: &[TableName],
    keys: &[String],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    for key in keys {
        for name in names {
            match tables.find(name, key).await {
                TableAnswer::Found { value, origin } => {
                    return parse(&value).map(Some).map_err(|wrong| format!("{origin}: {wrong}"));
                }
                TableAnswer::Absent => {}
                TableAnswer::TempFail(reason) => return Err(format!("{name}: {reason}")),
            }
        }
    }
    Ok(None)
}
