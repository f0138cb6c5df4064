//! Durable messages in an append-only log.
