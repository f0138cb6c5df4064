//! The TLS policy grammar of Postfix, its lookup keys and transport(5) results.
