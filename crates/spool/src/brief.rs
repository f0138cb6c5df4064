//! One message in a checkpoint, some 40 octets: numbers are differences to those of the message before, and a client is named once where it has sent many.
//!
//! ```text
//! item      flags:1, id, put segment unless it is the last one, put unit, mark segment likewise, mark unit,
//!           and where it only waits: attempts, due, length of the client unless it is the last one, client, length of recipients, recipients
//! recipient index less the one before, length, address
//! ```
//!
//! Numbers are as in `numbers.rs`; all but lengths, segments, attempts and indexes are differences. Flags: 1 it only waits, 2 held, 4 warned, 8 the last client, 16
//! the last segment of a PUT, 32 the last segment of a mark.

use std::{ops::Range, str, sync::Arc};

use waxseal_types::{Mailbox, QueueId, UnixTime};

use crate::{
    Waiting,
    index::{Entry, Place},
    numbers::{self, Numbers},
};

const WAITS: u8 = 1;
const HELD: u8 = 2;
const WARNED: u8 = 4;
const SAME_CLIENT: u8 = 8;
const SAME_PUT: u8 = 16;
const SAME_MARK: u8 = 32;

/// A message, as it is in the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Brief<'a> {
    pub(crate) id: u64,
    pub(crate) put: Place,
    pub(crate) mark: Place,
    /// `None` where there is more to know than fits: the log has it.
    rest: Option<Rest<'a>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Rest<'a> {
    held: bool,
    warned: bool,
    attempts: u32,
    due: u64,
    client: &'a str,
    recipients: &'a [u8],
}

/// What an item is told by its differences to; each block begins with none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Before {
    id: u64,
    put: (u32, u32),
    mark: (u32, u32),
    due: u64,
    /// Where in the block its client is named.
    client: Range<usize>,
}

impl Before {
    /// What the item behind `item` is told by; `client` is where that one's client is named.
    fn then(&self, item: &Brief<'_>, client: Range<usize>) -> Self {
        Self {
            id: item.id,
            put: (item.put.segment, item.put.unit),
            mark: (item.mark.segment, item.mark.unit),
            due: item.rest.as_ref().map_or(self.due, |rest| rest.due),
            client,
        }
    }

    /// The same for an item that was read from `block`.
    pub(crate) fn after(&self, item: &Brief<'_>, block: &[u8]) -> Self {
        let client = item.rest.as_ref().map_or_else(
            || self.client.clone(),
            |rest| {
                // The text is a part of the block, so this is where.
                let start = (rest.client.as_ptr() as usize).wrapping_sub(block.as_ptr() as usize);
                start..start.wrapping_add(rest.client.len())
            },
        );
        self.then(item, client)
    }
}

impl<'a> Brief<'a> {
    /// `waiting` is the message where it only waits; `recipients` is for their octets.
    pub(crate) fn new(
        id: u64,
        entry: &Entry,
        waiting: Option<&'a Waiting>,
        recipients: &'a mut Vec<u8>,
    ) -> Self {
        let rest = waiting.map(|waiting| {
            let mut next = 0;
            for (index, mailbox) in &waiting.recipients {
                numbers::number(recipients, u64::from(index.saturating_sub(next)));
                numbers::number(recipients, mailbox.as_str().len() as u64);
                recipients.extend_from_slice(mailbox.as_str().as_bytes());
                next = index.saturating_add(1);
            }
            let Waiting { client, attempts, due, held, warned, .. } = waiting;
            let (held, warned, attempts, due) = (*held, *warned, *attempts, due.as_micros());
            Rest { held, warned, attempts, due, client, recipients: &*recipients }
        });
        Self { id, put: entry.put, mark: entry.mark, rest }
    }

    /// Adds it to a block; what the next one is told by.
    pub(crate) fn encode(&self, before: &Before, block: &mut Vec<u8>) -> Before {
        let same_client = |rest: &Rest<'_>| {
            !before.client.is_empty() && block.get(before.client.clone()) == Some(rest.client.as_bytes())
        };
        let same_client = self.rest.as_ref().is_some_and(same_client);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let told = self.rest.as_ref().map_or(0, |rest| {
            WAITS | flag(rest.held, HELD) | flag(rest.warned, WARNED) | flag(same_client, SAME_CLIENT)
        });
        let (same_put, same_mark) = (self.put.segment == before.put.0, self.mark.segment == before.mark.0);
        block.push(told | flag(same_put, SAME_PUT) | flag(same_mark, SAME_MARK));
        numbers::difference(block, self.id, before.id);
        for (place, same, before) in [(self.put, same_put, before.put), (self.mark, same_mark, before.mark)] {
            if !same {
                numbers::number(block, u64::from(place.segment));
            }
            numbers::difference(block, u64::from(place.unit), u64::from(before.1));
        }
        let mut client = before.client.clone();
        if let Some(rest) = &self.rest {
            numbers::number(block, u64::from(rest.attempts));
            numbers::difference(block, rest.due, before.due);
            if !same_client {
                numbers::number(block, rest.client.len() as u64);
                client = block.len()..block.len() + rest.client.len();
                block.extend_from_slice(rest.client.as_bytes());
            }
            numbers::number(block, rest.recipients.len() as u64);
            block.extend_from_slice(rest.recipients);
        }
        before.then(self, client)
    }

    /// The next item of `block`, of which `octets` are what is left.
    pub(crate) fn parse(octets: &mut Numbers<'a>, before: &Before, block: &'a [u8]) -> Option<Self> {
        let flags = octets.octet()?;
        let id = octets.difference(before.id)?;
        let mut place = |same, before: (u32, u32)| {
            let segment = if flags & same == 0 { octets.small()? } else { before.0 };
            let unit = octets.difference(u64::from(before.1))?;
            Some(Place { segment, unit: u32::try_from(unit).ok()? })
        };
        let (put, mark) = (place(SAME_PUT, before.put)?, place(SAME_MARK, before.mark)?);
        let rest = if flags & WAITS == 0 {
            None
        } else {
            let (attempts, due) = (octets.small()?, octets.difference(before.due)?);
            let client = if flags & SAME_CLIENT == 0 {
                let length = octets.small()?;
                octets.octets(length as usize)?
            } else {
                block.get(before.client.clone())?
            };
            let length = octets.small()?;
            let recipients = octets.octets(length as usize)?;
            let (held, warned) = (flags & HELD != 0, flags & WARNED != 0);
            Some(Rest { held, warned, attempts, due, client: str::from_utf8(client).ok()?, recipients })
        };
        Some(Self { id, put, mark, rest })
    }

    /// The message, where it only waits.
    pub(crate) fn waiting(&self) -> Option<Waiting> {
        let rest = self.rest.as_ref()?;
        let (mut octets, mut next, mut recipients) = (Numbers(rest.recipients), 0u32, Vec::with_capacity(1));
        while !octets.0.is_empty() {
            let index = next.checked_add(octets.small()?)?;
            let length = octets.small()?;
            let address = str::from_utf8(octets.octets(length as usize)?).ok()?;
            recipients.push((index, Mailbox::new(address).ok()?));
            next = index.checked_add(1)?;
        }
        Some(Waiting {
            id: QueueId::from_u64(self.id),
            recipients,
            client: Arc::from(rest.client),
            attempts: rest.attempts,
            due: UnixTime::from_micros(rest.due),
            held: rest.held,
            warned: rest.warned,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(number: u64) -> Waiting {
        let recipient =
            |index: u32| (index * 2, Mailbox::new(&format!("u{index}@d{number}.example")).unwrap());
        Waiting {
            id: QueueId::from_u64(1_795_249_800_123_456 + number * 300),
            recipients: (0..1 + number as u32 % 3).map(recipient).collect(),
            client: if number % 10 < 7 {
                "unknown[127.0.0.1]".into()
            } else {
                "mail.example[192.0.2.7]".into()
            },
            attempts: 1 + number as u32 % 200,
            due: UnixTime::from_micros(1_795_249_900_000_000 - number * 77_777),
            held: number.is_multiple_of(5),
            warned: number.is_multiple_of(3),
        }
    }

    #[test]
    fn items_are_packed_and_come_back() {
        let entry = |number: u32| {
            let put = Place { segment: 1 + number / 50, unit: 134 + number % 50 * 549 };
            let mut entry = Entry::new(put, 549, 1, false);
            entry.mark = Place { segment: 1 + number / 40, unit: 2000 - number };
            entry
        };
        let (mut block, mut before) = (Vec::new(), Before::default());
        for number in 0..200 {
            let (waiting, mut recipients) = (waiting(number), Vec::new());
            // Every ninth has more to know.
            let told = (!number.is_multiple_of(9)).then_some(&waiting);
            let item = Brief::new(waiting.id.as_u64(), &entry(number as u32), told, &mut recipients);
            before = item.encode(&before, &mut block);
        }
        assert!(block.len() < 200 * 70, "{}", block.len());
        let (mut octets, mut before) = (Numbers(&block), Before::default());
        for number in 0..200 {
            let item = Brief::parse(&mut octets, &before, &block).unwrap();
            let (expected, entry) = (waiting(number), entry(number as u32));
            assert_eq!((item.id, item.put, item.mark), (expected.id.as_u64(), entry.put, entry.mark));
            assert_eq!(item.waiting(), (!number.is_multiple_of(9)).then_some(expected));
            before = before.after(&item, &block);
        }
        assert!(octets.0.is_empty());
        // Checksums stand before this; here it must only come back.
        for at in 0..block.len().min(500) {
            let mut bad = block.clone();
            bad[at] ^= 0xff;
            let (mut octets, mut before) = (Numbers(&bad), Before::default());
            while let Some(item) = Brief::parse(&mut octets, &before, &bad) {
                let _ = item.waiting();
                before = before.after(&item, &bad);
            }
        }
    }
}
