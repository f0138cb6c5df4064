//! What there is in the demo: a zone, a server, a configuration.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use waxseal_config::{BUILT_LEVELS, Config, Problems, VALIDATE_BUILT};
use waxseal_testbed::{
    Authority, Peer,
    dns::{DnsServer, Zone},
};
use waxseal_types::TlsLevel;

use super::Fault;
use crate::{
    narrate::row,
    terminal::{Printable, Terminal},
};

/// Where the message goes.
pub(super) const DOMAIN: &str = "demo.test";
/// Its mail host.
const HOST: &str = "mx.demo.test";

/// Servers, files, and the folder that goes with them.
pub(super) struct World {
    folder: TempDir,
    dns: DnsServer,
    peer: Peer,
    level: TlsLevel,
}

impl World {
    pub(super) async fn make() -> Result<Self, Fault> {
        let authority = Authority::new("Waxseal demo")?;
        let certificate = authority.leaf(&[HOST]).issue()?;
        let key_digest = Sha256::digest(certificate.public_key());
        let peer = Peer::builder().starttls(certificate).start().await?;
        let zone = Zone::new()
            .mx(DOMAIN, 10, HOST)
            .a(HOST, [127, 0, 0, 1])
            .tlsa(HOST, peer.addr().port(), (3, 1, 1), &key_digest)
            .secure("test");
        // One that validates and says so, or one that leaves it to us.
        let dns =
            if VALIDATE_BUILT { DnsServer::forwarder(zone).await? } else { DnsServer::start(zone).await? };
        let world = Self {
            folder: tempfile::Builder::new().prefix("waxseal-demo-").tempdir()?,
            dns,
            peer,
            level: strongest(),
        };
        world.put("ca.pem", authority.root_pem())?;
        world.put("root.key", &world.dns.trust_anchor())?;
        world.put("tls_policy", &format!("# next hop   level\n{DOMAIN}    {}\n", world.level))?;
        world.put("waxseal.toml", &world.toml())?;
        Ok(world)
    }

    /// As queue-manager would read it.
    pub(super) fn config(&self) -> Result<Config, Problems> {
        Config::load(&[self.path("waxseal.toml")], std::iter::empty())
    }

    fn toml(&self) -> String {
        let dnssec = if VALIDATE_BUILT {
            format!("dnssec = \"validate\"\ntrust_anchor = {:?}", self.path("root.key"))
        } else {
            "dnssec = \"trust-ad\"".to_owned()
        };
        format!(
            "hostname = \"client.test\"\n[spool]\npath = {:?}\n[listen]\nsmtp = [\"127.0.0.1:0\"]\n[dns]\nservers = [\"{}\"]\n{dnssec}\n\
             [tls]\nsecurity_level = \"may\"\nCAfile = {:?}\npolicy_maps = [\"texthash:{}\"]\n[transport]\nport = \"{}\"\n",
            self.path("spool"),
            self.dns.addr(),
            self.path("ca.pem"),
            self.path("tls_policy").display(),
            self.peer.addr().port(),
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) -> io::Result<()> {
        write_quiet(&self.path(name), text)
    }

    pub(super) fn tell(&self, terminal: &mut Terminal) {
        let port = self.peer.addr().port();
        row(
            terminal,
            "dns",
            &[format!("a signed zone on {}: {DOMAIN} has MX {HOST}, which is 127.0.0.1", self.dns.addr())],
        );
        row(
            terminal,
            "server",
            &[format!("{HOST} on port {port}, offers STARTTLS, certificate by an authority of its own")],
        );
        let table = self.path("tls_policy");
        row(terminal, "policy", &[format!("{DOMAIN} {}, in line 2 of {}", self.level, table.display())]);
    }

    /// The message as the server has it.
    pub(super) fn tell_received(&self, terminal: &mut Terminal) {
        for message in self.peer.accepted() {
            terminal.line("\nThe message, as the server has it");
            for line in message.text().lines() {
                terminal.line(format_args!("  | {}", Printable(line)));
            }
        }
    }

    /// Whether the server has the message, over TLS.
    pub(super) fn received(&self) -> bool {
        self.peer.accepted().iter().any(|message| message.tls.is_some())
    }
}

/// The most demanding level that this version has, of those that need no more than this world has.
fn strongest() -> TlsLevel {
    let wanted = [TlsLevel::DaneOnly, TlsLevel::Secure, TlsLevel::Encrypt];
    wanted.into_iter().find(|level| BUILT_LEVELS.contains(level)).unwrap_or(TlsLevel::May)
}

/// Writes a file that looks as if it had been there for a while: tables wait for files that are just being written.
fn write_quiet(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.set_modified(SystemTime::now() - Duration::from_secs(60))
}
