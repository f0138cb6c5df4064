//! Keys and signatures.

use std::{
    fmt,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

use hickory_proto::{
    dnssec::{
        Algorithm, DigestType, SigningKey, TBS,
        crypto::{EcdsaSigningKey, Ed25519SigningKey, RsaSigningKey},
        rdata::{DNSKEY, DNSSECRData, RRSIG, SigInput},
    },
    rr::{DNSClass, Name, RData, Record, RecordType, SerialNumber},
};
use rustls_pki_types::PrivatePkcs8KeyDer;

use super::{
    world::Part,
    zone::{Break, Cut},
};

const DAY: u32 = 86_400;

/// A zone's keys: one signs the keys, one signs the rest.
pub(super) struct Keys {
    pub(super) algorithm: Algorithm,
    ksk: Box<dyn SigningKey>,
    zsk: Box<dyn SigningKey>,
    ksk_record: DNSKEY,
    zsk_record: DNSKEY,
}

impl Keys {
    pub(super) fn generate(algorithm: Algorithm) -> Result<Self, String> {
        let (ksk, ksk_record) = generate(algorithm, true)?;
        let (zsk, zsk_record) = generate(algorithm, false)?;
        Ok(Self { algorithm, ksk, zsk, ksk_record, zsk_record })
    }

    pub(super) fn records(&self) -> [DNSKEY; 2] {
        [self.ksk_record.clone(), self.zsk_record.clone()]
    }

    pub(super) fn tag(&self) -> Result<u16, String> {
        self.ksk_record.calculate_key_tag().map_err(|problem| problem.to_string())
    }

    pub(super) fn digest(&self, apex: &Name) -> Result<Vec<u8>, String> {
        let digest =
            self.ksk_record.to_digest(apex, DigestType::SHA256).map_err(|problem| problem.to_string())?;
        Ok(digest.as_ref().to_vec())
    }

    /// The key that a resolver may be told to trust, as a line of a zone file.
    pub(super) fn anchor(&self, apex: &Name) -> String {
        format!("{apex} 300 IN DNSKEY {}\n", self.ksk_record)
    }

    fn signer(&self, kind: RecordType) -> (&dyn SigningKey, &DNSKEY) {
        if kind == RecordType::DNSKEY {
            (self.ksk.as_ref(), &self.ksk_record)
        } else {
            (self.zsk.as_ref(), &self.zsk_record)
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({:?})", self.tag())
    }
}

fn generate(algorithm: Algorithm, secure_entry_point: bool) -> Result<(Box<dyn SigningKey>, DNSKEY), String> {
    let key = signing_key(algorithm)?;
    let public = key.to_public_key().map_err(|problem| problem.to_string())?;
    Ok((key, DNSKEY::new(true, secure_entry_point, false, public)))
}

/// A fresh key; of RSA the one of this process, since making one takes a second.
fn signing_key(algorithm: Algorithm) -> Result<Box<dyn SigningKey>, String> {
    let made: Result<Box<dyn SigningKey>, _> = match algorithm {
        Algorithm::ECDSAP256SHA256 | Algorithm::ECDSAP384SHA384 => EcdsaSigningKey::generate_pkcs8(algorithm)
            .and_then(|der| EcdsaSigningKey::from_pkcs8(&der, algorithm))
            .map(|key| Box::new(key) as _),
        Algorithm::ED25519 => Ed25519SigningKey::generate_pkcs8()
            .and_then(|der| Ed25519SigningKey::from_pkcs8(&der))
            .map(|key| Box::new(key) as _),
        Algorithm::RSASHA256 | Algorithm::RSASHA512 => {
            RsaSigningKey::from_pkcs8(&rsa()?, algorithm).map(|key| Box::new(key) as _)
        }
        other => return Err(format!("no keys of algorithm {} here", u8::from(other))),
    };
    made.map_err(|problem| problem.to_string())
}

fn rsa() -> Result<PrivatePkcs8KeyDer<'static>, String> {
    static KEY: OnceLock<Result<Vec<u8>, String>> = OnceLock::new();
    let made = KEY.get_or_init(|| {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256);
        key.map(|key| key.serialize_der()).map_err(|problem| problem.to_string())
    });
    made.clone().map(Into::into)
}

/// Whether the zone signs what it says.
pub(super) fn is_signed(part: &Part) -> bool {
    !matches!(part.cut, Cut::Insecure | Cut::Broken(Break::Unsigned | Break::UnknownAlgorithm))
}

/// The signature over an RRset; `labels` are those of its source, fewer than the owner's for a wildcard.
pub(super) fn signature(part: &Part, set: &[Record], labels: u8) -> Option<Record> {
    let first = set.first()?;
    let (key, record) = part.keys.signer(first.record_type());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs() as u32;
    let (inception, expiration) = match part.cut {
        Cut::Broken(Break::Expired) => (now - 30 * DAY, now - 2 * DAY),
        Cut::Broken(Break::NotYetValid) => (now + 3 * DAY, now + 30 * DAY),
        Cut::Broken(Break::SoonValid) => (now + 600, now + 30 * DAY),
        Cut::Secure | Cut::Insecure | Cut::Broken(_) => (now - DAY, now + part.life * DAY),
    };
    let input = SigInput {
        type_covered: first.record_type(),
        algorithm: part.keys.algorithm,
        num_labels: labels,
        original_ttl: first.ttl,
        sig_expiration: SerialNumber::new(expiration),
        sig_inception: SerialNumber::new(inception),
        key_tag: record.calculate_key_tag().ok()?,
        signer_name: part.apex.clone(),
    };
    let signed = TBS::from_input(&first.name, DNSClass::IN, &input, set.iter()).ok()?;
    let signature = RRSIG::from_sig(input, key.sign(&signed).ok()?);
    Some(Record::from_rdata(first.name.clone(), first.ttl, RData::DNSSEC(DNSSECRData::RRSIG(signature))))
}

/// The same record with one bit of the signature turned.
pub(super) fn spoiled(record: &Record) -> Record {
    let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &record.data else { return record.clone() };
    let mut octets = signature.sig().to_vec();
    if let Some(octet) = octets.get_mut(7) {
        *octet ^= 0x10;
    }
    let wrong = RRSIG::from_sig(signature.input().clone(), octets);
    Record::from_rdata(record.name.clone(), record.ttl, RData::DNSSEC(DNSSECRData::RRSIG(wrong)))
}
