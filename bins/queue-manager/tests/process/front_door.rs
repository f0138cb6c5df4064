//! TLS at the intake of the real binary: a certificate, a password, a table of users, and SIGHUP.

use std::{
    fs, io, net::SocketAddr, net::TcpStream, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc,
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::ServerName};
use waxseal_testbed::{
    Authority, Peer,
    dns::{DnsServer, Fault, Zone},
    within,
};

use crate::daemon::{self, Daemon, LIMIT};

/// "secret", with the least parameters, by argon2(1): `echo -n secret | argon2 somesalt -id -m 3 -t 1 -p 1 -e`.
const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$QQCd8VPOryZiCF3MtwQnPTK7odKCaPcXJGplgNEuj1A";
/// NUL ann NUL secret (RFC 4616 §2).
const ANN: &str = "AGFubgBzZWNyZXQ=";

struct Sealed {
    stream: StreamOwned<ClientConnection, TcpStream>,
    leaf: Vec<u8>,
}

/// EHLO, STARTTLS, EHLO; the certificate must lead to `authority`.
fn connect(address: SocketAddr, authority: &Authority) -> io::Result<Sealed> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.root_der().to_vec().into()).map_err(io::Error::other)?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    reply(&mut stream)?;
    ask(&mut stream, "EHLO client.test")?;
    ask(&mut stream, "STARTTLS")?;
    let name = ServerName::try_from("queue.test").map_err(io::Error::other)?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    ask(&mut stream, "EHLO client.test")?;
    let leaf = stream.conn.peer_certificates().and_then(|chain| chain.first()).map(|der| der.to_vec());
    Ok(Sealed { stream, leaf: leaf.unwrap_or_default() })
}

fn ask(stream: &mut (impl io::Read + io::Write), line: &str) -> io::Result<String> {
    stream.write_all(format!("{line}\r\n").as_bytes())?;
    reply(stream)
}

/// The last line of a reply.
fn reply(stream: &mut impl io::Read) -> io::Result<String> {
    let mut line = Vec::new();
    loop {
        let mut octet = [0];
        stream.read_exact(&mut octet)?;
        line.push(octet[0]);
        if octet == *b"\n" {
            if line.get(3) == Some(&b' ') {
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            line.clear();
        }
    }
}

fn install(folder: &Path, authority: &Authority) -> Vec<u8> {
    let leaf = authority.leaf(&["queue.test"]).issue().expect("a leaf");
    let chain = format!("{}{}{}", leaf.key_pem(), leaf.pem(), authority.intermediate_pem());
    // Written under another name: what the daemon reads is whole.
    let (fresh, file) = (folder.join("chain.new"), folder.join("chain.pem"));
    fs::write(&fresh, chain).expect("the folder is ours");
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    fs::rename(fresh, file).expect("the folder is ours");
    leaf.der().to_vec()
}

#[tokio::test]
async fn a_user_relays_over_tls_and_sighup_brings_the_next_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    let authority = Authority::new("Test CA").expect("an authority");
    let first = install(place, &authority);
    fs::write(place.join("users"), format!("ann {HASH}\n")).expect("the folder is ours");
    let peer = Peer::builder().start().await.expect("starts");
    let listen = format!(
        "[listen_tls]\nchain_files = [\"{0}/chain.pem\"]\n[listen]\nauth_users = \"texthash:{0}/users\"\nrelay_from = [\"192.0.2.0/24\"]\n",
        place.display()
    );
    let dns = DnsServer::start(Zone::new()).await.expect("starts");
    let config = daemon::config(place, &peer.nexthop()).replace("[listen]\n", &listen);
    let config = config.replace("127.0.0.1:9", &dns.addr().to_string());
    let daemon = Daemon::start(place, &config).await;
    let address = daemon.smtp();
    let (leaf, authority) = tokio::task::spawn_blocking(move || {
        let mut client = connect(address, &authority).expect("a handshake");
        let said = ["MAIL FROM:<a@a.test>", "RCPT TO:<b@b.test>"]
            .map(|line| ask(&mut client.stream, line).expect("a reply"));
        assert!(said[1].starts_with("554 5.7.1"), "{said:?}");
        let lines = [
            ("RSET", "250"),
            (&format!("AUTH PLAIN {ANN}"), "235"),
            ("MAIL FROM:<a@a.test>", "250"),
            ("RCPT TO:<b@b.test>", "250"),
            ("DATA", "354"),
            ("Subject: x\r\n\r\nx\r\n.", "250"),
        ];
        for (line, code) in lines {
            let reply = ask(&mut client.stream, line).expect("a reply");
            assert!(reply.starts_with(code), "{line}: {reply}");
        }
        (client.leaf, authority)
    })
    .await
    .expect("a client");
    assert_eq!(leaf, first);
    within(LIMIT, peer.wait_for(1)).await;

    // While nobody knows which TLSA records stand for our name, it is not served.
    let owner = format!("_{}._tcp.queue.test", address.port());
    dns.edit(|zone| zone.fault(&owner, "SOA", Fault::ServFail)).expect("a good zone");
    let second = install(place, &authority);
    daemon.signal("HUP", daemon.id()).await;
    daemon.said("the intake keeps its certificate").await;
    dns.edit(|_| Zone::new()).expect("a good zone");
    daemon.said("the intake has new certificates").await;
    let leaf =
        tokio::task::spawn_blocking(move || connect(address, &authority).expect("a handshake").leaf).await;
    assert_eq!(leaf.expect("a client"), second);
    assert_eq!(daemon.terminate().await.status.code(), Some(0));
}

#[tokio::test]
async fn a_key_that_is_not_the_certificates_ends_the_start_and_names_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    let authority = Authority::new("Test CA").expect("an authority");
    let [one, other] = [(), ()].map(|()| authority.leaf(&["queue.test"]).issue().expect("a leaf"));
    fs::write(place.join("chain.pem"), one.key_pem().to_owned() + other.pem()).expect("the folder is ours");
    let config = daemon::config(place, "[127.0.0.1]:9")
        + &format!("[listen_tls]\nchain_files = [\"{}/chain.pem\"]\n", place.display());
    let end = Daemon::run(place, &config).await;
    assert_eq!(end.status.code(), Some(78), "{}", end.log);
    assert!(end.log.contains("chain.pem"), "{}", end.log);
}

/// Threats V11: what a session holds is bounded, be it idle or abused.
#[tokio::test]
async fn sessions_take_little_memory_idle_or_abused() {
    const IDLE: usize = 200;
    const ABUSED: usize = 20;
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    let authority = Authority::new("Test CA").expect("an authority");
    install(place, &authority);
    let listen = format!("[listen_tls]\nchain_files = [\"{}/chain.pem\"]\n[listen]\n", place.display());
    let config = daemon::config(place, "[127.0.0.1]:9").replace("[listen]\n", &listen);
    let daemon = Daemon::start(place, &config).await;
    let (address, id) = (daemon.smtp(), daemon.id());
    let measured = tokio::task::spawn_blocking(move || {
        let open = |count| (0..count).map(|_| connect(address, &authority).expect("a handshake")).collect();
        // What the first ones need is there for all.
        drop::<Vec<Sealed>>(open(20));
        let before = crate::soak::resident(id);
        let idle: Vec<Sealed> = open(IDLE);
        let between = crate::soak::resident(id);
        let mut abused: Vec<Sealed> = open(ABUSED);
        for client in &mut abused {
            let _ = client.stream.sock.set_write_timeout(Some(std::time::Duration::from_secs(2)));
            // A line that does not end, until the server has had enough of it.
            let flood = [b'x'; 1 << 16];
            let _ = (0..64).try_for_each(|_| io::Write::write_all(&mut client.stream, &flood));
        }
        let after = crate::soak::resident(id);
        drop((idle, abused));
        ((between - before) * 1000.0 / IDLE as f64, (after - between) * 1000.0 / ABUSED as f64)
    });
    let (idle, abused) = within(LIMIT, measured).await.expect("clients");
    println!("{idle:.1} kB for an idle TLS session, {abused:.1} kB for one that is flooded");
    assert!(idle <= 40.0, "{idle:.1} kB for an idle TLS session");
    assert!(abused <= 1000.0, "{abused:.1} kB for a session that is flooded");
    assert_eq!(daemon.terminate().await.status.code(), Some(0));
}
