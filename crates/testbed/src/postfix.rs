//! A Postfix of one's own, from the Debian package, in a folder: for tests that need the real thing. It needs root.

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::Error;

/// What holds for each of them; `{folder}` is theirs. Later lines win, so that a test's own come behind.
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
smtpd_recipient_restrictions =
smtp_tls_loglevel = 1
smtpd_tls_loglevel = 1
alias_maps =
alias_database =
";

/// Its programs, but those that a test names; `{smtp}` is its address.
const MASTER: &str = "{smtp} inet n - n - - smtpd
pickup unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
smtp unix - - n - - smtp
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsproxy unix - - n - 0 tlsproxy
postlog unix-dgram n - n - 1 postlogd
";

/// How often its log is looked at: another program writes there, and there is nothing to be woken by.
const LOOK: Duration = Duration::from_millis(50);

/// A running Postfix; it ends when it is dropped.
#[derive(Debug)]
pub struct Postfix {
    child: Child,
    folder: PathBuf,
    smtp: SocketAddr,
}

impl Postfix {
    /// Starts it in `folder`, with these lines behind those of `main.cf` and `master.cf` that each of them has; `{folder}` in them is the folder. It may take
    /// a moment to come up.
    ///
    /// # Errors
    /// It is not installed, or this is not root.
    pub fn start(folder: &Path, main: &str, master: &str) -> Result<Self, Error> {
        Self::launch(folder, (main, master), Command::new("postfix"))
    }

    /// As [`Postfix::start`], with a resolver of its own whose AD bit it believes: a resolv.conf(5) in a mount namespace that nobody else sees.
    ///
    /// # Errors
    /// As there; or there is no unshare(1).
    pub fn start_asking(folder: &Path, main: &str, master: &str, resolver: IpAddr) -> Result<Self, Error> {
        let file = folder.join("resolv.conf");
        fs::create_dir_all(folder)?;
        fs::write(&file, format!("nameserver {resolver}\noptions edns0 trust-ad\n"))?;
        let mut unshare = Command::new("unshare");
        let script = "mount --bind \"$1\" /etc/resolv.conf && shift && exec postfix \"$@\"";
        unshare.args(["-m", "sh", "-c", script, "sh"]).arg(file);
        Self::launch(folder, (main, master), unshare)
    }

    fn launch(folder: &Path, (main, master): (&str, &str), mut start: Command) -> Result<Self, Error> {
        let smtp = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        for sub in ["etc", "spool", "data", "mail"] {
            fs::create_dir_all(folder.join(sub))?;
        }
        // Its programs are not root.
        for open in [folder.to_owned(), folder.join("mail")] {
            fs::set_permissions(open, fs::Permissions::from_mode(0o777))?;
        }
        let place = folder.display().to_string();
        let filled = |head: &str, more: &str| {
            format!("{head}{more}").replace("{folder}", &place).replace("{smtp}", &smtp.to_string())
        };
        fs::write(folder.join("etc/main.cf"), filled(MAIN, main))?;
        fs::write(folder.join("etc/master.cf"), filled(MASTER, master))?;
        let owned = Command::new("chown").arg("postfix").arg(folder.join("data")).status()?;
        if !owned.success() {
            return Err(std::io::Error::other("there is no user postfix, or this is not root").into());
        }
        let log = fs::File::create(folder.join("start.log"))?;
        start.arg("-c").arg(folder.join("etc")).arg("start-fg").stdin(Stdio::null());
        let child = start.stdout(log.try_clone()?).stderr(log).spawn()?;
        Ok(Self { child, folder: folder.to_owned(), smtp })
    }

    /// Where it takes mail.
    #[must_use]
    pub const fn smtp(&self) -> SocketAddr {
        self.smtp
    }

    /// The folder of its configuration, for `-c` and `-C`.
    #[must_use]
    pub fn etc(&self) -> PathBuf {
        self.folder.join("etc")
    }

    /// All that it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        read("start.log") + &read("mail.log")
    }

    /// Returns when it takes mail.
    pub async fn greets(&self) {
        let greets = async || {
            let mut stream = tokio::net::TcpStream::connect(self.smtp).await.ok()?;
            let mut greeting = [0; 4];
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut greeting).await.ok()?;
            (&greeting == b"220 ").then_some(())
        };
        while greets().await.is_none() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The first line of its log with all of these words, once there is one.
    pub async fn logs(&self, words: &[&str]) -> String {
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| words.iter().all(|word| line.contains(word))) {
                return line.to_owned();
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let mut stop = Command::new("postfix");
        let stopped = stop.arg("-c").arg(self.etc()).arg("stop").stderr(Stdio::null()).status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
