//! Host manners: file limit, umask, the supervisor's notification socket.

use std::os::unix::net::UnixDatagram;

use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
};

/// What a daemon does before it opens anything: nothing it makes is for other users, and as many files as the system allows.
pub(crate) fn prepare() {
    umask(Mode::from_bits_truncate(0o077));
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            eprintln!("queue-manager: the limit of open files stays at {:?}: {error}", limit.current);
        }
    }
}

/// sd_notify(3), where a supervisor listens. Its absence and its faults change nothing.
pub(crate) fn notify(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let sent = UnixDatagram::unbound().and_then(|socket| {
        match path.to_str().and_then(|path| path.strip_prefix('@')) {
            Some(name) => {
                use std::os::linux::net::SocketAddrExt as _;
                let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
                socket.send_to_addr(state.as_bytes(), &address)
            }
            None => socket.send_to(state.as_bytes(), &path),
        }
    });
    if let Err(error) = sent {
        tracing::debug!("sd_notify: {error}");
    }
}
