//! Whole transactions, played as tables: what the server says, what is said to it, and what becomes of each recipient.

extern crate std;

use alloc::{format, string::String, string::ToString, sync::Arc, vec, vec::Vec};

use proptest::prelude::*;
use waxseal_types::{
    BodyKind, Envelope, Mailbox, Notify, Protocol, QueueId, Recipient, Ret, TraceContext, UnixTime,
};

use super::{Afterwards, Ehlo, Job, ReplyReader, Settled, Transaction, TransactionStep};
use crate::Stage;

fn envelope(recipients: &[&str]) -> Envelope {
    let recipient =
        |address: &&str| Recipient { mailbox: Mailbox::new(address).unwrap(), notify: None, original: None };
    Envelope {
        id: QueueId::from_u64(1),
        arrived: UnixTime::from_secs(1),
        sender: Some(Mailbox::new("s@a.example").unwrap()),
        recipients: recipients.iter().map(recipient).collect(),
        body: BodyKind::SevenBit,
        smtputf8: false,
        envelope_id: None,
        ret: None,
        size: 100,
        leading_dots: false,
        message_id: None,
        client: "test".into(),
        trace: TraceContext::default(),
    }
}

fn pipelining() -> Ehlo {
    Ehlo { extended: true, pipelining: true, ..Ehlo::default() }
}

fn begin(envelope: Envelope, protocol: Protocol, ehlo: Ehlo, reset: bool) -> Transaction {
    let recipients: Vec<usize> = (0..envelope.recipients.len()).collect();
    let job =
        Job { envelope: Arc::new(envelope), recipients: &recipients, text: b"Subject: x\r\n\r\nHi\r\n" };
    Transaction::new(&job, protocol, Arc::new(ehlo), reset)
}

/// Plays a server that says `replies`; returns what was said to it, with `[text]` and `.` for the two ways to answer 354, and the machine.
fn play(mut transaction: Transaction, replies: &[&str]) -> (String, Transaction) {
    let (mut said, mut replies) = (Vec::new(), replies.iter());
    loop {
        match transaction.step() {
            TransactionStep::Done => break,
            TransactionStep::Write => {
                if !said.is_empty() {
                    said.extend_from_slice(b"| ");
                }
                transaction.commands(&mut said);
            }
            TransactionStep::SendText => {
                said.extend_from_slice(b"[text]\r\n");
                transaction.text_sent();
            }
            TransactionStep::SendLoneDot => {
                said.extend_from_slice(b".\r\n");
                transaction.text_sent();
            }
            TransactionStep::Await(_) => {
                let Some(line) = replies.next() else { break };
                let reply = ReplyReader::new().read(&mut format!("{line}\r\n").as_bytes()).unwrap().unwrap();
                if transaction.reply(reply).is_err() {
                    break;
                }
            }
        }
    }
    (String::from_utf8(said).unwrap().replace("\r\n", " ").trim_end().to_string(), transaction)
}

/// `ok 250`, `rcpt 550`, `unsupported` or `open` for each recipient in the order of the envelope.
fn told(transaction: Transaction) -> Vec<String> {
    let mut all: Vec<_> = transaction.into_settled().collect();
    all.sort_by_key(|(index, _)| *index);
    let word = |settled: Option<Settled>| match settled {
        None => "open".into(),
        Some(Settled::Delivered(reply)) => format!("ok {}", reply.code),
        Some(Settled::Rejected { stage, reply }) => format!("{stage:?} {}", reply.code),
        Some(Settled::Unsupported(why)) => format!("unsupported: {why}"),
    };
    all.into_iter().map(|(_, settled)| word(settled)).collect()
}

const ONE: &[&str] = &["r@b.example"];
const TWO: &[&str] = &["r@b.example", "q@b.example"];

#[test]
fn rfc2920_everything_up_to_data_is_one_flight() {
    let (said, end) = play(
        begin(envelope(TWO), Protocol::Smtp, pipelining(), false),
        &["250", "250", "250", "354", "250 ok"],
    );
    assert_eq!(said, "MAIL FROM:<s@a.example> RCPT TO:<r@b.example> RCPT TO:<q@b.example> DATA [text]");
    assert_eq!(end.afterwards(), Afterwards::Clean);
    assert_eq!(told(end), ["ok 250", "ok 250"]);
}

#[test]
fn rfc3030_a_chunk_goes_in_the_flight_of_its_commands() {
    use Afterwards::{Clean, Closed, NeedsReset};
    let chunking = || Ehlo { chunking: true, ..pipelining() };
    type Row = (&'static [&'static str], &'static [&'static str], Afterwards);
    let table: [Row; 11] = [
        (&["250", "250", "250", "250 ok"], &["ok 250", "ok 250"], Clean),
        (&["250", "550", "250", "250 ok"], &["Rcpt 550", "ok 250"], Clean),
        // A chunk that was refused: RSET comes before what follows (RFC 3030 §2).
        (&["250", "250", "250", "554"], &["EndOfData 554", "EndOfData 554"], NeedsReset),
        (&["250", "450", "550", "503"], &["Rcpt 450", "Rcpt 550"], NeedsReset),
        (&["250", "450", "550", "250"], &["Rcpt 450", "Rcpt 550"], Clean),
        (&["550", "503", "503", "503"], &["Mail 550", "Mail 550"], NeedsReset),
        (&["451", "250", "250", "250"], &["Mail 451", "Mail 451"], Clean),
        (&["250", "250", "421"], &["Rcpt 421", "Rcpt 421"], Closed),
        (&["250", "250", "250", "421"], &["EndOfData 421", "EndOfData 421"], Closed),
        // The connection is lost: the session says that this is ambiguous for all that is open.
        (&["250", "550"], &["Rcpt 550", "open"], Closed),
        (&["250", "250", "250", "354"], &["open", "open"], Closed),
    ];
    for (replies, expected, afterwards) in table {
        let transaction = begin(envelope(TWO), Protocol::Smtp, chunking(), false).chunked(20);
        let (said, end) = play(transaction, replies);
        assert_eq!(
            said,
            "MAIL FROM:<s@a.example> RCPT TO:<r@b.example> RCPT TO:<q@b.example> BDAT 20 LAST [text]"
        );
        assert_eq!(end.afterwards(), afterwards, "{replies:?}");
        assert_eq!(told(end), expected, "{replies:?}");
    }
}

#[test]
fn a_chunk_is_owed_an_answer_from_the_moment_it_left() {
    let chunking = Ehlo { chunking: true, ..pipelining() };
    let mut transaction = begin(envelope(ONE), Protocol::Smtp, chunking, false).chunked(20);
    transaction.commands(&mut Vec::new());
    assert!(!transaction.awaits_final() && !transaction.is_text_sent());
    transaction.text_sent();
    assert!(transaction.awaits_final() && transaction.is_text_sent());
    let (_, refused) = play(transaction, &["250", "550"]);
    assert!(!refused.awaits_final(), "nobody is left that could have it");
}

#[test]
fn chunks_are_for_servers_that_know_them_and_pipelining() {
    let many: Vec<String> = (0..99).map(|n| format!("r{n}@b.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let chunking = || Ehlo { chunking: true, ..pipelining() };
    let table = [
        (Protocol::Smtp, chunking(), ONE, true),
        (Protocol::Smtp, pipelining(), ONE, false),
        (Protocol::Smtp, Ehlo { pipelining: false, ..chunking() }, ONE, false),
        // RFC 2033 does not say how many replies the last chunk has.
        (Protocol::Lmtp, chunking(), ONE, false),
        (Protocol::Smtp, chunking(), &many, false),
    ];
    for (protocol, ehlo, recipients, chunked) in table {
        let transaction = begin(envelope(recipients), protocol, ehlo, false).chunked(20);
        assert_eq!(transaction.is_chunked(), chunked);
    }
}

#[test]
fn without_pipelining_each_command_waits_for_its_reply() {
    let (said, end) = play(
        begin(envelope(TWO), Protocol::Smtp, Ehlo::default(), false),
        &["250", "250", "550", "354", "250 ok"],
    );
    assert_eq!(said, "MAIL FROM:<s@a.example> | RCPT TO:<r@b.example> | RCPT TO:<q@b.example> | DATA [text]");
    assert_eq!(told(end), ["ok 250", "Rcpt 550"]);
}

#[test]
fn replies_and_what_becomes_of_the_recipients() {
    use Afterwards::{Clean, Closed, NeedsReset};
    use Protocol::{Lmtp, Smtp};
    type Row = (Protocol, &'static [&'static str], &'static [&'static str], Afterwards);
    let table: [Row; 24] = [
        (Smtp, &["250", "250", "250", "354", "550"], &["EndOfData 550", "EndOfData 550"], Clean),
        (Smtp, &["250", "250", "250", "354", "451"], &["EndOfData 451", "EndOfData 451"], Clean),
        (Smtp, &["250", "250", "550", "354", "250"], &["ok 250", "Rcpt 550"], Clean),
        (Smtp, &["250", "450", "550", "503"], &["Rcpt 450", "Rcpt 550"], NeedsReset),
        // RFC 2920 §3.1: 354 although nobody is served: a lone dot, whatever comes of it.
        (Smtp, &["250", "450", "550", "354", "554"], &["Rcpt 450", "Rcpt 550"], Clean),
        (Smtp, &["250", "450", "550", "354", "250"], &["Rcpt 450", "Rcpt 550"], Clean),
        // RFC 5321 §4.5.3.1.10: 552 is 452 here, and only here.
        (Smtp, &["250", "250", "552 5.5.3 many", "354", "250"], &["ok 250", "Rcpt 452"], Clean),
        (Smtp, &["250", "250", "250", "354", "552"], &["EndOfData 552", "EndOfData 552"], Clean),
        // MAIL refused: what is said of the rest means nothing.
        (Smtp, &["550", "250", "503", "503"], &["Mail 550", "Mail 550"], Clean),
        (Smtp, &["451", "503", "503", "354", "250"], &["Mail 451", "Mail 451"], Clean),
        (Smtp, &["250", "250", "250", "451"], &["Data 451", "Data 451"], NeedsReset),
        // RFC 5321 §3.8: 421 ends the session wherever it comes.
        (Smtp, &["421"], &["Mail 421", "Mail 421"], Closed),
        (Smtp, &["250", "550", "421"], &["Rcpt 550", "Rcpt 421"], Closed),
        (Smtp, &["250", "250", "250", "421"], &["Data 421", "Data 421"], Closed),
        (Smtp, &["250", "250", "250", "354", "421"], &["EndOfData 421", "EndOfData 421"], Closed),
        // Out of step: nobody knows what was meant.
        (Smtp, &["354"], &["open", "open"], Closed),
        (Smtp, &["250", "550", "354"], &["Rcpt 550", "open"], Closed),
        (Smtp, &["250", "250", "250", "250"], &["open", "open"], Closed),
        (Smtp, &["250", "250", "250", "354", "354"], &["open", "open"], Closed),
        // RFC 2033 §4.2: a final reply for each accepted recipient, in order.
        (Lmtp, &["250", "250", "250", "354", "250", "452"], &["ok 250", "EndOfData 452"], Clean),
        (Lmtp, &["250", "550", "250", "354", "250"], &["Rcpt 550", "ok 250"], Clean),
        (Lmtp, &["250", "250", "250", "354", "250", "421"], &["ok 250", "EndOfData 421"], Closed),
        (Lmtp, &["250", "250", "250", "354", "250"], &["ok 250", "open"], Closed),
        (Lmtp, &["250", "550", "550", "354"], &["Rcpt 550", "Rcpt 550"], Closed),
    ];
    for (protocol, replies, expected, afterwards) in table {
        let (_, end) = play(begin(envelope(TWO), protocol, pipelining(), false), replies);
        assert_eq!(end.afterwards(), afterwards, "{protocol:?} {replies:?}");
        assert_eq!(told(end), expected, "{protocol:?} {replies:?}");
    }
}

#[test]
fn a_transaction_that_serves_nobody_ends_before_data() {
    let sequential = || begin(envelope(TWO), Protocol::Smtp, Ehlo::default(), false);
    let (said, end) = play(sequential(), &["550"]);
    assert_eq!((said.as_str(), end.afterwards()), ("MAIL FROM:<s@a.example>", Afterwards::Clean));
    let (said, end) = play(sequential(), &["250", "550", "550"]);
    assert!(!said.contains("DATA"));
    assert_eq!(end.afterwards(), Afterwards::NeedsReset);
}

#[test]
fn what_a_failed_transaction_left_is_reset_in_the_next_flight() {
    let next = || begin(envelope(ONE), Protocol::Smtp, pipelining(), true);
    let (said, end) = play(next(), &["250", "250", "250", "354", "250"]);
    assert_eq!(said, "RSET MAIL FROM:<s@a.example> RCPT TO:<r@b.example> DATA [text]");
    assert_eq!(end.afterwards(), Afterwards::Clean);
    let (_, end) = play(next(), &["500"]);
    assert_eq!((end.afterwards(), told(end)), (Afterwards::Closed, vec!["open".to_string()]));
}

#[test]
fn the_final_reply_is_owed_only_after_the_dot() {
    for (replies, owed) in [
        (&["250", "250"][..], false),
        (&["250", "250", "354"], true),
        (&["250", "550", "354"], false),
        (&["250", "250", "354", "250"], false),
    ] {
        let (_, end) = play(begin(envelope(ONE), Protocol::Smtp, pipelining(), false), replies);
        assert_eq!(end.awaits_final(), owed, "{replies:?}");
    }
    let (_, end) =
        play(begin(envelope(TWO), Protocol::Lmtp, pipelining(), false), &["250", "250", "250", "354", "250"]);
    assert!(end.awaits_final(), "one of two final replies is still owed");
}

#[test]
fn parameters_are_given_where_they_are_offered_and_nowhere_else() {
    let mut full = envelope(ONE);
    full.body = BodyKind::EightBitMime;
    full.ret = Some(Ret::Headers);
    full.envelope_id = Some("QQ314159".into());
    full.recipients[0].notify = Some(Notify::On { success: true, failure: true, delay: false });
    full.recipients[0].original = Some("rfc822;r@b.example".into());
    let all = Ehlo { size: true, eight_bit_mime: true, smtputf8: true, dsn: true, ..pipelining() };
    let table = [
        (
            all.clone(),
            "MAIL FROM:<s@a.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=QQ314159 \
             RCPT TO:<r@b.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;r@b.example DATA",
        ),
        (
            Ehlo { dsn: false, ..all.clone() },
            "MAIL FROM:<s@a.example> SIZE=100 BODY=8BITMIME RCPT TO:<r@b.example> DATA",
        ),
        (pipelining(), "MAIL FROM:<s@a.example> RCPT TO:<r@b.example> DATA"),
    ];
    for (ehlo, expected) in table {
        assert_eq!(play(begin(full.clone(), Protocol::Smtp, ehlo, false), &[]).0, expected);
    }
    let mut null = envelope(ONE);
    null.sender = None;
    null.envelope_id = Some("a\r\nRSET".into());
    let said = play(begin(null, Protocol::Smtp, all, false), &[]).0;
    assert_eq!(said, "MAIL FROM:<> SIZE=100 RCPT TO:<r@b.example> DATA");
}

#[test]
fn rfc6531_and_rfc1870_what_a_server_cannot_take_is_not_offered_to_it() {
    let utf8 = |ehlo: Ehlo, recipients: &[&str], header: &str| {
        let mut envelope = envelope(recipients);
        envelope.smtputf8 = true;
        let all: Vec<usize> = (0..recipients.len()).collect();
        let text = format!("Subject: {header}\r\n\r\nHi\r\n");
        let job = Job { envelope: Arc::new(envelope), recipients: &all, text: text.as_bytes() };
        let (said, end) = play(
            Transaction::new(&job, Protocol::Smtp, Arc::new(ehlo), false),
            &["250", "250", "354", "250"],
        );
        (said, told(end))
    };
    let refused = "unsupported: SMTPUTF8 is required, but was not offered";
    assert_eq!(utf8(pipelining(), ONE, "ü"), (String::new(), vec![refused.into()]));
    assert_eq!(utf8(pipelining(), &["ü@b.example"], "x"), (String::new(), vec![refused.into()]));
    // Asked for and not used: any server will do.
    assert_eq!(utf8(pipelining(), ONE, "x").1, ["ok 250"]);
    // Only who needs it is refused.
    let (said, end) = utf8(pipelining(), &["ü@b.example", "r@b.example"], "x");
    assert_eq!(said, "MAIL FROM:<s@a.example> RCPT TO:<r@b.example> DATA [text]");
    assert_eq!(end, [refused, "ok 250"]);
    let (said, end) = utf8(Ehlo { smtputf8: true, ..pipelining() }, &["ü@b.example"], "ü");
    assert_eq!(said, "MAIL FROM:<s@a.example> SMTPUTF8 RCPT TO:<ü@b.example> DATA [text]");
    assert_eq!(end, ["ok 250"]);

    let limited = |limit| Ehlo { size: true, size_limit: Some(limit), ..pipelining() };
    assert_eq!(
        told(play(begin(envelope(ONE), Protocol::Smtp, limited(99), false), &[]).1),
        ["unsupported: message size 100 exceeds size limit 99 of the server"]
    );
    assert_eq!(told(play(begin(envelope(ONE), Protocol::Smtp, limited(100), false), &[]).1), ["open"]);
}

#[test]
fn many_recipients_go_in_several_flights() {
    let addresses: Vec<String> = (0..250).map(|n| format!("r{n}@b.example")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    // RFC 5321 §4.5.3.1.8: a server may take no more than 100.
    let replies: Vec<&str> = core::iter::once("250")
        .chain((0..250).map(|n| if n < 100 { "250" } else { "452 4.5.3 too many" }))
        .chain(["354", "250"])
        .collect();
    let (said, end) = play(begin(envelope(&addresses), Protocol::Smtp, pipelining(), false), &replies);
    assert_eq!(said.split('|').map(|flight| flight.matches('<').count()).collect::<Vec<_>>(), [100, 100, 51]);
    let end = told(end);
    assert_eq!(end.iter().filter(|word| *word == "ok 250").count(), 100);
    assert_eq!(end.iter().filter(|word| *word == "Rcpt 452").count(), 150);
}

#[test]
fn the_stage_of_each_reply_is_known() {
    let mut transaction = begin(envelope(TWO), Protocol::Smtp, pipelining(), true);
    transaction.commands(&mut Vec::new());
    let mut stages = Vec::new();
    for line in ["250", "250", "250", "250", "354"] {
        let TransactionStep::Await(stage) = transaction.step() else { panic!("{:?}", transaction.step()) };
        stages.push(stage);
        let reply = ReplyReader::new().read(&mut format!("{line}\r\n").as_bytes()).unwrap().unwrap();
        transaction.reply(reply).unwrap();
    }
    assert_eq!(stages, [Stage::Rset, Stage::Mail, Stage::Rcpt, Stage::Rcpt, Stage::Data]);
    assert_eq!(transaction.step(), TransactionStep::SendText);
}

proptest! {
    /// Whatever a server says, the machine ends, and never believes in a delivery without a 2yz to the final dot.
    #[test]
    fn no_server_confuses_the_machine(
        replies in proptest::collection::vec(200u16..600, 0..20),
        recipients in 1usize..5,
        lmtp in any::<bool>(),
        pipelined in any::<bool>(),
        reset in any::<bool>(),
    ) {
        let addresses: Vec<String> = (0..recipients).map(|n| format!("r{n}@b.example")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let protocol = if lmtp { Protocol::Lmtp } else { Protocol::Smtp };
        let ehlo = Ehlo { pipelining: pipelined, ..Ehlo::default() };
        let replies: Vec<String> = replies.iter().map(ToString::to_string).collect();
        let replies: Vec<&str> = replies.iter().map(String::as_str).collect();
        let (said, end) = play(begin(envelope(&addresses), protocol, ehlo, reset), &replies);
        let end = told(end);
        prop_assert_eq!(end.len(), recipients);
        let delivered = end.iter().filter(|word| word.starts_with("ok")).count();
        prop_assert!(delivered == 0 || said.contains("[text]"));
        prop_assert!(end.iter().all(|word| !word.starts_with("ok") || word.starts_with("ok 2")));
        prop_assert!(delivered <= replies.iter().filter(|reply| reply.starts_with('2')).count() * recipients);
    }
}
