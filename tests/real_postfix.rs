//! A real peer: Postfix (a Debian package) on loopback ports, and `swaks` as a client.
//!
//! Ignored by default, since a Postfix of one's own needs root. `.ci/run` runs it.

use std::{fs, path::Path, time::Duration};

use waxseal_queue::{Account, Outcome};
use waxseal_testbed::{Authority, Postfix, within};
use waxseal_tests::{LIMIT, World};
use waxseal_types::{TlsLevel, TlsStatus};

const MAIN: &str = "smtpd_relay_restrictions = reject_unauth_destination
virtual_mailbox_domains = b.test
virtual_mailbox_maps = static:all/
virtual_mailbox_base = {folder}/mail
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_transport = virtual
smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = {folder}/tls.pem
smtpd_tls_received_header = yes
smtputf8_enable = yes
";

/// One that takes mail for `b.test` over TLS.
async fn start(folder: &Path) -> Postfix {
    let authority = Authority::new("Test CA").expect("an authority");
    let leaf = authority.leaf(&["postfix.test"]).issue().expect("a leaf");
    let chain = format!("{}{}{}", leaf.key_pem(), leaf.pem(), authority.intermediate_pem());
    fs::write(folder.join("tls.pem"), chain).expect("the folder is ours");
    let postfix = Postfix::start(folder, MAIN, "").expect("Postfix can be started");
    within(LIMIT, postfix.greets()).await;
    postfix
}

/// The messages that it put into mailboxes, once there are `n`.
async fn mailbox(folder: &Path, n: usize) -> Vec<String> {
    let folder = folder.join("mail/all/new");
    let look = async {
        loop {
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            let texts: Vec<String> =
                entries.filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect();
            if texts.len() >= n {
                return texts;
            }
            // Another program writes there; there is nothing to be woken by.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(LIMIT, look).await
}

fn was_delivered(account: &Account) -> bool {
    account.results.iter().all(|result| matches!(result.outcome, Outcome::Delivered { .. }))
}

#[actix_rt::test]
#[ignore = "needs root and the Debian packages postfix and swaks"]
async fn mail_from_swaks_reaches_a_postfix_over_starttls() {
    let folder = tempfile::tempdir().expect("a folder");
    let postfix = start(folder.path()).await;
    let smtp = postfix.smtp();
    let world = World::new(&format!("[{}]:{}", smtp.ip(), smtp.port()), TlsLevel::Encrypt);
    let engine = world.start().await;
    let intake = engine.addresses()[0];

    let body = "Subject: from swaks\\n\\n.a dot\\n..two\\nthe end\\n";
    let mut swaks = tokio::process::Command::new("swaks");
    swaks.args(["--server", "127.0.0.1", "--port", &intake.port().to_string(), "--from", "a@a.test"]);
    swaks.args(["--to", "b@b.test,c@b.test", "--helo", "client.test", "--data", body]);
    let output = within(LIMIT, swaks.output()).await.expect("swaks can be run");
    let talk = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{talk}");

    let account = within(LIMIT, world.recorder.attempt(|_| true)).await;
    assert!(was_delivered(&account), "{:?}\n{}", account.results, postfix.log());
    assert_eq!(account.connections[0].status, TlsStatus::Untrusted);
    for text in mailbox(folder.path(), 2).await {
        // Postfix adds the header fields that are missing; the text is as it was.
        assert!(text.contains("Subject: from swaks\n"), "{text}");
        assert!(text.contains("\n\n.a dot\n..two\nthe end\n"), "{text}");
        assert!(text.contains("using TLSv1.3"), "Postfix saw TLS:\n{text}");
        assert!(text.contains("by queue.test"), "our Received line:\n{text}");
    }

    // A recipient that Postfix refuses bounces with its words.
    world.submit(&engine, "a@a.test", &["nobody@elsewhere.test"], "Subject: x\n\nx\n").await;
    let account = within(LIMIT, world.recorder.attempt(|account| !was_delivered(account))).await;
    let Outcome::Bounced(failure) = &account.results[0].outcome else {
        unreachable!("{:?}", account.results)
    };
    assert_eq!(failure.status.to_string(), "5.7.1", "{failure:?}");
    assert!(engine.shut_down().await);
}
