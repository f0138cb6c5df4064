//! `waxseal tlsa generate`: from certificates and keys to records.

use std::{fs, io, path::PathBuf, time::SystemTime};

use serde_json::{Value, json};
use waxseal_tlsa::{Form, Kind, Owner, Subject, advise, rdata, read};
use waxseal_trust::GeneralName;
use waxseal_types::{Domain, Tlsa, UnixTime, Usage};

use crate::terminal::{Printable, Status, Terminal, complain};

/// Makes TLSA records from a certificate, a chain, a key or a certificate request, and says what is unwise about them.
///
/// Without --record it makes 3 1 1, the digest of the server's own key: it stays when the certificate is renewed with the same key, and neither dates nor names
/// count under it. With --issuer also 2 1 1 of the certificate behind the first, for those who stay with one authority.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0; 1 where a record was asked for that mail does not use; 64 where a file cannot be read or no record can be made.\n\n\
                  Example:\n  waxseal tlsa generate --host mx.example.com /etc/waxseal/ecdsa.pem /etc/waxseal/rsa.pem\n  \
                  waxseal tlsa generate --host mx.example.com --record '2 0 1' --anchor ca.pem --format nsupdate fullchain.pem"
)]
pub(crate) struct Arguments {
    /// The host as MX records name it; several are possible. Without it, the names in the certificate count.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<Domain>,
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Seconds that clients may keep the record; a rollover takes at least as long.
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    ttl: u32,
    /// Usage, selector and matching type: '3 1 1', 3-1-1 or 311; several are possible.
    #[arg(long = "record", value_name = "FORM")]
    forms: Vec<Form>,
    /// Also 2 1 1 of the issuer in the chain.
    #[arg(long)]
    issuer: bool,
    /// The certificate or key that usage 2 is about; without it, the second certificate of the chain.
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
    /// The zone, for nsupdate; without it nsupdate finds it.
    #[arg(long, value_name = "NAME")]
    zone: Option<Domain>,
    #[arg(long, default_value = "zone", value_name = "FORMAT")]
    format: Format,
    /// Makes records of usage 0 and 1, which are not for mail (RFC 7672 §3.1.3).
    #[arg(long)]
    pkix: bool,
    /// Certificates (chains leaf first), private or public keys, certificate requests; PEM or DER. One for each key of the server.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Lines of a zone file.
    Zone,
    /// Input for nsupdate.
    Nsupdate,
    /// One JSON object.
    Json,
}

/// A record with where it comes from.
struct Made {
    owner: Owner,
    record: Tlsa,
    subject: String,
    file: String,
    advice: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, terminal: &mut Terminal) -> Status {
    let made = match make(arguments) {
        Ok(made) => made,
        Err((status, problem)) => {
            complain(Printable(&problem));
            return status;
        }
    };
    match arguments.format {
        Format::Json => terminal
            .json(&json!({ "records": made.iter().map(|one| one.json(arguments.ttl)).collect::<Vec<_>>() })),
        Format::Zone => {
            for one in &made {
                terminal.line(Printable(&format!("; {}: {}", one.file, one.subject)));
                terminal.line(one.owner.zone_line(&one.record, arguments.ttl));
            }
        }
        Format::Nsupdate => nsupdate(arguments, &made, terminal),
    }
    let mut told: Vec<&String> = Vec::new();
    for advice in made.iter().flat_map(|one| &one.advice) {
        if !told.contains(&advice) {
            complain(Printable(advice));
            told.push(advice);
        }
    }
    Status::Done
}

/// One update for each owner.
fn nsupdate(arguments: &Arguments, made: &[Made], terminal: &mut Terminal) {
    let mut owners: Vec<&Owner> = Vec::new();
    for one in made {
        if !owners.contains(&&one.owner) {
            owners.push(&one.owner);
        }
    }
    for owner in owners {
        let new: Vec<Tlsa> =
            made.iter().filter(|one| one.owner == *owner).map(|one| one.record.clone()).collect();
        let script = owner.nsupdate(arguments.zone.as_ref(), arguments.ttl, &[], &new);
        terminal.line(script.trim_end());
    }
}

type Failure = (Status, String);

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; name the file as it is seen from here",
        io::ErrorKind::PermissionDenied => {
            "; run this as who may read it, or give the certificate, which is no secret"
        }
        _ => "",
    }
}

fn make(arguments: &Arguments) -> Result<Vec<Made>, Failure> {
    let unreadable = |problem: String| (Status::Usage, problem);
    let load = |path: &PathBuf| {
        let name = path.display().to_string();
        let contents =
            fs::read(path).map_err(|error| unreadable(format!("{name}: {error}{}", remedy(&error))))?;
        Ok::<_, Failure>((read(&name, &contents).map_err(|error| unreadable(error.to_string()))?, name))
    };
    let anchor = arguments.anchor.as_ref().map(load).transpose()?;
    let anchor = anchor.as_ref().and_then(|(subjects, _)| subjects.first());
    let mut forms =
        if arguments.forms.is_empty() { vec![Form::RECOMMENDED] } else { arguments.forms.clone() };
    if arguments.issuer && !forms.contains(&Form::ISSUER) {
        forms.push(Form::ISSUER);
    }
    for form in &forms {
        if matches!(form.usage, Usage::PkixTa | Usage::PkixEe) && !arguments.pkix {
            let problem = format!(
                "{form} is not for mail: clients pass such records over (RFC 7672 §3.1.3); publish 3 1 1, or say --pkix"
            );
            return Err((Status::No, problem));
        }
    }
    let mut made: Vec<Made> = Vec::new();
    for path in &arguments.files {
        let (subjects, file) = load(path)?;
        let hosts = hosts(arguments, &subjects, &file)?;
        for form in &forms {
            let subject = subject_of(*form, &subjects, anchor).ok_or_else(|| unreadable(format!(
                "{file}: {form} is about an issuer, and there is only the server's own certificate: give the whole chain, or --anchor"
            )))?;
            let record = form.record(subject).map_err(|error| unreadable(format!("{file}: {error}")))?;
            for host in &hosts {
                let owner = Owner::new(host.clone(), arguments.port);
                // Two chains under one issuer lead to one record.
                if made.iter().any(|one| one.owner == owner && one.record == record) {
                    continue;
                }
                let advice = advise(&record, &name(subject), &served(&subjects), host, now());
                let advice =
                    advice.iter().map(|advice| format!("{}: {advice}", Form::from(&record))).collect();
                made.push(Made {
                    owner,
                    record: record.clone(),
                    subject: name(subject),
                    file: file.clone(),
                    advice,
                });
            }
        }
    }
    Ok(made)
}

/// What a record of this form is about: the first of the file, or for usages 0 and 2 its issuer.
fn subject_of<'a>(form: Form, subjects: &'a [Subject], anchor: Option<&'a Subject>) -> Option<&'a Subject> {
    match form.usage {
        Usage::DaneTa | Usage::PkixTa => anchor.or(match subjects {
            // Somebody who gives an authority's certificate by itself means that one.
            [only] if is_authority(only) => Some(only),
            _ => subjects.get(1),
        }),
        Usage::DaneEe | Usage::PkixEe | Usage::Unassigned(_) => subjects.first(),
    }
}

/// A certificate for authorities, or a bare key, which may be anybody's.
fn is_authority(subject: &Subject) -> bool {
    match subject.parsed() {
        Some(certificate) => {
            certificate.is_root() || certificate.extensions().basic.is_some_and(|basic| basic.ca)
        }
        None => true,
    }
}

/// The chain that the server sends, where the file has one; of a lone certificate nobody knows what is sent with it.
fn served(subjects: &[Subject]) -> Vec<Vec<u8>> {
    let chain: Vec<Vec<u8>> =
        subjects.iter().filter_map(|subject| subject.certificate().map(<[u8]>::to_vec)).collect();
    if chain.len() > 1 { chain } else { Vec::new() }
}

fn hosts(arguments: &Arguments, subjects: &[Subject], file: &str) -> Result<Vec<Domain>, Failure> {
    if !arguments.hosts.is_empty() {
        return Ok(arguments.hosts.clone());
    }
    let leaf = subjects.first().and_then(Subject::parsed);
    let names: Vec<Domain> = leaf
        .into_iter()
        .flat_map(|leaf| leaf.alternative_names().collect::<Vec<_>>())
        .filter_map(|name| match name {
            GeneralName::Dns(name) => Domain::new(std::str::from_utf8(name).ok()?).ok(),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        let problem = format!("{file}: it names no host: say --host NAME, the name that MX records have");
        return Err((Status::Usage, problem));
    }
    Ok(names)
}

fn name(subject: &Subject) -> String {
    match subject.parsed() {
        Some(certificate) => format!("{} {}", Kind::Certificate.as_str(), certificate.subject()),
        None => subject.kind().as_str().to_owned(),
    }
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_secs(since.as_secs())
}

impl Made {
    fn json(&self, ttl: u32) -> Value {
        let mut value = self.owner.json(&self.record, ttl);
        value["subject"] = json!(self.subject);
        value["file"] = json!(self.file);
        value["advice"] = json!(self.advice);
        debug_assert_eq!(value["text"], json!(rdata(&self.record)));
        value
    }
}
