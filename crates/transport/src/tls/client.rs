//! Client certificates: which one is shown, and whether one was.

use std::{cell::Cell, future::Future, pin::pin, sync::Arc, task::Poll};

use rustls::{
    SignatureScheme,
    client::ResolvesClientCert,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::CertifiedKey,
};
use waxseal_types::ClientCertificate;

thread_local! {
    /// Set when a certificate is chosen; see [`Shown`].
    static CHOSEN: Cell<bool> = const { Cell::new(false) };
}

/// What we may show when a server asks who we are: at most one for each kind of key.
#[derive(Debug)]
pub(super) struct Certificates(Vec<Arc<CertifiedKey>>);

impl Certificates {
    pub(super) fn load(
        client: &[ClientCertificate],
        provider: &CryptoProvider,
    ) -> Result<Self, rustls::Error> {
        let load = |certificate: &ClientCertificate| {
            let chain = certificate.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
            let key = PrivateKeyDer::try_from(certificate.key.clone())
                .map_err(|reason| rustls::Error::General(format!("client certificate's key: {reason}")))?;
            Ok(Arc::new(CertifiedKey::new(chain, provider.key_provider.load_private_key(key)?)))
        };
        client.iter().map(load).collect::<Result<_, _>>().map(Self)
    }
}

impl ResolvesClientCert for Certificates {
    /// The first whose key can sign as the server wants. The issuers that it names are hints, which servers get wrong.
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let chosen = self.0.iter().find(|known| known.key.choose_scheme(schemes).is_some())?;
        CHOSEN.set(true);
        Some(Arc::clone(chosen))
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

/// Learns whether a handshake showed a certificate.
///
/// The resolver cannot be told which connection it serves: rustls resumes sessions only under the very same resolver, so there is one for
/// all. But it is called from within the poll of one handshake, on its thread.
pub(super) struct Shown;

impl Shown {
    pub(super) async fn watch<F: Future>(handshake: F) -> (F::Output, bool) {
        let mut handshake = pin!(handshake);
        let mut shown = false;
        std::future::poll_fn(move |cx| {
            CHOSEN.set(false);
            let polled = handshake.as_mut().poll(cx);
            shown |= CHOSEN.get();
            match polled {
                Poll::Ready(output) => Poll::Ready((output, shown)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}
