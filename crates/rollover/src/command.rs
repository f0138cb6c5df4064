//! Commands of the operator's: a program with its arguments, and no shell between.

use std::{process::Stdio, time::Duration};

use tokio::{io::AsyncReadExt as _, process::Command};

use crate::{Change, Error};

/// A hook that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);
/// Octets of its complaints that are told.
const MAX_WORDS: u64 = 2000;

/// Runs a program to its end. It is to succeed.
pub(crate) async fn run(what: &str, argv: &[String], environment: &[(&str, String)]) -> Result<(), Error> {
    let Some((program, arguments)) = argv.split_first() else { return Ok(()) };
    let failed = |why: String| Error::Command(format!("{what} {program:?} {why}"));
    let mut command = Command::new(program);
    command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| failed(format!("cannot be run: {error}")))?;
    let mut words = Vec::new();
    let whole = async {
        if let Some(complaints) = child.stderr.take() {
            let mut complaints = complaints.take(MAX_WORDS);
            complaints.read_to_end(&mut words).await?;
            // What it has to say beyond that is thrown away, so that it can end.
            tokio::io::copy(&mut complaints.into_inner(), &mut tokio::io::sink()).await?;
        }
        child.wait().await
    };
    let status = tokio::time::timeout(LIMIT, whole).await;
    let status = status.map_err(|_| failed(format!("did not end within {} s", LIMIT.as_secs())))?;
    let status = status.map_err(|error| failed(error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&words);
    Err(failed(format!("failed ({status}): {}", words.trim().escape_debug())))
}

/// What a hook learns of a change.
///
/// | variable | meaning |
/// | --- | --- |
/// | `TLSA_OWNER` | the owner name, `_25._tcp.mx.example.org` |
/// | `TLSA_TTL` | seconds |
/// | `TLSA_ADD`, `TLSA_REMOVE` | records that come and go, one a line, as in a zone file: `3 1 1 8cb0fc...` |
/// | `TLSA_SET` | the whole set as it is to be |
pub(crate) fn environment(change: &Change) -> Result<Vec<(&'static str, String)>, Error> {
    let owner = change.place.owner().map_err(Error::Wrong)?;
    Ok(vec![
        ("TLSA_OWNER", owner.to_string()),
        ("TLSA_TTL", change.ttl.as_secs().to_string()),
        ("TLSA_ADD", change.add.without(&change.seen).lines().join("\n")),
        ("TLSA_REMOVE", change.remove.lines().join("\n")),
        ("TLSA_SET", change.wanted().lines().join("\n")),
    ])
}

#[cfg(test)]
mod tests {
    use waxseal_types::Tlsa;

    use super::*;
    use crate::RecordSet;

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn a_hook_gets_its_arguments_as_they_are_and_its_records_in_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let seen = folder.path().join("seen").display().to_string();
        let one = |octet| RecordSet::new([Tlsa::new(3, 1, 1, &[octet; 4])]);
        let change = Change {
            place: "mx.example.org".parse().unwrap(),
            add: one(2),
            remove: one(1),
            seen: one(1),
            ttl: Duration::from_secs(300),
        };
        let script = "printf '%s|%s|%s|%s|%s|%s' \"$1\" \"$TLSA_OWNER\" \"$TLSA_TTL\" \"$TLSA_ADD\" \"$TLSA_REMOVE\" \"$TLSA_SET\" > \"$2\"";
        let hook = argv(&["/bin/sh", "-c", script, "sh", "$(id) ; *", &seen]);
        run("the hook", &hook, &environment(&change).unwrap()).await.unwrap();
        assert_eq!(
            std::fs::read_to_string(&seen).unwrap(),
            "$(id) ; *|_25._tcp.mx.example.org|300|3 1 1 02020202|3 1 1 01010101|3 1 1 02020202"
        );
    }

    #[tokio::test]
    async fn a_hook_that_fails_says_why_and_cannot_drive_a_terminal() {
        let failed = run("the hook", &argv(&["/bin/sh", "-c", "printf '\\033[2Jno' >&2; exit 3"]), &[]).await;
        let text = failed.unwrap_err().to_string();
        assert!(text.contains("exit status: 3") && text.contains("\\u{1b}[2Jno"), "{text}");
        assert!(run("the hook", &argv(&["/no/such/program"]), &[]).await.is_err());
        assert!(run("the hook", &[], &[]).await.is_ok());
    }
}
