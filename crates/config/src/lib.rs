//! The typed configuration of Waxseal from TOML, environment and main.cf.
