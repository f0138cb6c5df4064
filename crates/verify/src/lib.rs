//! Is this peer who was demanded? Paths, names, fingerprints, DANE.
