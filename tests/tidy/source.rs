//! A Rust file as the rules see it: its lines as they are, its code without comments and strings, and which lines
//! are tests.

use std::ops::Range;

/// One file of the workspace.
pub(crate) struct Source {
    /// From the workspace root, with `/`.
    pub(crate) path: String,
    /// The lines as written.
    pub(crate) raw: Vec<String>,
    /// The same lines with the contents of comments, strings and characters blanked.
    pub(crate) code: Vec<String>,
    /// Whether a line belongs to a test.
    pub(crate) test: Vec<bool>,
}

impl Source {
    /// Reads `text`, found at `path`.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code: Vec<String> = mask(text).lines().map(str::to_owned).collect();
        let mut test = vec![is_test_file(path); code.len()];
        for range in test_items(&code) {
            test[range].fill(true);
        }
        Self { path: path.to_owned(), raw: text.lines().map(str::to_owned).collect(), code, test }
    }

    /// Lines of code outside tests, numbered from 1.
    pub(crate) fn production(&self) -> impl Iterator<Item = (usize, &str)> {
        self.numbered().filter(|(number, _)| !self.test[number - 1])
    }

    /// All lines of code, numbered from 1.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.iter().enumerate().map(|(index, line)| (index + 1, line.as_str()))
    }

    /// The crate's folder, such as `crates/dns`; `None` for files outside of `crates`.
    pub(crate) fn crate_folder(&self) -> Option<&str> {
        self.path.strip_prefix("crates/").and_then(|rest| rest.split('/').next())
    }

    /// Whether this is the shell of a service actor.
    pub(crate) fn is_actor_shell(&self) -> bool {
        self.path.ends_with("/src/actor.rs")
    }

    /// The files that a `#[cfg(test)] mod name;` of this file brings in, as path prefixes.
    pub(crate) fn test_modules(&self) -> Vec<String> {
        let folder = match self.path.rsplit_once('/') {
            Some((folder, "lib.rs" | "main.rs" | "mod.rs")) => folder.to_owned(),
            _ => self.path.trim_end_matches(".rs").to_owned(),
        };
        let declared = self.numbered().filter(|(number, _)| self.test[number - 1]).filter_map(|(_, line)| {
            let line = line.trim().trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
            line.strip_prefix("mod ")?.strip_suffix(';')
        });
        declared.map(|name| format!("{folder}/{}", name.trim())).collect()
    }
}

/// Whether all of a file is test code by its place or name.
fn is_test_file(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let (name, folders) = parts.split_last().expect("a path has a last part");
    folders.iter().any(|part| matches!(*part, "tests" | "benches" | "testing"))
        || matches!(*name, "tests.rs")
        || name.ends_with("_tests.rs")
}

/// The lines of every item under `#[cfg(test)]` (or `#[cfg(all(test, ...))]`).
fn test_items(code: &[String]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (start, line) in code.iter().enumerate() {
        if found.last().is_some_and(|range| range.contains(&start)) {
            continue;
        }
        let line = line.trim_start();
        if line.starts_with("#![cfg(test)]") {
            found.push(start..code.len());
        } else if line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test") {
            found.push(start..end_of_item(code, start) + 1);
        }
    }
    found
}

/// The last line of the item that begins at `start`, attributes included.
pub(crate) fn end_of_item(code: &[String], start: usize) -> usize {
    let (mut braces, mut brackets, mut opened) = (0i32, 0i32, false);
    for (index, line) in code.iter().enumerate().skip(start) {
        for c in line.chars() {
            match c {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets -= 1,
                '{' => {
                    braces += 1;
                    opened = true;
                }
                '}' => braces -= 1,
                ';' if !opened && brackets == 0 => return index,
                _ => {}
            }
            if opened && braces == 0 && c == '}' && brackets == 0 {
                return index;
            }
        }
    }
    code.len().saturating_sub(1)
}

/// `text` with everything in comments, strings and characters replaced by spaces; lines stay where they were.
pub(crate) fn mask(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        match end {
            Some(end) => {
                let blank = |c: &char| if *c == '\n' { '\n' } else { ' ' };
                out.extend(chars[at..end].iter().map(blank));
                at = end;
            }
            None => {
                out.push(chars[at]);
                at += 1;
            }
        }
    }
    out
}

/// Where the comment, string or character that starts at `at` ends, if one does.
fn literal_end(chars: &[char], at: usize) -> Option<usize> {
    let next = chars.get(at + 1).copied();
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if next == Some('/') => Some(find(chars, at, |c| c == '\n')),
        '/' if next == Some('*') => Some(block_comment_end(chars, at)),
        '"' => Some(string_end(chars, at)),
        'b' | 'c' if next == Some('"') && !in_word => Some(string_end(chars, at + 1)),
        'r' if !in_word => raw_string_end(chars, at),
        'b' if next == Some('r') && !in_word => raw_string_end(chars, at + 1),
        '\'' => char_end(chars, at),
        _ => None,
    }
}

fn find(chars: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|index| wanted(chars[*index])).unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    chars.len()
}

/// `quote` is where the opening quote stands.
fn string_end(chars: &[char], quote: usize) -> usize {
    let mut at = quote + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// `start` is where the `r` stands.
fn raw_string_end(chars: &[char], start: usize) -> Option<usize> {
    let hashes = chars[start + 1..].iter().take_while(|c| **c == '#').count();
    let quote = start + 1 + hashes;
    if chars.get(quote) != Some(&'"') {
        return None;
    }
    let closes = |at: &usize| {
        chars[*at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    let end = (quote + 1..chars.len()).find(closes).map_or(chars.len(), |at| at + 1 + hashes);
    Some(end.min(chars.len()))
}

/// A character, as against a lifetime.
fn char_end(chars: &[char], start: usize) -> Option<usize> {
    if chars.get(start + 1) == Some(&'\\') {
        return Some((find(chars, start + 3, |c| c == '\'') + 1).min(chars.len()));
    }
    (chars.get(start + 2) == Some(&'\'')).then_some(start + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_blanked_and_lines_stay() {
        for (text, expected) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"x("a\"b")"#, "x(      )"),
            (r##"x(r#"a"b"#)"##, "x(        )"),
            ("b\"x\" br\"y\"", "          "),
            ("fn f<'a>(x: &'a u8) -> char { '\\'' }", "fn f<'a>(x: &'a u8) -> char {      }"),
            ("'{' '\\u{1F}'", "            "),
            ("attr\"x\"", "attr   "),
        ] {
            assert_eq!(mask(text).trim_end(), expected.trim_end(), "{text}");
        }
    }

    #[test]
    fn items_under_test_end_with_their_brace() {
        let source = Source::new(
            "crates/x/src/a.rs",
            "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\nfn c() {}\n",
        );
        assert_eq!(source.test, [false, true, true, true, true, false]);
    }

    #[test]
    fn a_test_module_in_its_own_file_is_found() {
        let source = Source::new("crates/x/src/lib.rs", "mod a;\n#[cfg(test)]\nmod bed;\n");
        assert_eq!(source.test_modules(), ["crates/x/src/bed"]);
        assert!(Source::new("crates/x/src/plan/tests.rs", "fn a() {}\n").test[0]);
    }
}
