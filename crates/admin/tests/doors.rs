//! Who may come in at the doors: requests as anybody can write them, octet by octet, and what they did.
#![expect(clippy::unwrap_used, reason = "a test that fails panics, its helpers as well")]

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};
use waxseal_admin::{
    Answer, Bound, Desk, Destination, Done, Filter, Lookup, Order, Overview, Page, Refusal, Running, SOCKET,
    Settings, Shown, Switches, SwitchesChange,
};
use waxseal_types::QueueId;

/// No machine is so slow.
const LIMIT: Duration = Duration::from_secs(60);
const TOKEN: &str = "correct horse battery staple";

/// A desk with an empty queue, which counts what it is told to change.
#[derive(Default)]
struct Still {
    changed: AtomicUsize,
}

impl Still {
    fn change<T: Send + 'static>(&self, answer: T) -> Answer<'_, T> {
        self.changed.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(answer)))
    }
}

fn say<T: Send + 'static>(answer: T) -> Answer<'static, T> {
    Box::pin(std::future::ready(Ok(answer)))
}

impl Desk for Still {
    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    fn hostname(&self) -> String {
        "mail.example.org".into()
    }

    fn overview(&self) -> Answer<'_, Overview> {
        say(Overview::default())
    }

    fn list(&self, _: &Filter, _: Option<&str>, _: usize) -> Answer<'_, Page> {
        say(Page::default())
    }

    fn message(&self, id: QueueId) -> Answer<'_, Shown> {
        Box::pin(std::future::ready(Err(Refusal::Unknown(id.to_string()))))
    }

    fn raw(&self, _: QueueId) -> Answer<'_, Bytes> {
        say(Bytes::from_static(b"Subject: secret\r\n\r\n"))
    }

    fn destinations(&self, _: usize) -> Answer<'_, Vec<Destination>> {
        say(Vec::new())
    }

    fn act(&self, order: &Order) -> Answer<'_, Done> {
        if order.dry_run { say(Done::default()) } else { self.change(Done::default()) }
    }

    fn suspend(&self, _: &str, _: bool) -> Answer<'_, Done> {
        self.change(Done::default())
    }

    fn switches(&self) -> Answer<'_, Switches> {
        say(Switches::default())
    }

    fn switch(&self, _: SwitchesChange) -> Answer<'_, Switches> {
        self.change(Switches::default())
    }

    fn reload(&self, _: bool) -> Answer<'_, Vec<String>> {
        self.change(Vec::new())
    }

    fn policy(&self, nexthop: &str) -> Answer<'_, Value> {
        say(json!({ "nexthop": nexthop }))
    }

    fn explain(&self, _: &str, _: bool) -> Answer<'_, Value> {
        self.change(Value::Null)
    }

    fn story(&self, _: QueueId) -> Answer<'_, Value> {
        say(Value::Null)
    }

    fn ledger(&self, _: &Lookup) -> Answer<'_, Vec<Value>> {
        say(Vec::new())
    }

    fn metrics(&self) -> Answer<'_, String> {
        say(String::new())
    }
}

/// The doors are attended to by an actix system.
fn played(play: impl Future<Output = ()>) {
    actix_web::rt::System::new().block_on(play);
}

struct House {
    folder: tempfile::TempDir,
    desk: Arc<Still>,
    running: Running,
}

impl House {
    /// With both doors open; with a token, if it has one.
    fn open(token: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token_file = token.map(|token| write_token(folder.path(), token));
        let settings =
            Settings { address: Some(SocketAddr::from(([127, 0, 0, 1], 0))), wanted: true, token_file };
        let (bound, notice) = Bound::bind(&settings).unwrap();
        assert!(notice.is_none(), "{notice:?}");
        let desk = Arc::new(Still::default());
        let running = bound
            .serve(folder.path(), Arc::clone(&desk) as Arc<dyn Desk>, Arc::default(), Arc::default())
            .unwrap();
        Self { folder, desk, running }
    }

    fn address(&self) -> SocketAddr {
        self.running.address().unwrap()
    }

    /// Sends a request to the door on TCP; `Host` is right where `head` has none.
    async fn asks(&self, line: &str, head: &[&str], body: &str) -> Said {
        let stream = tokio::time::timeout(LIMIT, TcpStream::connect(self.address())).await.unwrap().unwrap();
        talk(stream, &text(line, head, body, &self.address().to_string())).await
    }

    fn changed(&self) -> usize {
        self.desk.changed.load(Ordering::Relaxed)
    }

    fn audited(&self) -> usize {
        let log = std::fs::read_to_string(self.folder.path().join("audit.jsonl")).unwrap_or_default();
        log.lines().filter(|line| line.contains("\"asked\"")).count()
    }
}

fn write_token(folder: &Path, token: &str) -> std::path::PathBuf {
    let path = folder.join("token");
    std::fs::write(&path, format!("{token}\n")).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    path
}

fn text(line: &str, head: &[&str], body: &str, host: &str) -> String {
    let mut text = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
    if !head.iter().any(|field| field.to_lowercase().starts_with("host:")) {
        text.push_str(&format!("Host: {host}\r\n"));
    }
    for field in head {
        text.push_str(&format!("{field}\r\n"));
    }
    let sized = head.iter().any(|field| field.to_lowercase().starts_with("content-length:"));
    if !sized && !body.is_empty() {
        text.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    text + "\r\n" + body
}

/// What it is, the request's line, head and body, and what may be said to it.
type Case<'a> = (&'a str, &'a str, &'a [&'a str], &'a str, &'a [u16]);

/// Status, and all of the answer.
struct Said {
    status: u16,
    whole: String,
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Said {
    let mut whole = Vec::new();
    let talk = async {
        // A door that refuses may close before it has read all.
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.read_to_end(&mut whole).await;
    };
    tokio::time::timeout(LIMIT, talk).await.unwrap();
    let whole = String::from_utf8_lossy(&whole).into_owned();
    let status = whole.get(9..12).and_then(|code| code.parse().ok()).unwrap_or_default();
    Said { status, whole }
}

/// All that changes something, with what it is told.
const ORDERS: [(&str, &str); 6] = [
    ("POST /api/v1/actions", r#"{"action":"remove","all":true}"#),
    ("POST /api/v1/destinations/suspend", r#"{"destination":"example.com"}"#),
    ("POST /api/v1/destinations/resume", r#"{"destination":"example.com"}"#),
    ("POST /api/v1/switches", r#"{"defer_all":true}"#),
    ("POST /api/v1/reload", "{}"),
    ("POST /api/v1/explain", r#"{"target":"example.com","connect":true}"#),
];

#[test]
fn on_loopback_nothing_changes_that_another_site_could_send() {
    played(async {
        let house = House::open(None);
        let own = format!("Origin: http://{}", house.address());
        let beside = format!("Origin: http://{}.evil.test", house.address());
        let refused: [(&str, &[&str], u16); 9] = [
            ("no header of ours, as a form", &[], 403),
            ("a form of another site", &["Origin: http://evil.test"], 403),
            ("a script of another site", &["X-Waxseal: 1", "Origin: http://evil.test"], 403),
            ("a site whose name begins as ours", &["X-Waxseal: 1", &beside], 403),
            ("a sandboxed frame", &["X-Waxseal: 1", "Origin: null"], 403),
            ("another port of this machine", &["X-Waxseal: 1", "Origin: http://127.0.0.1:1"], 403),
            ("told by the browser", &["X-Waxseal: 1", "Sec-Fetch-Site: cross-site"], 403),
            ("the same, of a sister site", &["X-Waxseal: 1", "Sec-Fetch-Site: same-site"], 403),
            ("a name that was made to point here", &["X-Waxseal: 1", "Host: evil.test"], 421),
        ];
        for (line, body) in ORDERS {
            for (what, head, status) in refused {
                let said = house.asks(line, head, body).await;
                assert_eq!(said.status, status, "{what}: {line}: {}", said.whole);
            }
        }
        assert_eq!((house.changed(), house.audited()), (0, 0), "what is refused is no order");
        for (line, body) in ORDERS {
            let head = ["X-Waxseal: 1", own.as_str(), "Sec-Fetch-Site: same-origin"];
            let said = house.asks(line, &head, body).await;
            assert_eq!(said.status, 200, "{line}: {}", said.whole);
        }
        assert_eq!(house.changed(), ORDERS.len());
        assert_eq!(house.audited(), ORDERS.len() - 1, "to explain changes nothing in the queue");
    });
}

#[test]
fn on_loopback_nothing_is_read_by_another_site_or_under_another_name() {
    played(async {
        let house = House::open(None);
        for host in
            ["evil.test", "127.0.0.1.evil.test", "localhost.evil.test", "10.0.0.1", "", "user@localhost"]
        {
            let head = [format!("Host: {host}")];
            let head = head.each_ref().map(String::as_str);
            for path in ["/", "/api/v1/queue", "/metrics", "/health/ready"] {
                let said = house.asks(&format!("GET {path}"), &head, "").await;
                assert!(matches!(said.status, 400 | 421), "{host:?} {path}: {}", said.whole);
            }
        }
        for field in ["Origin: http://evil.test", "Sec-Fetch-Site: cross-site"] {
            let said = house.asks("GET /api/v1/queue", &[field], "").await;
            assert_eq!(said.status, 403, "{field}: {}", said.whole);
        }
        for host in ["localhost", "127.0.0.1:1", "[::1]:8025"] {
            let said = house.asks("GET /api/v1/queue", &[&format!("Host: {host}")], "").await;
            assert_eq!(said.status, 200, "{host}: {}", said.whole);
            let lower = said.whole.to_lowercase();
            assert!(!lower.contains("access-control-allow"), "no other origin is let in: {lower}");
            for field in ["content-security-policy: default-src 'none'", "x-frame-options: deny", "no-store"]
            {
                assert!(lower.contains(field), "{field} is missing: {lower}");
            }
        }
        // To be on this machine is not enough for the texts of its users' mail.
        let id = QueueId::from_u64(1_795_249_800_000_001);
        let said = house.asks(&format!("GET /api/v1/messages/{id}/raw"), &[], "").await;
        assert!(said.status == 403 && !said.whole.contains("secret"), "{}", said.whole);
    });
}

#[test]
fn with_a_token_nothing_is_told_without_it_and_a_guesser_is_heard_less() {
    played(async {
        let house = House::open(Some(TOKEN));
        let id = QueueId::from_u64(1_795_249_800_000_001);
        let raw = format!("GET /api/v1/messages/{id}/raw");
        for line in ["GET /api/v1/queue", "GET /metrics", "GET /api/v1/openapi.json", "GET /nowhere", &raw] {
            for head in [&[][..], &["Authorization: Basic Y29ycmVjdDpob3JzZQ=="], &["Authorization: Bearer"]]
            {
                let said = house.asks(line, head, "").await;
                assert_eq!(said.status, 401, "{line} {head:?}: {}", said.whole);
            }
        }
        for (line, body) in ORDERS {
            assert_eq!(house.asks(line, &["X-Waxseal: 1"], body).await.status, 401, "{line}");
        }
        // The page itself has no data, and a supervisor need not have the token.
        for path in ["/", "/app.js", "/health/live", "/health/ready"] {
            assert_eq!(house.asks(&format!("GET {path}"), &[], "").await.status, 200, "{path}");
        }
        let right = format!("Authorization: Bearer {TOKEN}");
        assert_eq!(house.asks(&raw, &[&right], "").await.status, 200);
        let said = house.asks(ORDERS[0].0, &[&right], ORDERS[0].1).await;
        assert_eq!((said.status, house.changed()), (403, 0), "the token alone is what a browser may add");
        let said = house.asks(ORDERS[0].0, &[&right, "X-Waxseal: 1"], ORDERS[0].1).await;
        assert_eq!((said.status, house.changed(), house.audited()), (200, 1, 1), "{}", said.whole);

        let mut statuses = Vec::new();
        for number in 0..7 {
            let wrong = format!("Authorization: Bearer wrong horse number {number}");
            statuses.push(house.asks("GET /api/v1/queue", &[&wrong], "").await.status);
        }
        assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
        let said = house.asks("GET /api/v1/queue", &[&right], "").await;
        assert_eq!(said.status, 429, "nor is who guesses told when it was right");
        // The door of this machine's operator is another one.
        let stream = UnixStream::connect(house.folder.path().join(SOCKET)).await.unwrap();
        assert_eq!(talk(stream, &text(&raw, &[], "", "localhost")).await.status, 200);
    });
}

#[test]
fn what_is_too_large_or_malformed_is_refused_and_changes_nothing() {
    played(async {
        let house = House::open(None);
        let long = format!(r#"{{"action":"remove","select":{{"ids":["{}"]}}}}"#, "B".repeat(300 << 10));
        let deep = "[".repeat(100_000);
        let many = format!("GET /api/v1/queue?{}", "limit=1&".repeat(20_000));
        let table: [Case<'_>; 10] = [
            ("a body of 300 kB", ORDERS[0].0, &["X-Waxseal: 1"], &long, &[413]),
            (
                "one that is announced as 1 TB",
                ORDERS[0].0,
                &["X-Waxseal: 1", "Content-Length: 1099511627776"],
                "{}",
                &[413],
            ),
            (
                "one without an end",
                ORDERS[0].0,
                &["X-Waxseal: 1", "Content-Length: 99999999999999999999"],
                "{}",
                &[400],
            ),
            ("a hundred thousand brackets", ORDERS[0].0, &["X-Waxseal: 1"], &deep, &[400]),
            ("a head of 160 kB", &many, &[], "", &[400, 414, 431]),
            ("a list for an object", ORDERS[0].0, &["X-Waxseal: 1"], r#"["remove",true]"#, &[400]),
            (
                "all and a selection",
                ORDERS[0].0,
                &["X-Waxseal: 1"],
                r#"{"action":"remove","all":true,"select":{"sender":"a"}}"#,
                &[400],
            ),
            ("nothing selected", ORDERS[0].0, &["X-Waxseal: 1"], r#"{"action":"remove"}"#, &[400]),
            (
                "a word nobody knows",
                ORDERS[0].0,
                &["X-Waxseal: 1"],
                r#"{"action":"remove","all":true,"force":1}"#,
                &[400],
            ),
            (
                "a reason with a line end",
                ORDERS[0].0,
                &["X-Waxseal: 1"],
                "{\"action\":\"bounce\",\"all\":true,\"reason\":\"a\\r\\nBcc: b\"}",
                &[400],
            ),
        ];
        for (what, line, head, body, expected) in table {
            let said = house.asks(line, head, body).await;
            // A door that closes on what never ends has said no as well.
            let refused = expected.contains(&said.status) || (said.whole.is_empty() && body.len() < 3);
            assert!(refused, "{what}: {} {}", said.status, said.whole.get(..300).unwrap_or(&said.whole));
        }
        for line in
            ["DELETE /api/v1/queue", "PUT /api/v1/actions", "GET /api/v1/actions", "POST /api/v1/queue"]
        {
            let said = house.asks(line, &["X-Waxseal: 1"], "").await;
            assert_eq!(said.status, 405, "{line}: {}", said.whole);
        }
        assert_eq!((house.changed(), house.audited()), (0, 0));
        assert_eq!(house.asks("GET /api/v1/queue", &[], "").await.status, 200, "and it goes on");
    });
}

#[test]
fn a_new_token_counts_after_a_reload_and_a_broken_file_changes_nothing() {
    played(async {
        let house = House::open(Some(TOKEN));
        let shows = |token: &str| format!("Authorization: Bearer {token}");
        write_token(house.folder.path(), "another horse, another battery");
        house.running.office().reload().unwrap();
        let said = house.asks("GET /api/v1/queue", &[&shows("another horse, another battery")], "").await;
        assert_eq!(said.status, 200);
        assert_eq!(house.asks("GET /api/v1/queue", &[&shows(TOKEN)], "").await.status, 401);
        write_token(house.folder.path(), "short");
        assert!(house.running.office().reload().is_err());
        let said = house.asks("GET /api/v1/queue", &[&shows("another horse, another battery")], "").await;
        assert_eq!(said.status, 200);
    });
}

#[test]
fn the_network_is_not_let_in_without_a_token() {
    let settings =
        Settings { address: Some(SocketAddr::from(([0, 0, 0, 0], 0))), wanted: true, token_file: None };
    assert!(Bound::bind(&settings).is_err());
}
