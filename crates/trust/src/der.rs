//! Just enough DER (X.690) to walk through what a stranger wrote: lengths are checked, nothing is copied, nothing panics.

/// One element.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a> {
    /// The identifier octet.
    pub(crate) tag: u8,
    /// The contents.
    pub(crate) value: &'a [u8],
    /// Identifier, length and contents.
    pub(crate) whole: &'a [u8],
}

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// Context-specific, primitive.
pub(crate) const fn implicit(number: u8) -> u8 {
    0x80 | number
}

/// Context-specific, constructed.
pub(crate) const fn explicit(number: u8) -> u8 {
    0xa0 | number
}

/// Reads elements one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What has not been read.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The next identifier octet, not yet taken.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element. Multi-octet identifiers and indefinite lengths, which DER or certificates do not have, are errors.
    pub(crate) fn next(&mut self) -> Option<Element<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // Up to 4 octets of length: more than any message that could bring them.
            0x81..=0x84 => {
                let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (octets.iter().fold(0usize, |sum, octet| sum << 8 | usize::from(*octet)), rest)
            }
            _ => return None,
        };
        let (value, after) = rest.split_at_checked(length)?;
        let whole = self.0.get(..self.0.len() - after.len())?;
        self.0 = after;
        Some(Element { tag, value, whole })
    }

    /// The contents of the next element, if it has this tag.
    pub(crate) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        (self.peek()? == tag).then(|| self.next()).flatten().map(|element| element.value)
    }
}

/// The contents of the one element that `input` is, if it has this tag and nothing follows.
pub(crate) fn single(input: &[u8], tag: u8) -> Option<&[u8]> {
    let mut reader = Reader::new(input);
    let value = reader.take(tag)?;
    reader.is_empty().then_some(value)
}

/// Writes an element.
pub(crate) fn write(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    header(out, tag, value.len());
    out.extend_from_slice(value);
}

/// Writes identifier and length.
pub(crate) fn header(out: &mut Vec<u8>, tag: u8, length: usize) {
    out.push(tag);
    if length >= 0x80 {
        out.push(0x80 | length_octets(length) as u8);
        out.extend_from_slice(&length.to_be_bytes()[size_of::<usize>() - length_octets(length)..]);
    } else {
        out.push(length as u8);
    }
}

/// How long an element is whose contents have this length.
pub(crate) const fn size(length: usize) -> usize {
    if length >= 0x80 { 2 + length_octets(length) + length } else { 2 + length }
}

const fn length_octets(length: usize) -> usize {
    size_of::<usize>() - length.leading_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_lengths_end_the_walk() {
        for bad in [
            &[][..],
            &[0x30],
            &[0x30, 0x01],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x85, 0, 0, 0, 0, 1, 0],
            &[0x1f, 1, 0],
        ] {
            assert!(Reader::new(bad).next().is_none(), "{bad:x?}");
        }
        let mut reader = Reader::new(&[0x04, 0x81, 0x01, 0xaa, 0x05, 0x00]);
        assert_eq!(reader.take(OCTET_STRING), Some(&[0xaa][..]));
        assert_eq!(reader.peek(), Some(5));
    }

    #[test]
    fn long_values_are_written_as_they_are_read() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let (mut out, value) = (Vec::new(), vec![7; length]);
            write(&mut out, OCTET_STRING, &value);
            assert_eq!(single(&out, OCTET_STRING), Some(&value[..]));
            assert_eq!(out.len(), size(length));
        }
    }
}
