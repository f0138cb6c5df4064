//! Numbers and texts as octets: what the format is made of (docs/ledger-format.md, "Values").

use std::ops::Range;

/// The octets are not what the format says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flaw;

pub(crate) type Read<T> = Result<T, Flaw>;

/// LEB128, as everywhere: seven bits an octet, the lowest first.
pub(crate) fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A difference that may be negative: zigzag, then as [`number`].
pub(crate) fn signed(out: &mut Vec<u8>, value: i64) {
    number(out, ((value << 1) ^ (value >> 63)) as u64);
}

pub(crate) fn text(out: &mut Vec<u8>, value: &str) {
    number(out, value.len() as u64);
    out.extend_from_slice(value.as_bytes());
}

/// 0 for none; otherwise one more than the length, and the text.
pub(crate) fn maybe_text(out: &mut Vec<u8>, value: Option<&str>) {
    match value {
        None => out.push(0),
        Some(value) => {
            number(out, value.len() as u64 + 1);
            out.extend_from_slice(value.as_bytes());
        }
    }
}

/// Reads what the functions above wrote. Nothing it is given makes it panic or take much memory.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    whole: &'a [u8],
    at: usize,
    /// Where texts were found, for those who want to know.
    texts: Option<Vec<Range<usize>>>,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(whole: &'a [u8]) -> Self {
        Self { whole, at: 0, texts: None }
    }

    /// The same, noting where texts are.
    pub(crate) const fn noting(whole: &'a [u8]) -> Self {
        Self { whole, at: 0, texts: Some(Vec::new()) }
    }

    pub(crate) fn texts(self) -> Vec<Range<usize>> {
        self.texts.unwrap_or_default()
    }

    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// What has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.whole.get(self.at..).unwrap_or_default()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.at >= self.whole.len()
    }

    pub(crate) fn octets(&mut self, length: usize) -> Read<&'a [u8]> {
        let end = self.at.checked_add(length).ok_or(Flaw)?;
        let octets = self.whole.get(self.at..end).ok_or(Flaw)?;
        self.at = end;
        Ok(octets)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        self.octets(N)?.try_into().map_err(|_| Flaw)
    }

    pub(crate) fn octet(&mut self) -> Read<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn number(&mut self) -> Read<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let octet = self.octet()?;
            value |= u64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Flaw)
    }

    pub(crate) fn small<T: TryFrom<u64>>(&mut self) -> Read<T> {
        T::try_from(self.number()?).map_err(|_| Flaw)
    }

    /// How many things follow, each at least one octet long.
    pub(crate) fn count(&mut self) -> Read<usize> {
        let count: usize = self.small()?;
        if count <= self.whole.len() - self.at { Ok(count) } else { Err(Flaw) }
    }

    pub(crate) fn signed(&mut self) -> Read<i64> {
        let value = self.number()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(crate) fn text(&mut self) -> Read<&'a str> {
        let length = self.small()?;
        self.text_of(length)
    }

    pub(crate) fn maybe_text(&mut self) -> Read<Option<&'a str>> {
        match self.small::<usize>()? {
            0 => Ok(None),
            more => self.text_of(more - 1).map(Some),
        }
    }

    fn text_of(&mut self, length: usize) -> Read<&'a str> {
        let start = self.at;
        let octets = self.octets(length)?;
        if let Some(texts) = &mut self.texts {
            texts.push(start..self.at);
        }
        std::str::from_utf8(octets).map_err(|_| Flaw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back() {
        let mut out = Vec::new();
        for value in [0, 1, 127, 128, 16_384, u64::MAX] {
            number(&mut out, value);
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            signed(&mut out, value);
        }
        text(&mut out, "é");
        maybe_text(&mut out, None);
        maybe_text(&mut out, Some(""));
        let mut reader = Reader::noting(&out);
        for value in [0, 1, 127, 128, 16_384, u64::MAX] {
            assert_eq!(reader.number(), Ok(value));
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(reader.signed(), Ok(value));
        }
        assert_eq!(
            (reader.text(), reader.maybe_text(), reader.maybe_text()),
            (Ok("é"), Ok(None), Ok(Some("")))
        );
        assert!(reader.is_empty() && reader.octet() == Err(Flaw));
        let texts = reader.texts();
        assert_eq!(&out[texts[0].clone()], "é".as_bytes());
    }

    #[test]
    fn counts_larger_than_what_follows_are_flaws() {
        let mut out = Vec::new();
        number(&mut out, 1 << 40);
        out.extend_from_slice(&[0; 100]);
        assert_eq!(Reader::new(&out).count(), Err(Flaw));
        assert_eq!(Reader::new(&[0xff; 20]).number(), Err(Flaw));
    }
}
