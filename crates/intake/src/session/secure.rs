//! TLS and AUTH within a session, and what they change.

use std::io;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout},
};
use waxseal_smtp::server::{Credentials, Refusal};

use super::Driver;
use crate::{rates::Event, relay, stream::Stream};

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// Whether the client may relay, by what is known of it now.
    pub(super) async fn judge(&mut self) {
        let (rules, tables) = (&self.intake.settings.relay_rules, &*self.intake.neighbours.tables);
        let verdict = relay::judge(rules, &self.standing, tables).await;
        self.door.set_relay(verdict);
    }

    /// Behind STARTTLS: the 220, then the handshake.
    pub(super) async fn start_tls(&mut self) -> io::Result<()> {
        if self.is_full(Event::TlsSession) {
            self.machine.close(&Refusal::TOO_MANY_TLS);
            return Ok(());
        }
        self.machine.begin_tls();
        self.write(self.intake.settings.timeout).await?;
        // RFC 3207 §4.2, CVE-2011-0411: what came in clear must not be taken for something said within TLS. The machine ends a session
        // that pipelines behind STARTTLS, and what comes now is read by nothing but the handshake.
        self.input.clear();
        self.secure().await
    }

    /// The handshake, and what follows from it.
    pub(super) async fn secure(&mut self) -> io::Result<()> {
        if self.is_full(Event::TlsSession) {
            tracing::info!(client = %self.label, reply = %Refusal::TOO_MANY_TLS, "turned away");
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let stream = self.stream.take_clear().ok_or(io::ErrorKind::NotConnected)?;
        let settings = &self.intake.settings;
        let stressed = self.intake.clients.is_stressed(settings);
        let patience = if stressed { settings.stress_timeout } else { settings.tls.handshake_timeout };
        let Some(front) = &self.intake.front else { return Err(io::ErrorKind::NotConnected.into()) };
        let shaken = tokio::select! {
            biased;
            shaken = timeout(patience, front.accept(stream, self.mode.is_mandatory())) => shaken,
            // In the middle of a handshake there are no words for it.
            _ = self.closing.wait_for(|closing| *closing) => return Err(io::ErrorKind::Interrupted.into()),
        };
        let (stream, facts) = shaken.map_err(io::Error::from).flatten().inspect_err(|error| {
            tracing::info!(client = %self.label, %error, "TLS handshake failed");
        })?;
        self.stream = Stream::Tls(Box::new(stream));
        self.machine.secured();
        self.answered = Instant::now();
        self.deadline = self.answered + settings.timeout;
        tracing::debug!(client = %self.label, %facts, "TLS");
        if settings.tls.received_header {
            self.door.set_tls(facts.received_lines());
        }
        if !facts.resumed {
            self.count(Event::TlsSession);
        }
        // RFC 3207 §4.2: what was known before is forgotten, but for the address.
        self.standing.user = None;
        self.standing.peer.clone_from(&facts.peer);
        let trusted = facts.peer.as_ref().is_some_and(|peer| peer.is_trusted());
        // postconf(5), smtpd_tls_req_ccert: only where TLS is demanded. The connection ends in words, which a TLS alert would not be.
        if settings.tls.require_certificate && self.mode.is_mandatory() && !trusted {
            self.machine.close(&Refusal::CERTIFICATE_REQUIRED);
            return Ok(());
        }
        self.judge().await;
        Ok(())
    }

    /// AUTH: whether the password is right.
    pub(super) async fn authenticate(&mut self, given: Credentials) {
        let user = given.user.clone();
        let outcome = self.check(given).await;
        match &outcome {
            Ok(()) => {
                tracing::info!(client = %self.label, user, "authenticated");
                self.standing.user = Some(user);
            }
            Err(refusal) => tracing::warn!(client = %self.label, user, reply = %refusal, "not authenticated"),
        }
        self.machine.authenticate(outcome);
        self.judge().await;
    }

    async fn check(&mut self, given: Credentials) -> Result<(), Refusal> {
        let Some(authenticator) = &self.intake.authenticator else { return Err(Refusal::AUTH_UNAVAILABLE) };
        // Guessing is nobody's privilege: those in `relay_from` are counted, too.
        let client = self.door.client().network;
        let rates = &self.intake.rates;
        if client.is_some_and(|client| rates.is_full(client, Event::AuthFailure)) || !self.count(Event::Auth)
        {
            return Err(Refusal::TOO_MANY_AUTH);
        }
        let outcome = authenticator.check(given).await;
        if outcome == Err(Refusal::BAD_CREDENTIALS)
            && let Some(client) = client
        {
            rates.count(client, Event::AuthFailure);
        }
        outcome
    }

    fn count(&self, event: Event) -> bool {
        let limited = self.door.client().limited();
        limited.is_none_or(|network| self.intake.rates.count(network, event))
    }

    fn is_full(&self, event: Event) -> bool {
        let limited = self.door.client().limited();
        limited.is_some_and(|network| self.intake.rates.is_full(network, event))
    }
}
