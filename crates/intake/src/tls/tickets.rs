//! Session tickets (RFC 8446 §4.6.1, RFC 5077): the work of tlsmgr(8), without a process and without a file.

use std::{sync::Arc, time::Duration};

use rustls::{
    Error, crypto::GetRandomFailed, crypto::aws_lc_rs, server::ProducesTickets, ticketer::TicketRotator,
};

/// No key is used for less: each rotation draws a new one from the system.
const SHORTEST: u32 = 60;

/// Seals tickets under keys that are in memory only and change. One for all threads and listeners; made anew with the certificate, so that no
/// session outlives the key by which the server proved who it is.
pub(super) fn rotating(timeout: Duration) -> Result<Arc<dyn ProducesTickets>, Error> {
    // A ticket is taken under the present key and the one before: for no longer than twice the life of a key.
    let life = u32::try_from(timeout.as_secs() / 2).unwrap_or(u32::MAX).max(SHORTEST);
    Ok(Arc::new(TicketRotator::new(life, fresh)?))
}

fn fresh() -> Result<Box<dyn ProducesTickets>, GetRandomFailed> {
    Ok(Box::new(Key(aws_lc_rs::Ticketer::new().map_err(|_| GetRandomFailed)?)))
}

/// One key.
#[derive(Debug)]
struct Key(Arc<dyn ProducesTickets>);

impl ProducesTickets for Key {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(cipher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_read_by_whom_it_was_made_and_by_nobody_else() {
        let (ours, theirs) =
            (rotating(Duration::from_secs(3600)).unwrap(), rotating(Duration::ZERO).unwrap());
        let ticket = ours.encrypt(b"session").unwrap();
        assert_eq!(ours.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(theirs.decrypt(&ticket), None);
        assert_eq!((ours.lifetime(), theirs.lifetime()), (3600, 120));
    }
}
