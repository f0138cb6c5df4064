//! What would be noticed at the switch, days after the start, is noticed at the start.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::{Error, Target};

/// Whether the files can be replaced, and the programs run, as things are now and by whom this is run.
///
/// # Errors
/// [`Error::File`] names the first that cannot.
pub fn check_ready<'a>(target: &Target, programs: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
    for file in [Some(&target.file), target.key_file.as_ref()].into_iter().flatten() {
        if file.is_dir() {
            return Err(Error::file(file, "this is a folder; --install wants the chain file that is served"));
        }
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(Error::file(
                file,
                "its folder does not exist; make it, or name another file with --install",
            ));
        }
        // A file is replaced by another of its name, which is written beside it.
        if let Err(error) = access(folder, Access::WRITE_OK | Access::EXEC_OK) {
            let why = format!(
                "its folder cannot be written to ({error}); run this as who may, or name another file with --install"
            );
            return Err(Error::file(file, why));
        }
    }
    programs.into_iter().try_for_each(|program| check_program(program, std::env::var_os("PATH")))
}

fn check_program(program: &str, path: Option<std::ffi::OsString>) -> Result<(), Error> {
    // execvp(3): a name with a slash is a path, another one is looked for in PATH.
    let places: Vec<PathBuf> = if program.contains('/') {
        vec![program.into()]
    } else {
        path.iter().flat_map(std::env::split_paths).map(|folder| folder.join(program)).collect()
    };
    let there: Vec<_> = places.iter().filter(|place| place.is_file()).collect();
    if there.is_empty() {
        return Err(Error::file(Path::new(program), "there is no such program; name it by its whole path"));
    }
    if there.iter().any(|place| access(*place, Access::EXEC_OK).is_ok()) {
        return Ok(());
    }
    Err(Error::file(Path::new(program), "it may not be executed; chmod +x it, or run this as who may"))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn what_stands_in_the_way_of_the_switch_is_told_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        fs::write(place("hook"), "#!/bin/sh\n").unwrap();
        let target = |file: PathBuf| Target { file, key_file: None };
        let said = |target: &Target, programs: &[&str]| {
            check_ready(target, programs.iter().copied())
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert_eq!(said(&target(place("tls.pem")), &["sh", "/bin/sh"]), "");
        assert!(said(&target(place("none/tls.pem")), &[]).contains("its folder does not exist"));
        assert!(said(&target(folder.path().into()), &[]).contains("this is a folder"));
        let hook = place("hook").display().to_string();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(said(&target(place("tls.pem")), &[&hook]).contains("chmod +x"));
        assert!(said(&target(place("tls.pem")), &["/none"]).contains("there is no such program"));
        assert!(
            said(&target(place("tls.pem")), &["no-program-has-this-name"])
                .contains("there is no such program")
        );
        // Whoever is root may write anywhere.
        if !rustix::process::geteuid().is_root() {
            assert!(said(&target("/proc/tls.pem".into()), &[]).contains("cannot be written to"));
        }
    }
}
