//! Certificates that have expired, or soon will.

use std::{fs, path::Path};

use waxseal_trust::{Certificate, Settings, blocks};
use waxseal_types::UnixTime;

use super::Finding;

const AREA: &str = "certificates";
const DAY: i64 = 86_400;
/// How long before its end a certificate is told about.
const SOON: i64 = 30 * DAY;
/// Certificates in a file from which on it is a bundle of authorities, of which some are always about to end.
const BUNDLE: usize = 6;
/// The largest file that is read, and the most files of a folder.
const LIMIT: (u64, usize) = (16 << 20, 2000);

/// What a certificate is for, and so how bad its end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Servers are shown it.
    Client,
    /// Servers' chains may end in it.
    Authority,
    /// The same, but it counts also when it has expired.
    Anchor,
}

pub(super) fn examine(settings: &Settings, now: UnixTime) -> Vec<Finding> {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    let mut seen = Vec::new();
    for store in [&settings.smtp, &settings.lmtp] {
        let own = store.cert_file.iter().chain(&store.eccert_file).chain(&store.chain_files);
        let files = own
            .map(|path| (path, Purpose::Client))
            .chain(store.ca_file.iter().map(|path| (path, Purpose::Authority)))
            .chain(store.anchor_files.iter().map(|path| (path, Purpose::Anchor)));
        for (path, purpose) in files {
            if !seen.contains(path) {
                seen.push(path.clone());
                file(path, purpose, now, &mut found);
            }
        }
        for folder in store.ca_path.iter().filter(|folder| !seen.contains(folder)) {
            found.extend(directory(folder, now));
        }
        seen.extend(store.ca_path.clone());
    }
    if found.is_empty() {
        found.push(Finding::good(AREA, "none that is configured ends within 30 days"));
    }
    found
}

/// What the running intake has to say of a certificate that it does not take.
pub(super) fn refused(spool: &Path) -> Option<Finding> {
    let why = waxseal_rollover::refusal(&spool.join(waxseal_queue_manager::GATE_FILE))?;
    Some(Finding::bad(
        AREA,
        format!("the intake keeps its certificate, and not the one in its files: {why}"),
        "publish what the new one needs and wait, as `waxseal tlsa rollover` does; or `waxseal reload --switch-certificates`",
    ))
}

fn ends(path: &Path) -> Result<Vec<(String, i64)>, String> {
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > LIMIT.0 {
        return Err("it is too large".to_owned());
    }
    let text = fs::read(path).map_err(|error| error.to_string())?;
    let certificates = blocks(&text).into_iter().filter(|block| block.label.ends_with("CERTIFICATE"));
    let parsed = certificates.filter_map(|block| Certificate::parse(block.contents.as_ref().ok()?).ok());
    Ok(parsed.filter_map(|one| Some((one.subject().to_string(), one.not_after()?))).collect())
}

fn file(path: &Path, purpose: Purpose, now: i64, found: &mut Vec<Finding>) {
    match ends(path) {
        Ok(ends) => found.extend(judge(&path.display().to_string(), purpose, &ends, now)),
        Err(error) => found.push(Finding::bad(
            AREA,
            format!("{} cannot be read: {error}", path.display()),
            "see to the file and who may read it",
        )),
    }
}

/// A folder of authorities: only that none is left is worth a word.
fn directory(folder: &Path, now: i64) -> Option<Finding> {
    let files = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).take(LIMIT.1);
    let all: Vec<_> = files.filter_map(|path| ends(&path).ok()).flatten().collect();
    bundle(&folder.display().to_string(), &all, now)
}

fn bundle(name: &str, ends: &[(String, i64)], now: i64) -> Option<Finding> {
    let valid = ends.iter().any(|(_, end)| *end >= now);
    (!valid && !ends.is_empty()).then(|| {
        let what = format!("{name}: all {} authorities have expired", ends.len());
        Finding::bad(AREA, what, "install the current authorities")
    })
}

fn judge(name: &str, purpose: Purpose, ends: &[(String, i64)], now: i64) -> Vec<Finding> {
    if purpose == Purpose::Authority && ends.len() >= BUNDLE {
        return bundle(name, ends, now).into_iter().collect();
    }
    ends.iter().filter_map(|(subject, end)| one(name, purpose, (subject, *end), now)).collect()
}

fn one(name: &str, purpose: Purpose, certificate: (&str, i64), now: i64) -> Option<Finding> {
    let (subject, end) = certificate;
    let left = end - now;
    if left > SOON {
        return None;
    }
    let when = if left < 0 {
        format!("expired {} days ago", -left / DAY)
    } else {
        format!("ends in {} days", left / DAY)
    };
    let what = format!("{name}: {subject} {when}");
    Some(match purpose {
        Purpose::Client if left < 0 => {
            Finding::bad(AREA, what, "renew it: servers that ask for it will refuse")
        }
        Purpose::Authority if left < 0 => {
            Finding::bad(AREA, what, "replace it: at verify and secure mail that needs it waits")
        }
        Purpose::Anchor if left < 0 => {
            Finding::warning(AREA, what, "anchors count all the same; see whether its owner has a new one")
        }
        Purpose::Client | Purpose::Authority | Purpose::Anchor => {
            Finding::warning(AREA, what, "renew it in time")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn the_end_of_a_certificate_is_told_by_what_it_is_for() {
        let now = 1_795_249_800;
        let table = [
            (Purpose::Client, 31, None),
            (Purpose::Client, 29, Some(State::Warning)),
            (Purpose::Client, -1, Some(State::Bad)),
            (Purpose::Authority, 3, Some(State::Warning)),
            (Purpose::Authority, -3, Some(State::Bad)),
            (Purpose::Anchor, -3, Some(State::Warning)),
        ];
        for (purpose, days, expected) in table {
            let found = judge("file", purpose, &[("CN=x".into(), now + days * DAY + 10)], now);
            assert_eq!(found.first().map(|finding| finding.state), expected, "{purpose:?} {days}");
        }
    }

    #[test]
    fn of_a_bundle_only_the_end_of_all_is_told() {
        let now = 1_795_249_800;
        let mut ends: Vec<(String, i64)> = (0..10).map(|n| (format!("CN={n}"), now - DAY)).collect();
        assert_eq!(judge("bundle", Purpose::Authority, &ends, now)[0].state, State::Bad);
        ends.push(("CN=good".into(), now + 1000 * DAY));
        assert!(judge("bundle", Purpose::Authority, &ends, now).is_empty());
    }

    #[test]
    fn files_are_read_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let ca = waxseal_testbed::Authority::new("doctor").unwrap();
        let path = folder.path().join("ca.pem");
        fs::write(&path, ca.root_pem()).unwrap();
        assert_eq!(ends(&path).unwrap().len(), 1);
        let mut settings = Settings::default();
        settings.smtp.cert_file = Some(folder.path().join("missing.pem"));
        let found = examine(&settings, super::super::clock::now());
        assert_eq!((found.len(), found[0].state), (1, State::Bad));
        settings.smtp.cert_file = None;
        settings.smtp.ca_file = Some(path);
        // After the year 9999 everything has expired (RFC 5280 §4.1.2.5).
        assert_eq!(examine(&settings, UnixTime::from_secs(400_000_000_000))[0].state, State::Bad);
    }
}
