//! Closed enums as numbers, and numbers as the words that accounts have.
//!
//! Numbers are written once and never change their meaning; new ones are added at the end. One that is not known reads as the weakest or the
//! vaguest of its kind, so that an old program shows a new account as far as it can.

use waxseal_queue::{Downgrade, Settled, Trouble};
use waxseal_types::{
    DnsFailureKind, EnhancedStatus, Proof, Protocol, RecordKind, Service, StatusClass, TlsLevel, TlsStatus,
};

fn place<T: Copy + PartialEq>(all: &[T], one: T) -> u8 {
    all.iter().position(|other| *other == one).and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}

fn at<T: Copy>(all: &[T], number: u8) -> Option<T> {
    all.get(usize::from(number)).copied()
}

const STATUS: [TlsStatus; 4] =
    [TlsStatus::None, TlsStatus::Untrusted, TlsStatus::Trusted, TlsStatus::Verified];
const PROOF: [Proof; 2] = [Proof::Insecure, Proof::Secure];
const KIND: [RecordKind; 6] =
    [RecordKind::A, RecordKind::Aaaa, RecordKind::Mx, RecordKind::Tlsa, RecordKind::Cname, RecordKind::Txt];
const DNS: [DnsFailureKind; 7] = [
    DnsFailureKind::Bogus,
    DnsFailureKind::ServerFailure,
    DnsFailureKind::Timeout,
    DnsFailureKind::Malformed,
    DnsFailureKind::AliasLoop,
    DnsFailureKind::Unavailable,
    DnsFailureKind::Anchor,
];
const DOWNGRADE: [Downgrade; 5] = [
    Downgrade::NotOffered,
    Downgrade::EhloRefused,
    Downgrade::Refused,
    Downgrade::HandshakeFailed,
    Downgrade::SessionDied,
];
const SETTLED: [Settled; 4] = [Settled::Expired, Settled::Bounced, Settled::Deferred, Settled::Removed];

pub(crate) fn status(status: TlsStatus) -> u8 {
    place(&STATUS, status)
}

pub(crate) fn to_status(number: u8) -> TlsStatus {
    at(&STATUS, number).unwrap_or(TlsStatus::None)
}

pub(crate) fn level(level: TlsLevel) -> u8 {
    place(&TlsLevel::ALL, level)
}

pub(crate) fn to_level(number: u8) -> TlsLevel {
    at(&TlsLevel::ALL, number).unwrap_or(TlsLevel::None)
}

pub(crate) fn proof(proof: Proof) -> u8 {
    place(&PROOF, proof)
}

pub(crate) fn to_proof(number: u8) -> Proof {
    at(&PROOF, number).unwrap_or(Proof::Insecure)
}

pub(crate) fn kind(kind: RecordKind) -> u8 {
    place(&KIND, kind)
}

pub(crate) fn to_kind(number: u8) -> RecordKind {
    at(&KIND, number).unwrap_or(RecordKind::Txt)
}

pub(crate) fn dns(kind: DnsFailureKind) -> u8 {
    place(&DNS, kind)
}

pub(crate) fn to_dns(number: u8) -> DnsFailureKind {
    at(&DNS, number).unwrap_or(DnsFailureKind::ServerFailure)
}

/// 0 is none.
pub(crate) fn downgrade(downgrade: Option<Downgrade>) -> u8 {
    downgrade.map_or(0, |downgrade| place(&DOWNGRADE, downgrade) + 1)
}

pub(crate) fn to_downgrade(number: u8) -> Option<Downgrade> {
    number.checked_sub(1).and_then(|number| at(&DOWNGRADE, number))
}

pub(crate) fn settled(how: Settled) -> u8 {
    place(&SETTLED, how)
}

pub(crate) fn to_settled(number: u8) -> Settled {
    at(&SETTLED, number).unwrap_or(Settled::Deferred)
}

pub(crate) fn trouble(trouble: Trouble) -> u8 {
    place(&Trouble::ALL, trouble)
}

pub(crate) fn to_trouble(number: u8) -> Trouble {
    at(&Trouble::ALL, number).unwrap_or(Trouble::Other)
}

/// The protocol, and whether a name follows.
pub(crate) fn service(service: &Service) -> u8 {
    u8::from(service.protocol() == Protocol::Lmtp) | u8::from(service.name().is_some()) << 1
}

pub(crate) fn to_protocol(number: u8) -> (Protocol, bool) {
    let protocol = if number & 1 == 1 { Protocol::Lmtp } else { Protocol::Smtp };
    (protocol, number & 2 == 2)
}

/// `class * 10^6 + subject * 10^3 + detail`: 4.7.5 is 4007005; 0 is none.
pub(crate) fn enhanced(status: Option<EnhancedStatus>) -> u64 {
    let Some(status) = status else { return 0 };
    let (subject, detail) = (u64::from(status.subject()), u64::from(status.detail()));
    let class = match status.class() {
        StatusClass::Success => 2,
        StatusClass::Transient => 4,
        StatusClass::Permanent => 5,
    };
    class * 1_000_000 + subject * 1000 + detail
}

pub(crate) fn to_enhanced(number: u64) -> Option<EnhancedStatus> {
    // Each is below 1000.
    let (subject, detail) = ((number / 1000 % 1000) as u16, (number % 1000) as u16);
    match number / 1_000_000 {
        2 => Some(EnhancedStatus::success(subject, detail)),
        4 => Some(EnhancedStatus::transient(subject, detail)),
        5 => Some(EnhancedStatus::permanent(subject, detail)),
        _ => None,
    }
}

/// Words that are `&'static str` in accounts: those that there are.
const WORDS: [&str; 27] = [
    "TLSv1.3",
    "TLSv1.2",
    "TLS_AES_256_GCM_SHA384",
    "TLS_AES_128_GCM_SHA256",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "X25519",
    "secp256r1",
    "secp384r1",
    "secp521r1",
    "X25519MLKEM768",
    "policy",
    "dns",
    "trust",
    "verify",
    "transport",
    "spool",
    "delivery",
    "intake",
    "queue",
    "tables",
    "lane",
];

/// The word of that text; what no account of this program has reads as `unknown`.
pub(crate) fn word(text: &str) -> &'static str {
    WORDS.into_iter().find(|word| *word == text).unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_its_number_and_comes_back() {
        for one in TlsLevel::ALL {
            assert_eq!(to_level(level(one)), one);
        }
        for one in Trouble::ALL {
            assert_eq!(to_trouble(trouble(one)), one);
        }
        for one in STATUS {
            assert_eq!(to_status(status(one)), one);
        }
        for one in DNS {
            assert_eq!(to_dns(dns(one)), one);
        }
        for one in KIND {
            assert_eq!(to_kind(kind(one)), one);
        }
        for one in DOWNGRADE {
            assert_eq!(to_downgrade(downgrade(Some(one))), Some(one));
        }
        assert_eq!(to_downgrade(downgrade(None)), None);
        for text in ["2.0.0", "4.7.5", "5.999.999"] {
            let status: EnhancedStatus = text.parse().unwrap();
            assert_eq!(to_enhanced(enhanced(Some(status))), Some(status));
        }
        assert_eq!(to_enhanced(0), None);
        // Weaker, never stronger.
        assert_eq!((to_status(200), to_proof(200)), (TlsStatus::None, Proof::Insecure));
    }
}
