//! A certificate that changes in its file, and a neighbour who says whether it may.

use std::sync::{Arc, Mutex};

use tokio::{sync::watch, task::spawn_local};
use waxseal_intake::{Answer, Level, Lookup, Neighbours, Publication, Records, Switch};

use crate::{
    certificates::{Authority, Hands, Pair, seen},
    common::{Server, local, settings},
};

/// Says what it was told to say, and remembers what it was asked.
#[derive(Debug)]
struct Gate {
    verdict: Mutex<Result<(), String>>,
    asked: watch::Sender<Vec<(String, u16)>>,
    settled: watch::Sender<u32>,
}

impl Records for Gate {
    fn published<'a>(&'a self, _: &'a str, _: u16) -> Answer<'a, Publication> {
        Box::pin(async { Publication::Some })
    }

    fn may_switch<'a>(&'a self, switch: Switch<'a>) -> Answer<'a, Result<(), String>> {
        let verdict = self.verdict.lock().unwrap().clone();
        self.asked.send_replace(switch.places.to_vec());
        Box::pin(async { verdict })
    }

    fn settled(&self) {
        self.settled.send_modify(|times| *times += 1);
    }
}

#[derive(Debug)]
struct Names(String);

impl Lookup for Names {
    fn find<'a>(&'a self, _: &'a str, key: &'a str) -> Answer<'a, Result<Option<String>, String>> {
        let found = (key == "second.example").then(|| self.0.clone());
        Box::pin(async { Ok(found) })
    }
}

async fn leaf(server: &Server, name: &'static str) -> Vec<u8> {
    let mut client = server.client().await;
    client.say("STARTTLS\r\n").await;
    client.reply().await;
    let stream = Hands { name, ..Hands::new() }.shake(client.into_inner()).await.unwrap();
    seen(&stream).leaf
}

fn der(pair: &Pair) -> Vec<u8> {
    pair.certificate.der().to_vec()
}

#[test]
fn a_certificate_in_its_file_is_served_only_when_the_neighbour_says_so_or_the_operator() {
    local(async {
        let authority = Authority::new();
        let [first, named] = ["mx.example", "second.example"].map(|name| authority.server(name, false));
        let gate = Arc::new(Gate {
            verdict: Mutex::new(Err("a client would refuse it".into())),
            asked: watch::Sender::default(),
            settled: watch::Sender::default(),
        });
        let mut settings = settings();
        settings.tls.level = Level::May;
        settings.tls.files.chain_files = vec![first.file.clone()];
        settings.tls.sni_maps = vec!["names".into()];
        settings.tls.tlsa_places = vec![("alias.example".into(), 25)];
        let tables = Arc::new(Names(named.file.display().to_string()));
        let neighbours = Neighbours { tables, records: Arc::clone(&gate) as Arc<dyn Records> };
        let server = Server::beside(settings, Arc::default(), neighbours);
        let port = server.intake.local_addrs()[0].port();
        let intake = Arc::clone(&server.intake);
        let tending = spawn_local(async move { intake.tend().await });
        let places = |names: &[(&str, u16)]| -> Vec<(String, u16)> {
            names.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect()
        };
        for (name, old, with_its_own_port) in
            [("mx.example", &first, false), ("second.example", &named, true)]
        {
            *gate.verdict.lock().unwrap() = Err("a client would refuse it".into());
            assert_eq!(leaf(&server, name).await, der(old));
            let mut asked = gate.asked.subscribe();
            let fresh = authority.server(name, false);
            server.intake.reload();
            asked.changed().await.unwrap();
            let own = if with_its_own_port {
                places(&[(name, port)])
            } else {
                places(&[("alias.example", 25), (name, port)])
            };
            assert_eq!(*asked.borrow(), own);
            assert_eq!(leaf(&server, name).await, der(old), "{name}: it was refused");
            // An operator who knows better.
            let mut settled = gate.settled.subscribe();
            server.intake.switch_certificates();
            settled.changed().await.unwrap();
            assert_eq!(leaf(&server, name).await, der(&fresh), "{name}: by order");
            // That held for once; from here on the neighbour counts again, who may say yes as well.
            *gate.verdict.lock().unwrap() = Ok(());
            let mut settled = gate.settled.subscribe();
            let newest = authority.server(name, false);
            let mut asked = gate.asked.subscribe();
            server.intake.reload();
            asked.changed().await.unwrap();
            settled.changed().await.unwrap();
            assert_eq!(leaf(&server, name).await, der(&newest), "{name}: it was allowed");
        }
        assert!(server.intake.places().contains(&("second.example".to_owned(), port)));
        tending.abort();
    });
}
