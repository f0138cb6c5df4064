//! One client: octets to the machine, replies back, and the clock.

use std::{io, sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};
use waxseal_smtp::server::{Message, Refusal, Session, Step};
use waxseal_spool::{Accept, Gathering};

use crate::{
    client::Client,
    counters::Counters,
    host::Door,
    intake::{Intake, Share},
    large::PIECE,
    listener::Mode,
    rates::Event,
    relay::Standing,
    stream::Stream,
};

mod secure;

/// Room for a read: commands, and the message of usual size at once.
const READ: usize = 16 << 10;
/// Room for a read within a large text.
const LARGE_READ: usize = 64 << 10;
/// How long a client that is being sent away may take to read why.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long, and how much, is read from a client that does not hear the end: closing at once would make its system throw our last reply away.
const LINGER: (Duration, usize) = (Duration::from_secs(1), 1 << 20);

/// How long a session waits at most before it looks again how crowded it is.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Serves one client to the end.
pub(crate) async fn run<S>(
    stream: S,
    (client, mode): (Client, Mode),
    intake: Arc<Intake>,
    accept: Arc<dyn Accept>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let label = Arc::clone(&client.label);
    let admission = match intake.clients.admit(&client, &intake.settings) {
        Ok(admission) => admission,
        Err(refusal) => {
            let one_client = refusal == Refusal::TOO_MANY_CONNECTIONS;
            let counters = &intake.counters;
            Counters::count(if one_client { &counters.crowded_client } else { &counters.crowded });
            // To a client that waits for a handshake words in clear mean nothing.
            return turn_away((mode != Mode::Wrapped).then_some(stream), &label, &refusal).await;
        }
    };
    if !client.limited().is_none_or(|network| intake.rates.count(network, Event::Connection)) {
        let stream = (mode != Mode::Wrapped).then_some(stream);
        return turn_away(stream, &label, &Refusal::TOO_MANY_IN_TIME).await;
    }
    let ready = intake.has_tls();
    let protocol = intake.protocols.choose(mode, ready, intake.clients.is_stressed(&intake.settings));
    let now = Instant::now();
    let standing =
        Standing { is_local: client.network.is_none(), is_ours: client.is_ours, ..Standing::default() };
    let mut driver = Driver {
        stream: Stream::Clear(stream),
        machine: Session::new(protocol),
        input: BytesMut::new(),
        spare: BytesMut::new(),
        deadline: now + intake.settings.timeout,
        answered: now,
        gathering: None,
        share: Share::new(Arc::clone(&intake)),
        closing: intake.closing.subscribe(),
        door: Door::new(Arc::clone(&intake), Arc::clone(&accept), client),
        standing,
        mode,
        intake,
        accept,
        label,
    };
    if let Err(error) = driver.begin().await {
        tracing::debug!(client = %driver.label, %error, "connection lost");
    }
    drop(admission);
}

/// Who is not let in is told why, and does not get to stay, since nobody counts it.
async fn turn_away<S: AsyncWrite + Unpin>(stream: Option<S>, label: &str, refusal: &Refusal) {
    tracing::info!(client = %label, reply = %refusal, "turned away");
    let Some(mut stream) = stream else { return };
    let line = format!("{refusal}\r\n");
    let _ = timeout(FAREWELL, stream.write_all(line.as_bytes())).await;
}

struct Driver<S> {
    stream: Stream<S>,
    machine: Session,
    input: BytesMut,
    /// Memory for the next piece of a large text.
    spare: BytesMut,
    /// When the client's time for what it is doing is over.
    deadline: Instant,
    /// When it was last answered, or sent something of a text.
    answered: Instant,
    /// Held while a text is coming in.
    gathering: Option<Gathering>,
    share: Share,
    closing: watch::Receiver<bool>,
    door: Door,
    standing: Standing,
    mode: Mode,
    intake: Arc<Intake>,
    accept: Arc<dyn Accept>,
    label: Arc<str>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// From the first octet to the last.
    async fn begin(&mut self) -> io::Result<()> {
        if self.mode == Mode::Wrapped {
            self.secure().await?;
        } else {
            self.judge().await;
        }
        self.run().await
    }

    async fn run(&mut self) -> io::Result<()> {
        loop {
            let step = self.machine.advance(&mut self.input, &mut self.door);
            if !(self.machine.is_receiving() || matches!(step, Step::Message(_))) {
                self.door.forget();
            }
            if !self.account() {
                Counters::count(&self.intake.counters.memory);
                self.machine.close(&Refusal::TOO_BUSY);
                continue;
            }
            match step {
                Step::Read => {
                    self.flush().await?;
                    self.pass_on().await;
                    if !self.read().await? {
                        return Ok(());
                    }
                }
                Step::Message(message) => self.commit(*message).await,
                Step::Pause => {
                    self.flush().await?;
                    sleep(self.intake.settings.error_delay).await;
                }
                Step::Authenticate(credentials) => self.authenticate(*credentials).await,
                Step::StartTls => self.start_tls().await?,
                Step::Close => return self.farewell().await,
            }
        }
    }

    /// A text that has grown large goes on to the spool while more of it comes. The time that this takes is not the client's.
    async fn pass_on(&mut self) {
        if self.machine.held() <= PIECE || !self.door.takes_pieces().await {
            return;
        }
        match self.machine.take_piece(PIECE, std::mem::take(&mut self.spare)) {
            Err(spare) => self.spare = spare,
            Ok(piece) => {
                let began = Instant::now();
                self.spare = self.door.pass(piece, self.machine.is_traced()).await;
                self.deadline += began.elapsed();
                self.answered += began.elapsed();
            }
        }
    }

    /// Tells the others what this session is doing; `false` when there is no room for it.
    fn account(&mut self) -> bool {
        if !self.machine.is_receiving() {
            self.gathering = None;
            self.spare = BytesMut::new();
        } else if self.gathering.is_none() {
            self.gathering = Some(self.accept.gathering());
        }
        self.share.set(self.machine.held() + self.door.held())
    }

    /// Hands the message over and waits, however long that takes and whether or not the client is still there: whoever has a copy of the message
    /// decides what became of it, and that is now the spool.
    async fn commit(&mut self, message: Message) {
        self.share.set(message.text.len());
        let outcome = self.door.commit(message).await;
        let counters = &self.intake.counters;
        Counters::count(if outcome.is_ok() { &counters.taken } else { &counters.refused });
        match &outcome {
            Ok(id) => tracing::debug!(queue_id = %id, client = %self.label, "accepted"),
            Err(refusal) => tracing::warn!(client = %self.label, ?refusal, "message not taken"),
        }
        self.share.set(0);
        self.machine.settle(outcome);
    }

    /// Writes all replies at once. Whoever was answered has the full time for what comes next.
    async fn flush(&mut self) -> io::Result<()> {
        if self.machine.output().is_empty() {
            return Ok(());
        }
        self.write(self.intake.settings.timeout).await?;
        self.answered = Instant::now();
        self.deadline = self.answered + self.intake.settings.timeout;
        Ok(())
    }

    async fn write(&mut self, patience: Duration) -> io::Result<()> {
        if let Some(refusal) = self.machine.take_refusal() {
            tracing::info!(client = %self.label, reply = %refusal, "refused");
        }
        let output = self.machine.output();
        timeout(patience, async {
            self.stream.write_all(output).await?;
            // TLS may keep a part of it.
            self.stream.flush().await
        })
        .await??;
        output.clear();
        Ok(())
    }

    /// Waits for octets; `false` when the client has gone. A client that is too slow, or in the way of the shutdown, is sent away by the machine.
    async fn read(&mut self) -> io::Result<bool> {
        let receiving = self.machine.is_receiving();
        // Checked here as well as below: a client whose octets are always there already would never get further.
        if !receiving && *self.closing.borrow() {
            self.machine.close(&Refusal::SHUTTING_DOWN);
            return Ok(true);
        }
        let now = Instant::now();
        let deadline = self.deadline_now();
        if now >= deadline {
            self.machine.close(&Refusal::TIMEOUT);
            return Ok(true);
        }
        let large = self.machine.held() > LARGE_READ || self.door.is_passing();
        self.input.reserve(if large { LARGE_READ } else { READ });
        let read = tokio::select! {
            biased;
            read = self.stream.read_buf(&mut self.input) => read?,
            // RFC 5321 §3.8: a server that is shut down says 421, and does so between commands.
            _ = self.closing.wait_for(|closing| *closing), if !receiving => {
                self.machine.close(&Refusal::SHUTTING_DOWN);
                return Ok(true);
            }
            // Whether the time is over is found out above.
            () = sleep_until(deadline.min(now + LOOK_UP)) => return Ok(true),
        };
        if self.machine.in_transfer() {
            self.extend_deadline(read);
        }
        Ok(read > 0)
    }

    /// The deadline; a nearer one while connections are scarce (postconf(5), smtpd_timeout under `stress`), for clients of others.
    fn deadline_now(&self) -> Instant {
        let settings = &self.intake.settings;
        if !self.door.client().is_ours && self.intake.clients.is_stressed(settings) {
            self.deadline.min(self.answered + settings.stress_timeout)
        } else {
            self.deadline
        }
    }

    /// postconf(5) smtpd_min_data_rate: a text has no deadline as a whole, but each octet buys only so much time.
    fn extend_deadline(&mut self, octets: usize) {
        let rate = self.intake.settings.min_data_rate.max(1);
        let bought = Duration::from_micros((octets as u64).saturating_mul(1_000_000) / rate);
        let now = Instant::now();
        self.deadline = (self.deadline + bought).min(now + self.intake.settings.timeout);
        self.answered = (self.answered + bought).min(now);
    }

    /// The last words, and time to hear them.
    async fn farewell(&mut self) -> io::Result<()> {
        self.gathering = None;
        self.write(FAREWELL).await?;
        self.stream.shutdown().await?;
        let (patience, mut octets) = LINGER;
        let linger = async {
            while octets > 0 {
                self.input.clear();
                self.input.reserve(READ);
                let read = self.stream.read_buf(&mut self.input).await?;
                octets = if read == 0 { 0 } else { octets.saturating_sub(read) };
            }
            Ok(())
        };
        timeout(patience, linger).await.unwrap_or(Ok(()))
    }
}
