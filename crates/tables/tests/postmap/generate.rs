//! Random tables, and keys that have a chance to be in them.

use crate::random::Random;

/// Where the text of a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// In its name.
    Inline,
    /// In a file.
    File,
    /// In a file that postmap makes a database of.
    Made,
}

/// A kind of table.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) text: fn(&mut Random) -> String,
    pub(crate) key: fn(&mut Random) -> String,
}

pub(crate) const KINDS: &[Kind] = &[
    Kind { name: "texthash", form: Form::File, text: entries, key: word },
    Kind { name: "hash", form: Form::Made, text: entries_with_duplicates, key: word },
    Kind { name: "btree", form: Form::Made, text: entries_with_duplicates, key: word },
    Kind { name: "cdb", form: Form::Made, text: entries_with_duplicates, key: word },
    Kind { name: "lmdb", form: Form::Made, text: entries_with_duplicates, key: word },
    Kind { name: "inline", form: Form::Inline, text: inline, key: word },
    Kind { name: "static", form: Form::Inline, text: fixed, key: word },
    Kind { name: "regexp", form: Form::File, text: regexp, key: subject },
    Kind { name: "pcre", form: Form::File, text: pcre, key: subject },
    Kind { name: "regexp", form: Form::Inline, text: inline_regexp, key: subject },
    Kind { name: "cidr", form: Form::File, text: cidr, key: address },
    Kind { name: "unionmap", form: Form::Inline, text: combined, key: word },
    Kind { name: "pipemap", form: Form::Inline, text: combined, key: word },
];

const WORDS: &[&str] = &[
    "a.test",
    "b.test",
    ".test",
    "A.Test",
    "[mx.a.test]:587",
    "user@a.test",
    "@b.test",
    "x",
    "y",
    "*",
    "1.2.3.4",
    "bücher.test",
    "straße.test",
    "\"x y\"",
    "\"quoted",
    "a#b",
    "a=b",
    "a,b",
    "{x}",
    "x:",
    "$x",
    "%s",
    "\\x",
];

/// A key that a table may have.
pub(crate) fn word(random: &mut Random) -> String {
    let word = random.choose(WORDS);
    if random.one_in(12) {
        return format!("\"{}\"", word.replace('"', ""));
    }
    if random.one_in(6) { word.to_uppercase() } else { word.to_owned() }
}

fn value(random: &mut Random) -> String {
    let parts = [
        "encrypt",
        "secure match=a.test",
        "may",
        "x y",
        "\"x\"",
        "${1}",
        "b.test",
        "y",
        "  z",
        "{x y}",
        "# no comment",
        "x\\",
    ];
    random.choose(&parts).to_owned()
}

fn entry_lines(random: &mut Random, mut key: impl FnMut(&mut Random) -> String) -> String {
    random.several(0, 12, |random| match random.below(14) {
        0 => "# a comment\n".to_owned(),
        1 => "   \n".to_owned(),
        2 => "\n".to_owned(),
        3 => "  more of it\n".to_owned(),
        4 => "\t# a comment, too\n".to_owned(),
        5 => format!("{}\n", key(random)),
        6 => format!("\"{} {}\" {}\n", key(random).replace('"', ""), random.below(3), value(random)),
        7 => format!("{}\t \t{} \t\n", key(random), value(random)),
        _ => format!("{} {}\n", key(random), value(random)),
    })
}

/// Mostly with different keys: two of the same are the end of a texthash.
fn entries(random: &mut Random) -> String {
    let mut number = random.below(WORDS.len());
    entry_lines(random, |random| {
        number += if random.one_in(20) { 0 } else { 1 };
        WORDS[number % WORDS.len()].to_owned()
    })
}

fn entries_with_duplicates(random: &mut Random) -> String {
    entry_lines(random, word)
}

fn inline(random: &mut Random) -> String {
    let mut number = random.below(WORDS.len());
    let pairs = random.several(0, 6, |random| {
        number += if random.one_in(15) { 0 } else { 1 };
        let (key, value) = (WORDS[number % WORDS.len()], value(random));
        match random.below(10) {
            0 => format!("{key}={value} "),
            1 => format!("{key} "),
            2 => format!("{{{key}}}, "),
            3 => format!("{{ \"{}\" = {value} }},", key.replace('"', "")),
            4 => format!("{{{key}={value}}}x "),
            _ => format!("{{ {key} = {value} }}, "),
        }
    });
    match random.below(12) {
        0 => format!("{{{pairs}"),
        1 => format!("{{{pairs}}}x"),
        2 => pairs,
        _ => format!("{{ {pairs}}}"),
    }
}

fn fixed(random: &mut Random) -> String {
    let value = value(random);
    match random.below(4) {
        0 => format!("{{{value}}}"),
        1 => format!("{{ {value} }}"),
        2 => format!("{{{value}"),
        _ => value,
    }
}

/// Something that a pattern may match.
fn subject(random: &mut Random) -> String {
    let letters = [
        "a", "b", "ab", "A", "1", ".", "-", "@", "a.test", "x", "\\", "/", "é", " ", "]", "^", "$", "|", "{",
        "+",
    ];
    random.several(1, 7, |random| random.choose(&letters).to_owned())
}

fn atom(random: &mut Random, depth: usize, posix: bool) -> String {
    let plain = [
        "a",
        "b",
        "x",
        "1",
        "\\.",
        ".",
        "-",
        "@",
        "test",
        "[ab]",
        "[^a]",
        "[a-z]",
        "[[:digit:]]",
        "[]a]",
        "[^]]",
        "^",
        "$",
        "\\$",
        "\\/",
        "a.test",
        "\\@",
        "é",
        "[0-9.-]",
    ];
    let only_pcre = [
        "\\d",
        "\\w",
        "\\S",
        "(?:ab)",
        "(?i)",
        "\\b",
        "[\\d.]",
        "(?=a)",
        "(?!b)",
        "\\x41",
        "[\\w-]",
        "\\Qa.b\\E",
        "(?<=a)",
        "(?<!é)",
        "(a|b)\\1",
        "[^é]",
        "\\xE9",
        "(?>a|ab)",
    ];
    let only_posix = ["\\<", "\\w", "[[:alpha:]_]", "[[:upper:]]", "[\\]"];
    match random.below(8) {
        0 if depth > 0 => format!("({})", pattern(random, depth - 1, posix)),
        1 if depth > 0 => {
            format!("({}|{})", pattern(random, depth - 1, posix), pattern(random, depth - 1, posix))
        }
        2 if posix => random.choose(&only_posix).to_owned(),
        2 => random.choose(&only_pcre).to_owned(),
        _ => random.choose(&plain).to_owned(),
    }
}

fn pattern(random: &mut Random, depth: usize, posix: bool) -> String {
    random.several(1, 3, |random| {
        let atom = atom(random, depth, posix);
        let repeat = random.choose(&["", "", "", "", "*", "+", "?", "{2}", "{1,3}", "{0}"]);
        format!("{atom}{repeat}")
    })
}

fn result(random: &mut Random) -> String {
    let results =
        ["x", "got it", "$1", "<${1}>", "$(1)-$2", "$$1", "", "$3", "a$1b", "$", "${x}", "$0", "1.2.3.4"];
    let number = random.below(1000);
    format!("{} r{number}", random.choose(&results))
}

fn rule(random: &mut Random, posix: bool) -> String {
    let not = if random.one_in(6) { "!" } else { "" };
    let delimiter = if random.one_in(8) { "," } else { "/" };
    let flags = random.choose(&["", "", "", "i", "m", "x", "mi", "q"]);
    // Without the extended syntax, what a pattern means is another language.
    let flags = if posix { flags.replace('x', "") } else { flags.to_owned() };
    format!("{not}{delimiter}{}{delimiter}{flags}", pattern(random, 2, posix))
}

fn rules(random: &mut Random, posix: bool) -> String {
    random.several(1, 8, |random| match random.below(12) {
        0 => format!("if {}\n", rule(random, posix)),
        1 => "endif\n".to_owned(),
        2 => "# comment\n".to_owned(),
        3 => format!("{}\n", rule(random, posix)),
        4 => format!("{}\n   {}\n", rule(random, posix), result(random)),
        5 => format!("{}\n", pattern(random, 1, posix)),
        _ => format!("{} {}\n", rule(random, posix), result(random)),
    })
}

fn regexp(random: &mut Random) -> String {
    rules(random, true)
}

fn pcre(random: &mut Random) -> String {
    rules(random, false)
}

fn inline_regexp(random: &mut Random) -> String {
    let rules = random.several(1, 4, |random| {
        let letters = random.choose(&["a", "b", "^a", "test$", "x+", "[ab]1"]);
        format!("{{/{letters}/ {}}} ", result(random))
    });
    format!("{{{rules}}}")
}

fn address(random: &mut Random) -> String {
    let (a, b) = (random.below(4), random.below(256));
    match random.below(10) {
        0 => format!("2001:db8::{a}"),
        1 => "::1".to_owned(),
        2 => format!("::ffff:10.0.{a}.{b}"),
        3 => format!("[10.0.{a}.{b}]"),
        4 => "not.an.address".to_owned(),
        5 => format!("10.0.{a}"),
        6 => format!("2001:DB8:{a}::1"),
        _ => format!("10.0.{a}.{b}"),
    }
}

fn cidr(random: &mut Random) -> String {
    random.several(1, 10, |random| {
        let net = match random.below(9) {
            0 => "10.0.0.0/8".to_owned(),
            1 => format!("10.0.{}.0/24", random.below(4)),
            2 => format!("10.0.0.0/{}", random.below(34)),
            3 => "2001:db8::/32".to_owned(),
            4 => format!("2001:db8::{}", random.below(4)),
            5 => "[::1]".to_owned(),
            6 => "0.0.0.0/0".to_owned(),
            7 => "::/0".to_owned(),
            _ => format!("10.0.{}.{}", random.below(4), random.below(256)),
        };
        let not = if random.one_in(6) { "!" } else { "" };
        let number = random.below(1000);
        match random.below(10) {
            0 => format!("if {not}{net}\n"),
            1 => "endif\n".to_owned(),
            2 => format!("{not}{net}\n"),
            3 => "# comment\n\n".to_owned(),
            _ => format!("{not}{net} v{number} $1\n"),
        }
    })
}

fn combined(random: &mut Random) -> String {
    let tables = random.several(1, 3, |random| match random.below(5) {
        0 => "static:{x}, ".to_owned(),
        1 => "inline:{x=y y=x a.test=b.test} ".to_owned(),
        2 => "inline:{{b.test = a b}, x=a.test} ".to_owned(),
        3 => "regexp:{{/^x/ a.test} {/(b)/ <$1>}}, ".to_owned(),
        _ => "static:y ".to_owned(),
    });
    if random.one_in(15) { tables } else { format!("{{{tables}}}") }
}
