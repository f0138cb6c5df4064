//! Clients that ask for too much, or take too long: threats V10, V11, V13, V14 and the queue's ports under stress.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::{io::DuplexStream, task::spawn_local, time::Instant};
use waxseal_intake::{Cidr, Intake, RateLimits, Settings};
use waxseal_spool::Accept;

use crate::common::{Client, Memory, local, settings};

/// Strangers everywhere, but for 192.0.2.0/24.
fn strangers() -> Settings {
    Settings { relay_from: vec!["192.0.2.0/24".parse::<Cidr>().unwrap()], ..settings() }
}

fn come(intake: &Arc<Intake>, address: &str) -> Client<DuplexStream> {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let address: IpAddr = address.parse().unwrap();
    let accept = Arc::new(Memory::default()) as Arc<dyn Accept>;
    spawn_local(Arc::clone(intake).attend(theirs, Some(address), accept));
    Client::new(ours)
}

#[test]
fn connections_of_a_network_are_limited_in_number_and_in_rate() {
    local(async {
        let mut settings = strangers();
        settings.client_connection_limit = 2;
        let intake = Arc::new(Intake::bind(settings.clone()).unwrap());
        let mut held = Vec::new();
        for (address, code) in [
            ("2001:db8::1", 220),
            ("2001:db8::2", 220),
            ("2001:db8::3", 421),
            ("2001:db8:0:1::1", 220),
            ("198.51.100.1", 220),
        ] {
            let mut client = come(&intake, address);
            assert_eq!(client.codes(1).await, [code], "{address}");
            held.push(client);
        }
        settings.rates = RateLimits { connections: 3, ..RateLimits::default() };
        let intake = Arc::new(Intake::bind(settings).unwrap());
        for (address, code) in [
            ("198.51.100.1", 220),
            ("198.51.100.1", 220),
            ("198.51.100.1", 220),
            ("198.51.100.1", 421),
            ("198.51.100.2", 220),
        ] {
            let mut client = come(&intake, address);
            assert_eq!(client.codes(1).await, [code], "{address}");
            if code == 220 {
                client.say("QUIT\r\n").await;
                assert_eq!(client.codes(1).await, [221]);
            }
            assert!(client.ended().await);
        }
        // postconf(5), smtpd_client_event_limit_exceptions.
        for _ in 0..10 {
            assert_eq!(come(&intake, "192.0.2.1").codes(1).await, [220]);
        }
    });
}

#[test]
fn messages_and_recipients_of_a_client_are_limited_over_its_sessions() {
    local(async {
        let mut settings = strangers();
        settings.rates = RateLimits { messages: 2, recipients: 3, ..RateLimits::default() };
        let intake = Arc::new(Intake::bind(settings).unwrap());
        let mut codes = Vec::new();
        for _ in 0..3 {
            let mut client = come(&intake, "198.51.100.1");
            client.hello().await;
            client.say("MAIL FROM:<a@a.example>\r\n").await;
            let mail = client.codes(1).await;
            if mail == [250] {
                client.say("RCPT TO:<b@b.example>\r\nRCPT TO:<b@b.example>\r\n").await;
                codes.push((mail[0], client.codes(2).await));
            } else {
                codes.push((mail[0], Vec::new()));
            }
        }
        assert_eq!(codes, [(250, vec![554, 554]), (250, vec![554, 450]), (450, vec![])]);
    });
}

/// Threats V10 and P9: a crowd that holds all the connections it can get, and honest clients.
#[tokio::test(start_paused = true)]
async fn silent_strangers_leave_soon_when_connections_are_scarce_and_ours_always_get_in() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let mut settings = strangers();
            settings.connection_limit = 20;
            let intake = Arc::new(Intake::bind(settings).unwrap());
            let start = Instant::now();
            let mut crowd = Vec::new();
            for n in 0..18 {
                let mut client = come(&intake, &format!("198.51.100.{n}"));
                assert_eq!(client.codes(1).await, [220]);
                crowd.push(client);
            }
            // Nine tenths are taken: no further stranger, but there is room for those whose server it is.
            assert_eq!(come(&intake, "203.0.113.9").codes(1).await, [421]);
            let mut honest = come(&intake, "192.0.2.1");
            honest.hello().await;
            for client in &mut crowd {
                assert_eq!(client.reply().await, "421 4.4.2 Error: timeout exceeded");
            }
            let taken = start.elapsed();
            assert!(taken >= Duration::from_secs(10) && taken <= Duration::from_secs(16), "{taken:?}");
            drop(crowd);
            honest.begin().await;
            // With room again, silence is borne as long as ever.
            let mut late = come(&intake, "203.0.113.9");
            assert_eq!(late.codes(1).await, [220]);
            let start = Instant::now();
            assert_eq!(late.reply().await, "421 4.4.2 Error: timeout exceeded");
            assert!(start.elapsed() >= Duration::from_secs(299), "{:?}", start.elapsed());
        })
        .await;
}

/// Threats V10: one octet every ten seconds, in a command, buys no time.
#[tokio::test(start_paused = true)]
async fn a_command_that_trickles_in_ends_at_its_deadline() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let intake = Arc::new(Intake::bind(strangers()).unwrap());
            let mut client = come(&intake, "198.51.100.1");
            client.hello().await;
            let start = Instant::now();
            let mut octets = 0;
            while client.silent().await {
                client.say("N").await;
                octets += 1;
                tokio::time::advance(Duration::from_secs(10)).await;
            }
            assert_eq!(client.reply().await, "421 4.4.2 Error: timeout exceeded");
            assert!((25..=35).contains(&octets), "{octets} octets in {:?}", start.elapsed());
        })
        .await;
}

/// Threats V11 and V13: what is no mail.
#[test]
fn junk_and_other_protocols_end_the_session() {
    local(async {
        let mut settings = strangers();
        settings.protocol.forbidden = vec!["CONNECT".into(), "GET".into(), "POST".into(), "HELP".into()];
        settings.error_delay = Duration::ZERO;
        let intake = Arc::new(Intake::bind(settings).unwrap());
        for line in
            ["GET / HTTP/1.1", "post / HTTP/1.1", "CONNECT a:25 HTTP/1.0", "HELP", "\u{1}\u{2}", "{json}"]
        {
            let mut client = come(&intake, "198.51.100.1");
            client.codes(1).await;
            client.say(&format!("{line}\r\nHost: <script>\r\n\r\n")).await;
            let reply = client.reply().await;
            assert_eq!(
                reply, "221 2.7.0 Error: this is a mail server. Goodbye",
                "{line}: no input is reflected"
            );
            assert!(client.ended().await);
        }
        for (line, most, end) in [("NOOP\r\n", 101, 421), ("VRFY a\r\n", 101, 421), ("XYZZY\r\n", 21, 421)] {
            let mut client = come(&intake, "198.51.100.1");
            client.hello().await;
            let mut count = 0;
            loop {
                client.say(line).await;
                count += 1;
                if client.codes(1).await == [end] {
                    break;
                }
                assert!(count <= most, "{line}");
            }
        }
    });
}

/// Threats V14: no spelling of an address makes a relay of us, and source routes lead nowhere but to their end.
#[test]
fn rfc5321_no_address_relays_for_a_stranger() {
    const ADDRESSES: [&str; 30] = [
        "<u@far.example>",
        "u@far.example",
        "<@here.example:u@far.example>",
        "<@a.example,@b.example:u@far.example>",
        "<u%far.example@mx.example>",
        "<u%far.example>",
        "<far.example!u>",
        "<far.example!u@mx.example>",
        "<\"u@far.example\">",
        "<\"u@far.example\"@mx.example>",
        "<\"u%far.example\"@mx.example>",
        "<u@far.example@mx.example>",
        "<u@[192.0.2.7]>",
        "<u@[IPv6:2001:db8::7]>",
        "<u@[mx.example]>",
        "<u@127.0.0.1>",
        "<u@localhost>",
        "<u@mx.example.>",
        "<u@.mx.example>",
        "<u@@mx.example>",
        "<@mx.example>",
        "<u@mx.example:25>",
        "<u@mx.example;far.example>",
        "<u@MX.EXAMPLE>",
        "<postmaster>",
        "<Postmaster@far.example>",
        "<\"\"@far.example>",
        "<u\\@far.example@mx.example>",
        "<|/bin/sh>",
        "</etc/passwd>",
    ];
    local(async {
        let mut settings = strangers();
        settings.protocol.hard_error_limit = 1000;
        settings.protocol.soft_error_limit = 1000;
        let intake = Arc::new(Intake::bind(settings).unwrap());
        let mut client = come(&intake, "198.51.100.1");
        client.hello().await;
        client.say("MAIL FROM:<a@a.example>\r\n").await;
        assert_eq!(client.codes(1).await, [250]);
        for address in ADDRESSES {
            client.say(&format!("RCPT TO:{address}\r\n")).await;
            let reply = client.reply().await;
            assert!(reply.starts_with('5'), "{address}: {reply}");
        }
    });
}

/// Threats V10, within TLS: STARTTLS, and then nothing.
#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_comes_ends_at_its_deadline() {
    let authority = crate::certificates::Authority::new();
    tokio::task::LocalSet::new()
        .run_until(async {
            let mut settings = strangers();
            settings.tls.level = waxseal_intake::Level::May;
            settings.tls.files.chain_files = vec![authority.server("mx.example", false).file];
            let intake = Arc::new(Intake::bind(settings).unwrap());
            let mut client = come(&intake, "198.51.100.1");
            client.hello().await;
            let start = Instant::now();
            client.say("STARTTLS\r\n").await;
            assert_eq!(client.codes(1).await, [220]);
            assert!(client.ended().await);
            assert_eq!(start.elapsed().as_secs(), 300);
            // And at the shutdown at once.
            let mut client = come(&intake, "198.51.100.1");
            client.hello().await;
            client.say("STARTTLS\r\n").await;
            assert_eq!(client.codes(1).await, [220]);
            intake.shut_down();
            assert!(client.ended().await);
            intake.drained().await;
        })
        .await;
}
