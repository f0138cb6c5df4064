//! PostgreSQL and MariaDB in a folder of their own, run by nobody, on a unix socket.

use std::{
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Debian's `nobody` and `nogroup`: databases refuse to run as root.
const NOBODY: u32 = 65534;

/// A running server; it ends when it is dropped.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    program: PathBuf,
    arguments: Vec<String>,
    /// What ends it at once, and all of it.
    signal: &'static str,
    child: Option<Child>,
}

fn run(program: &Path, arguments: &[&str]) {
    let output = command(program).args(arguments).output().expect("it can be run");
    assert!(output.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.uid(NOBODY).gid(NOBODY).current_dir("/").env("HOME", "/nonexistent").stdin(Stdio::null());
    command
}

impl Server {
    fn in_folder() -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        let path = folder.path().display().to_string();
        (folder, path)
    }

    /// PostgreSQL of Debian, whichever version, with a user `waxseal` who needs no password.
    pub(crate) fn postgres() -> Self {
        let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
            .expect("install postgresql")
            .map(|entry| entry.unwrap().path().join("bin"))
            .collect();
        versions.sort();
        let programs = versions.pop().expect("install postgresql");
        let (folder, path) = Self::in_folder();
        let data = format!("{path}/data");
        run(
            &programs.join("initdb"),
            &["-D", &data, "-U", "waxseal", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"],
        );
        let arguments = ["-D", &data, "-k", &path, "-c", "listen_addresses=", "-c", "fsync=off"];
        let mut server = Self {
            folder,
            program: programs.join("postgres"),
            arguments: arguments.map(str::to_owned).to_vec(),
            signal: "QUIT",
            child: None,
        };
        server.start();
        server
    }

    /// MariaDB of Debian, with a user `root` who needs no password.
    pub(crate) fn mariadb() -> Self {
        let (folder, path) = Self::in_folder();
        let data = format!("--datadir={path}/data");
        std::fs::create_dir(folder.path().join("data")).unwrap();
        chown(folder.path().join("data"), Some(NOBODY), Some(NOBODY)).unwrap();
        let tmp = format!("--tmpdir={path}");
        run(
            Path::new("/usr/bin/mariadb-install-db"),
            &["--no-defaults", &data, &tmp, "--auth-root-authentication-method=normal", "--skip-test-db"],
        );
        let socket = format!("--socket={path}/socket");
        let pid = format!("--pid-file={path}/pid");
        let arguments = ["--no-defaults", &data, &tmp, &socket, &pid, "--skip-networking", "--skip-log-bin"];
        let mut server = Self {
            folder,
            program: PathBuf::from("/usr/sbin/mariadbd"),
            arguments: arguments.map(str::to_owned).to_vec(),
            signal: "KILL",
            child: None,
        };
        server.start();
        server
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it, again if need be, and waits until its socket is there.
    pub(crate) fn start(&mut self) {
        let log = std::fs::File::create(self.folder().join("log")).unwrap();
        let mut command = command(&self.program);
        command.args(&self.arguments).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let listens = |_: &u32| {
            let listens = ["socket", ".s.PGSQL.5432"]
                .iter()
                .any(|name| std::os::unix::net::UnixStream::connect(self.folder().join(name)).is_ok());
            if !listens {
                std::thread::sleep(Duration::from_millis(50));
            }
            listens
        };
        let log = || std::fs::read_to_string(self.folder().join("log")).unwrap();
        assert!((0..600).any(|n| listens(&n)), "{} did not start: {}", self.program.display(), log());
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = Command::new("kill").args(["-s", self.signal, &child.id().to_string()]).status();
            let _ = child.wait();
        }
        let _ = std::fs::remove_file(self.folder().join("data/postmaster.pid"));
        for socket in ["socket", ".s.PGSQL.5432", ".s.PGSQL.5432.lock"] {
            let _ = std::fs::remove_file(self.folder().join(socket));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
