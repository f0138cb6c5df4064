//! Trust stores of Postfix: CAfile, CApath, trust anchor files, client certificates.
