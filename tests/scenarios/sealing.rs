//! What goes in clear and what does not (README, "In clear, only by this table").

use std::time::Duration;

use waxseal_queue::Downgrade;
use waxseal_testbed::{Authority, Certificate, Handshake, Peer, Step, TlsVersions};
use waxseal_tests::{Lane, Letter, bounced, deferred, delivered};
use waxseal_types::{TlsLevel, TlsStatus};

use crate::{BACKOFF, certificate};

fn letter() -> Letter {
    Letter::to(&["b@b.test"])
}

#[tokio::test]
async fn starttls_stripped_by_peer() {
    let peer = Peer::builder().start().await.expect("starts");
    let account = Lane::at(TlsLevel::May).deliver(&letter(), &[&peer.nexthop()]).await;
    assert!(delivered(&account));
    assert_eq!(account.connections[0].downgrade, Some(Downgrade::NotOffered));
    assert_eq!(account.connections[0].status, TlsStatus::None);
    assert_eq!(peer.accepted()[0].tls, None);

    let peer = Peer::builder().start().await.expect("starts");
    for age in [Duration::ZERO, BACKOFF * 10] {
        let account = Lane::at(TlsLevel::Encrypt).deliver(&letter().aged(age), &[&peer.nexthop()]).await;
        assert!(deferred(&account).starts_with("4.7."), "{:?}", account.results);
    }
    assert!(peer.commands().iter().all(|command| !command.starts_with("MAIL")), "{:?}", peer.commands());
}

#[tokio::test]
async fn starttls_under_another_word_is_not_starttls() {
    for (keyword, offered) in
        [("STARTTLS", true), ("starttls", true), ("XSTARTTLS", false), ("STARTTLSX", false)]
    {
        let builder = Peer::builder().starttls(certificate()).starttls_keyword(keyword);
        let peer = builder.start().await.expect("starts");
        let account = Lane::at(TlsLevel::Encrypt).deliver(&letter(), &[&peer.nexthop()]).await;
        assert_eq!(delivered(&account), offered, "{keyword}: {:?}", account.results);
        assert_eq!(peer.handshakes().len(), usize::from(offered), "{keyword}");
    }
}

#[tokio::test]
async fn a_session_is_sealed_where_it_can_be() {
    for level in [TlsLevel::May, TlsLevel::Encrypt] {
        let peer = Peer::builder().starttls(certificate()).require_tls().start().await.expect("starts");
        let account = Lane::at(level).deliver(&letter(), &[&peer.nexthop()]).await;
        assert!(delivered(&account), "{:?}", account.results);
        assert!(peer.accepted()[0].tls.is_some());
        assert_eq!(account.connections[0].downgrade, None);
        let ehlos = peer.commands().iter().filter(|command| command.starts_with("EHLO")).count();
        assert_eq!(ehlos, 2, "RFC 3207 §4.2: what was offered in clear is forgotten");
    }
}

#[tokio::test]
async fn level_none_does_not_ask_for_tls() {
    let peer = Peer::builder().starttls(certificate()).start().await.expect("starts");
    let account = Lane::at(TlsLevel::None).deliver(&letter(), &[&peer.nexthop()]).await;
    assert!(delivered(&account));
    assert!(!peer.commands().contains(&"STARTTLS".to_owned()));
}

#[tokio::test]
async fn any_certificate_completes_below_the_levels_that_check() {
    let authority = Authority::new("Test CA").expect("an authority");
    let leaf = || authority.leaf(&["other.example.test"]);
    for certificate in [
        leaf().expired(),
        leaf().not_yet_valid(),
        leaf().without_intermediate(),
        Certificate::self_signed(&[]),
    ] {
        for versions in [TlsVersions::Tls12, TlsVersions::Tls13] {
            let certificate = Leaf(&certificate).issue();
            let peer =
                Peer::builder().starttls(certificate).versions(versions).start().await.expect("starts");
            let account = Lane::at(TlsLevel::Encrypt).deliver(&letter(), &[&peer.nexthop()]).await;
            assert!(delivered(&account), "{:?}", account.results);
            assert_eq!(account.connections[0].status, TlsStatus::Untrusted);
        }
    }
}

/// A leaf can be issued more than once.
struct Leaf<'a>(&'a waxseal_testbed::Leaf<'a>);

impl Leaf<'_> {
    fn issue(&self) -> Certificate {
        self.0.clone().issue().expect("a leaf")
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_is_no_handshake() {
    let authority = Authority::new("Test CA").expect("an authority");
    let stolen = authority.leaf(&["mx.example.test"]).with_wrong_key().issue().expect("a leaf");
    for versions in [TlsVersions::Tls12, TlsVersions::Tls13] {
        let peer = Peer::builder().starttls(stolen.clone()).versions(versions).start().await.expect("starts");
        let account = Lane::at(TlsLevel::Encrypt).deliver(&letter(), &[&peer.nexthop()]).await;
        assert!(deferred(&account).starts_with("4.7."), "{:?}", account.results);
        assert_eq!(peer.accepted(), []);
    }
}

#[tokio::test]
async fn injected_reply_behind_starttls_is_discarded() {
    for injected in ["250 2.0.0 evil\r\n", "250-evil\r\n250 SIZE 1\r\n", "2", "\r\n\r\n", "\u{16}\u{3}\u{1}"]
    {
        for level in [TlsLevel::May, TlsLevel::Encrypt] {
            let builder = Peer::builder().starttls(certificate()).inject_behind_starttls(injected);
            let peer = builder.start().await.expect("starts");
            let account = Lane::at(level).deliver(&letter(), &[&peer.nexthop()]).await;
            let connection = &account.connections[0];
            assert_eq!(connection.injected, injected.len(), "{injected:?}: {account:#?}");
            assert!(delivered(&account) || deferred(&account).starts_with("4."), "{:?}", account.results);
            assert!(
                peer.accepted().iter().all(|message| message.tls.is_some()),
                "never in clear: {injected:?}"
            );
        }
    }
}

#[tokio::test]
async fn clear_fallback_only_after_minimal_backoff() {
    let broken = [Handshake::Eof, Handshake::Reset, Handshake::Garbage(b"HTTP/1.1 400 no\r\n\r\n".to_vec())];
    for handshake in broken {
        let builder = Peer::builder().starttls(certificate()).handshake(handshake.clone());
        let peer = builder.start().await.expect("starts");
        let lane = Lane::at(TlsLevel::May);
        for age in [Duration::ZERO, BACKOFF.checked_sub(Duration::from_secs(1)).expect("long enough")] {
            let account = lane.deliver(&letter().aged(age), &[&peer.nexthop()]).await;
            assert!(deferred(&account).starts_with("4.7."), "{handshake:?}: {:?}", account.results);
        }
        assert_eq!((peer.accepted().len(), peer.connections()), (0, 2), "{handshake:?}");

        let account = lane.deliver(&letter().aged(BACKOFF), &[&peer.nexthop()]).await;
        assert!(delivered(&account), "{handshake:?}: {:?}", account.results);
        assert_eq!(account.connections.len(), 2, "the first one failed, a new one goes without");
        assert_eq!(account.connections[1].downgrade, Some(Downgrade::HandshakeFailed));
        assert_eq!(peer.connections(), 4);

        let account =
            Lane::at(TlsLevel::Encrypt).deliver(&letter().aged(BACKOFF * 100), &[&peer.nexthop()]).await;
        assert!(deferred(&account).starts_with("4.7."), "never above may: {:?}", account.results);
        assert_eq!(peer.accepted().len(), 1);
    }
}

#[tokio::test]
async fn a_tls_session_that_dies_may_be_followed_by_one_in_clear_for_aged_mail_only() {
    let peer = Peer::builder().starttls(certificate()).close_after_tls().start().await.expect("starts");
    let lane = Lane::at(TlsLevel::May);
    let account = lane.deliver(&letter(), &[&peer.nexthop()]).await;
    assert!(deferred(&account).starts_with("4."));
    let account = lane.deliver(&letter().aged(BACKOFF), &[&peer.nexthop()]).await;
    assert!(delivered(&account), "{:?}", account.results);
    let downgrades: Vec<_> = account.connections.iter().map(|connection| connection.downgrade).collect();
    assert_eq!(downgrades.last(), Some(&Some(Downgrade::SessionDied)));
    let account = Lane::at(TlsLevel::Encrypt).deliver(&letter().aged(BACKOFF), &[&peer.nexthop()]).await;
    assert!(deferred(&account).starts_with("4."));
    assert_eq!(peer.accepted().len(), 1);
}

#[tokio::test]
async fn a_refused_starttls_is_the_next_host_and_then_later_never_a_bounce() {
    for reply in ["454 4.7.0 TLS not available", "554 5.7.0 no", "502 5.5.1 what"] {
        let builder = Peer::builder().starttls(certificate()).reply_to_starttls(reply);
        let peer = builder.start().await.expect("starts");
        let account = Lane::at(TlsLevel::May).deliver(&letter(), &[&peer.nexthop()]).await;
        assert!(delivered(&account), "{reply}: {:?}", account.results);
        let downgrade = account.connections.iter().rev().find_map(|connection| connection.downgrade);
        assert_eq!(downgrade, Some(Downgrade::Refused), "{reply}");

        let account = Lane::at(TlsLevel::Encrypt).deliver(&letter(), &[&peer.nexthop()]).await;
        assert!(deferred(&account).starts_with("4."), "{reply}: {:?}", account.results);
        let good = Peer::builder().starttls(certificate()).start().await.expect("starts");
        let hops = [peer.nexthop(), good.nexthop()];
        let account = Lane::at(TlsLevel::Encrypt).deliver(&letter(), &[&hops[0], &hops[1]]).await;
        assert!(delivered(&account), "{reply}: {:?}", account.results);
        assert!(good.accepted()[0].tls.is_some());
    }
}

#[tokio::test]
async fn aged_mail_in_clear_to_a_server_that_wants_tls_gets_its_answer() {
    let builder = Peer::builder().starttls(certificate()).handshake(Handshake::Eof).require_tls();
    let peer = builder.start().await.expect("starts");
    let account = Lane::at(TlsLevel::May).deliver(&letter().aged(BACKOFF), &[&peer.nexthop()]).await;
    assert_eq!(bounced(&account), "5.7.0");
    assert_eq!(peer.accepted(), []);
}

#[tokio::test]
async fn ehlo_refused_and_helo_taken_is_in_clear_at_may_alone() {
    let peer = Peer::builder().on(Step::Ehlo, "502 5.5.1 no").start().await.expect("starts");
    let account = Lane::at(TlsLevel::May).deliver(&letter(), &[&peer.nexthop()]).await;
    assert!(delivered(&account), "{:?}", account.results);
    assert_eq!(account.connections[0].downgrade, Some(Downgrade::EhloRefused));
    let account = Lane::at(TlsLevel::Encrypt).deliver(&letter(), &[&peer.nexthop()]).await;
    assert!(deferred(&account).starts_with("4.7."), "{:?}", account.results);
    assert_eq!(peer.accepted().len(), 1);
}

#[tokio::test]
async fn a_policy_line_overrides_the_level_and_a_wrong_one_defers() {
    let peer = Peer::builder().start().await.expect("starts");
    let hop = peer.nexthop();
    for (level, line, status) in [
        (TlsLevel::Encrypt, format!("{hop} may"), None),
        (TlsLevel::May, format!("{hop} encrypt"), Some("4.7.4")),
        (TlsLevel::May, format!("{hop} enkrypt"), Some("4.7.5")),
        (TlsLevel::May, format!("{hop} encrypt protocols=TLSv9"), Some("4.7.5")),
        (TlsLevel::May, format!("{hop} encrypt protocols=TLSv1.1"), Some("4.7.5")),
        (TlsLevel::May, format!("{hop} may colour=green"), Some("4.7.5")),
    ] {
        let account = Lane::at(level).policies(&["x none", &line]).deliver(&letter(), &[&hop]).await;
        match status {
            None => assert!(delivered(&account), "{line}: {:?}", account.results),
            Some(status) => {
                assert_eq!(deferred(&account), status, "{line}");
                let reasons = format!("{:?} {:?}", account.results, account.policies);
                assert!(reasons.contains("test:2"), "{line}: the line is not named: {reasons}");
            }
        }
    }
}
