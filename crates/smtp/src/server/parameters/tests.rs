extern crate std;

use alloc::{format, string::ToString};

use proptest::prelude::*;

use super::*;

fn sender(argument: &str) -> Result<alloc::string::String, Refusal> {
    parse_mail(argument, false).map(|(t, _)| t.sender.map_or("<>".into(), |s| s.to_string()))
}

#[test]
fn rfc5321_reverse_paths() {
    let table = [
        ("FROM:<>", Ok("<>")),
        ("from: <>", Ok("<>")),
        ("FROM:<a@b.example>", Ok("a@b.example")),
        ("FROM:<a@b.example> ", Ok("a@b.example")),
        ("FROM:a@b.example", Ok("a@b.example")),
        ("FROM:a@b.example SIZE=5", Ok("a@b.example")),
        ("FROM:\t<\"a> b\"@b.example>\tSIZE=5", Ok("\"a> b\"@b.example")),
        ("FROM:\"a b\"@b.example", Ok("\"a b\"@b.example")),
        ("FROM:<\"a\\\"> b\"@b.example>", Ok("\"a\\\"> b\"@b.example")),
        // RFC 5321 §6.1 and appendix C: a source route is reduced to the mailbox.
        ("FROM:<@a.example,@b.example:c@d.example>", Ok("c@d.example")),
        ("FROM:<postmaster>", Ok("postmaster")),
        ("FROM:", Err(Refusal::MAIL_SYNTAX)),
        ("TO:<a@b.example>", Err(Refusal::MAIL_SYNTAX)),
        ("FROM", Err(Refusal::MAIL_SYNTAX)),
        ("", Err(Refusal::MAIL_SYNTAX)),
        ("FROM:<a@b.example", Err(Refusal::MAIL_SYNTAX)),
        ("FROM:<a@b.example>x", Err(Refusal::MAIL_SYNTAX)),
        ("FROM:<a@b.example>>", Err(Refusal::MAIL_SYNTAX)),
        ("FROM:<\"a@b.example>", Err(Refusal::MAIL_SYNTAX)),
        ("FROM:<a b@c.example>", Err(Refusal::BAD_SENDER)),
        ("FROM:<<a@b.example>>", Err(Refusal::MAIL_SYNTAX)),
        ("FROM:<a\x01@b.example>", Err(Refusal::BAD_SENDER)),
        ("FROM:<\"a\x01\"@b.example>", Err(Refusal::BAD_SENDER)),
        ("FROM:<a@[192.0.2.1]>", Ok("a@[192.0.2.1]")),
        ("FROM:<a@[IPv6:2001:db8::1]>", Ok("a@[IPv6:2001:db8::1]")),
        ("FROM:<a@[stuff>", Err(Refusal::BAD_SENDER)),
        ("FROM:<@a.example>", Err(Refusal::BAD_SENDER)),
        ("FROM:<\u{e9}@b.example>", Err(Refusal::NEEDS_SMTPUTF8)),
        ("FROM:<\u{e9}@b.example> SMTPUTF8", Ok("\u{e9}@b.example")),
    ];
    for (argument, expected) in table {
        assert_eq!(sender(argument), expected.map(ToString::to_string), "{argument:?}");
    }
}

/// Addresses that have fooled servers, or that servers have refused although they were good.
#[test]
fn rfc5321_forward_paths() {
    let table = [
        ("user@example.com", "user@example.com"),
        ("User@EXAMPLE.com", "User@EXAMPLE.com"),
        ("user+tag@example.com", "user+tag@example.com"),
        ("!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"),
        ("1@example.com", "1@example.com"),
        ("a.b.c@example.com", "a.b.c@example.com"),
        ("a..b@example.com", "a..b@example.com"),
        (".a@example.com", ".a@example.com"),
        ("a.@example.com", "a.@example.com"),
        ("user%other.example@example.com", "user%other.example@example.com"),
        ("other.example!user@example.com", "other.example!user@example.com"),
        ("\"\"@example.com", "\"\"@example.com"),
        ("\"user\"@example.com", "\"user\"@example.com"),
        ("\"user@other.example\"@example.com", "\"user@other.example\"@example.com"),
        ("\"user other\"@example.com", "\"user other\"@example.com"),
        ("\"user\\\"other\"@example.com", "\"user\\\"other\"@example.com"),
        ("\"user\\\\\"@example.com", "\"user\\\\\"@example.com"),
        ("\"<user>\"@example.com", "\"<user>\"@example.com"),
        ("\"|/bin/sh\"@example.com", "\"|/bin/sh\"@example.com"),
        ("|/bin/sh@example.com", "|/bin/sh@example.com"),
        ("-option@example.com", "-option@example.com"),
        ("user@localhost", "user@localhost"),
        ("user@example.com.", "user@example.com."),
        ("user@mx_1.example.com", "user@mx_1.example.com"),
        ("user@xn--bcher-kva.example", "user@xn--bcher-kva.example"),
        ("user@[192.0.2.1]", "user@[192.0.2.1]"),
        ("user@[IPv6:2001:db8::1]", "user@[IPv6:2001:db8::1]"),
        ("user@[ipv6:::1]", "user@[ipv6:::1]"),
        ("postmaster", "postmaster"),
        ("PostMaster", "PostMaster"),
        ("@a.example:user@example.com", "user@example.com"),
        ("@a.example,@b.example:user@example.com", "user@example.com"),
        ("@a.example:\"x:y\"@example.com", "\"x:y\"@example.com"),
        ("user", ""),
        ("@", ""),
        ("user@", ""),
        ("@example.com", ""),
        ("user@@example.com", ""),
        ("user@a@example.com", ""),
        ("@a.example:", ""),
        ("@a.example:@example.com", ""),
        ("@a.example,b.example", ""),
        ("user@.example.com", ""),
        ("user@example..com", ""),
        ("user@-example.com", ""),
        ("user@exam ple.com", ""),
        ("user@example.com user2@example.com", ""),
        ("user,user2@example.com", ""),
        ("user;user2@example.com", ""),
        ("user:x@example.com", ""),
        ("(comment)user@example.com", ""),
        ("user@example.com(comment)", ""),
        ("user\\@example.com", ""),
        ("\"user@example.com", ""),
        ("user\"@example.com", ""),
        ("\"user\"x@example.com", ""),
        ("\"a\".\"b\"@example.com", ""),
        ("user@192.0.2.1", ""),
        ("user@[192.0.2.256]", ""),
        ("user@[192.0.2.1", ""),
        ("user@192.0.2.1]", ""),
        ("user@[IPv6:192.0.2.1]", ""),
        ("user@[example.com]", ""),
        ("user@[]", ""),
        ("user\t@example.com", ""),
        ("user\u{7f}@example.com", ""),
        ("user\u{1b}[2J@example.com", ""),
        ("user@example.com/path", ""),
        ("user@example.com:25", ""),
    ];
    for (path, expected) in table {
        let got = parse_rcpt(&format!("TO:<{path}>"), false);
        let got = got.map(|recipient| recipient.mailbox.to_string()).unwrap_or_default();
        assert_eq!(got, expected, "{path:?}");
    }
}

#[test]
fn mail_parameters() {
    let hundred = "x".repeat(100);
    let table = [
        ("SIZE=0", None),
        ("SIZE=99999999999999999999", None),
        ("SIZE=", Some(Refusal::BAD_SIZE)),
        ("SIZE", Some(Refusal::BAD_SIZE)),
        ("SIZE=-1", Some(Refusal::BAD_SIZE)),
        ("SIZE=999999999999999999999", Some(Refusal::BAD_SIZE)),
        ("SIZE=1 SIZE=1", Some(Refusal::DUPLICATE)),
        ("BODY=7bit", None),
        ("body=8BITMIME", None),
        ("BODY=BINARYMIME", Some(Refusal::BAD_BODY)),
        ("BODY", Some(Refusal::BAD_BODY)),
        ("SMTPUTF8=1", Some(Refusal::UNSUPPORTED)),
        ("SMTPUTF8 SMTPUTF8", Some(Refusal::DUPLICATE)),
        ("RET=FULL", None),
        ("RET=hdrs", None),
        ("RET=ALL", Some(Refusal::BAD_RET)),
        ("RET=FULL RET=HDRS", Some(Refusal::DUPLICATE)),
        ("ENVID=QQ314159", None),
        ("ENVID=a+2Bb+3Dc+20d", None),
        ("ENVID=", Some(Refusal::BAD_ENVID)),
        ("ENVID=a+0D+0AMAIL", Some(Refusal::BAD_ENVID)),
        ("ENVID=a+00", Some(Refusal::BAD_ENVID)),
        ("ENVID=a+7F", Some(Refusal::BAD_ENVID)),
        ("ENVID=a+2b", Some(Refusal::BAD_ENVID)),
        ("ENVID=a+2", Some(Refusal::BAD_ENVID)),
        ("ENVID=a=b", Some(Refusal::BAD_ENVID)),
        ("ENVID=\u{e9}", Some(Refusal::BAD_ENVID)),
        ("ENVID=a\x01", Some(Refusal::BAD_ENVID)),
        ("ENVID=a ENVID=b", Some(Refusal::DUPLICATE)),
        ("AUTH=<>", Some(Refusal::UNSUPPORTED)),
        ("REQUIRETLS", Some(Refusal::UNSUPPORTED)),
        ("NOTIFY=NEVER", Some(Refusal::UNSUPPORTED)),
        ("=", Some(Refusal::UNSUPPORTED)),
        (&format!("ENVID={hundred}"), None),
        (&format!("ENVID={hundred}x"), Some(Refusal::BAD_ENVID)),
    ];
    for (parameters, expected) in table {
        let got = parse_mail(&format!("FROM:<> {parameters}"), false).err();
        assert_eq!(got, expected, "{parameters:?}");
    }
}

#[test]
fn rfc3461_recipient_parameters() {
    let on = |success, failure, delay| Some(Some(Notify::On { success, failure, delay }));
    let table = [
        ("NOTIFY=NEVER", Some(Some(Notify::Never))),
        ("notify=success", on(true, false, false)),
        ("NOTIFY=SUCCESS,FAILURE,DELAY", on(true, true, true)),
        ("NOTIFY=DELAY,FAILURE", on(false, true, true)),
        ("", Some(None)),
        ("NOTIFY=", None),
        ("NOTIFY", None),
        ("NOTIFY=NEVER,FAILURE", None),
        ("NOTIFY=FAILURE,FAILURE", None),
        ("NOTIFY=FAILURE,", None),
        ("NOTIFY=NEVER NOTIFY=NEVER", None),
        ("ENVID=x", None),
    ];
    for (parameters, expected) in table {
        let got = parse_rcpt(&format!("TO:<a@b.example> {parameters}"), false).ok().map(|r| r.notify);
        assert_eq!(got, expected, "{parameters:?}");
    }
}

#[test]
fn rfc3461_original_recipients() {
    let longest = format!("rfc822;{}", "x".repeat(493));
    let table = [
        ("rfc822;a@b.example", false, true),
        ("RFC822;a+2Bb@c.example", false, true),
        ("x400;/c=xx", false, false),
        ("x400;/c+3Dxx", false, true),
        (&longest, false, true),
        (&format!("{longest}x"), false, false),
        ("rfc822;", false, false),
        ("rfc822", false, false),
        (";a@b.example", false, false),
        ("rfc822;a+0D+0ADATA", false, false),
        ("rfc822;a+0a", false, false),
        ("utf-8;\u{e9}@b.example", true, true),
        ("utf-8;\u{e9}@b.example", false, false),
        ("rfc822;\u{e9}@b.example", true, false),
        ("utf-8;a\u{85}b", true, false),
    ];
    for (original, smtputf8, good) in table {
        let got = parse_rcpt(&format!("TO:<a@b.example> ORCPT={original}"), smtputf8);
        let expected = good.then(|| Some(original.into()));
        assert_eq!(got.ok().map(|r| r.original), expected, "{original:?}");
    }
}

#[test]
fn a_recipient_is_never_the_null_path() {
    for bad in ["TO:<>", "TO:", "TO:<a>", "TO:<@a.example,@b.example>", "FROM:<a@b.example>"] {
        assert!(parse_rcpt(bad, false).is_err(), "{bad}");
    }
    assert_eq!(parse_rcpt("TO:<\u{e9}@b.example>", false), Err(Refusal::NEEDS_SMTPUTF8));
}

/// What could break out of a command, a spool record or a log line when it is passed on.
fn harmless(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20_000) })]

    #[test]
    fn what_is_taken_can_be_passed_on(
        head in prop_oneof![Just("FROM:<"), Just("TO:<"), Just("FROM:"), Just("TO:")],
        path in "[a@.\"\\\\<>:,\r\n\0\u{7f}\u{85}\u{e9} \\[\\]1b-]{0,24}",
        key in prop_oneof![Just(" ENVID="), Just(" ORCPT=rfc822;"), Just(" ORCPT=utf-8;"), Just(" RET="), Just("")],
        value in "[a+0-9DA=;@\r\n\0\u{7f}\u{85}\u{e9} ]{0,12}",
    ) {
        for argument in [format!("{head}{path}>{key}{value} SMTPUTF8"), format!("{head}{path}>{key}{value}")] {
            if let Ok((transaction, _)) = parse_mail(&argument, true) {
                prop_assert!(transaction.sender.as_ref().is_none_or(|s| harmless(s.as_str())));
                prop_assert!(transaction.envelope_id.as_deref().is_none_or(harmless));
            }
            if let Ok(recipient) = parse_rcpt(&argument, argument.ends_with('8')) {
                prop_assert!(harmless(recipient.mailbox.as_str()));
                prop_assert!(recipient.original.as_deref().is_none_or(harmless));
            }
        }
    }
}
