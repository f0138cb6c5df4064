//! The SMTP server: listeners, limits, relay rules, hand-over to the spool.
