//! A `waxseal serve-policy` of a test.

use std::{
    io::{BufRead as _, BufReader, Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// How long a test waits for what should happen at once.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    child: Child,
    /// Where it said that it listens.
    pub(crate) place: String,
    /// What it says later on.
    lines: mpsc::Receiver<String>,
}

impl Server {
    pub(crate) fn start(words: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
        command.arg("serve-policy").args(words).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let stderr = child.stderr.take().expect("it is piped");
        let (said, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = said.send(line);
            }
        });
        let mut server = Self { child, place: String::new(), lines };
        let ready = server.says("ready: ");
        let place = ready.split("told on ").nth(1).and_then(|rest| rest.split(' ').next());
        server.place = place.expect("it says where").to_owned();
        server
    }

    /// Waits for a line with this word.
    #[expect(clippy::panic, reason = "a server that ended says why, and the test with it")]
    pub(crate) fn says(&self, word: &str) -> String {
        let (begin, mut said) = (Instant::now(), Vec::new());
        loop {
            match self.lines.recv_timeout(LIMIT.saturating_sub(begin.elapsed())) {
                Ok(line) if line.contains(word) => return line,
                Ok(line) => said.push(line),
                Err(error) => panic!("it never said {word:?} ({error}); it said {said:#?}"),
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()));
    }

    pub(crate) fn end(mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().expect("it ends")
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Box<dyn Wire> {
        if let Some(path) = self.place.strip_prefix("unix:") {
            let stream = std::os::unix::net::UnixStream::connect(path).expect("it listens");
            stream.set_read_timeout(Some(LIMIT)).expect("a time");
            Box::new(stream)
        } else {
            let address = self.place.strip_prefix("inet:").expect("one or the other");
            let stream = std::net::TcpStream::connect(address).expect("it listens");
            stream.set_read_timeout(Some(LIMIT)).expect("a time");
            Box::new(stream)
        }
    }

    /// One question over a connection of its own.
    pub(crate) fn ask(&self, name: &str, key: &str) -> String {
        let mut wire = self.connect();
        send(&mut *wire, &format!("{name} {key}"));
        receive(&mut *wire).expect("an answer")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) trait Wire: Read + Write {}

impl<T: Read + Write> Wire for T {}

pub(crate) fn send(wire: &mut dyn Wire, text: &str) {
    wire.write_all(format!("{}:{text},", text.len()).as_bytes()).expect("it reads");
}

/// One netstring; `None` where the server closed.
pub(crate) fn receive(wire: &mut dyn Wire) -> Option<String> {
    let mut length = 0;
    loop {
        let mut octet = [0];
        match wire.read(&mut octet).expect("it answers in time") {
            0 => return None,
            _ if octet[0] == b':' => break,
            _ => length = length * 10 + usize::from(octet[0] - b'0'),
        }
    }
    let mut text = vec![0; length + 1];
    wire.read_exact(&mut text).expect("all of it");
    assert_eq!(text.pop(), Some(b','));
    Some(String::from_utf8(text).expect("text"))
}
