//! A `queue-manager` as a child process.

use std::{
    ffi::OsStr,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
};
use waxseal_testbed::within;

/// The most that a start or an end may take; a debug build on a busy machine is slow.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_queue-manager");

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    log: watch::Receiver<String>,
}

/// How a daemon ended.
pub(crate) struct End {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
}

impl Daemon {
    /// Starts it in `folder` with `config` as its only file, `waxseal.toml`, and waits until it is ready.
    pub(crate) async fn start(folder: &Path, config: &str) -> Self {
        let daemon = Self::spawn(folder, config, Command::new(PROGRAM));
        daemon.became_ready().await
    }

    /// As [`Daemon::start`], with these variables in its environment.
    pub(crate) async fn start_with(environment: &[(&str, &str)], folder: &Path, config: &str) -> Self {
        let mut command = Command::new(PROGRAM);
        command.envs(environment.iter().copied());
        Self::spawn(folder, config, command).became_ready().await
    }

    /// As [`Daemon::start`], below another program that is given as the head of the command line.
    pub(crate) async fn start_below(head: &[&OsStr], folder: &Path, config: &str) -> Self {
        let (program, arguments) = head.split_first().expect("a program");
        let mut command = Command::new(program);
        command.args(arguments).arg(PROGRAM);
        Self::spawn(folder, config, command).became_ready().await
    }

    /// Runs it to its end, which must come by itself.
    pub(crate) async fn run(folder: &Path, config: &str) -> End {
        Self::spawn(folder, config, Command::new(PROGRAM)).ended().await
    }

    fn spawn(folder: &Path, config: &str, mut command: Command) -> Self {
        let file = folder.join("waxseal.toml");
        std::fs::write(&file, config).expect("the folder is ours");
        command.arg("--config").arg(&file).current_dir(folder).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be run");
        let stderr = child.stderr.take().expect("a pipe was asked for");
        let (tell, log) = watch::channel(String::new());
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                tell.send_modify(|log| {
                    log.push_str(&line);
                    log.push('\n');
                });
            }
        });
        Self { child, log }
    }

    async fn became_ready(mut self) -> Self {
        let ready = within(LIMIT, self.log.wait_for(|log| listening(log).is_some())).await.is_ok();
        assert!(ready, "it never became ready; it said:\n{}", self.log());
        self
    }

    /// Waits until it has said `word`.
    pub(crate) async fn said(&self, word: &str) {
        let mut log = self.log.clone();
        let said = within(LIMIT, log.wait_for(|log| log.contains(word))).await.is_ok();
        assert!(said, "it ended without saying {word}; it said:\n{}", self.log());
    }

    /// Where it takes mail.
    pub(crate) fn smtp(&self) -> SocketAddr {
        listening(&self.log.borrow()).expect("it is ready")
    }

    /// The process that was started.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// What it said so far.
    pub(crate) fn log(&self) -> String {
        self.log.borrow().clone()
    }

    /// SIGKILL.
    pub(crate) async fn kill_nine(mut self) {
        self.child.start_kill().expect("it runs");
        within(LIMIT, self.child.wait()).await.expect("it is our child");
    }

    /// A signal such as `TERM`, to a process such as its own.
    pub(crate) async fn signal(&self, name: &str, process: u32) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).status().await;
        assert!(status.expect("kill(1) can be run").success());
    }

    /// SIGTERM, and the clean end that must follow.
    pub(crate) async fn terminate(self) -> End {
        self.signal("TERM", self.id()).await;
        self.ended().await
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> End {
        let status = within(LIMIT, self.child.wait()).await.expect("it is our child");
        // The pipe is drained when the task that reads it drops its sender.
        while self.log.changed().await.is_ok() {}
        End { status, log: self.log() }
    }
}

/// The first loopback address of the line that says it is ready.
fn listening(log: &str) -> Option<SocketAddr> {
    const HOST: &str = "127.0.0.1:";
    let line = log.lines().find(|line| line.contains("ready") && line.contains(HOST))?;
    let address = &line[line.find(HOST)?..];
    let port = address[HOST.len()..].find(|c: char| !c.is_ascii_digit());
    address[..port.map_or(address.len(), |end| HOST.len() + end)].parse().ok()
}

/// A configuration that sends everything to `nexthop`, with its spool in `folder`.
pub(crate) fn config(folder: &Path, nexthop: &str) -> String {
    let spool = folder.join("spool");
    format!(
        r#"hostname = "queue.test"
[spool]
path = "{}"
[listen]
smtp = ["127.0.0.1:0"]
[dns]
servers = ["127.0.0.1:9"]
dnssec = "off"
[tls]
security_level = "may"
[transport]
relayhost = "{nexthop}"
[queue]
minimal_backoff = "1s"
maximal_backoff = "2s"
[log]
delivery_events = "{}"
"#,
        spool.display(),
        events_file(folder).display()
    )
}

/// Where [`config`] has the delivery events.
pub(crate) fn events_file(folder: &Path) -> PathBuf {
    folder.join("events.jsonl")
}
