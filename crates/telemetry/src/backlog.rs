//! Lines on their way to a file that may refuse them.

use std::io::{self, Write};

/// Whole lines that are not in the file yet. Nothing is taken out before the file has it, and a line of which the file took a part
/// is finished, not repeated, so that every line of the file stays readable after a full disk.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    lines: Vec<u8>,
    /// Octets of the first line that the file has already.
    done: usize,
}

/// Capacity that is kept between bursts.
const KEPT: usize = 256 << 10;

impl Backlog {
    /// Octets that wait.
    pub(crate) fn len(&self) -> usize {
        self.lines.len() - self.done
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many lines wait.
    pub(crate) fn count(&self) -> u64 {
        count_lines(&self.lines)
    }

    /// Takes more lines and leaves an empty buffer with room for the next ones.
    pub(crate) fn take(&mut self, more: &mut Vec<u8>) {
        if self.lines.is_empty() {
            std::mem::swap(&mut self.lines, more);
        } else {
            self.lines.append(more);
        }
        if more.capacity() > KEPT {
            more.shrink_to(KEPT);
        }
    }

    /// Writes all of it, with one call where the file takes it in one.
    pub(crate) fn write(&mut self, file: &mut dyn Write) -> io::Result<()> {
        let outcome = self.push(file);
        let finished = match &outcome {
            Ok(()) => self.lines.len(),
            Err(_) => start_of_line(&self.lines, self.done),
        };
        self.lines.drain(..finished);
        self.done -= finished;
        outcome
    }

    fn push(&mut self, file: &mut dyn Write) -> io::Result<()> {
        while self.done < self.lines.len() {
            match file.write(&self.lines[self.done..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.done += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What waits goes to another file: the first line there is a whole one.
    pub(crate) fn start_over(&mut self) {
        self.done = 0;
    }
}

pub(crate) fn count_lines(lines: &[u8]) -> u64 {
    lines.iter().map(|octet| u64::from(*octet == b'\n')).sum()
}

fn start_of_line(lines: &[u8], at: usize) -> usize {
    lines[..at].iter().rposition(|octet| *octet == b'\n').map_or(0, |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that has room for so many octets, and takes at most so many at a time.
    struct Disk {
        content: Vec<u8>,
        room: usize,
        at_once: usize,
        interrupted: bool,
    }

    impl Write for Disk {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.interrupted = !self.interrupted;
            if self.interrupted {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let taken = octets.len().min(self.at_once).min(self.room - self.content.len());
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.content.extend_from_slice(&octets[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const LINES: &[u8] = b"{\"a\":1}\n{\"b\":22}\n{\"c\":333}\n";

    fn backlog(lines: &[u8]) -> Backlog {
        let mut backlog = Backlog::default();
        backlog.take(&mut lines.to_vec());
        backlog
    }

    #[test]
    fn a_disk_that_fills_up_anywhere_gets_each_line_once_when_it_has_room_again() {
        for room in 0..=LINES.len() {
            for at_once in [1, 3, 100] {
                let mut disk = Disk { content: Vec::new(), room, at_once, interrupted: false };
                let mut backlog = backlog(LINES);
                assert_eq!(backlog.write(&mut disk).is_ok(), room == LINES.len());
                assert_eq!(backlog.count(), 3 - count_lines(&LINES[..room]), "{room}");
                assert_eq!(backlog.len(), LINES.len() - room);
                backlog.take(&mut b"{}\n".to_vec());
                disk.room = 1000;
                backlog.write(&mut disk).unwrap();
                assert!(backlog.is_empty());
                assert_eq!(disk.content, [LINES, b"{}\n"].concat());
            }
        }
    }

    #[test]
    fn a_torn_line_is_whole_in_the_next_file() {
        let mut full = Disk { content: Vec::new(), room: 10, at_once: 100, interrupted: false };
        let mut backlog = backlog(LINES);
        backlog.write(&mut full).unwrap_err();
        backlog.start_over();
        let mut next = Disk { content: Vec::new(), room: 1000, at_once: 100, interrupted: false };
        backlog.write(&mut next).unwrap();
        assert_eq!(next.content, &LINES[8..]);
    }
}
