//! TLSA records against a chain of certificates (RFC 7672), as a mail client does it after the handshake.

use std::{error::Error, time::SystemTime};

use sha2::{Digest as _, Sha256};
use waxseal_testbed::Authority;
use waxseal_types::{DigestOrder, Domain, Tlsa, UnixTime};
use waxseal_verify::{check_dane, usability};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let now = UnixTime::from_secs(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs());
    let authority = Authority::new("Example CA")?;
    let server = authority.leaf(&["mx.example.com"]).issue()?;
    let chain = [server.der().to_vec(), authority.intermediate_der().to_vec()];
    let base = [Domain::new("mx.example.com")?];

    let server_key = Sha256::digest(server.public_key());
    let issuer = Sha256::digest(authority.intermediate_der());
    let table = [
        ("DANE-EE, the server's key", Tlsa::new(3, 1, 1, &server_key)),
        ("DANE-TA, the issuer's certificate", Tlsa::new(2, 0, 1, &issuer)),
        ("DANE-EE, somebody else's key", Tlsa::new(3, 1, 1, &[0; 32])),
        // RFC 7672 §3.1.3: the PKIX usages are not usable for SMTP.
        ("PKIX-EE, the server's key", Tlsa::new(1, 1, 1, &server_key)),
    ];
    for (what, record) in &table {
        if let Err(reason) = usability(record, &DigestOrder::default()) {
            println!("{what}: not usable: {reason}");
            continue;
        }
        match check_dane(std::slice::from_ref(record), &base, &chain, now) {
            Ok(found) => println!("{what}: authenticated by {found}"),
            Err(failure) => println!("{what}: {failure}"),
        }
    }
    // One record that matches is enough: this is how keys are rolled over.
    let records: Vec<Tlsa> = table.into_iter().map(|(_, record)| record).collect();
    println!("all together: authenticated by {}", check_dane(&records, &base, &chain, now)?);
    Ok(())
}
