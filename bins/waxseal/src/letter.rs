//! A message as a person has it, made into one that may travel: line ends, and the header fields that must not be missing.

use waxseal_types::{Mailbox, UnixTime};

/// What stands in a message without a file.
pub(crate) const TEST_TEXT: &str = "Subject: A test by Waxseal\n\nThis message was sent with `waxseal send`. If you can read it, mail arrives.\n";

/// What a letter is completed with.
pub(crate) struct Sheet<'a> {
    pub(crate) sender: Option<&'a Mailbox>,
    pub(crate) recipients: &'a [Mailbox],
    pub(crate) now: UnixTime,
    /// For the Message-ID; never the same twice.
    pub(crate) unique: u64,
}

/// `text` with CRLF at its line ends, and with Date, Message-ID, From and To where it has none.
///
/// A text whose first line is no header field is a body without header. A bare CR stays what it is: servers refuse it, and rightly.
pub(crate) fn complete(text: &[u8], sheet: &Sheet<'_>) -> Vec<u8> {
    let lines: Vec<&[u8]> = lines(text);
    let mut lines = lines.as_slice();
    // An mbox file has its own first line.
    if let [first, rest @ ..] = lines
        && first.starts_with(b"From ")
    {
        lines = rest;
    }
    let header = lines.iter().take_while(|line| is_header(line)).count();
    let (header, body) = lines.split_at(header);
    let mut out = Vec::with_capacity(text.len() + text.len() / 32 + 300);
    for (name, value) in missing(header, sheet) {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    let mut put = |line: &[u8]| {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    };
    header.iter().for_each(|line| put(line));
    // RFC 5322 §2.1: an empty line parts header and body.
    if body.first().is_none_or(|line| !line.is_empty()) {
        put(b"");
    }
    body.iter().for_each(|line| put(line));
    out
}

/// Lines without their ends, which are LF or CRLF.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.split(|octet| *octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect()
}

/// RFC 5322 §2.2: a name of printable characters and a colon; §2.2.3: or what is folded below it.
fn is_header(line: &[u8]) -> bool {
    line.starts_with(b" ") || line.starts_with(b"\t") || name(line).is_some()
}

fn name(line: &[u8]) -> Option<&[u8]> {
    let end = line.iter().position(|octet| *octet == b':')?;
    let name = line[..end].trim_ascii_end();
    (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then_some(name)
}

/// RFC 5322 §3.6: Date and From must be there, Message-ID should be.
fn missing(header: &[&[u8]], sheet: &Sheet<'_>) -> Vec<(&'static str, String)> {
    let has = |wanted: &str| {
        header.iter().filter_map(|line| name(line)).any(|name| name.eq_ignore_ascii_case(wanted.as_bytes()))
    };
    let sender = sheet.sender.map_or_else(|| "MAILER-DAEMON".to_owned(), ToString::to_string);
    let recipients: Vec<String> = sheet.recipients.iter().map(ToString::to_string).collect();
    let domain = sheet.sender.and_then(Mailbox::domain).unwrap_or("localhost");
    let addressed = ["To", "Cc", "Bcc"].into_iter().any(has);
    let fields = [
        ("From", sender, has("From")),
        ("To", recipients.join(",\r\n "), addressed),
        ("Date", sheet.now.rfc5322().to_string(), has("Date")),
        (
            "Message-ID",
            format!("<{}.{:016x}@{domain}>", sheet.now.as_micros(), sheet.unique),
            has("Message-ID"),
        ),
    ];
    fields.into_iter().filter_map(|(name, value, present)| (!present).then_some((name, value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(text: &str) -> String {
        let sender = Mailbox::new("a@example.org").unwrap();
        let recipients = [Mailbox::new("b@example.net").unwrap(), Mailbox::new("c@example.net").unwrap()];
        let sheet = Sheet {
            sender: Some(&sender),
            recipients: &recipients,
            now: UnixTime::from_secs(1_795_262_400),
            unique: 7,
        };
        String::from_utf8(complete(text.as_bytes(), &sheet)).unwrap()
    }

    const FROM: &str = "From: a@example.org\r\n";
    const TO: &str = "To: b@example.net,\r\n c@example.net\r\n";
    const DATE: &str = "Date: Sat, 21 Nov 2026 12:00:00 +0000\r\n";
    const ID: &str = "Message-ID: <1795262400000000.0000000000000007@example.org>\r\n";

    #[test]
    fn rfc5322_3_6_what_is_missing_is_added_and_nothing_else() {
        let all = [FROM, TO, DATE, ID].concat();
        for (text, expected) in [
            ("Subject: x\n\nhello\n", format!("{all}Subject: x\r\n\r\nhello\r\n")),
            ("Subject: x\r\n\r\nhello\r\n", format!("{all}Subject: x\r\n\r\nhello\r\n")),
            (
                "From: me@x\nTO: you@y\ndate: z\nMessage-Id: <1@2>\n\n.\n",
                "From: me@x\r\nTO: you@y\r\ndate: z\r\nMessage-Id: <1@2>\r\n\r\n.\r\n".into(),
            ),
            ("From: me@x\nCc: you@y\n\nx", format!("{DATE}{ID}From: me@x\r\nCc: you@y\r\n\r\nx\r\n")),
            // A body without header.
            ("hello there\n", format!("{all}\r\nhello there\r\n")),
            ("\nhello\n", format!("{all}\r\nhello\r\n")),
            ("", format!("{all}\r\n")),
            // A header without body.
            ("Subject: x\n", format!("{all}Subject: x\r\n\r\n")),
            // Folded lines belong to their field; a date in the body is no Date field.
            (
                "Subject: x\n\tDate: y\n\nDate: z\n",
                format!("{all}Subject: x\r\n\tDate: y\r\n\r\nDate: z\r\n"),
            ),
            ("From a@b Sat Nov 21\nSubject: x\n\ny\n", format!("{all}Subject: x\r\n\r\ny\r\n")),
        ] {
            assert_eq!(completed(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_test_text_is_a_good_message() {
        assert!(completed(TEST_TEXT).contains("Subject: A test by Waxseal\r\n\r\nThis message"));
    }
}
