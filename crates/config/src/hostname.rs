//! The system's own name.

use std::fs;

/// What the kernel calls this host; where that has no dot, the fully qualified name that `/etc/hosts` has for it, as `gethostname` and a look-up
/// would find it, but without asking DNS.
pub(crate) fn of_system() -> String {
    let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let named = |name: &String| !name.is_empty() && name != "(none)";
    let kernel = read("/proc/sys/kernel/hostname").filter(named);
    let name =
        kernel.or_else(|| read("/etc/hostname").filter(named)).unwrap_or_else(|| "localhost".to_owned());
    if name.contains('.') {
        return name.to_ascii_lowercase();
    }
    let hosts = read("/etc/hosts").unwrap_or_default();
    qualified(&name, &hosts).unwrap_or(name).to_ascii_lowercase()
}

/// The first name with a dot on the line of `/etc/hosts` that has `name`.
fn qualified(name: &str, hosts: &str) -> Option<String> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines
        .map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>())
        .filter(|names| names.iter().any(|known| known.eq_ignore_ascii_case(name)))
        .find_map(|names| {
            names.into_iter().find(|known| known.contains('.') && !known.starts_with("localhost"))
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_may_know_the_whole_name() {
        let hosts =
            "127.0.0.1 localhost\n# 127.0.1.1 no.example.com mail\n127.0.1.1\tmail.example.com mail # me\n";
        assert_eq!(qualified("mail", hosts).as_deref(), Some("mail.example.com"));
        assert_eq!(qualified("other", hosts), None);
        assert_eq!(qualified("localhost", "127.0.0.1 localhost.localdomain localhost"), None);
    }
}
