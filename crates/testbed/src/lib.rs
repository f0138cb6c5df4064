//! An in-process DNS zone, a test CA and scripted SMTP peers for tests, examples and the demo.
