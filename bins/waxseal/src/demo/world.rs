//! What there is in the demo: a zone, a server, a configuration.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use waxseal_config::{Config, Problems};
use waxseal_testbed::{
    Authority, Peer,
    dns::{DnsServer, Zone},
};

use super::Fault;
use crate::{
    narrate::row,
    terminal::{Printable, Terminal},
};

/// Where the message goes.
pub(super) const DOMAIN: &str = "demo.test";
/// Its mail host.
const HOST: &str = "mx.demo.test";
/// What its policy demands: that the server is the one that the zone describes.
const LEVEL: &str = "dane-only";

/// Servers, files, and the folder that goes with them.
pub(super) struct World {
    folder: TempDir,
    dns: DnsServer,
    peer: Peer,
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
        // It passes on what is signed; the signatures are checked by us.
        let dns = DnsServer::forwarder(zone).await?;
        let folder = tempfile::Builder::new().prefix("waxseal-demo-").tempdir()?;
        let world = Self { folder, dns, peer };
        world.put("root.key", &world.dns.trust_anchor())?;
        world.put("tls_policy", &format!("# next hop   level\n{DOMAIN}    {LEVEL}\n"))?;
        world.put("waxseal.toml", &world.toml())?;
        Ok(world)
    }

    /// As queue-manager would read it.
    pub(super) fn config(&self) -> Result<Config, Problems> {
        Config::load(&[self.path("waxseal.toml")], std::iter::empty())
    }

    fn toml(&self) -> String {
        format!(
            "hostname = \"client.test\"\n\
             [spool]\npath = {:?}\n\
             [listen]\nsmtp = [\"127.0.0.1:0\"]\n\
             [dns]\nservers = [\"{}\"]\ndnssec = \"validate\"\ntrust_anchor = {:?}\n\
             [tls]\npolicy_maps = [\"texthash:{}\"]\n\
             [transport]\nport = \"{}\"\n",
            self.path("spool"),
            self.dns.addr(),
            self.path("root.key"),
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
        row(terminal, "policy", &[format!("{DOMAIN} {LEVEL}, in line 2 of {}", table.display())]);
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

/// Writes a file that looks as if it had been there for a while: tables wait for files that are just being written.
fn write_quiet(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.set_modified(SystemTime::now() - Duration::from_secs(60))
}
