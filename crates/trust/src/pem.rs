//! PEM (RFC 7468), as leniently as OpenSSL reads it: text around the blocks, CR LF, blanks at the ends of lines.

use std::fmt;

/// One block.
#[derive(Clone, PartialEq, Eq)]
pub struct Block {
    /// Its place among the blocks of the file, from 1.
    pub index: usize,
    /// What its `BEGIN` line says: `CERTIFICATE`, `PUBLIC KEY`.
    pub label: String,
    /// Its octets, or what is wrong with them.
    pub contents: Result<Vec<u8>, BadBlock>,
}

impl fmt::Debug for Block {
    /// The octets, which may be a private key, are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({}, {:?})", self.index, self.label)
    }
}

/// What is wrong with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBlock {
    /// No `END` line, or one with another label.
    #[error("its END line is missing")]
    NoEnd,
    /// Not base64.
    #[error("it is not base64")]
    Base64,
    /// A password would be needed.
    #[error("it is encrypted")]
    Encrypted,
}

/// A label longer than this is none.
const MAX_LABEL: usize = 80;

/// The blocks of a file, in order.
#[must_use]
pub fn blocks(text: &[u8]) -> Vec<Block> {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let Some(label) = marker(line, b"-----BEGIN ") else { continue };
        let contents = body(&mut lines, label.as_bytes());
        found.push(Block { index: found.len() + 1, label, contents });
    }
    found
}

/// A block with this label, as [`blocks`] reads it again (RFC 7468 §3: lines of 64).
#[must_use]
pub fn block(label: &str, octets: &[u8]) -> String {
    let base64 = encode(octets);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in base64.as_bytes().chunks(64) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text + "-----END " + label + "-----\n"
}

/// RFC 4648 §4.
fn encode(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(octets.len().div_ceil(3) * 4);
    for chunk in octets.chunks(3) {
        let mut bits = [0; 4];
        bits[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(bits);
        for at in 0..4 {
            let sextet = (bits >> (18 - 6 * at)) & 63;
            text.push(if at <= chunk.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    text
}

/// The label of a `-----BEGIN label-----` or `END` line.
fn marker(line: &[u8], start: &[u8]) -> Option<String> {
    let label = line.strip_prefix(start)?.strip_suffix(b"-----")?;
    let good = label.len() <= MAX_LABEL && label.iter().all(|byte| matches!(byte, b' '..=b'~'));
    good.then(|| String::from_utf8_lossy(label).into_owned())
}

fn body<'a>(lines: &mut impl Iterator<Item = &'a [u8]>, label: &[u8]) -> Result<Vec<u8>, BadBlock> {
    let mut base64 = Vec::new();
    let mut encrypted = false;
    for line in lines {
        if let Some(end) = marker(line, b"-----END ") {
            return match () {
                () if end.as_bytes() != label => Err(BadBlock::NoEnd),
                () if encrypted => Err(BadBlock::Encrypted),
                () => decode(&base64).ok_or(BadBlock::Base64),
            };
        }
        if line.starts_with(b"-----BEGIN ") {
            return Err(BadBlock::NoEnd);
        }
        // RFC 1421 headers: `Proc-Type: 4,ENCRYPTED`.
        if line.contains(&b':') {
            encrypted |= line.starts_with(b"Proc-Type:") || line.starts_with(b"DEK-Info:");
        } else {
            base64.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
        }
    }
    Err(BadBlock::NoEnd)
}

/// RFC 4648 §4, padding required.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let (quads, []) = text.as_chunks::<4>() else { return None };
    let mut out = Vec::with_capacity(quads.len() * 3);
    for (at, quad) in quads.iter().enumerate() {
        let padding = quad.iter().rev().take_while(|byte| **byte == b'=').count();
        if padding > 2 || (padding > 0 && at + 1 != quads.len()) {
            return None;
        }
        let mut bits = 0u32;
        for byte in &quad[..4 - padding] {
            bits = bits << 6 | value(*byte)?;
        }
        bits <<= 6 * padding as u32;
        out.extend_from_slice(&bits.to_be_bytes()[1..4 - padding]);
    }
    Some(out)
}

fn value(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_between_text_and_with_any_line_ends() {
        let text = b"roots\n-----BEGIN CERTIFICATE-----\r\nAAEC\r\nAw==\r\n-----END CERTIFICATE-----\r\nmore: text\n\
            -----BEGIN PUBLIC KEY-----  \n//8=\n-----END PUBLIC KEY-----";
        let found = blocks(text);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].label.as_str(), found[0].contents.clone()),
            ("CERTIFICATE", Ok(vec![0, 1, 2, 3]))
        );
        assert_eq!((found[1].index, found[1].contents.clone()), (2, Ok(vec![255, 255])));
    }

    #[test]
    fn what_is_written_is_read_again() {
        assert_eq!(
            [&b""[..], b"f", b"fo", b"foo", b"foob", b"\xff\xfe\xfd"].map(encode),
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "//79"]
        );
        for length in 0..200 {
            let octets: Vec<u8> = (0..length).map(|n: u8| n.wrapping_mul(7)).collect();
            let read = blocks(block("PRIVATE KEY", &octets).as_bytes());
            assert_eq!((read[0].label.as_str(), &read[0].contents), ("PRIVATE KEY", &Ok(octets)));
        }
    }

    #[test]
    fn broken_blocks_say_what_is_wrong() {
        let table: [(&[u8], BadBlock); 6] = [
            (b"-----BEGIN A-----\nAAEC\n", BadBlock::NoEnd),
            (b"-----BEGIN A-----\nAAEC\n-----END B-----\n", BadBlock::NoEnd),
            (b"-----BEGIN A-----\nAAE\n-----END A-----\n", BadBlock::Base64),
            (b"-----BEGIN A-----\nA=EC\n-----END A-----\n", BadBlock::Base64),
            (b"-----BEGIN A-----\nA*EC\n-----END A-----\n", BadBlock::Base64),
            (b"-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nAAEC\n-----END A-----\n", BadBlock::Encrypted),
        ];
        for (text, expected) in table {
            assert_eq!(blocks(text)[0].contents, Err(expected), "{}", String::from_utf8_lossy(text));
        }
        assert!(blocks(b"").is_empty());
        assert!(blocks(&[0x30, 0x82, 1, 2, 3]).is_empty());
    }
}
