//! Numbers of few octets: seven bits in each, low ones first, the highest bit says that more follow.

/// Writes a number.
pub(crate) fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Writes how far `number` is from `before`, either way; the sign is the lowest bit.
pub(crate) fn difference(out: &mut Vec<u8>, number: u64, before: u64) {
    let far = number.wrapping_sub(before) as i64;
    self::number(out, ((far << 1) ^ (far >> 63)) as u64);
}

/// Octets with such numbers in them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers<'a>(pub(crate) &'a [u8]);

impl<'a> Numbers<'a> {
    pub(crate) fn octet(&mut self) -> Option<u8> {
        let (octet, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*octet)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let octet = self.octet()?;
            value |= u64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    pub(crate) fn difference(&mut self, before: u64) -> Option<u64> {
        let far = self.number()?;
        Some(before.wrapping_add((far >> 1) ^ (far & 1).wrapping_neg()))
    }

    /// So many octets, as they are.
    pub(crate) fn octets(&mut self, count: usize) -> Option<&'a [u8]> {
        let (octets, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(octets)
    }
}
