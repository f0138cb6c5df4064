//! The secret that opens the door.

use std::{fmt, fs, io, os::unix::fs::PermissionsExt as _, path::Path};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::Error;

/// Shorter ones can be guessed; longer ones are a mistake, a certificate say.
const LENGTH: std::ops::RangeInclusive<usize> = 16..=1024;

/// The digest of the token. Digests have one length, so that comparing them tells nothing of the token's.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// A token as it is written.
    ///
    /// # Errors
    /// [`Error::TokenWords`].
    pub fn new(text: &str) -> Result<Self, Error> {
        let fit = LENGTH.contains(&text.len())
            && text.chars().all(|c| c == ' ' || c.is_ascii_graphic())
            && text.trim() == text;
        if fit { Ok(Self(Sha256::digest(text).into())) } else { Err(Error::TokenWords) }
    }

    /// The first line of a file that not everybody can read.
    ///
    /// # Errors
    /// What is wrong with the file or with what stands in it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let fault = |cause: io::Error| Error::TokenFile { path: path.to_owned(), cause };
        if fs::metadata(path).map_err(fault)?.permissions().mode() & 0o007 != 0 {
            return Err(Error::TokenOpen(path.to_owned()));
        }
        let text = fs::read_to_string(path).map_err(fault)?;
        Self::new(text.lines().next().unwrap_or_default().trim())
    }

    /// Whether `shown` is it, in a time that does not depend on where it differs.
    #[must_use]
    pub fn is(&self, shown: &[u8]) -> bool {
        self.0.ct_eq(Sha256::digest(shown).as_slice()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_everybody_can_read_is_no_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        fs::write(&path, "0123456789abcdef\n").expect("our folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("our file");
        assert!(matches!(Token::read(&path), Err(Error::TokenOpen(_))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("our file");
        assert!(Token::read(&path).expect("a token").is(b"0123456789abcdef"));
        assert!(matches!(Token::read(&folder.path().join("none")), Err(Error::TokenFile { .. })));
    }

    #[test]
    fn what_is_no_token() {
        for text in
            ["", "short", "0123456789abcde", " 0123456789abcdef", "0123456789abcdef\n", "0123456789abcdeé"]
        {
            assert!(Token::new(text).is_err(), "{text:?}");
        }
        assert!(!format!("{:?}", Token::new("0123456789abcdef")).contains("0123"));
    }
}
