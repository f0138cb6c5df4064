//! What is put off to the end of a thread's turn.
//!
//! The thread that tells what happened has two log lines and three delivery events for each message. A system call for each line, and a thread woken for each
//! event, cost more than the words. So a thread may promise to call [`end_turn`] whenever it has nothing else to do, which a runtime does for it
//! (`on_thread_park`): its lines then leave in one write when it goes to sleep, and so does the word that there are events. Nothing waits longer than the
//! thread is busy; a warning, a line of another thread, [`FULL`] octets and [`LATEST`] end the wait at once. The order of lines is that in which they were logged.
//!
//! A process that is killed loses the lines of the turn it was in, as it does what is on its way to any other file.

use std::{
    cell::{Cell, RefCell},
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Octets that wait at most: some eighty lines, with which a system call is one cost among many.
const FULL: usize = 16 << 10;
/// How long the first of them waits at most while the thread goes on logging. People do not see the difference.
const LATEST: Duration = Duration::from_millis(50);

/// Lines on their way to standard error.
#[derive(Debug)]
pub(crate) struct Lines {
    waiting: Vec<u8>,
    /// When the first of them came.
    since: Option<Instant>,
}

static LINES: Mutex<Lines> = Mutex::new(Lines::new());

/// Something to be done at the end of the turn.
pub(crate) trait Chore {
    /// Does it.
    fn run(&self);
}

thread_local! {
    /// Whether this thread ends its turns.
    static PROMISED: Cell<bool> = const { Cell::new(false) };
    static CHORES: RefCell<Vec<Arc<dyn Chore>>> = const { RefCell::new(Vec::new()) };
}

/// Promises that this thread calls [`end_turn`] before it goes to sleep, and at its end.
pub fn gather_until_end_of_turn() {
    PROMISED.set(true);
}

/// Writes the log lines that wait, and wakes who has to write delivery events.
pub fn end_turn() {
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    // Who listened may have gone: nobody is left to be told.
    let _ = lines.flush(&mut io::stderr());
    drop(lines);
    // A thread that ends, or panics within a chore, has none any more.
    let chores =
        CHORES.try_with(|chores| chores.try_borrow_mut().map(|mut chores| std::mem::take(&mut *chores)));
    for chore in chores.ok().and_then(Result::ok).unwrap_or_default() {
        chore.run();
    }
}

/// Whether the thread ends its turns.
pub(crate) fn is_promised() -> bool {
    PROMISED.get()
}

/// Has `chore` done at the end of this thread's turn.
pub(crate) fn at_end(chore: Arc<dyn Chore>) {
    CHORES.with_borrow_mut(|chores| chores.push(chore));
}

/// Logs a line; `urgent` ones do not wait.
pub(crate) fn log(line: &[u8], urgent: bool) -> io::Result<()> {
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.push(line, urgent || !is_promised(), &mut io::stderr())
}

impl Lines {
    pub(crate) const fn new() -> Self {
        Self { waiting: Vec::new(), since: None }
    }

    /// Takes a line. Nothing waits behind one that is `urgent`.
    pub(crate) fn push(&mut self, line: &[u8], urgent: bool, to: &mut impl Write) -> io::Result<()> {
        if urgent && self.waiting.is_empty() {
            return to.write_all(line);
        }
        self.waiting.extend_from_slice(line);
        let late = self.since.get_or_insert_with(Instant::now).elapsed() >= LATEST;
        if urgent || late || self.waiting.len() >= FULL { self.flush(to) } else { Ok(()) }
    }

    /// Writes all that waits. What cannot be written is gone: a log that grew instead would end the process.
    pub(crate) fn flush(&mut self, to: &mut impl Write) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let written = to.write_all(&self.waiting);
        self.waiting.clear();
        self.since = None;
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each write on its own.
    #[derive(Default)]
    struct Writes(Vec<String>);

    impl Write for Writes {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.push(String::from_utf8(octets.to_vec()).unwrap());
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_of_a_turn_leave_in_one_write_and_in_their_order() {
        let (mut lines, mut to) = (Lines::new(), Writes::default());
        for line in ["a\n", "b\n", "c\n"] {
            // The clock may run on while the machine is busy with something else.
            lines.since = Some(Instant::now());
            lines.push(line.as_bytes(), false, &mut to).unwrap();
        }
        assert!(to.0.is_empty(), "{:?}", to.0);
        lines.flush(&mut to).unwrap();
        lines.flush(&mut to).unwrap();
        assert_eq!(to.0, ["a\nb\nc\n"]);
    }

    #[test]
    fn a_warning_takes_all_before_it_along_at_once() {
        let (mut lines, mut to) = (Lines::new(), Writes::default());
        lines.since = Some(Instant::now());
        lines.push(b"a\n", false, &mut to).unwrap();
        lines.push(b"warning\n", true, &mut to).unwrap();
        lines.push(b"warning\n", true, &mut to).unwrap();
        assert_eq!(to.0, ["a\nwarning\n", "warning\n"]);
    }

    #[test]
    fn nothing_waits_beyond_the_bounds() {
        let (mut lines, mut to) = (Lines::new(), Writes::default());
        lines.since = Some(Instant::now() + LATEST);
        lines.push(&[b'x'; FULL], false, &mut to).unwrap();
        assert_eq!(to.0.len(), 1);
        lines.since = Instant::now().checked_sub(LATEST);
        lines.push(b"late\n", false, &mut to).unwrap();
        assert_eq!(to.0.len(), 2);
    }

    #[test]
    fn a_log_that_cannot_be_written_does_not_grow() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut lines = Lines::new();
        assert!(lines.push(&[b'x'; FULL], false, &mut Broken).is_err());
        assert!(lines.waiting.is_empty());
    }
}
