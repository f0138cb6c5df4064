//! MX, address and TLSA lookups with their DNSSEC proof.
