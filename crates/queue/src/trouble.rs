//! What sort of thing failed, whom it is for to mend, and what it means: the words of explanations and notifications.

/// What sort of thing failed. [`crate::disposition`] says it of every failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// Something that this program has no word for: an account of another version.
    Other,
    /// DNSSEC says that an answer is forged, expired or stripped.
    ForgedDns,
    /// The name servers gave no answer.
    SilentDns,
    /// The domain or its mail host does not exist, or has no address.
    NoSuchHost,
    /// The domain says that it takes no mail (RFC 7505).
    NullMx,
    /// The mail would come back to us.
    Loop,
    /// The TLS policy cannot be had or contradicts itself.
    Policy,
    /// Trust anchors, a CA file or a client certificate of ours cannot be used.
    Trust,
    /// No route can be found: a table failed.
    Route,
    /// A service of ours was not there.
    Service,
    /// DANE is demanded, and the destination has no TLSA records that can be used.
    NoDane,
    /// The server did not prove that it is the one that is demanded.
    NotVerified,
    /// TLS is demanded, and the server did not offer it.
    NoStarttls,
    /// TLS is demanded, and the server refused to begin it.
    StarttlsRefused,
    /// The TLS handshake failed.
    Handshake,
    /// No connection could be made.
    Unreachable,
    /// A connection was lost, or took too long.
    Lost,
    /// The server broke the protocol.
    Protocol,
    /// The server asks to come again later.
    RefusedForNow,
    /// The server refused for good.
    Refused,
    /// The message needs what the server does not offer.
    Unsupported,
    /// Our own resolver cannot validate DNSSEC.
    Resolver,
    /// An operator took the message out, or sent it back.
    Operator,
    /// A route says that it is thrown away.
    Discarded,
    /// An operator suspended deliveries.
    Suspended,
    /// It came to no attempt at all.
    Untried,
}

/// Who can mend something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whose {
    /// Those who run the server of the recipient's domain.
    TheirServer,
    /// Those who run the recipient's domain in DNS.
    TheirDns,
    /// The operator of this mail system.
    Ours,
    /// The sender.
    Sender,
    /// Time, or nobody that can be named.
    Nobody,
}

impl Trouble {
    /// All of them; a ledger writes the place in this list, so that new ones are added at the end.
    pub const ALL: [Self; 26] = [
        Self::Other,
        Self::ForgedDns,
        Self::SilentDns,
        Self::NoSuchHost,
        Self::NullMx,
        Self::Loop,
        Self::Policy,
        Self::Trust,
        Self::Route,
        Self::Service,
        Self::NoDane,
        Self::NotVerified,
        Self::NoStarttls,
        Self::StarttlsRefused,
        Self::Handshake,
        Self::Unreachable,
        Self::Lost,
        Self::Protocol,
        Self::RefusedForNow,
        Self::Refused,
        Self::Unsupported,
        Self::Resolver,
        Self::Operator,
        Self::Discarded,
        Self::Suspended,
        Self::Untried,
    ];

    /// One word, for data.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::ForgedDns => "forged-dns",
            Self::SilentDns => "silent-dns",
            Self::NoSuchHost => "no-such-host",
            Self::NullMx => "null-mx",
            Self::Loop => "loop",
            Self::Policy => "policy",
            Self::Trust => "trust",
            Self::Route => "route",
            Self::Service => "service",
            Self::NoDane => "no-dane",
            Self::NotVerified => "not-verified",
            Self::NoStarttls => "no-starttls",
            Self::StarttlsRefused => "starttls-refused",
            Self::Handshake => "handshake",
            Self::Unreachable => "unreachable",
            Self::Lost => "lost",
            Self::Protocol => "protocol",
            Self::RefusedForNow => "refused-for-now",
            Self::Refused => "refused",
            Self::Unsupported => "unsupported",
            Self::Resolver => "resolver",
            Self::Operator => "operator",
            Self::Discarded => "discarded",
            Self::Suspended => "suspended",
            Self::Untried => "untried",
        }
    }

    /// Of that word; what is unknown is [`Trouble::Other`].
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        Self::ALL.into_iter().find(|trouble| trouble.as_str() == word).unwrap_or(Self::Other)
    }

    /// Who can mend it.
    #[must_use]
    pub const fn whose(self) -> Whose {
        match self {
            Self::ForgedDns | Self::SilentDns | Self::NoDane => Whose::TheirDns,
            Self::NotVerified
            | Self::NoStarttls
            | Self::StarttlsRefused
            | Self::Handshake
            | Self::Protocol => Whose::TheirServer,
            Self::Loop
            | Self::Policy
            | Self::Trust
            | Self::Route
            | Self::Service
            | Self::Resolver
            | Self::Operator
            | Self::Discarded
            | Self::Suspended
            | Self::Untried => Whose::Ours,
            Self::NoSuchHost | Self::NullMx | Self::Refused | Self::Unsupported => Whose::Sender,
            Self::Other | Self::Unreachable | Self::Lost | Self::RefusedForNow => Whose::Nobody,
        }
    }

    /// What happened and why nothing was sent, for somebody who knows neither TLS nor DNS by heart.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Other => "The message could not be handed over.",
            Self::ForgedDns => {
                "The recipient's domain signs its entries in DNS (DNSSEC), and the answers that came do not carry a valid signature. Either the \
                 domain's signatures are broken, or somebody forges the answers; both look the same from here, so nothing was sent."
            }
            Self::SilentDns => {
                "The name servers of the recipient's domain did not answer a question that must be answered before mail can be sent safely. \
                 No answer is not the same as \"there is none\", so nothing was sent."
            }
            Self::NoSuchHost => {
                "The domain of the address, or the server it names for its mail, does not exist in DNS."
            }
            Self::NullMx => "The domain of the address says in DNS that it takes no mail at all.",
            Self::Loop => {
                "The way to this address leads back to this mail system, so the message would go in circles."
            }
            Self::Policy => {
                "The rule that says how this destination must be protected cannot be used, so nothing was sent."
            }
            Self::Trust => {
                "The certificates that the other server must be checked against are missing or broken on this mail system, so nothing was sent."
            }
            Self::Route => "This mail system cannot look up the way to this address just now.",
            Self::Service => "A part of this mail system is restarting or overloaded.",
            Self::NoDane => {
                "Mail to this destination may only go to a server whose key the domain publishes in DNS (DANE), and no such record can be had, \
                 so nothing was sent."
            }
            Self::NotVerified => {
                "The server that answered could not prove that it is the right one: its certificate is not what is demanded. Somebody could \
                 be reading along, so nothing was sent to it."
            }
            Self::NoStarttls => {
                "Mail to this destination must be encrypted, and the server that answered did not offer encryption. An attacker on the way can \
                 cause just that, so nothing was sent in clear."
            }
            Self::StarttlsRefused => {
                "Mail to this destination must be encrypted, and the server refused to begin encryption. Nothing was sent in clear."
            }
            Self::Handshake => "Encryption could not be set up with the server, so nothing was sent.",
            Self::Unreachable => "No server of the destination could be reached.",
            Self::Lost => {
                "The connection to the server broke off or stood still before the message was settled."
            }
            Self::Protocol => {
                "The server answered with something that is no proper answer in the mail protocol."
            }
            Self::RefusedForNow => {
                "The server asks to come again later. Many do so with senders that they do not know yet."
            }
            Self::Refused => "The server refused the message for good.",
            Self::Resolver => {
                "The resolver of this mail system cannot validate DNSSEC, so that a true answer cannot be told from a forged one; nothing was sent."
            }
            Self::Operator => "An administrator of this mail system took the message out of its queue.",
            Self::Discarded => "A rule of this mail system says that mail to this address is thrown away.",
            Self::Suspended => {
                "An administrator of this mail system has stopped deliveries to this destination for the time being."
            }
            Self::Untried => "This mail system came to no attempt at delivering the message.",
            Self::Unsupported => {
                "The message needs something that the server cannot do, or is too large for it."
            }
        }
    }

    /// What would mend it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Other | Self::Lost | Self::Unreachable => {
                "Usually this passes; if it lasts, the operators of the destination's server have to look at it."
            }
            Self::RefusedForNow => "This passes by itself in most cases; nobody has to do anything.",
            Self::ForgedDns => {
                "Those who run the recipient's domain have to renew its DNSSEC signatures, or correct the DS record at the parent zone."
            }
            Self::SilentDns => "Those who run the recipient's domain have to mend its name servers.",
            Self::NoSuchHost => "Check the part of the address behind the @.",
            Self::NullMx => "Check the address; nobody can receive mail at this domain.",
            Self::Loop => {
                "The administrator of this mail system has to correct the route, or list the domain where it is delivered."
            }
            Self::Policy | Self::Trust | Self::Route => {
                "The administrator of this mail system has to mend its configuration; \"waxseal check\" names the file and line."
            }
            Self::Service => {
                "It passes by itself; if it lasts, the administrator of this mail system has to look at its log."
            }
            Self::NoDane => {
                "Those who run the recipient's domain have to publish TLSA records in a signed zone, or the administrator of this mail system has \
                 to demand less."
            }
            Self::NotVerified => {
                "Those who run the destination's server have to install the certificate that is demanded, or, where DANE is used, to publish the \
                 TLSA record of the one they have."
            }
            Self::NoStarttls | Self::StarttlsRefused | Self::Handshake => {
                "Those who run the destination's server have to make it offer TLS 1.2 or 1.3 with STARTTLS; if they do, something between here \
                 and there removes it."
            }
            Self::Protocol => "Those who run the destination's server have to look at it.",
            Self::Refused => {
                "The server's own words say why. Check the address; otherwise the recipient or their postmaster can help."
            }
            Self::Resolver => {
                "The administrator of this mail system has to mend its resolver or trust anchor; \"waxseal check\" tells what is wrong with it."
            }
            Self::Operator | Self::Discarded | Self::Untried => "Ask the administrator of this mail system.",
            Self::Suspended => {
                "Nobody else has to do anything; the message goes when deliveries are resumed."
            }
            Self::Unsupported => {
                "Send a smaller or simpler message, or ask the recipient for another address."
            }
        }
    }
}

impl Whose {
    /// One sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::TheirServer => "The postmaster of the recipient's domain can mend this.",
            Self::TheirDns => "Whoever runs the recipient's domain in DNS can mend this.",
            Self::Ours => "The administrator of this mail system can mend this.",
            Self::Sender => "You can do something about this yourself.",
            Self::Nobody => "Nobody has to do anything yet.",
        }
    }

    /// One word, for data.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TheirServer => "their-server",
            Self::TheirDns => "their-dns",
            Self::Ours => "ours",
            Self::Sender => "sender",
            Self::Nobody => "nobody",
        }
    }
}
