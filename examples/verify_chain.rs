//! Whether a chain of certificates leads to an authority that we trust, and names the host that we meant.

use std::{error::Error, path::Path, time::SystemTime};

use waxseal_testbed::Authority;
use waxseal_trust::{AnchorRules, Anchors, anchor_file};
use waxseal_types::{Domain, NamePattern, UnixTime};
use waxseal_verify::{PathRules, check_path, names_match};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let now = UnixTime::from_secs(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs());
    let authority = Authority::new("Example CA")?;
    let server = authority.leaf(&["mx.example.com"]).issue()?;
    let chain = [server.der().to_vec(), authority.intermediate_der().to_vec()];

    // An anchor may be a certificate, or nothing but a public key.
    for (file, pem) in [("ca.pem", authority.root_pem()), ("key.pem", authority.root_public_key_pem())] {
        let (anchors, notices) = anchor_file(Path::new(file), pem.as_bytes(), now)?;
        notices.iter().for_each(|notice| println!("{notice}"));
        let anchors = Anchors::new(AnchorRules::Explicit, anchors);
        let path = check_path(&anchors, &chain, PathRules::default(), now)?;
        println!("{} certificates lead to {}", path.certificates.len(), path.anchor);
    }

    let name = |name: &str| Ok::<_, Box<dyn Error>>(NamePattern::Exact(Domain::new(name)?));
    let found = names_match(server.der(), &[name("mx.example.com")?], false);
    println!(
        "for mx.example.com: {found:?}, for mx.example.net: {:?}",
        names_match(server.der(), &[name("mx.example.net")?], false)
    );

    let stranger = Authority::new("Another CA")?;
    let (anchors, _) = anchor_file(Path::new("other.pem"), stranger.root_pem().as_bytes(), now)?;
    match check_path(&Anchors::new(AnchorRules::Explicit, anchors), &chain, PathRules::default(), now) {
        Ok(_) => Err("a stranger's anchor was enough".into()),
        Err(failure) => {
            println!("with another authority: {failure}");
            Ok(())
        }
    }
}
