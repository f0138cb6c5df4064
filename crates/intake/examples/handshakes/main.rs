//! What TLS costs: CPU for each handshake, handshakes a second, and memory for an idle connection, of the intake and of a Postfix beside it.
//!
//! `cargo run --release -p waxseal-intake --example handshakes [-- ROUNDS]`, on Linux. Each server is a process of its own, and takes whole SMTP
//! sessions: EHLO, STARTTLS, handshake, EHLO, QUIT. The Postfix needs its Debian package, and root; without them the intake runs alone. What a
//! signature costs by itself, in this process, is told with each kind of key: no server can do with less.

mod client;
mod server;

use std::{io, time::Instant};

use client::{Crowd, Kind, Row, Version};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use rustls::{SignatureScheme, crypto::aws_lc_rs, pki_types::PrivateKeyDer};
use server::{Ours, Server, Theirs};

const IDLE: usize = 1000;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &*arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        ["--serve", chain] => server::serve(chain.into()),
        [] => compare(3),
        [rounds] => compare(rounds.parse().map_err(io::Error::other)?),
        _ => Err(io::Error::other("handshakes [ROUNDS]")),
    }
}

fn compare(rounds: usize) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    for (name, rsa) in [("RSA-2048", true), ("P-256", false)] {
        let key = if rsa {
            KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
        } else {
            KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
        };
        let key = key.map_err(io::Error::other)?;
        let signature = signature(&key, rsa)?;
        println!("{name}: the signature alone takes {signature:.0} us");
        let params =
            rcgen::CertificateParams::new(vec!["mx.example".to_owned()]).map_err(io::Error::other)?;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        let chain = folder.path().join(format!("{name}.pem"));
        std::fs::write(&chain, key.serialize_pem() + &certificate.pem())?;
        let ours = Ours::start(&chain)?;
        let place = folder.path().join(name);
        let theirs =
            Theirs::start(&place, &chain).inspect_err(|error| println!("no Postfix beside: {error}")).ok();
        for version in [Version::Tls13, Version::Tls12] {
            for kind in [Kind::Full, Kind::Resumed] {
                row(
                    &format!("{name} {version:?} {kind:?}"),
                    Row { version, kind },
                    (&ours, theirs.as_ref()),
                    rounds,
                )?;
            }
        }
    }
    idle(&folder.path().join("P-256.pem"))
}

/// One line of the table, from medians; servers take turns.
fn row(name: &str, row: Row, (ours, theirs): (&Ours, Option<&Theirs>), rounds: usize) -> io::Result<()> {
    let (mut mine, mut other) = (Vec::new(), Vec::new());
    for _ in 0..rounds.max(1) {
        mine.push(measure(ours, row)?);
        if let Some(theirs) = theirs {
            other.push(measure(theirs, row)?);
        }
    }
    let (cpu, rate) = median(&mine);
    print!("{name}: intake {cpu:.0} us of CPU, {rate:.0}/s");
    if other.is_empty() {
        println!();
    } else {
        let (their_cpu, their_rate) = median(&other);
        let (less, more) = (their_cpu / cpu, rate / their_rate);
        println!(
            "; Postfix {their_cpu:.0} us, {their_rate:.0}/s; {less:.2} times less CPU, {more:.2} times the rate"
        );
    }
    Ok(())
}

/// Microseconds of the server's CPU for each session, and sessions a second.
fn measure(server: &impl Server, row: Row) -> io::Result<(f64, f64)> {
    Crowd::gather(server.address(), row, 1)?.run()?;
    let crowd = Crowd::gather(server.address(), row, client::EACH)?;
    let (start, before) = (Instant::now(), server.cpu()?);
    let count = crowd.run()? as f64;
    let seconds = start.elapsed().as_secs_f64();
    Ok(((server.cpu()? - before) * 1e6 / count, count / seconds))
}

fn median(values: &[(f64, f64)]) -> (f64, f64) {
    let middle = |mut list: Vec<f64>| {
        list.sort_by(f64::total_cmp);
        list[list.len() / 2]
    };
    (middle(values.iter().map(|one| one.0).collect()), middle(values.iter().map(|one| one.1).collect()))
}

/// Microseconds for a signature, made as the intake makes it.
fn signature(key: &KeyPair, rsa: bool) -> io::Result<f64> {
    const TIMES: u32 = 500;
    let der = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
    let key = aws_lc_rs::default_provider().key_provider.load_private_key(der).map_err(io::Error::other)?;
    let scheme = if rsa { SignatureScheme::RSA_PSS_SHA256 } else { SignatureScheme::ECDSA_NISTP256_SHA256 };
    let signer = key.choose_scheme(&[scheme]).ok_or_else(|| io::Error::other("the key does not sign so"))?;
    let before = own_cpu()?;
    for _ in 0..TIMES {
        signer.sign(&[7; 130]).map_err(io::Error::other)?;
    }
    Ok((own_cpu()? - before) / 1e3 / f64::from(TIMES))
}

/// Nanoseconds that this thread has been on a CPU.
fn own_cpu() -> io::Result<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    text.split(' ').next().and_then(|word| word.parse().ok()).ok_or(io::ErrorKind::InvalidData.into())
}

fn idle(chain: &std::path::Path) -> io::Result<()> {
    let fresh = Ours::start(chain)?;
    let row = Row { version: Version::Tls13, kind: Kind::Full };
    Crowd::gather(fresh.address(), row, 1)?.run()?;
    let before = fresh.resident()?;
    let held = client::hold(fresh.address(), row, IDLE)?;
    let after = fresh.resident()?;
    println!(
        "{IDLE} idle TLS connections: {:.1} kB each",
        (after - before) as f64 / 1000.0 / held.len() as f64
    );
    Ok(())
}
