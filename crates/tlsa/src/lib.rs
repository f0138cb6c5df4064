//! TLSA records of one's own (RFC 6698, RFC 7671, RFC 7672): the publishing side of DANE.
//!
//! 1. [`read`] takes the files that there are (certificate, chain, private key, public key, certificate request; PEM or DER) to
//!    [`Subject`]s, and [`Form::record`] makes the record of any usage, selector and matching type from one. [`advise`] says what is
//!    unwise about it.
//! 2. An [`Owner`] is where a record lies, and writes it for a zone file, for nsupdate and as JSON.
//! 3. [`coverage`] holds a set of records against a chain that a server shows: whether a client of DANE would go on, and what each
//!    record is good for. The comparison is `waxseal-verify`'s, the same that deliveries rest on; there is no second one.
//!
//! The crate does no I/O, reads no clock and changes nothing: who publishes, waits and switches is elsewhere.
//!
//! ```
//! use waxseal_tlsa::{Form, Owner, coverage, read};
//! use waxseal_types::UnixTime;
//!
//! let key = rcgen::KeyPair::generate()?;
//! let certificate = rcgen::CertificateParams::new(["mx.example.com".to_owned()])?.self_signed(&key)?;
//!
//! // The record can be published before the certificate is there: the key says all that it holds.
//! let subjects = read("key.pem", key.serialize_pem().as_bytes())?;
//! let record = Form::RECOMMENDED.record(&subjects[0])?;
//! let owner = Owner::new("mx.example.com".parse()?, 25);
//! assert!(owner.zone_line(&record, 3600).starts_with("_25._tcp.mx.example.com. 3600 IN TLSA 3 1 1 "));
//!
//! let served = [certificate.der().to_vec()];
//! let covered = coverage(&[record], &[owner.host], &served, UnixTime::from_secs(1_795_249_800));
//! assert!(covered.verdict.is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod advice;
mod coverage;
mod error;
mod form;
mod owner;
mod subject;

pub use advice::{Advice, advise};
pub use coverage::{Coverage, Standing, coverage};
pub use error::Error;
pub use form::{Form, parse_record, rdata};
pub use owner::Owner;
pub use subject::{Kind, Subject, read};
