//! DATA (RFC 5321 §4.1.1.4) and BDAT (RFC 3030 §2).

use alloc::boxed::Box;

use bytes::{Buf, Bytes, BytesMut};

use super::{
    Message, Refusal, Session, Step,
    command::parse_chunk,
    header::Header,
    scanner::Scanner,
    session::{Host, Phase},
};

impl Session {
    pub(super) fn data(&mut self, host: &mut dyn Host) -> Result<(), Refusal> {
        if self.scanner.is_some() || self.failed {
            // RFC 3030 §2: DATA and BDAT cannot be mixed in one transaction.
            return Err(Refusal::WITHIN_BDAT);
        }
        self.scanner = Some(self.begin_text(host)?);
        self.phase = Phase::Text;
        self.say(format_args!("354 End data with <CR><LF>.<CR><LF>\r\n"));
        Ok(())
    }

    pub(super) fn receive_text(&mut self, input: &mut BytesMut) -> Option<Step> {
        let end = self.scanner.as_mut().and_then(|scanner| scanner.stuffed(input));
        let Some(end) = end else {
            input.clear();
            return Some(Step::Read);
        };
        input.advance(end);
        self.phase = Phase::Command;
        self.finish()
    }

    pub(super) fn bdat(&mut self, argument: &str, host: &mut dyn Host) -> Result<(), Refusal> {
        let limit = self.settings.largest_message() as u64;
        let Some((size, last)) = parse_chunk(argument) else {
            // Nobody knows how many octets follow, so nobody can know where the next command begins.
            self.close(&Refusal::BDAT_SYNTAX);
            return Ok(());
        };
        if size > limit {
            self.close(&Refusal::TOO_LARGE);
            return Ok(());
        }
        let ready = if self.failed {
            Err(Refusal::BDAT_FAILED)
        } else if self.scanner.is_some() {
            Ok(())
        } else {
            self.begin_text(host).map(|scanner| self.scanner = Some(scanner))
        };
        self.phase = match ready {
            Ok(()) => Phase::Chunk { size, missing: size, last },
            // RFC 3030 §2: the octets come all the same, and are thrown away.
            Err(refusal) => Phase::Skip { missing: size, last, refusal },
        };
        Ok(())
    }

    pub(super) fn receive_chunk(&mut self, input: &mut BytesMut) -> Option<Step> {
        let (Phase::Chunk { size, missing, last }, Some(scanner)) = (&mut self.phase, &mut self.scanner)
        else {
            return Some(Step::Close);
        };
        let here = here(*missing, input);
        scanner.plain(&input[..here]);
        input.advance(here);
        *missing -= here as u64;
        if *missing > 0 {
            return Some(Step::Read);
        }
        let (size, last) = (*size, *last);
        self.phase = Phase::Command;
        if last {
            scanner.end_of_chunks();
            return self.finish();
        }
        if let Some(refusal) = fault(scanner) {
            self.scanner = None;
            self.failed = true;
            self.fail(&refusal);
        } else {
            self.say(format_args!("250 2.0.0 Ok: {size} bytes\r\n"));
        }
        None
    }

    pub(super) fn skip_chunk(&mut self, input: &mut BytesMut) -> Option<Step> {
        let Phase::Skip { missing, .. } = &mut self.phase else { return Some(Step::Close) };
        let here = here(*missing, input);
        input.advance(here);
        *missing -= here as u64;
        if *missing > 0 {
            return Some(Step::Read);
        }
        if let Phase::Skip { last, refusal, .. } = core::mem::replace(&mut self.phase, Phase::Command) {
            self.fail(&refusal);
            if last {
                self.reset();
            } else {
                self.failed = self.transaction.is_some();
            }
        }
        None
    }

    /// The end of the text: a message for the queue, or a refusal. Either way the transaction is over.
    fn finish(&mut self) -> Option<Step> {
        let (scanner, transaction) = (self.scanner.take(), self.transaction.take());
        self.reset();
        let (Some(scanner), Some(transaction)) = (scanner, transaction) else { return Some(Step::Close) };
        if let Some(refusal) = fault(&scanner) {
            self.fail(&refusal);
            return None;
        }
        let (leading_dots, taken) = (scanner.leading_dots, scanner.taken());
        let (text, header) = scanner.into_text();
        if header.received >= self.settings.hop_count_limit {
            // RFC 5321 §6.3.
            self.fail(&Refusal::TOO_MANY_HOPS);
            return None;
        }
        if header.longest_field > self.settings.header_size_limit {
            self.fail(&Refusal::FIELD_TOO_LARGE);
            return None;
        }
        self.owed = true;
        let Header { message_id, traceparent, .. } = header;
        let text = fitted(text);
        let message = Message { transaction, taken, text, leading_dots, message_id, traceparent };
        Some(Step::Message(Box::new(message)))
    }
}

/// Texts up to here are worth a copy.
const FITTED: usize = 256 << 10;

/// The text in as much memory as it needs: it may wait for its delivery among thousands, and the buffer was made for a longer one.
fn fitted(text: BytesMut) -> Bytes {
    let spare = text.capacity() - text.len();
    if text.len() <= FITTED && spare > text.len() / 8 { Bytes::copy_from_slice(&text) } else { text.freeze() }
}

/// Why a text cannot be accepted. What is wrong with its form is told before its size: it would be wrong in any size.
const fn fault(scanner: &Scanner) -> Option<Refusal> {
    if scanner.stray {
        Some(Refusal::STRAY_TEXT)
    } else if scanner.overflow {
        Some(Refusal::TOO_LARGE)
    } else {
        None
    }
}

/// How many of the missing octets are here.
fn here(missing: u64, input: &BytesMut) -> usize {
    usize::try_from(missing).unwrap_or(usize::MAX).min(input.len())
}
