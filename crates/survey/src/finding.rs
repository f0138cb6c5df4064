//! What was found, how bad it is, and what to do about it.

use std::net::SocketAddr;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Notice,
    /// Mail arrives, and something is not as it should be.
    Warning,
    /// Somebody's mail does not arrive, or is not protected as the records promise.
    Error,
}

impl Severity {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $word:literal $severity:ident;)+) => {
        /// What can be wrong. The word is for programs and does not change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $($(#[$doc])* $name,)+
        }

        impl Fault {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// How bad it is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }
        }
    };
}

faults! {
    /// The resolver cannot do DNSSEC: nothing else can be said.
    ResolverBlind = "resolver-blind" Error;
    /// The MX lookup failed.
    MxFailed = "mx-failed" Error;
    /// There is no such domain, or it takes no mail.
    NoMail = "no-mail" Error;
    /// The MX records are not signed.
    MxInsecure = "mx-insecure" Error;
    /// An MX host does not exist or has no address.
    NoAddress = "no-address" Error;
    /// The address lookup failed.
    AddressesFailed = "addresses-failed" Error;
    /// The addresses of one family cannot be looked up.
    FamilyFailed = "family-failed" Warning;
    /// The host's address records are not signed: nobody asks for its TLSA records.
    AddressesInsecure = "addresses-insecure" Error;
    /// An MX record names an alias.
    MxAlias = "mx-alias" Warning;
    /// The TLSA lookup failed, or its answer is bogus.
    TlsaFailed = "tlsa-failed" Error;
    /// There are TLSA records, and they are not signed.
    TlsaInsecure = "tlsa-insecure" Error;
    /// There are no TLSA records.
    TlsaMissing = "tlsa-missing" Error;
    /// No record of the set can be used.
    NothingUsable = "nothing-usable" Error;
    /// One record of the set cannot be used.
    RecordUnusable = "record-unusable" Warning;
    /// One record matches nothing at all.
    RecordUnmatched = "record-unmatched" Warning;
    /// A record's numbers do not fit its data.
    RecordMistaken = "record-mistaken" Error;
    /// No record matches a chain that is served.
    Mismatch = "mismatch" Error;
    /// The certificate of usage 2 is not among those that are served.
    IssuerNotServed = "issuer-not-served" Error;
    /// A certificate under usage 2 has expired.
    Expired = "expired" Error;
    /// A certificate under usage 2 is not valid yet.
    NotYetValid = "not-yet-valid" Error;
    /// The certificate under usage 2 is for another name.
    NameMismatch = "name-mismatch" Error;
    /// A chain under usage 2 is not in order in another way.
    BadChain = "bad-chain" Error;
    /// It verifies now, and will not at the end of the time asked about.
    CertificateEnding = "certificate-ending" Error;
    /// A signature ends before the end of the time asked about.
    SignatureEnding = "signature-ending" Error;
    /// A signature of a zone above ends soon, and should have been renewed by now.
    ParentSignatureEnding = "parent-signature-ending" Error;
    /// Signatures could not be read.
    SignatureUnread = "signature-unread" Warning;
    /// STARTTLS is not offered.
    NoStarttls = "no-starttls" Error;
    /// STARTTLS is offered and refused.
    StarttlsRefused = "starttls-refused" Error;
    /// The handshake failed.
    HandshakeFailed = "handshake-failed" Error;
    /// Octets came in clear behind the reply to STARTTLS.
    Injected = "injected" Error;
    /// There is no SMTP session.
    Unreachable = "unreachable" Error;
    /// This machine has no way to the address.
    NoRoute = "no-route" Warning;
    /// Whether there is a chain of another kind could not be asked.
    ChainUnseen = "chain-unseen" Warning;
    /// The address was not called.
    NotCalled = "not-called" Warning;
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub fault: Fault,
    /// Of which host, where it is of one.
    pub host: Option<String>,
    /// Of which address, where it is of one.
    pub address: Option<SocketAddr>,
    /// In a sentence, without a full stop.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    pub(crate) fn new(fault: Fault, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { fault, host: None, address: None, what: what.into(), remedy: remedy.into() }
    }

    pub(crate) fn of(mut self, host: &str) -> Self {
        self.host = Some(host.into());
        self
    }

    pub(crate) fn at(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }
}
