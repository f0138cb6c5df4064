//! Whom the intake asks: the tables of the configuration, and the resolver.

use std::sync::Arc;

use waxseal_intake::{Answer, Intake, Lookup, Neighbours, Publication, Records, Switch};
use waxseal_policy::{TableAnswer, TableName, Tables};
use waxseal_rollover::{Doors, Gate, Place};
use waxseal_types::{ClientCertificate, Domain};

/// Both, for an intake.
pub(crate) fn neighbours(tables: Arc<dyn Tables>, gate: Arc<Gate>) -> Neighbours {
    Neighbours { tables: Arc::new(TablesOf(tables)), records: Arc::new(RecordsOf(gate)) }
}

struct TablesOf(Arc<dyn Tables>);

impl std::fmt::Debug for TablesOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TablesOf")
    }
}

impl Lookup for TablesOf {
    fn find<'a>(&'a self, table: &'a str, key: &'a str) -> Answer<'a, Result<Option<String>, String>> {
        Box::pin(async move {
            match self.0.find(&TableName::new(table), key).await {
                TableAnswer::Found { value, .. } => Ok(Some(value)),
                TableAnswer::Absent => Ok(None),
                TableAnswer::TempFail(reason) => Err(reason),
            }
        })
    }
}

#[derive(Debug)]
struct RecordsOf(Arc<Gate>);

/// No TLSA record can stand under what is no domain name.
fn place((name, port): &(String, u16)) -> Option<Place> {
    Some(Place::new(Domain::new(name).ok()?, *port))
}

impl Records for RecordsOf {
    fn published<'a>(&'a self, name: &'a str, port: u16) -> Answer<'a, Publication> {
        Box::pin(async move {
            let Some(place) = place(&(name.to_owned(), port)) else { return Publication::None };
            // RFC 7672 §2.2: in an unsigned zone they bind nobody; but whoever publishes them there is about to sign it.
            match self.0.look(&place).await {
                Ok(true) => Publication::Some,
                Ok(false) => Publication::None,
                Err(error) => Publication::Unknown(error.to_string()),
            }
        })
    }

    fn settled(&self) {
        self.0.settle();
    }

    fn may_switch<'a>(&'a self, switch: Switch<'a>) -> Answer<'a, Result<(), String>> {
        Box::pin(async move {
            let places =
                |list: &'a [(String, u16)]| -> Vec<Place> { list.iter().filter_map(place).collect() };
            let (known, named) = (places(switch.places), places(switch.named));
            let doors = Doors { known: &known, named: &named };
            let chains = |list: &'a [ClientCertificate]| -> Vec<&'a [Vec<u8>]> {
                list.iter().map(|one| one.chain.as_slice()).collect()
            };
            let (old, new) = (chains(switch.old), chains(switch.new));
            self.0.may_switch(doors, &old, &new).await.map_err(|error| error.to_string())
        })
    }
}

/// Looks after the intake's certificates, and after what DNS says of them, from now on.
pub(crate) fn tend(intake: &Arc<Intake>, gate: Arc<Gate>) {
    let tended = Arc::clone(intake);
    actix_rt::spawn(async move { tended.tend().await });
    if !intake.places().is_empty() {
        actix_rt::spawn(watch(gate, Arc::clone(intake)));
    }
}

/// Keeps the gate's memory of what is served, for as long as it is polled: what was not seen cannot be waited for.
async fn watch(gate: Arc<Gate>, intake: Arc<Intake>) {
    let mut said: Option<String> = None;
    loop {
        let places: Vec<Place> = intake.places().iter().filter_map(place).collect();
        let mut trouble = None;
        for place in &places {
            trouble = gate.look(place).await.err().map(|error| error.to_string()).or(trouble);
        }
        // It comes to an operator's ears with the first switch that it stands in the way of.
        if trouble != said {
            if let Some(trouble) = &trouble {
                tracing::debug!("the TLSA records of the intake are not known: {trouble}");
            }
            said = trouble;
        }
        tokio::time::sleep(gate.pause(&places)).await;
    }
}
