//! One connection of a peer.

use std::{collections::HashMap, io, sync::Arc, time::Instant};

use tokio::net::TcpStream;

use super::{Act, Handshake, Happening, Message, Prepared, Recorder, Step, TlsSeen, wire::Wire};

/// Whether the conversation goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// It does; the code of the reply, 0 when there was none.
    On(u16),
    /// The script has ended it.
    End,
}

pub(super) struct Session {
    wire: Wire,
    prepared: Prepared,
    number: usize,
    recorder: Arc<Recorder>,
    visits: HashMap<Step, usize>,
    tls: Option<TlsSeen>,
    transaction: Transaction,
    /// Replies that wait until the client waits for them (RFC 2920 §3.2).
    pending: Vec<u8>,
}

#[derive(Default)]
struct Transaction {
    begun: bool,
    sender: String,
    parameters: Vec<String>,
    recipients: Vec<(String, Vec<String>)>,
    chunks: Vec<u8>,
}

impl Session {
    pub(super) fn new(stream: TcpStream, prepared: Prepared, number: usize, recorder: Arc<Recorder>) -> Self {
        Self {
            wire: Wire::new(stream),
            prepared,
            number,
            recorder,
            visits: HashMap::new(),
            tls: None,
            transaction: Transaction::default(),
            pending: Vec::new(),
        }
    }

    pub(super) async fn run(mut self) -> io::Result<()> {
        if self.prepared.script.implicit_tls && !self.handshake().await? {
            return Ok(());
        }
        if self.act(Step::Greeting, "220 peer.test ESMTP").await? == Flow::End {
            return Ok(());
        }
        loop {
            if !self.wire.has_more() {
                self.flush().await?;
            }
            let Some(line) = self.wire.line().await? else { return Ok(()) };
            let line = String::from_utf8_lossy(&line).into_owned();
            self.note(Happening::Command(line.clone()));
            let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            if self.wire.has_more() && !self.may_be_followed(&verb) {
                self.note(Happening::Early(line.clone()));
            }
            if self.command(&verb, &line).await? == Flow::End {
                return Ok(());
            }
        }
    }

    fn note(&self, what: Happening) {
        self.recorder.note(self.number, what);
    }

    fn offered(&self) -> &[String] {
        let script = &self.prepared.script;
        match (&script.keywords_in_tls, &self.tls) {
            (Some(inside), Some(_)) => inside,
            _ => &script.keywords,
        }
    }

    /// RFC 2920 §3.1: only some commands may have others behind them in a group.
    fn may_be_followed(&self, verb: &str) -> bool {
        let offered = |keyword: &str| self.offered().iter().any(|word| word == keyword);
        match verb {
            "BDAT" => true,
            "MAIL" | "RCPT" | "RSET" => offered("PIPELINING"),
            _ => false,
        }
    }

    async fn command(&mut self, verb: &str, line: &str) -> io::Result<Flow> {
        let lmtp = self.prepared.script.lmtp;
        match verb {
            "EHLO" if !lmtp => self.ehlo().await,
            "LHLO" if lmtp => self.ehlo().await,
            "HELO" if !lmtp => self.act(Step::Helo, "250 peer.test").await,
            "STARTTLS" => self.starttls().await,
            "MAIL" => self.mail(line).await,
            "RCPT" => self.rcpt(line).await,
            "DATA" => self.data().await,
            "BDAT" => self.bdat(line).await,
            "RSET" => {
                self.transaction = Transaction::default();
                self.act(Step::Rset, "250 2.0.0 Ok").await
            }
            "NOOP" => self.say("250 2.0.0 Ok").await,
            "QUIT" => {
                self.act(Step::Quit, "221 2.0.0 Bye").await?;
                self.flush().await?;
                self.wire.close().await?;
                Ok(Flow::End)
            }
            _ => self.say("500 5.5.1 Command unrecognized").await,
        }
    }

    async fn ehlo(&mut self) -> io::Result<Flow> {
        self.transaction = Transaction::default();
        let script = Arc::clone(&self.prepared.script);
        let mut lines = vec!["peer.test".to_owned()];
        lines.extend(self.offered().iter().cloned());
        if script.offers_starttls && self.tls.is_none() {
            lines.push(script.starttls_keyword.clone());
        }
        let last = lines.len() - 1;
        let separator = |index: usize| if index == last { ' ' } else { '-' };
        let lines: Vec<String> =
            lines.iter().enumerate().map(|(index, line)| format!("250{}{line}", separator(index))).collect();
        self.act(Step::Ehlo, &lines.join("\n")).await
    }

    async fn starttls(&mut self) -> io::Result<Flow> {
        let offered = self.prepared.script.offers_starttls && self.tls.is_none();
        let default = if offered { "220 2.0.0 Ready to start TLS" } else { "502 5.5.1 Not offered" };
        let flow = self.act(Step::StartTls, default).await?;
        let Flow::On(200..=299) = flow else { return Ok(flow) };
        let injected = self.prepared.script.injected.clone();
        self.pending.extend(injected);
        self.flush().await?;
        // RFC 3207 §4.2: what came in clear behind the command is none of the session's.
        let early = self.wire.take_rest();
        if !early.is_empty() {
            self.note(Happening::ClearBehindStarttls(early));
        }
        Ok(if self.handshake().await? { flow } else { Flow::End })
    }

    /// Whether a handshake was made and the session goes on.
    async fn handshake(&mut self) -> io::Result<bool> {
        let Some(first) = self.wire.peek().await? else { return Ok(false) };
        // A TLS record of type handshake begins with 22 (RFC 8446 §5.1).
        if first != 22 {
            self.note(Happening::ClearBehindStarttls(vec![first]));
        }
        match self.prepared.script.handshake.clone() {
            Handshake::Serve => {}
            Handshake::Eof => {
                self.wire.close().await?;
                return Ok(false);
            }
            Handshake::Reset => {
                self.wire.reset()?;
                return Ok(false);
            }
            Handshake::Garbage(bytes) => {
                self.wire.send(&bytes).await?;
                self.wire.drain().await?;
                return Ok(false);
            }
            Handshake::Hang => {
                self.wire.drain().await?;
                return Ok(false);
            }
        }
        let Some(acceptor) = self.prepared.acceptor.clone() else { return Ok(false) };
        let seen = self.wire.handshake(&acceptor).await.map(TlsSeen::of);
        match seen {
            Ok(seen) => {
                self.note(Happening::Tls(seen.clone()));
                self.tls = Some(seen);
            }
            Err(error) => {
                self.note(Happening::TlsFailed(error.to_string()));
                return Ok(false);
            }
        }
        if self.prepared.script.closes_after_tls {
            self.wire.close().await?;
            return Ok(false);
        }
        Ok(true)
    }

    async fn mail(&mut self, line: &str) -> io::Result<Flow> {
        let (sender, parameters) = path(line);
        let flow = self.act(Step::Mail, "250 2.1.0 Ok").await?;
        if matches!(flow, Flow::On(200..=299)) {
            self.transaction = Transaction { begun: true, sender, parameters, ..Transaction::default() };
        }
        Ok(flow)
    }

    async fn rcpt(&mut self, line: &str) -> io::Result<Flow> {
        let (recipient, parameters) = path(line);
        if !self.transaction.begun {
            return self.say("503 5.5.1 Need MAIL first").await;
        }
        let own = self.prepared.script.recipients.get(&recipient).cloned();
        let flow = match own {
            Some(act) => self.perform(act).await?,
            None => self.act(Step::Rcpt, "250 2.1.5 Ok").await?,
        };
        if matches!(flow, Flow::On(200..=299)) {
            self.transaction.recipients.push((recipient, parameters));
        }
        Ok(flow)
    }

    async fn data(&mut self) -> io::Result<Flow> {
        let default = if self.transaction.recipients.is_empty() {
            "554 5.5.1 No valid recipients"
        } else {
            "354 End data with <CR><LF>.<CR><LF>"
        };
        let flow = self.act(Step::Data, default).await?;
        let Flow::On(354) = flow else { return Ok(flow) };
        self.flush().await?;
        let text = self.wire.text().await?;
        self.complete(text, false).await
    }

    /// RFC 3030 §2.
    async fn bdat(&mut self, line: &str) -> io::Result<Flow> {
        let mut words = line.split(' ').skip(1);
        let Some(size) = words.next().and_then(|size| size.parse().ok()) else {
            return self.say("501 5.5.4 Syntax: BDAT count [LAST]").await;
        };
        let last = words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST"));
        let chunk = self.wire.bytes(size).await?;
        self.transaction.chunks.extend(chunk);
        if self.transaction.recipients.is_empty() {
            return self.say("554 5.5.1 No valid recipients").await;
        }
        if !last {
            return self.say("250 2.0.0 Ok").await;
        }
        let text = std::mem::take(&mut self.transaction.chunks);
        self.complete(text, true).await
    }

    /// The reply to a whole message; it counts as taken from before that reply is sent.
    async fn complete(&mut self, data: Vec<u8>, chunked: bool) -> io::Result<Flow> {
        let transaction = std::mem::take(&mut self.transaction);
        let replies = if self.prepared.script.lmtp { transaction.recipients.len() } else { 1 };
        let (recipients, recipient_parameters) = transaction.recipients.into_iter().unzip();
        let message = Box::new(Message {
            connection: self.number,
            tls: self.tls.clone(),
            sender: transaction.sender,
            parameters: transaction.parameters,
            recipients,
            recipient_parameters,
            data,
            chunked,
            received: Instant::now(),
        });
        let mut flow = Flow::On(0);
        for reply in 0..replies {
            let act = self.next_act(Step::Dot, "250 2.0.0 Ok: queued as TEST");
            if reply == 0 {
                let taken = code_of(&act) / 100 == 2;
                let message = message.clone();
                self.note(if taken { Happening::Accepted(message) } else { Happening::Refused(message) });
            }
            flow = self.perform(act).await?;
            if flow == Flow::End {
                break;
            }
        }
        Ok(flow)
    }

    fn next_act(&mut self, step: Step, default: &str) -> Act {
        let script = &self.prepared.script;
        let visit = self.visits.entry(step).or_default();
        let index = *visit;
        *visit += 1;
        if let (None, Some(act)) = (&self.tls, script.in_clear.get(&step)) {
            return act.clone();
        }
        let told = script.acts.get(&step).and_then(|acts| acts.get(index).or(acts.last()));
        told.cloned().unwrap_or_else(|| Act::from(default))
    }

    async fn act(&mut self, step: Step, default: &str) -> io::Result<Flow> {
        let act = self.next_act(step, default);
        self.perform(act).await
    }

    async fn perform(&mut self, mut act: Act) -> io::Result<Flow> {
        while let Act::Hold(gate, behind) = act {
            self.flush().await?;
            gate.pass().await;
            act = *behind;
        }
        let code = code_of(&act);
        match act {
            Act::Say(reply) => return self.say(&reply).await,
            Act::Raw(bytes) => {
                self.pending.extend(bytes);
                return Ok(Flow::On(code));
            }
            Act::SayAndClose(reply) => {
                self.say(&reply).await?;
                self.flush().await?;
                self.wire.close().await?;
            }
            Act::Close => {
                self.flush().await?;
                self.wire.close().await?;
            }
            Act::Reset => self.wire.reset()?,
            Act::Hang => {
                self.flush().await?;
                self.wire.drain().await?;
            }
            Act::Hold(..) => {}
        }
        Ok(Flow::End)
    }

    async fn say(&mut self, reply: &str) -> io::Result<Flow> {
        for line in reply.lines() {
            self.pending.extend_from_slice(line.as_bytes());
            self.pending.extend_from_slice(b"\r\n");
        }
        Ok(Flow::On(code(reply.as_bytes())))
    }

    async fn flush(&mut self) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() { Ok(()) } else { self.wire.send(&pending).await }
    }
}

/// The code with which an act answers; 0 for none.
fn code_of(act: &Act) -> u16 {
    match act {
        Act::Say(reply) | Act::SayAndClose(reply) => code(reply.as_bytes()),
        Act::Raw(bytes) => code(bytes),
        Act::Hold(_, behind) => code_of(behind),
        Act::Close | Act::Reset | Act::Hang => 0,
    }
}

fn code(reply: &[u8]) -> u16 {
    let digits = reply.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// The path without brackets, and the parameters, of `MAIL FROM:<a@b> SIZE=1`.
fn path(line: &str) -> (String, Vec<String>) {
    let (path, rest) = line.split_once('>').unwrap_or((line, ""));
    let path = path.split_once('<').map_or("", |(_, path)| path);
    (path.to_owned(), rest.split_whitespace().map(str::to_owned).collect())
}
