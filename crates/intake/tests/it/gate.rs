//! A certificate that changes in its file, and a neighbour who says whether it may.

use std::{
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, Mutex},
};

use tokio::{sync::watch, task::spawn_local};
use waxseal_intake::{Answer, Level, Lookup, Neighbours, Publication, Records, Settings, Switch};

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

fn gate(verdict: Result<(), String>) -> Arc<Gate> {
    Arc::new(Gate {
        verdict: Mutex::new(verdict),
        asked: watch::Sender::default(),
        settled: watch::Sender::default(),
    })
}

/// An intake that is about to stop: for as long as `during` takes.
async fn while_up<T>(settings: &Settings, gate: &Arc<Gate>, during: impl AsyncFnOnce(&Server) -> T) -> T {
    let neighbours = Neighbours { records: Arc::clone(gate) as Arc<dyn Records>, ..Neighbours::default() };
    let server = Server::beside(settings.clone(), Arc::default(), neighbours);
    let intake = Arc::clone(&server.intake);
    let tending = spawn_local(async move { intake.tend().await });
    let result = during(&server).await;
    tending.abort();
    server.intake.shut_down();
    server.intake.drained().await;
    result
}

const REFUSED: &str = "a client would refuse it";

#[test]
fn a_start_goes_on_with_what_was_served_before_the_stop_until_the_neighbour_allows_another() {
    local(async {
        let (authority, spool) = (Authority::new(), tempfile::tempdir().unwrap());
        let first = authority.server("mx.example", false);
        let mut settings = settings();
        settings.tls.level = Level::May;
        settings.tls.files.chain_files = vec![first.file.clone()];
        settings.tls.own_folder = Some(spool.path().into());
        let gate = gate(Err(REFUSED.into()));
        let mut settled = gate.settled.subscribe();
        while_up(&settings, &gate, async |server| {
            assert_eq!(leaf(server, "mx.example").await, der(&first), "there is nothing else to start with");
            settled.changed().await.unwrap();
        })
        .await;
        assert!(gate.asked.borrow().is_empty(), "nobody was asked about what is served already");
        // The file changes while nobody runs who could ask.
        let second = authority.server("mx.example", false);
        let mut asked = gate.asked.subscribe();
        while_up(&settings, &gate, async |server| {
            assert!(server.intake.notices().iter().any(|notice| notice.contains("served before")));
            assert_eq!(leaf(server, "mx.example").await, der(&first), "DNS has not been asked yet");
            asked.changed().await.unwrap();
            assert_eq!(leaf(server, "mx.example").await, der(&first), "it was refused");
            *gate.verdict.lock().unwrap() = Ok(());
            let mut settled = gate.settled.subscribe();
            server.intake.reload();
            settled.changed().await.unwrap();
            assert_eq!(leaf(server, "mx.example").await, der(&second), "it was allowed");
        })
        .await;
        *gate.verdict.lock().unwrap() = Err(REFUSED.into());
        while_up(&settings, &gate, async |server| {
            assert!(!server.intake.notices().iter().any(|notice| notice.contains("served before")));
            assert_eq!(leaf(server, "mx.example").await, der(&second), "from then on it is what was served");
        })
        .await;
    });
}

/// A rollover replaces key and certificate in two files, one after the other.
#[test]
fn a_start_between_two_files_that_change_together_serves_the_last_good_pair() {
    local(async {
        let (authority, spool) = (Authority::new(), tempfile::tempdir().unwrap());
        let place = |name: &str| spool.path().join(name);
        let [certificate, key] = [place("tls.crt"), place("tls.key")];
        let write_key = |pair: &Pair| {
            std::fs::write(&key, pair.key.serialize_pem()).unwrap();
            std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        };
        let write_certificate = |pair: &Pair| std::fs::write(&certificate, pair.certificate.pem()).unwrap();
        let first = authority.server("mx.example", false);
        write_key(&first);
        write_certificate(&first);
        let mut settings = settings();
        settings.tls.level = Level::May;
        settings.tls.files.cert_file = Some(certificate.clone());
        settings.tls.files.key_file = Some(key.clone());
        settings.tls.own_folder = Some(spool.path().into());
        let gate = gate(Ok(()));
        let mut settled = gate.settled.subscribe();
        let second = authority.server("mx.example", false);
        while_up(&settings, &gate, async |server| {
            settled.changed().await.unwrap();
            write_key(&second);
            server.intake.reload();
            assert_eq!(leaf(server, "mx.example").await, der(&first), "while it runs");
        })
        .await;
        while_up(&settings, &gate, async |server| {
            let notices = server.intake.notices();
            assert!(
                notices.iter().any(|notice| notice.contains("tls.key")),
                "the file is named: {notices:?}"
            );
            assert_eq!(leaf(server, "mx.example").await, der(&first), "at a start");
            write_certificate(&second);
            let mut settled = gate.settled.subscribe();
            server.intake.reload();
            settled.changed().await.unwrap();
            assert_eq!(leaf(server, "mx.example").await, der(&second));
        })
        .await;
        // Files that were never served are another matter: the start is refused, and the file named.
        let other = place("other.key");
        std::fs::write(&other, first.key.serialize_pem()).unwrap();
        settings.tls.files.key_file = Some(other);
        let error = waxseal_intake::Intake::bind(settings).map(drop).unwrap_err();
        assert!(error.is_configuration() && error.to_string().contains("other.key"), "{error}");
    });
}

#[test]
fn a_certificate_in_its_file_is_served_only_when_the_neighbour_says_so_or_the_operator() {
    local(async {
        let authority = Authority::new();
        let [first, named] = ["mx.example", "second.example"].map(|name| authority.server(name, false));
        let gate = gate(Err(REFUSED.into()));
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
            *gate.verdict.lock().unwrap() = Err(REFUSED.into());
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
