//! What a supervisor hears (sd_notify(3), sd_watchdog_enabled(3)), over a socket in a folder and over one of no place.

use std::{os::linux::net::SocketAddrExt as _, os::unix::net as unix, path::Path};

use tokio::net::UnixDatagram;
use waxseal_testbed::within;

use crate::daemon::{self, Daemon, LIMIT};

/// The next notice.
async fn heard(socket: &UnixDatagram) -> String {
    let mut octets = [0; 256];
    let length = within(LIMIT, socket.recv(&mut octets)).await.expect("it is bound");
    String::from_utf8(octets[..length].to_vec()).expect("text")
}

/// The next notice that is none of the watchdog's.
async fn next(socket: &UnixDatagram) -> String {
    loop {
        let notice = heard(socket).await;
        if notice != "WATCHDOG=1" {
            return notice;
        }
    }
}

fn bind(name: &str) -> UnixDatagram {
    let address = match name.strip_prefix('@') {
        Some(name) => unix::SocketAddr::from_abstract_name(name),
        None => unix::SocketAddr::from_pathname(name),
    };
    let socket = address.and_then(|address| unix::UnixDatagram::bind_addr(&address)).expect("it is free");
    socket.set_nonblocking(true).expect("it can be");
    UnixDatagram::from_std(socket).expect("a runtime is there")
}

async fn listens_to(name: &str, folder: &Path) {
    let socket = bind(name);
    let environment = [("NOTIFY_SOCKET", name), ("WATCHDOG_USEC", "60000000")];
    let config = daemon::config(folder, "[127.0.0.1]:9");
    let daemon = Daemon::start_with(&environment, folder, &config).await;
    assert_eq!(next(&socket).await, "READY=1");
    // Every second, as long as it is well.
    for _ in 0..2 {
        assert_eq!(heard(&socket).await, "WATCHDOG=1");
    }
    daemon.signal("HUP", daemon.id()).await;
    let reloading = next(&socket).await;
    let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").map(str::parse::<u64>);
    assert!(matches!(micros, Some(Ok(micros)) if micros > 0), "{reloading:?}");
    assert_eq!(next(&socket).await, "READY=1");
    assert_eq!(daemon.terminate().await.status.code(), Some(0));
    assert_eq!(next(&socket).await, "STOPPING=1");
}

#[tokio::test]
async fn a_supervisor_hears_of_start_life_reload_and_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify").display().to_string();
    listens_to(&path, folder.path()).await;
    listens_to(&format!("@waxseal-test-{}", std::process::id()), folder.path()).await;
}

#[tokio::test]
async fn without_a_watchdog_there_is_no_beat_and_a_deaf_supervisor_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify").display().to_string();
    let socket = bind(&path);
    let config = daemon::config(folder.path(), "[127.0.0.1]:9");
    // Meant for another process.
    let environment = [("NOTIFY_SOCKET", path.as_str()), ("WATCHDOG_USEC", "1"), ("WATCHDOG_PID", "1")];
    let daemon = Daemon::start_with(&environment, folder.path(), &config).await;
    assert_eq!(heard(&socket).await, "READY=1");
    assert_eq!(daemon.terminate().await.status.code(), Some(0));
    assert_eq!(heard(&socket).await, "STOPPING=1", "and no beat before it");
    let nobody = folder.path().join("nobody").display().to_string();
    let daemon = Daemon::start_with(&[("NOTIFY_SOCKET", &nobody)], folder.path(), &config).await;
    assert_eq!(daemon.terminate().await.status.code(), Some(0));
}
