//! Sockets and TLS: connect, STARTTLS, proof of possession, sessions, connection pool.
