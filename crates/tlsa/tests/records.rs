//! Records against an oracle of our own: another reader of certificates, another implementation of digests.

mod samples;

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use waxseal_tlsa::{Advice, Error, Form, Kind, Owner, Standing, advise, coverage, parse_record, rdata, read};
use waxseal_types::{Domain, Matching, Selector, Tlsa, UnixTime, Usage};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::samples::{Sample, pem, samples};

const FORMS: [&str; 12] =
    ["300", "301", "302", "310", "311", "312", "200", "201", "202", "210", "211", "212"];

/// Sections 2.1.2 and 2.1.3 of RFC 6698, in other hands.
fn oracle(form: &str, certificate: &[u8]) -> String {
    let (_, parsed) = X509Certificate::from_der(certificate).expect("the test's own words are good");
    let part = if form.as_bytes()[1] == b'0' { certificate } else { parsed.public_key().raw };
    let data = match form.as_bytes()[2] {
        b'0' => part.to_vec(),
        b'1' => digest(&SHA256, part).as_ref().to_vec(),
        _ => digest(&SHA512, part).as_ref().to_vec(),
    };
    let numbers: Vec<String> = form.chars().map(String::from).collect();
    let data: String = data.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{} {data}", numbers.join(" "))
}

#[test]
fn rfc6698_a_hundred_certificates_in_every_form() {
    for Sample { name, certificate, key_pem, request_pem, spki, .. } in samples(100) {
        let in_pem = read("c.pem", pem("CERTIFICATE", &certificate).as_bytes())
            .expect("the test's own words are good");
        let in_der = read("c.der", &certificate).expect("the test's own words are good");
        assert_eq!(in_pem, in_der, "{name}");
        assert_eq!(in_pem[0].spki(), spki, "{name}");
        for form in FORMS {
            let record = form
                .parse::<Form>()
                .expect("the test's own words are good")
                .record(&in_pem[0])
                .expect("the test's own words are good");
            assert_eq!(rdata(&record), oracle(form, &certificate), "{name} as {form}");
            assert_eq!(parse_record(&rdata(&record)).expect("the test's own words are good"), record);
        }
        // Before there is a certificate: the same key, the same record.
        for (file, kind) in [
            (key_pem.as_str(), Kind::PrivateKey),
            (&request_pem, Kind::Request),
            (&pem("PUBLIC KEY", &spki), Kind::PublicKey),
        ] {
            let subject = &read("f", file.as_bytes()).expect("the test's own words are good")[0];
            assert_eq!((subject.kind(), subject.spki()), (kind, spki.as_slice()), "{name}");
            let record = Form::RECOMMENDED.record(subject).expect("the test's own words are good");
            assert_eq!(rdata(&record), oracle("311", &certificate), "{name} from its {}", kind.as_str());
            assert_eq!(
                "301".parse::<Form>().expect("the test's own words are good").record(subject),
                Err(Error::NeedsCertificate(kind.as_str()))
            );
        }
    }
}

#[test]
fn files_are_read_as_servers_have_them() {
    let [first, second] = <[Sample; 2]>::try_from(samples(2)).ok().expect("the test's own words are good");
    let (leaf, other) = (pem("CERTIFICATE", &first.certificate), pem("CERTIFICATE", &second.certificate));
    let both = read("f", format!("{}{leaf}{other}", first.key_pem).as_bytes())
        .expect("the test's own words are good");
    assert_eq!(both.iter().map(|one| one.kind()).collect::<Vec<_>>(), [Kind::Certificate, Kind::Certificate]);
    let wrong = read("f", format!("{}{leaf}", second.key_pem).as_bytes());
    assert_eq!(wrong, Err(Error::Mismatch { file: "f".into() }));
    assert_eq!(read("f", b"nothing"), Err(Error::Nothing { file: "f".into() }));
    let locked = pem("ENCRYPTED PRIVATE KEY", &[0x30, 0]);
    assert!(read("f", locked.as_bytes()).unwrap_err().to_string().contains("encrypted"));
    let cut = pem("CERTIFICATE", &first.certificate[..100]);
    assert!(matches!(read("f", cut.as_bytes()), Err(Error::Block { index: 1, .. })));
    for length in 0..first.certificate.len() {
        assert!(read("f", &first.certificate[..length]).is_err());
    }
}

#[test]
fn forms_and_records_are_read_as_people_write_them() {
    for (text, good) in [
        ("3 1 1", true),
        ("3-1-1", true),
        ("311", true),
        ("4 1 1", false),
        ("3 2 1", false),
        ("3 1 3", false),
        ("3 1", false),
        ("", false),
        ("3 1 1 1", false),
        ("x11", false),
    ] {
        assert_eq!(text.parse::<Form>().is_ok(), good, "{text:?}");
    }
    let record = parse_record("3 1 1 0A0b\t0c").expect("the test's own words are good");
    assert_eq!(record, Tlsa::new(3, 1, 1, &[10, 11, 12]));
    assert_eq!(parse_record("7 8 9 ff").expect("the test's own words are good"), Tlsa::new(7, 8, 9, &[255]));
    for bad in ["", "3 1 1", "3 1 1 f", "3 1 1 fg", "256 1 1 ff", "3 1 ff", "3 1 1 \u{fc}\u{fc}"] {
        assert!(parse_record(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn records_are_written_for_zone_files_nsupdate_and_programs() {
    let owner = Owner::new(Domain::new("mx.example.com").expect("the test's own words are good"), 25);
    let (old, new) = (Tlsa::new(3, 1, 1, &[1, 2]), Tlsa::new(2, 0, 0, &[0x30, 0xff]));
    assert_eq!(owner.zone_line(&new, 60), "_25._tcp.mx.example.com. 60 IN TLSA 2 0 0 30ff");
    let zone = Domain::new("example.com").expect("the test's own words are good");
    assert_eq!(
        owner.nsupdate(Some(&zone), 60, &[old], std::slice::from_ref(&new)),
        "zone example.com.\nupdate delete _25._tcp.mx.example.com. TLSA 3 1 1 0102\n\
         update add _25._tcp.mx.example.com. 60 TLSA 2 0 0 30ff\nsend\n"
    );
    let value = owner.json(&new, 60);
    assert_eq!((value["usage_name"].as_str(), value["data"].as_str()), (Some("DANE-TA"), Some("30ff")));
}

#[test]
fn rfc7671_what_is_unwise_is_said() {
    let issued = samples(10)
        .into_iter()
        .find(|sample| sample.issuer.is_some())
        .expect("the test's own words are good");
    let root = issued.issuer.clone().expect("the test's own words are good");
    let host = Domain::new("mx5.example.test").expect("the test's own words are good");
    let now = UnixTime::from_secs(1_795_249_800);
    let record = |form: &str, der: &[u8]| {
        form.parse::<Form>()
            .expect("the test's own words are good")
            .record(&read("f", der).expect("the test's own words are good")[0])
            .expect("the test's own words are good")
    };
    let (alone, whole) = (vec![issued.certificate.clone()], vec![issued.certificate.clone(), root.clone()]);
    let said = |form: &str, der: &[u8], served: &[Vec<u8>]| {
        advise(&record(form, der), "Sample CA", served, &host, now)
    };

    assert_eq!(said("311", &issued.certificate, &whole), []);
    assert_eq!(said("211", &root, &whole), []);
    assert!(matches!(&said("211", &root, &alone)[..], [Advice::AnchorNotServed { served: 1, .. }]));
    assert!(matches!(&said("211", &root, &[])[..], [Advice::Anchor]));
    // RFC 7671 §5.2.2: the whole certificate in DNS need not be served.
    assert!(matches!(&said("200", &root, &alone)[..], [Advice::Large { .. }]));
    assert!(matches!(&said("301", &issued.certificate, &whole)[..], [Advice::EachRenewal { matching: 1 }]));
    assert!(matches!(&said("312", &issued.certificate, &whole)[..], [Advice::Sha512]));
    assert!(matches!(&said("111", &issued.certificate, &whole)[..], [Advice::Pkix(1)]));
    let elsewhere = advise(
        &record("211", &root),
        "Sample CA",
        &whole,
        &Domain::new("other.test").expect("the test's own words are good"),
        now,
    );
    assert!(matches!(&elsewhere[..], [Advice::WouldFail(_)]));
}

#[test]
fn each_record_of_a_set_is_told_apart() {
    let all = samples(7);
    let (mine, other) = (&all[5], &all[6]);
    let root = mine.issuer.clone().expect("the test's own words are good");
    let record = |usage, der: &[u8]| {
        let form = Form { usage, selector: Selector::Spki, matching: Matching::Sha256 };
        form.record(&read("f", der).expect("the test's own words are good")[0])
            .expect("the test's own words are good")
    };
    let set = [
        record(Usage::DaneEe, &mine.certificate),
        record(Usage::DaneEe, &other.certificate),
        record(Usage::DaneTa, &root),
        Tlsa::new(3, 1, 1, &[0; 20]),
    ];
    let now = UnixTime::from_secs(1_795_249_800);
    let served = [mine.certificate.clone(), root];
    let standings = |name: &str| {
        let covered =
            coverage(&set, &[Domain::new(name).expect("the test's own words are good")], &served, now);
        assert!(covered.is_covered());
        covered.records.into_iter().map(|(_, standing)| standing).collect::<Vec<_>>()
    };
    assert!(matches!(
        &standings("mx5.example.test")[..],
        [Standing::Matches(_), Standing::Other, Standing::Matches(_), Standing::Unusable(_)]
    ));
    assert!(matches!(
        &standings("else.test")[..],
        [Standing::Matches(_), Standing::Other, Standing::Fails(_), Standing::Unusable(_)]
    ));
}
