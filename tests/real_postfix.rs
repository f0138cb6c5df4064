//! A real peer: Postfix (a Debian package) on loopback ports, and `swaks` as a client.
//!
//! Ignored by default, since a Postfix of one's own needs root. `.ci/run` runs it.

use std::{
    fs,
    io::Read as _,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use waxseal_queue::{Account, Outcome};
use waxseal_testbed::{Authority, within};
use waxseal_tests::{LIMIT, World};
use waxseal_types::{TlsLevel, TlsStatus};

/// `postfix start-fg` in a folder, and its end.
struct Postfix {
    child: Child,
    folder: PathBuf,
    smtp: SocketAddr,
}

const MAIN: &str = "compatibility_level = 3.6
queue_directory = {folder}/spool
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
data_directory = {folder}/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = postfix.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions =
virtual_mailbox_domains = b.test
virtual_mailbox_maps = static:all/
virtual_mailbox_base = {folder}/mail
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_transport = virtual
smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = {folder}/tls.pem
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
alias_maps =
alias_database =
smtputf8_enable = yes
";

const MASTER: &str = "127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
";

impl Postfix {
    fn start(folder: &Path) -> Self {
        let port = free_port();
        for sub in ["etc", "spool", "data", "mail"] {
            fs::create_dir_all(folder.join(sub)).expect("the folder is ours");
        }
        for open in [folder.to_owned(), folder.join("mail")] {
            fs::set_permissions(open, fs::Permissions::from_mode(0o777)).expect("the folder is ours");
        }
        let authority = Authority::new("Test CA").expect("an authority");
        let leaf = authority.leaf(&["postfix.test"]).issue().expect("a leaf");
        let chain = format!("{}{}{}", leaf.key_pem(), leaf.pem(), authority.intermediate_pem());
        fs::write(folder.join("tls.pem"), chain).expect("the folder is ours");
        let place = folder.display().to_string();
        fs::write(folder.join("etc/main.cf"), MAIN.replace("{folder}", &place)).expect("the folder is ours");
        fs::write(folder.join("etc/master.cf"), MASTER.replace("{port}", &port.to_string()))
            .expect("the folder is ours");
        let owned = Command::new("chown").arg("postfix").arg(folder.join("data")).status().expect("chown(1)");
        assert!(owned.success());
        let log = fs::File::create(folder.join("start.log")).expect("the folder is ours");
        let mut start = Command::new("postfix");
        start.arg("-c").arg(folder.join("etc")).arg("start-fg").stdin(Stdio::null());
        start.stdout(log.try_clone().expect("a file")).stderr(log);
        let child = start.spawn().expect("postfix can be run");
        let postfix =
            Self { child, folder: folder.to_owned(), smtp: SocketAddr::from(([127, 0, 0, 1], port)) };
        postfix.wait();
        postfix
    }

    /// Until it greets.
    fn wait(&self) {
        let greets = |_: u32| {
            let mut greeting = [0; 4];
            let read = TcpStream::connect(self.smtp).and_then(|mut stream| {
                stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                stream.read_exact(&mut greeting)
            });
            if read.is_err() {
                std::thread::sleep(Duration::from_millis(50));
            }
            read.is_ok() && &greeting == b"220 "
        };
        assert!((0..400).any(greets), "Postfix did not start:\n{}", self.log());
    }

    fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        read("start.log") + &read("mail.log")
    }

    /// The messages that it put into mailboxes, once there are `n`.
    async fn mailbox(&self, n: usize) -> Vec<String> {
        let folder = self.folder.join("mail/all/new");
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
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let mut stop = Command::new("postfix");
        let stopped = stop.arg("-c").arg(self.folder.join("etc")).arg("stop").stderr(Stdio::null()).status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn was_delivered(account: &Account) -> bool {
    account.results.iter().all(|result| matches!(result.outcome, Outcome::Delivered { .. }))
}

#[actix_rt::test]
#[ignore = "needs root and the Debian packages postfix and swaks"]
async fn mail_from_swaks_reaches_a_postfix_over_starttls() {
    let folder = tempfile::tempdir().expect("a folder");
    let postfix = Postfix::start(folder.path());
    let world = World::new(&format!("[{}]:{}", postfix.smtp.ip(), postfix.smtp.port()), TlsLevel::Encrypt);
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
    for text in postfix.mailbox(2).await {
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
