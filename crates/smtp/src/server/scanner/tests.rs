extern crate std;

use alloc::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;

/// A text, or that it has strays.
type Text<T> = Result<T, &'static str>;

/// What a DATA transfer came to, and what was left behind its end.
fn read(wire: &[u8], cut: usize) -> Option<(Text<Vec<u8>>, Vec<u8>)> {
    let mut scanner = Scanner::new(BytesMut::new(), 1 << 20);
    let (first, second) = wire.split_at(cut);
    let behind = match scanner.stuffed(first) {
        Some(end) => [&first[end..], second].concat(),
        None => scanner.stuffed(second).map(|end| second[end..].to_vec())?,
    };
    let text = if scanner.stray { Err("stray") } else { Ok(scanner.into_text().0.to_vec()) };
    Some((text, behind))
}

#[test]
fn rfc5321_transparency_wherever_the_network_cuts() {
    type Row = (&'static [u8], Text<&'static [u8]>, &'static [u8]);
    let table: [Row; 12] = [
        (b".\r\n", Ok(b""), b""),
        (b"test\r\n.\r\n", Ok(b"test\r\n"), b""),
        (b"test\r\n.\r\nMAIL", Ok(b"test\r\n"), b"MAIL"),
        (b".test\r\n.\r\n", Ok(b"test\r\n"), b""),
        (b"..\r\n.\r\n", Ok(b".\r\n"), b""),
        (b"...\r\n\r\n.\r\n", Ok(b"..\r\n\r\n"), b""),
        (b"a\n.\nb\r\n.\r\n", Err("stray"), b""),
        (b"a\r.\rb\r\n.\r\n", Err("stray"), b""),
        (b"a\r\n.\rb\r\n.\r\n", Err("stray"), b""),
        (b"a\r\n.\nb\r\n.\r\n", Err("stray"), b""),
        (b"a\r\r\n.\r\n", Err("stray"), b""),
        (b"a\0\r\n.\r\n", Err("stray"), b""),
    ];
    for (wire, text, behind) in table {
        for cut in 0..=wire.len() {
            let expected = (text.map(<[u8]>::to_vec), behind.to_vec());
            assert_eq!(read(wire, cut), Some(expected), "{} at {cut}", wire.escape_ascii());
        }
    }
}

#[test]
fn a_line_that_begins_with_a_dot_is_noticed() {
    for (wire, expected) in
        [("a.b\r\n.\r\n", false), (".a\r\n.\r\n", false), ("..a\r\n.\r\n", true), ("a\r\n..\r\n.\r\n", true)]
    {
        let mut scanner = Scanner::new(BytesMut::new(), 100);
        assert_eq!(scanner.stuffed(wire.as_bytes()), Some(wire.len()));
        assert_eq!(scanner.leading_dots, expected, "{wire:?}");
    }
    for (chunk, expected) in [("a.b\r\n", false), (".a\r\n", true), ("a\r\n.", true)] {
        let mut scanner = Scanner::new(BytesMut::new(), 100);
        scanner.plain(chunk.as_bytes());
        assert_eq!(scanner.leading_dots, expected, "{chunk:?}");
    }
}

#[test]
fn chunks_may_cut_a_line_end_and_the_last_line_gets_one() {
    type Row = (&'static [&'static [u8]], Text<&'static [u8]>);
    let table: [Row; 6] = [
        (&[b"a\r", b"\nb\r\n"], Ok(b"a\r\nb\r\n")),
        (&[b"a\r\n.\r\nb\r\n"], Ok(b"a\r\n.\r\nb\r\n")),
        (&[b"a"], Ok(b"a\r\n")),
        (&[], Ok(b"")),
        (&[b"a\r"], Err("stray")),
        (&[b"a\r", b"b"], Err("stray")),
    ];
    for (chunks, expected) in table {
        let mut scanner = Scanner::new(BytesMut::new(), 100);
        chunks.iter().for_each(|chunk| scanner.plain(chunk));
        scanner.end_of_chunks();
        let stray = scanner.stray;
        let text = scanner.into_text().0.to_vec();
        assert_eq!(if stray { Err("stray") } else { Ok(text) }, expected.map(<[u8]>::to_vec), "{chunks:?}");
    }
}

#[test]
fn nothing_is_held_of_a_text_that_will_be_refused() {
    let mut scanner = Scanner::new(BytesMut::from("Received: x\r\n"), 10);
    assert_eq!(scanner.stuffed(b"12345678\r\n"), None);
    assert_eq!((scanner.overflow, scanner.held()), (false, 23));
    assert_eq!(scanner.stuffed(b"1"), None);
    assert_eq!((scanner.overflow, scanner.held()), (true, 0));
    assert_eq!(scanner.stuffed(b"\r\n.\r\n"), Some(5), "the real end is still found");
}

/// The obvious way to say it: a text is what stands before the first CRLF.CRLF (or `.CRLF` at the start).
fn by_definition(wire: &[u8]) -> Option<(Text<Vec<u8>>, Vec<u8>)> {
    let framed = [b"\r\n", wire].concat();
    let end = framed.windows(5).position(|w| w == b"\r\n.\r\n")?;
    let (text, behind) = (&framed[..end + 2], &framed[end + 5..]);
    let mut lines = Vec::new();
    let mut rest = &text[2..];
    while let Some(at) = rest.windows(2).position(|w| w == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    let stray = lines.iter().any(|line| line.iter().any(|b| b"\r\n\0".contains(b)));
    let text =
        lines.iter().flat_map(|line| [line.strip_prefix(b".").unwrap_or(line), b"\r\n"].concat()).collect();
    Some((if stray { Err("stray") } else { Ok(text) }, behind.to_vec()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn the_end_is_crlf_dot_crlf_and_nothing_else(
        wire in prop::collection::vec(prop_oneof![
            4 => Just(b'\r'), 4 => Just(b'\n'), 4 => Just(b'.'), 1 => Just(0), 2 => Just(b'a')
        ], 0..40),
        cut in 0usize..40,
    ) {
        let wire = [wire, b"\r\n.\r\nrest".to_vec()].concat();
        prop_assert_eq!(read(&wire, cut.min(wire.len())), by_definition(&wire));
    }

    #[test]
    fn cuts_make_no_difference(wire in prop::collection::vec(any::<u8>(), 0..200), cuts in prop::collection::vec(1usize..20, 0..50)) {
        let mut whole = Scanner::new(BytesMut::new(), 150);
        let at_once = whole.stuffed(&wire);
        let mut parts = Scanner::new(BytesMut::new(), 150);
        let (mut at, mut end) = (0, None);
        for cut in cuts.into_iter().chain(vec![wire.len()]) {
            let next = (at + cut).min(wire.len());
            if end.is_none() {
                end = parts.stuffed(&wire[at..next]).map(|n| at + n);
            }
            at = next;
        }
        prop_assert_eq!(at_once, end);
        prop_assert_eq!((whole.stray, whole.overflow, whole.leading_dots), (parts.stray, parts.overflow, parts.leading_dots));
        if !(whole.stray || whole.overflow) {
            prop_assert_eq!(whole.text, parts.text);
        }
    }
}

/// The rules octet by octet, as slow and as plain as can be: what bulk looks have to agree with.
fn slowly(wire: &[u8]) -> Option<(Text<Vec<u8>>, bool, Vec<u8>)> {
    let end =
        if wire.starts_with(b".\r\n") { 0 } else { memmem::find(wire, b"\r\n.\r\n").map(|end| end + 2)? };
    let stuffed = &wire[..end];
    let mut text = Vec::new();
    let mut stray = false;
    for (at, octet) in stuffed.iter().enumerate() {
        let before = |n: usize| at.checked_sub(n).map(|at| stuffed[at]);
        stray |= *octet == 0;
        stray |= *octet == b'\r' && stuffed.get(at + 1) != Some(&b'\n');
        stray |= *octet == b'\n' && before(1) != Some(b'\r');
        let line_start = at == 0 || (before(1) == Some(b'\n') && before(2) == Some(b'\r'));
        if !(line_start && *octet == b'.') {
            text.push(*octet);
        }
    }
    let dots = text.starts_with(b".") || memmem::find(&text, b"\r\n.").is_some();
    Some((if stray { Err("stray") } else { Ok(text) }, dots, wire[end + 3..].to_vec()))
}

proptest! {
    #[test]
    fn whole_blocks_are_read_as_single_octets_are(
        text in "((\\.|\\.\\.|)[ab]{0,9}(\r\n|\r\n|\r\n|\r\n|\r\n|\r|\n|\0))\\.?[ab\r\n]{0,9}",
        head in "(\\.?[ab]{0,30}\r\n){0,9}",
        cut in 0usize..400,
    ) {
        let wire = alloc::format!("{head}{text}\r\n.\r\nrest");
        let wire = wire.as_bytes();
        let expected = slowly(wire).map(|(text, _, behind)| (text, behind));
        prop_assert_eq!(read(wire, cut.min(wire.len())), expected);
    }

    #[test]
    fn chunks_are_read_alike_however_they_are_cut(
        text in "([.ab]{0,9}(\r\n|\r\n|\r\n|\r\n|\r\n|\r\n|\r|\n|\0)){0,40}",
        cut in 0usize..400,
    ) {
        let whole = |pieces: &[&[u8]]| {
            let mut scanner = Scanner::new(BytesMut::new(), 1 << 20);
            pieces.iter().for_each(|piece| scanner.plain(piece));
            scanner.end_of_chunks();
            (scanner.stray, scanner.leading_dots, scanner.into_text().0)
        };
        let text = text.as_bytes();
        let (first, second) = text.split_at(cut.min(text.len()));
        let octets: Vec<&[u8]> = text.chunks(1).collect();
        prop_assert_eq!(whole(&[first, second]), whole(&octets));
    }
}

#[test]
fn a_large_text_is_taken_out_in_pieces_once_its_header_is_whole() {
    let mut scanner = Scanner::new(BytesMut::from(&b"Received: us\r\n"[..]), 1 << 20);
    assert_eq!(scanner.stuffed(b"Received: them\r\nSubject: x"), None);
    assert!(scanner.take(4, BytesMut::new()).is_err(), "the header goes on");
    assert_eq!(scanner.stuffed(b"\r\nTraceparent: y\r\n\r\n"), None);
    let first = scanner.take(4, BytesMut::new()).unwrap();
    assert!(first.starts_with(b"Received: us\r\nReceived: them\r\n") && first.ends_with(b"\r\n\r\n"));
    assert!(scanner.is_traced());
    assert_eq!(scanner.stuffed(b"body\r\n..dot\r"), None);
    assert!(scanner.take(40, BytesMut::new()).is_err(), "too little");
    let second = scanner.take(4, BytesMut::new()).unwrap();
    assert_eq!(scanner.stuffed(b"\nlast\r\n.\r\n"), Some(10));
    assert_eq!(scanner.taken(), (first.len() + second.len()) as u64);
    let (rest, header) = scanner.into_text();
    assert_eq!(([&second[..], &rest].concat(), header.received), (b"body\r\n.dot\r\nlast\r\n".to_vec(), 1));

    let mut bad = Scanner::new(BytesMut::new(), 1 << 20);
    assert_eq!(bad.stuffed(b"a: b\r\n\r\nbare\nlf"), None);
    assert!(bad.take(0, BytesMut::new()).is_err(), "a text that will be refused is not given out");
}

/// Threats V11: otherwise a header of 50 MB would be read from its beginning a thousand times.
#[test]
fn a_header_that_does_not_end_is_not_read_again_with_each_octet() {
    let mut scanner = Scanner::new(BytesMut::new(), 1 << 20);
    assert_eq!(scanner.stuffed("X: y\r\n".repeat(100).as_bytes()), None);
    assert!(scanner.take(4, BytesMut::new()).is_err(), "the header goes on");
    assert_eq!(scanner.stuffed(b"\r\nbody\r\n"), None);
    assert!(scanner.take(4, BytesMut::new()).is_err(), "it is too early to look again");
    assert_eq!(scanner.stuffed("body\r\n".repeat(25).as_bytes()), None);
    assert!(scanner.take(4, BytesMut::new()).unwrap().ends_with(b"body\r\n"));
}
