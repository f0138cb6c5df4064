//! What is trusted: immutable snapshots that know where each of their anchors came from.

use std::{collections::HashMap, fmt, path::Path, sync::Arc};

use crate::{Certificate, Name, PublicKey, directory::HashedDirectory};

/// Something that is trusted because a file says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// What it is.
    pub kind: AnchorKind,
    /// Where it came from.
    pub origin: Origin,
}

/// A certificate, or a key by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnchorKind {
    /// A certificate.
    Certificate(Certificate),
    /// A key that has no name, no limits and no expiry.
    Key(PublicKey),
}

/// Where an anchor came from.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub path: Arc<Path>,
    /// Its place among the blocks of the file, from 1.
    pub index: usize,
}

/// `path:index`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.index)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Anchor {
    /// SHA-256 of its SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        use sha2::Digest as _;
        match &self.kind {
            AnchorKind::Certificate(certificate) => sha2::Sha256::digest(certificate.spki()).into(),
            AnchorKind::Key(key) => key.sha256(),
        }
    }

    /// Whom it names; a key names nobody.
    #[must_use]
    pub const fn certificate(&self) -> Option<&Certificate> {
        match &self.kind {
            AnchorKind::Certificate(certificate) => Some(certificate),
            AnchorKind::Key(_) => None,
        }
    }
}

/// `/CN=Lab Root A (roots.pem:3)`, or `public key 0123abcd... (keys.pem:1)`.
impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            AnchorKind::Certificate(certificate) => write!(f, "{} ({})", certificate.subject(), self.origin),
            AnchorKind::Key(key) => {
                f.write_str("public key sha256 ")?;
                key.sha256().iter().take(8).try_for_each(|octet| write!(f, "{octet:02x}"))?;
                write!(f, "... ({})", self.origin)
            }
        }
    }
}

/// By which rules the anchors of a snapshot are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnchorRules {
    /// `CAfile` and `CApath`: a chain ends at a self-signed certificate, which is checked like the rest of the chain,
    /// expiry included. Other certificates of the store only help to complete it.
    Authorities,
    /// Trust anchor files: a chain may end at any of them, which may be bare keys, and they do not expire
    /// (postconf(5), `smtp_tls_trust_anchor_file`).
    Explicit,
}

/// The anchors of one demand: a snapshot that does not change.
///
/// A hashed directory is part of the snapshot, but read as it is needed, one issuer at a time, and then kept.
#[derive(Debug)]
pub struct Anchors {
    rules: AnchorRules,
    list: Vec<Arc<Anchor>>,
    by_subject: HashMap<Name, Vec<usize>>,
    directory: Option<HashedDirectory>,
}

impl Default for Anchors {
    /// Nothing is trusted.
    fn default() -> Self {
        Self::new(AnchorRules::Authorities, Vec::new())
    }
}

impl Anchors {
    /// Of these.
    #[must_use]
    pub fn new(rules: AnchorRules, list: Vec<Arc<Anchor>>) -> Self {
        let mut by_subject: HashMap<Name, Vec<usize>> = HashMap::new();
        for (at, anchor) in list.iter().enumerate() {
            if let Some(certificate) = anchor.certificate() {
                by_subject.entry(certificate.subject().clone()).or_default().push(at);
            }
        }
        Self { rules, list, by_subject, directory: None }
    }

    /// With the certificates of a directory as `openssl rehash` makes it.
    #[must_use]
    pub fn with_directory(self, path: &Path) -> Self {
        Self { directory: Some(HashedDirectory::new(path)), ..self }
    }

    /// By which rules they are trusted.
    #[must_use]
    pub const fn rules(&self) -> AnchorRules {
        self.rules
    }

    /// Whether nothing at all can be trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.directory.is_none()
    }

    /// All that are loaded; those of a directory are not.
    #[must_use]
    pub fn list(&self) -> &[Arc<Anchor>] {
        &self.list
    }

    /// The bare keys.
    pub fn keys(&self) -> impl Iterator<Item = (&Arc<Anchor>, &PublicKey)> {
        self.list.iter().filter_map(|anchor| match &anchor.kind {
            AnchorKind::Key(key) => Some((anchor, key)),
            AnchorKind::Certificate(_) => None,
        })
    }

    /// The certificates with this subject.
    #[must_use]
    pub fn named(&self, subject: &Name) -> Vec<Arc<Anchor>> {
        let loaded = self.by_subject.get(subject).into_iter().flatten();
        let mut found: Vec<_> = loaded.filter_map(|at| self.list.get(*at).cloned()).collect();
        if let Some(directory) = &self.directory {
            found.extend(directory.named(subject));
        }
        found
    }

    /// This very certificate, or its bare key, if it is one of them.
    #[must_use]
    pub fn find(&self, certificate: &Certificate) -> Option<Arc<Anchor>> {
        let same = |anchor: &Arc<Anchor>| anchor.certificate() == Some(certificate);
        let by_name = self.named(certificate.subject()).into_iter().find(same);
        by_name.or_else(|| {
            let mut keys = self.keys();
            keys.find(|(_, key)| key.as_der() == certificate.spki()).map(|(anchor, _)| anchor.clone())
        })
    }
}
