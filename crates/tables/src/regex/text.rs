//! Octets for an engine that knows only text: those beyond ASCII have characters of Unicode's private use area as stand-ins, which are neither
//! letters nor parts of words, as such octets are not in the C locale.

use std::borrow::Cow;

/// U+E000 is the first character for private use.
const BASE: u32 = 0xE000;

/// The character that stands for an octet beyond ASCII.
pub(super) fn stand_in(octet: u8) -> char {
    char::from_u32(BASE + u32::from(octet)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A key of which each character is one octet.
pub(super) fn spread(key: &str) -> Cow<'_, str> {
    if key.is_ascii() {
        return key.into();
    }
    key.bytes().map(|octet| if octet.is_ascii() { char::from(octet) } else { stand_in(octet) }).collect()
}

/// The octets of the key that a part of the spread key stands for.
pub(super) fn gather<'k>(key: &'k str, spread: &str, part: std::ops::Range<usize>) -> &'k [u8] {
    let octets = |text: Option<&str>| text.map_or(0, |text| text.chars().count());
    let start = octets(spread.get(..part.start));
    let end = start + octets(spread.get(part));
    key.as_bytes().get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_come_back_as_they_were() {
        let key = "a\u{e9}b\u{1f512}c";
        let wide = spread(key);
        assert_eq!(wide.chars().count(), key.len());
        for (start, _) in wide.char_indices() {
            let from = wide[..start].chars().count();
            assert_eq!(gather(key, &wide, start..wide.len()), &key.as_bytes()[from..]);
        }
        assert_eq!(gather("abc", "abc", 1..2), b"b");
    }
}
