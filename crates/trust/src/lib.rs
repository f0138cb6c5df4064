//! Trust stores of Postfix: `CAfile`, `CApath`, trust anchor files, client certificates.
//!
//! A [`Store`] reads what is configured and what policies name, and answers with snapshots: [`Anchors`], which are
//! certificates and bare public keys that each know the file they came from. A snapshot never changes; the store makes a new
//! one when a file did. A file that fails is never an empty one: the last good version stays in force for a while, and then
//! whoever asks is told what is wrong.
//!
//! [`Certificate`] reads X.509 with a reader of its own: 100 lines that check every length and copy what they keep. It takes
//! what mail servers really present (version 1, odd dates, extensions that nobody understands) and judges nothing. The crate
//! refuses to know what a chain, a name to be matched or a connection is: that is `waxseal-verify`.
//!
//! ```
//! use waxseal_trust::{AnchorKind, anchor_file};
//! use waxseal_types::UnixTime;
//!
//! let text = b"our own authority's key\n\
//! -----BEGIN PUBLIC KEY-----\n\
//! MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
//! -----END PUBLIC KEY-----\n";
//! let (anchors, notices) = anchor_file("anchors.pem".as_ref(), text, UnixTime::from_secs(1_795_249_800))?;
//! assert!(matches!(anchors[0].kind, AnchorKind::Key(_)) && notices.is_empty());
//! assert_eq!(anchors[0].origin.to_string(), "anchors.pem:1");
//! # Ok::<(), waxseal_trust::Error>(())
//! ```

#[cfg(feature = "actor")]
mod actor;
mod anchors;
mod certificate;
mod client;
mod der;
mod directory;
mod error;
mod extensions;
mod file;
mod general_name;
mod key;
mod load;
mod name;
mod pem;
mod private;
mod settings;
mod store;
mod watched;

#[cfg(feature = "crash")]
pub use actor::Crash;
#[cfg(feature = "actor")]
pub use actor::{AskAnchors, AskClient, Reload, TrustActor};
pub use anchors::{Anchor, AnchorKind, AnchorRules, Anchors, Origin};
pub use certificate::{Certificate, NotACertificate, Signed, spki_of};
pub use error::{Error, Notice, Severity};
pub use extensions::{BasicConstraints, ExtendedKeyUsage, Extensions, KeyUsage};
pub use general_name::{GeneralName, NameConstraints, Subtree};
pub use key::{Curve, KeyKind, KeyParts, PublicKey};
pub use load::{anchor_file, authorities};
pub use name::Name;
pub use pem::{BadBlock, Block, block, blocks};
pub use private::{spki_of_private_key, spki_of_request};
pub use settings::{Settings, StoreSettings};
pub use store::{Store, unreadable_for};
