//! SMTP and LMTP, client and server, without I/O.
