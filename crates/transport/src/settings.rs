//! What an operator may set.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use waxseal_smtp::{Discard, Stage};
use waxseal_types::Service;

/// A key exchange group that may be offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the registry's own names")]
pub enum Group {
    X25519,
    Secp256r1,
    Secp384r1,
    Secp521r1,
    X25519MlKem768,
}

impl Group {
    /// The name of the registry (RFC 8446 §4.2.7).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X25519 => "X25519",
            Self::Secp256r1 => "secp256r1",
            Self::Secp384r1 => "secp384r1",
            Self::Secp521r1 => "secp521r1",
            Self::X25519MlKem768 => "X25519MLKEM768",
        }
    }
}

/// Which keys servers may prove themselves with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ServerKeys {
    /// Whatever they have; mail is delivered so.
    #[default]
    Any,
    /// RSA alone: a server with two chains shows that one.
    Rsa,
    /// ECDSA alone.
    Ecdsa,
}

/// Settings of a [`crate::Connector`]; the defaults are Postfix's where it has them (postconf(5), the parameter of the field's name with `smtp_`).
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name given in EHLO, HELO and LHLO; also the name by which we would recognise ourselves.
    pub helo_name: String,
    /// Source address of IPv4 connections.
    pub bind_address: Option<Ipv4Addr>,
    /// Source address of IPv6 connections.
    pub bind_address6: Option<Ipv6Addr>,
    /// The remote port on which a server with our own name is taken for ourselves.
    pub loop_port: u16,
    /// Longest line of a text; longer ones are folded, as Postfix does. 0: no limit.
    pub line_length_limit: usize,
    /// What SMTP servers offer and we take no notice of (`smtp_discard_ehlo_keywords`).
    pub discard: Discard,
    /// The same for LMTP (`lmtp_discard_lhlo_keywords`).
    pub lmtp_discard: Discard,
    /// Groups in order of preference; the first one's key share goes into the ClientHello, which should fit one segment.
    pub groups: Vec<Group>,
    /// For those who want to see each chain of a server.
    pub server_keys: ServerKeys,

    /// Making the connection.
    pub connect_timeout: Duration,
    /// Waiting for the greeting, and for the replies to EHLO, HELO and LHLO.
    pub helo_timeout: Duration,
    /// STARTTLS and the handshake.
    pub starttls_timeout: Duration,
    /// MAIL.
    pub mail_timeout: Duration,
    /// RCPT.
    pub rcpt_timeout: Duration,
    /// DATA, up to 354.
    pub data_init_timeout: Duration,
    /// Each write of the text.
    pub data_xfer_timeout: Duration,
    /// The reply to the final dot.
    pub data_done_timeout: Duration,
    /// RSET.
    pub rset_timeout: Duration,
    /// Writing QUIT; its reply is not awaited (`smtp_skip_quit_response`).
    pub quit_timeout: Duration,

    /// How long an idle connection is kept (`smtp_connection_cache_time_limit`).
    pub cache_time_limit: Duration,
    /// How long a connection is used in all (`smtp_connection_reuse_time_limit`).
    pub reuse_time_limit: Duration,
    /// Most idle connections kept, in all and for each server.
    pub max_idle: usize,
    /// Most idle connections kept for one key.
    pub max_idle_per_key: usize,
    /// How long a TLS session may be resumed (`smtp_tls_session_cache_timeout`); zero turns resumption off.
    pub session_cache_timeout: Duration,
    /// Connections to one address, whichever destinations they serve; 0 is no limit.
    pub address_connection_limit: usize,
    /// Connections in all, idle ones too; 0 is no limit.
    pub connection_limit: usize,
    /// For how many servers sessions are kept.
    pub session_cache_size: usize,
    /// How long an address that did not answer is not tried again; zero is not at all. Less than the wait between two attempts at a message.
    pub dead_address_time: Duration,

    /// What holds instead of all this for services with settings of their own (master(5)); how many idle connections are kept counts for all together. Theirs
    /// in turn are not looked at.
    pub services: BTreeMap<Service, Settings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            helo_name: "localhost".into(),
            bind_address: None,
            bind_address6: None,
            loop_port: 25,
            line_length_limit: 998,
            discard: Discard::default(),
            lmtp_discard: Discard::default(),
            // The hybrid is last: a server that wants it asks for it, and the hello of all others stays at a sixth of the size.
            groups: vec![
                Group::X25519,
                Group::Secp256r1,
                Group::Secp384r1,
                Group::Secp521r1,
                Group::X25519MlKem768,
            ],
            server_keys: ServerKeys::Any,
            connect_timeout: Duration::from_secs(30),
            helo_timeout: Duration::from_secs(300),
            starttls_timeout: Duration::from_secs(300),
            mail_timeout: Duration::from_secs(300),
            rcpt_timeout: Duration::from_secs(300),
            data_init_timeout: Duration::from_secs(120),
            data_xfer_timeout: Duration::from_secs(180),
            data_done_timeout: Duration::from_secs(600),
            rset_timeout: Duration::from_secs(20),
            quit_timeout: Duration::from_secs(300),
            cache_time_limit: Duration::from_secs(2),
            reuse_time_limit: Duration::from_secs(300),
            max_idle: 1024,
            max_idle_per_key: 64,
            session_cache_timeout: Duration::from_secs(3600),
            address_connection_limit: 100,
            connection_limit: 4000,
            session_cache_size: 4096,
            dead_address_time: Duration::from_secs(60),
            services: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// The limit that applies at a stage. RFC 5321 §4.5.3.2 has minimums; the defaults here are Postfix's.
    #[must_use]
    pub const fn limit(&self, stage: Stage) -> Duration {
        match stage {
            Stage::Connect => self.connect_timeout,
            Stage::Greeting | Stage::Hello => self.helo_timeout,
            Stage::StartTls | Stage::Tls => self.starttls_timeout,
            Stage::Rset => self.rset_timeout,
            Stage::Mail => self.mail_timeout,
            Stage::Rcpt => self.rcpt_timeout,
            Stage::Data => self.data_init_timeout,
            Stage::Body => self.data_xfer_timeout,
            Stage::EndOfData => self.data_done_timeout,
            Stage::Quit => self.quit_timeout,
        }
    }
}
