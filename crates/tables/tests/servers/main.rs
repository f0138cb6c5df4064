//! Tables that servers answer for, with servers in process.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod script;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use script::{Says, Speaks, TableServer};
use waxseal_tables::{Options, Table, TempFail};

const BOTH: [Speaks; 2] = [Speaks::Socketmap, Speaks::Tcp];

fn open(speaks: Speaks, address: SocketAddr) -> Table {
    let name = match speaks {
        Speaks::Socketmap => format!("socketmap:inet:{address}:policy"),
        Speaks::Tcp => format!("tcp:{address}"),
    };
    Table::open(&name, Options::default()).unwrap()
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn value(table: &Table, key: &str) -> Result<Option<String>, TempFail> {
    table.ask(key).await.map(|found| found.map(|found| found.value))
}

#[tokio::test]
async fn values_and_their_absence_come_from_the_server_and_its_name_is_their_place() {
    for speaks in BOTH {
        let answers = |key: &str| match key {
            "a.test" => Says::Value("secure match=a.test".into()),
            "100% sure" => Says::Value("100% may".into()),
            _ => Says::Nothing,
        };
        let server = TableServer::start(speaks, any_port(), answers).await.unwrap();
        let table = open(speaks, server.address());
        assert!(table.is_remote() && table.find("a.test").is_err());
        let found = table.ask("a.test").await.unwrap().unwrap();
        assert_eq!((found.value.as_str(), found.place.as_str()), ("secure match=a.test", table.name()));
        assert_eq!(value(&table, "100% sure").await, Ok(Some("100% may".into())), "{speaks:?}");
        assert_eq!(value(&table, "A.test").await, Ok(None), "{speaks:?}: the server decides about case");
    }
}

#[tokio::test]
async fn whatever_is_no_answer_is_a_failure_and_never_an_absence() {
    let socketmap = ["TEMP x", "TIMEOUT x", "PERM x", "what", "", "OK\0"];
    let tcp = ["400 x", "200", "500", "what", "200 %zz", "2000 x"];
    for (speaks, words) in [(Speaks::Socketmap, socketmap), (Speaks::Tcp, tcp)] {
        for words in words {
            let server =
                TableServer::start(speaks, any_port(), |_| Says::Words(words.to_owned())).await.unwrap();
            let table = open(speaks, server.address());
            assert!(value(&table, "a").await.is_err(), "{speaks:?} {words:?}");
        }
        let large = |octets: &[u8]| Says::Octets(octets.repeat(200_000));
        for octets in [&b"9"[..], b"5:OK a,5:OK b,", b"500 a\n500 b\n", b"\xff\xff\n"] {
            for says in [Says::Octets(octets.to_vec()), large(octets), Says::Close] {
                let server = TableServer::start(speaks, any_port(), move |_| says.clone()).await.unwrap();
                let table = open(speaks, server.address());
                let answer = tokio::time::timeout(Duration::from_millis(300), value(&table, "a")).await;
                // A netstring that never goes on is waited for; that is no answer either.
                assert!(!matches!(answer, Ok(Ok(_))), "{speaks:?} {octets:?}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_is_stopped_fails_lookups_until_it_is_back() {
    for speaks in BOTH {
        let answers = |_: &str| Says::Value("encrypt".into());
        let server = TableServer::start(speaks, any_port(), answers).await.unwrap();
        let address = server.address();
        let table = open(speaks, address);
        assert_eq!(value(&table, "a").await, Ok(Some("encrypt".into())));
        server.stop().await;
        for number in 0..20 {
            assert!(value(&table, &format!("b{number}")).await.is_err(), "{speaks:?}");
        }
        let _server = TableServer::start(speaks, address, answers).await.unwrap();
        // It is left alone for a second after it failed.
        while value(&table, "c").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_no_failure() {
    for speaks in BOTH {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        // Every other question finds its connection closed.
        let answers = move |_: &str| match counter.fetch_add(1, Ordering::Relaxed) % 3 {
            1 => Says::Close,
            _ => Says::Nothing,
        };
        let server = TableServer::start(speaks, any_port(), answers).await.unwrap();
        let table = open(speaks, server.address());
        for number in 0..20 {
            assert_eq!(value(&table, &number.to_string()).await, Ok(None), "{speaks:?} {number}");
        }
    }
}

#[tokio::test]
async fn a_question_that_hangs_does_not_stall_the_others() {
    for speaks in BOTH {
        let answers = |key: &str| if key == "slow" { Says::Silence } else { Says::Nothing };
        let server = TableServer::start(speaks, any_port(), answers).await.unwrap();
        let table = Arc::new(open(speaks, server.address()));
        let slow = tokio::spawn({
            let table = Arc::clone(&table);
            async move { value(&table, "slow").await }
        });
        for number in 0..200 {
            assert_eq!(value(&table, &number.to_string()).await, Ok(None), "{speaks:?}");
        }
        assert!(!slow.is_finished());
        slow.abort();
    }
}

#[tokio::test]
async fn the_same_key_is_asked_once_for_a_while_and_failures_are_asked_again() {
    for speaks in BOTH {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        let answers = move |key: &str| {
            counter.fetch_add(1, Ordering::Relaxed);
            if key == "bad" { Says::Words("nonsense".into()) } else { Says::Value("may".into()) }
        };
        let server = TableServer::start(speaks, any_port(), answers).await.unwrap();
        let table = open(speaks, server.address());
        let (one, two) = tokio::join!(value(&table, "a"), value(&table, "a"));
        assert_eq!((one, two), (Ok(Some("may".into())), Ok(Some("may".into()))));
        assert_eq!(count.load(Ordering::Relaxed), 1);
        for _ in 0..3 {
            assert!(value(&table, "bad").await.is_err());
        }
        assert_eq!(count.load(Ordering::Relaxed), 4);
        // The answer is believed for two seconds.
        while count.load(Ordering::Relaxed) == 4 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(value(&table, "a").await, Ok(Some("may".into())));
        }
    }
}

#[tokio::test]
async fn servers_inside_unions_and_pipes_are_asked() {
    let answers = |key: &str| if key == "x" { Says::Value("y".into()) } else { Says::Nothing };
    let server = TableServer::start(Speaks::Tcp, any_port(), answers).await.unwrap();
    let address = server.address();
    let ask = async |name: String, key: &str| {
        let table = Table::open(&name, Options::default()).unwrap();
        assert!(table.is_remote());
        value(&table, key).await.map_err(|_| ())
    };
    let pipe = format!("pipemap:{{tcp:{address}, inline:{{y=z}}}}");
    let union = format!("unionmap:{{static:a, unionmap:{{tcp:{address}}}}}");
    assert_eq!(ask(pipe.clone(), "x").await, Ok(Some("z".into())));
    assert_eq!(ask(pipe, "q").await, Ok(None));
    assert_eq!(ask(union.clone(), "x").await, Ok(Some("a,y".into())));
    server.stop().await;
    assert_eq!(ask(union, "x").await, Err(()));
}

#[tokio::test]
async fn a_unix_socket_is_spoken_to_and_one_that_is_not_there_fails() {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("socketmap:unix:{}/none:m", folder.path().display());
    let table = Table::open(&name, Options::default()).unwrap();
    assert!(value(&table, "a").await.unwrap_err().reason.contains("No such file"));
}
