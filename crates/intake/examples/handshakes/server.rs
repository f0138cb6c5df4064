//! The two servers, and what the kernel says of them.

use std::{
    io::{self, BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use tokio::task::LocalSet;
use waxseal_intake::{Cidr, Intake, Level, RelayRule, Settings};
use waxseal_spool::{Accept, Gate, Gathering, Refusal};
use waxseal_testbed::{Postfix, within};
use waxseal_types::{Envelope, QueueId};

struct Nowhere(Gate);

impl Accept for Nowhere {
    fn ready(&self) -> Result<(), Refusal> {
        Ok(())
    }
    fn next_id(&self) -> QueueId {
        self.0.next_id()
    }
    fn gathering(&self) -> Gathering {
        self.0.gathering()
    }
    fn accept(
        &self,
        _: Envelope,
        _: bytes::Bytes,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>> {
        Box::pin(async { Err(Refusal::FULL) })
    }
}

/// The intake, in this process, on one thread, as in the queue manager.
pub(crate) fn serve(chain: PathBuf) -> io::Result<()> {
    let mut settings =
        Settings { listen: vec!["127.0.0.1:0".parse().map_err(io::Error::other)?], ..Settings::default() };
    settings.connection_limit = 4000;
    settings.relay_from = Cidr::LOOPBACK.to_vec();
    settings.relay_rules = RelayRule::DEFAULT.to_vec();
    settings.tls.level = Level::May;
    settings.tls.files.chain_files = vec![chain];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let intake = Arc::new(Intake::bind(settings).map_err(io::Error::other)?);
        println!("{}", intake.local_addrs()[0]);
        intake.serve(Arc::new(Nowhere(Gate::default()))).await.map_err(io::Error::other)
    })
}

pub(crate) trait Server {
    fn address(&self) -> SocketAddr;
    /// Seconds of CPU that its processes have had.
    fn cpu(&self) -> io::Result<f64>;
}

/// Another process of this program.
pub(crate) struct Ours {
    child: Child,
    address: SocketAddr,
}

impl Ours {
    pub(crate) fn start(chain: &Path) -> io::Result<Self> {
        let own = std::env::current_exe()?;
        let mut child = Command::new(own).arg("--serve").arg(chain).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.trim().parse().map_err(io::Error::other)?;
        Ok(Self { child, address })
    }

    /// Octets in memory.
    pub(crate) fn resident(&self) -> io::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id()))?;
        let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
        Ok(pages * 4096)
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server for Ours {
    fn address(&self) -> SocketAddr {
        self.address
    }
    fn cpu(&self) -> io::Result<f64> {
        ticks(self.child.id())
    }
}

/// A Postfix with its usual settings; its log is as short as it gets.
pub(crate) struct Theirs(Postfix);

const MAIN: &str = "smtpd_tls_security_level = may
smtpd_tls_loglevel = 0
smtp_tls_loglevel = 0
smtpd_client_connection_count_limit = 0
smtpd_tls_chain_files = ";

impl Theirs {
    pub(crate) fn start(folder: &Path, chain: &Path) -> io::Result<Self> {
        let main = format!("{MAIN}{}\n", chain.display());
        let postfix = Postfix::start(folder, &main, "").map_err(io::Error::other)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(within(Duration::from_secs(20), postfix.greets()));
        Ok(Self(postfix))
    }
}

impl Server for Theirs {
    fn address(&self) -> SocketAddr {
        self.0.smtp()
    }

    /// Of master(8) and of all its children, those that ended included.
    fn cpu(&self) -> io::Result<f64> {
        let file = self.0.etc().with_file_name("spool").join("pid/master.pid");
        let master: u32 = std::fs::read_to_string(file)?.trim().parse().map_err(io::Error::other)?;
        let mut sum = ticks(master)?;
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            // One may end meanwhile.
            if fields(pid).is_ok_and(|known| known.first() == Some(&u64::from(master))) {
                sum += ticks(pid).unwrap_or(0.0);
            }
        }
        Ok(sum)
    }
}

/// proc_pid_stat(5), from the parent's number on.
fn fields(pid: u32) -> io::Result<Vec<u64>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    Ok(rest.split_whitespace().skip(1).map(|word| word.parse().unwrap_or(0)).collect())
}

/// User and system time, of those children as well that it has waited for.
fn ticks(pid: u32) -> io::Result<f64> {
    // proc_pid_stat(5): a hundred a second.
    const PER_SECOND: f64 = 100.0;
    let known = fields(pid)?;
    Ok(known.get(10..14).unwrap_or_default().iter().sum::<u64>() as f64 / PER_SECOND)
}
