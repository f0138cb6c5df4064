//! The client against vectors that others collected; read where they lie, and skipped with a word where they do not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use waxseal_smtp::{DataText, Discard, Hello, Offer, Opening, OpeningStep, ReplyReader, Stage, StartTls};
use waxseal_types::Protocol;

/// The folder of shared test data, by `LAB_SHARED` or beside the workspace.
fn shared(part: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("LAB_SHARED").map_or_else(beside, PathBuf::from).join("data").join(part);
    if folder.exists() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", folder.display());
    println!("skipped: {} is missing", folder.display());
    None
}

/// The strings that follow `key` in a RON or JSON text, unescaped.
fn strings_after(text: &str, key: &str) -> Vec<String> {
    let after = |(at, _): (usize, &str)| {
        let rest = text[at + key.len()..].trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
        let (mut out, mut chars) = (String::new(), rest.chars());
        loop {
            match chars.next()? {
                '"' => return Some(out),
                '\\' => out.push(match chars.next()? {
                    'r' => '\r',
                    'n' => '\n',
                    't' => '\t',
                    other => other,
                }),
                other => out.push(other),
            }
        }
    };
    text.match_indices(key).filter_map(after).collect()
}

fn scripts(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            scripts(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "ron") {
            found.push(path);
        }
    }
}

/// Plays one script; gives the end, and whether TLS was started.
fn play(script: &str, starttls: StartTls) -> (OpeningStep, bool) {
    let first = |key: &str| strings_after(script, key).into_iter().next();
    let clear = script.split("capabilities_tls").next().unwrap_or_default();
    let offers = clear.contains("StartTLS") && !clear.contains("hide_commands");
    let refuse = |verb: &str| {
        let hidden =
            script.split("hide_commands:").nth(1).and_then(|list| list.split(']').next()).unwrap_or_default();
        hidden.contains(&format!("\"{}\"", verb.to_lowercase())).then(|| "500 unknown\r\n".to_owned())
    };
    let answer = |command: &str, secured: bool| {
        let verb = command.split([' ', '\r']).next().unwrap_or_default();
        let ehlo = if offers && !secured { "250-mx\r\n250 STARTTLS\r\n" } else { "250-mx\r\n250 SIZE\r\n" };
        let usual = match verb {
            "EHLO" => ehlo,
            "STARTTLS" => "220 go\r\n",
            _ => "250 ok\r\n",
        };
        let scripted =
            first(&format!("\"{}\"", verb.to_lowercase())).or_else(|| first(&format!("\"{verb}\"")));
        let stls = || if verb == "STARTTLS" { first("stls_response") } else { None };
        scripted.or_else(stls).or_else(|| refuse(verb)).unwrap_or_else(|| usual.to_owned())
    };
    let discard = Discard::default();
    let hello =
        Hello { protocol: Protocol::Smtp, name: "me.example".into(), starttls, detect_loop: true, discard };
    let (mut opening, mut reader, mut secured) = (Opening::new(hello), ReplyReader::new(), false);
    let mut step = OpeningStep::Await(Stage::Greeting);
    let mut wire = first("greeting").unwrap_or_else(|| "220 mx\r\n".to_owned());
    for _ in 0..10 {
        let mut out = Vec::new();
        step = match step {
            OpeningStep::Await(_) => {
                let Ok(Some(reply)) = reader.read(&mut wire.as_bytes()) else { return (step, secured) };
                opening.reply(&reply, reader.lines(), &mut out)
            }
            OpeningStep::StartTls => {
                (reader, secured) = (ReplyReader::new(), true);
                opening.secured(&mut out)
            }
            OpeningStep::Ready(..) | OpeningStep::Failed(_) => return (step, secured),
        };
        wire = answer(&String::from_utf8(out).unwrap(), secured);
    }
    panic!("no end of {script}");
}

#[test]
fn starttls_is_never_got_around_by_the_servers_of_the_nostarttls_collection() {
    let Some(folder) = shared("nostarttls-smtp/testcases") else { return };
    let mut paths = Vec::new();
    scripts(&folder, &mut paths);
    assert!(paths.len() > 50, "{}", paths.len());
    for path in paths {
        let script = fs::read_to_string(&path).unwrap();
        let (required, secured) = play(&script, StartTls::Required);
        if let OpeningStep::Ready(_, offer) = required {
            assert!(secured && offer == Offer::Taken, "{}: {offer:?}", path.display());
        }
        let (wished, secured) = play(&script, StartTls::IfOffered);
        if let OpeningStep::Ready(_, offer) = wished {
            assert_eq!(secured, offer == Offer::Taken, "{}", path.display());
        }
        let (_, secured) = play(&script, StartTls::Never);
        assert!(!secured, "{}", path.display());
    }
}

#[test]
fn texts_that_other_writers_reject_are_rejected_or_mended() {
    let Some(folder) = shared("smtp-framing") else { return };
    let json = fs::read_to_string(folder.join("smtp-data-framing.json")).unwrap();
    let writer = json.split("writer_must_reject").nth(1).unwrap();
    let (bodies, errors) = (strings_after(writer, "\"body\""), strings_after(writer, "\"err\""));
    assert_eq!((bodies.len(), errors.len()), (10, 10));
    for (body, error) in bodies.into_iter().zip(errors) {
        let text = DataText::new(body.clone().into_bytes().into(), 998);
        if error == "errMissingCRLF" {
            // A last line without an end gets one; it cannot be taken for anything else.
            let wire = text.unwrap().segments().collect::<Vec<_>>().concat();
            assert!(wire.ends_with(b"\r\n.\r\n") && !wire[..wire.len() - 5].ends_with(b"\r\n"), "{body:?}");
        } else {
            assert!(text.is_err(), "{body:?}");
        }
    }
}
