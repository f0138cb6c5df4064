//! Host manners: file limit, umask, the user to become, the supervisor's notification socket.

use std::os::unix::net::UnixDatagram;

use rustix::{
    fs::Mode,
    process::{Gid, Resource, Rlimit, Uid, getrlimit, setrlimit, umask},
    thread::{set_thread_gid, set_thread_groups, set_thread_uid},
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

/// A user of this machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Finds a user in /etc/passwd (passwd(5)); users that live elsewhere are named by number.
pub(crate) fn find_user(name: &str) -> Result<User, String> {
    let passwd = std::fs::read_to_string("/etc/passwd")
        .map_err(|error| format!("cannot read /etc/passwd: {error}"))?;
    let found = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|f| f.first() == Some(&name) || f.get(2) == Some(&name));
    let number = |at: usize| found.as_ref()?.get(at)?.parse().ok();
    match (number(2), number(3)) {
        (Some(uid), Some(gid)) => Ok(User { uid, gid }),
        _ => Err(format!("process.user: there is no user {name:?} in /etc/passwd; name one that exists")),
    }
}

fn not_root(id: u32) -> Option<u32> {
    (id != 0).then_some(id)
}

/// Becomes `user` for good. Only the calling thread changes, so this comes before any other thread is started.
pub(crate) fn become_user(user: User) -> Result<(), String> {
    let (Some(uid), Some(gid)) =
        (not_root(user.uid).map(Uid::from_raw), not_root(user.gid).map(Gid::from_raw))
    else {
        return Err("process.user: root is no user to drop to".into());
    };
    let failed = |error: rustix::io::Errno| {
        format!("process.user: cannot become user {}: {error}; start as root, or leave the key out", user.uid)
    };
    set_thread_groups(&[gid]).map_err(failed)?;
    set_thread_gid(gid).map_err(failed)?;
    set_thread_uid(uid).map_err(failed)
}

/// Whether a supervisor wants to hear of us now and then (sd_watchdog_enabled(3)). What is asked for more often than every two seconds is not
/// kept up, and the unit that we ship asks for a minute.
pub(crate) fn watchdog() -> bool {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    for_us && number("WATCHDOG_USEC").is_some_and(|micros| micros > 0)
}

/// sd_notify(3): RELOADING=1 goes with the time of the monotonic clock.
pub(crate) fn notify_reloading() {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
    notify(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
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
