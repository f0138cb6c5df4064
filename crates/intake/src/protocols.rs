//! What a session offers and bears, by its listener and by how crowded it is.

use std::sync::Arc;

use waxseal_smtp::server;

use crate::{Level, listener::Mode};

/// The settings of the protocol in all their variants, made once.
#[derive(Debug)]
pub(crate) struct Protocols {
    relaxed: Variants,
    stressed: Variants,
}

#[derive(Debug)]
struct Variants {
    /// No STARTTLS; also behind TLS from the first octet on.
    plain: Arc<server::Settings>,
    offered: Arc<server::Settings>,
    demanded: Arc<server::Settings>,
    /// Demanded, and there is no certificate.
    missing: Arc<server::Settings>,
}

impl Protocols {
    pub(crate) fn new(base: &server::Settings) -> Self {
        // postconf(5), under `stress`: one error, one command too many, and the session is over.
        let stressed = server::Settings {
            hard_error_limit: 1,
            junk_command_limit: 1,
            soft_error_limit: 1,
            ..base.clone()
        };
        Self { relaxed: Variants::new(base), stressed: Variants::new(&stressed) }
    }

    /// Those for a session. `ready` says that there is a certificate.
    pub(crate) fn choose(&self, mode: Mode, ready: bool, stressed: bool) -> Arc<server::Settings> {
        let variants = if stressed { &self.stressed } else { &self.relaxed };
        Arc::clone(match (mode, ready) {
            (Mode::StartTls(Level::None) | Mode::Wrapped, _) | (Mode::StartTls(Level::May), false) => {
                &variants.plain
            }
            (Mode::StartTls(Level::May), true) => &variants.offered,
            (Mode::StartTls(Level::Encrypt), true) => &variants.demanded,
            (Mode::StartTls(Level::Encrypt), false) => &variants.missing,
        })
    }
}

impl Variants {
    fn new(base: &server::Settings) -> Self {
        let make =
            |starttls, require_tls| Arc::new(server::Settings { starttls, require_tls, ..base.clone() });
        Self {
            plain: make(false, false),
            offered: make(true, false),
            demanded: make(true, true),
            missing: make(false, true),
        }
    }
}
