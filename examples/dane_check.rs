//! `dane_check smtp|imap|https HOST PORT`: is the server who its TLSA records say (RFC 6698, RFC 7672)?

use std::{env, error::Error, sync::Arc};

use rustls::{ClientConfig, crypto::aws_lc_rs::default_provider, pki_types::ServerName};
use tokio::{io::AsyncBufReadExt, io::AsyncWriteExt, io::BufStream, net::TcpStream};
use tokio_rustls::TlsConnector;
use waxseal_dns::{Families, Resolver, Settings};
use waxseal_types::{Domain, Lookup, Proof};
use waxseal_verify::{Verifier, VerifierPolicy};

pub(crate) type Outcome = Result<String, Box<dyn Error>>;

pub(crate) async fn check(resolver: &Resolver, protocol: &str, host: &str, port: u16) -> Outcome {
    // What is said in clear, and how the last line of the answer begins.
    let talk: &[(&str, &str)] = match protocol {
        "smtp" => &[("", "220 "), ("EHLO dane-check.test\r\n", "250 "), ("STARTTLS\r\n", "220 ")],
        "imap" => &[("", "* OK"), ("a STARTTLS\r\n", "a OK")],
        _ => &[],
    };
    let base = Domain::new(host)?;
    let found = resolver.addresses(&base, Families::Both).await?;
    let Lookup::Found(addresses) = found.lookup else { return Err("no address".into()) };
    let tlsa = resolver.tlsa(&base, port).await?;
    let (Lookup::Found(records), Proof::Secure) = (tlsa.lookup, found.proof.and(tlsa.proof)) else {
        return Err("no TLSA records that DNSSEC proves".into());
    };
    let mut stream = BufStream::new(TcpStream::connect((addresses[0], port)).await?);
    for (words, last) in talk {
        stream.write_all(words.as_bytes()).await?;
        stream.flush().await?;
        let mut line = String::new();
        while !line.starts_with(last) {
            line.clear();
            stream.read_line(&mut line).await?;
            if line.is_empty() || line.starts_with(['4', '5']) {
                return Err(format!("instead of {last:?}: {line:?}").into());
            }
        }
    }
    let provider = Arc::new(default_provider());
    let verifier = Verifier::new(VerifierPolicy::Dane(records.clone().into()), Arc::clone(&provider));
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
    let session = connector.connect(ServerName::try_from(host.to_owned())?, stream.into_inner()).await?;
    let version = session.get_ref().1.protocol_version();
    Ok(format!("authenticated by one of {} TLSA records, {version:?}", records.len()))
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [protocol, host, port] = words.as_slice() else {
        println!("usage: dane_check smtp|imap|https HOST PORT");
        return Ok(());
    };
    println!("{}", check(&Resolver::new(Settings::default())?, protocol, host, port.parse()?).await?);
    Ok(())
}
