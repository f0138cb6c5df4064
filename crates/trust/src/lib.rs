//! Trust stores of Postfix: CAfile, CApath, trust anchor files, client certificates.

#[cfg(feature = "actor")]
mod actor;
mod anchors;
mod error;
mod settings;
mod store;

#[cfg(feature = "crash")]
pub use actor::Crash;
#[cfg(feature = "actor")]
pub use actor::{AskAnchors, AskClient, Reload, TrustActor};
pub use anchors::Anchors;
pub use error::{Error, Notice, Severity};
pub use settings::{Settings, StoreSettings};
pub use store::Store;
