//! Addresses as they are written: as they are, or with a keyed digest in place of the local part (`ledger.redact`).

use std::{
    borrow::Cow,
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use sha2::{Digest as _, Sha256};
use waxseal_types::Mailbox;

/// The key's file, in the ledger's folder. Who has no key cannot tell which address a digest is of, not even by trying.
const KEY: &str = "redact.key";

/// What addresses are hidden behind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Veil(Option<[u8; 32]>);

impl Veil {
    /// None: addresses are written as they are.
    pub(crate) const NONE: Self = Self(None);

    /// With the key of the folder, which is made where there is none.
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        if let Self(Some(key)) = Self::existing(folder)? {
            return Ok(Self(Some(key)));
        }
        let mut key = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut key)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(KEY))?;
        file.write_all(&key)?;
        file.sync_all()?;
        Ok(Self(Some(key)))
    }

    /// With the key of the folder, where it has one.
    pub(crate) fn existing(folder: &Path) -> io::Result<Self> {
        match std::fs::read(folder.join(KEY)) {
            Ok(octets) => {
                let wrong = |_| io::Error::new(io::ErrorKind::InvalidData, "redact.key has not 32 octets");
                Ok(Self(Some(octets.try_into().map_err(|octets: Vec<u8>| wrong(octets.len()))?)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self(None)),
            Err(error) => Err(error),
        }
    }

    /// Whether there is none.
    pub(crate) const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The address behind the veil: `~` and twelve digits of a keyed digest of the whole address, and the domain.
    pub(crate) fn address<'a>(&self, address: &'a str) -> Cow<'a, str> {
        let Some(key) = &self.0 else { return Cow::Borrowed(address) };
        let domain = address.rfind('@').map_or("", |at| &address[at..]);
        let mut digest = Sha256::new();
        digest.update(key);
        digest.update(address.to_lowercase());
        let digest = digest.finalize();
        let digits: String = digest.iter().take(6).map(|octet| format!("{octet:02x}")).collect();
        Cow::Owned(format!("~{digits}{domain}"))
    }

    /// A sentence or a server's words, with the addresses of this message behind the veil.
    pub(crate) fn words<'a>(&self, words: &'a str, addresses: &[&Mailbox]) -> Cow<'a, str> {
        let mut words = Cow::Borrowed(words);
        if self.0.is_none() {
            return words;
        }
        for address in addresses {
            let found: Vec<_> = occurrences(words.as_bytes(), address.as_str());
            for at in found.into_iter().rev() {
                words
                    .to_mut()
                    .replace_range(at..at + address.as_str().len(), &self.address(address.as_str()));
            }
        }
        words
    }
}

/// Where `address` stands in `text`, whatever its case, and not as a part of a longer address.
pub(crate) fn occurrences(text: &[u8], address: &str) -> Vec<usize> {
    let wanted = address.as_bytes();
    let of_address =
        |octet: &u8| octet.is_ascii_alphanumeric() || b".-_+~=".contains(octet) || !octet.is_ascii();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(window) = text.get(at..at + wanted.len()).filter(|_| !wanted.is_empty()) {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        let after = text.get(at + wanted.len());
        // A full stop behind an address ends a sentence, unless more of a name follows.
        let goes_on = after.is_some_and(|octet| {
            of_address(octet) && (*octet != b'.' || text.get(at + wanted.len() + 1).is_some_and(of_address))
        });
        if window.eq_ignore_ascii_case(wanted) && !before.is_some_and(of_address) && !goes_on {
            found.push(at);
            at += wanted.len();
        } else {
            at += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_whole_in_any_case() {
        let table: [(&str, &[usize]); 6] = [
            ("a@b.example", &[0]),
            ("<A@B.example>: a@b.example.", &[1, 15]),
            ("ba@b.example", &[]),
            ("a@b.example.org", &[]),
            ("x+a@b.example", &[]),
            ("", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(occurrences(text.as_bytes(), "a@b.example"), expected, "{text}");
        }
    }

    #[test]
    fn the_veil_hides_the_local_part_and_stays_the_same_for_one_folder() {
        let folder = tempfile::tempdir().unwrap();
        let veil = Veil::of(folder.path()).unwrap();
        let hidden = veil.address("Somebody@example.com").into_owned();
        assert!(hidden.starts_with('~') && hidden.ends_with("@example.com") && !hidden.contains("omebody"));
        assert_eq!(Veil::of(folder.path()).unwrap().address("somebody@example.com"), hidden);
        let mailbox = Mailbox::new("somebody@example.com").unwrap();
        let words = veil.words("550 <somebody@example.com> unknown", &[&mailbox]);
        assert_eq!(words, format!("550 <{hidden}> unknown"));
        assert_eq!(Veil::NONE.address("a@b"), "a@b");
        // What is written must be readable as an address again.
        assert!(Mailbox::new(&hidden).is_ok());
    }
}
