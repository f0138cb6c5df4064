//! JSON objects, written by hand: no allocation, and the escaping is in one place.

use std::fmt::{self, Write as _};

/// An object that is being written at the end of a text.
pub(crate) struct Object<'a> {
    text: &'a mut String,
    empty: bool,
}

impl<'a> Object<'a> {
    /// Begins one.
    pub(crate) fn begin(text: &'a mut String) -> Self {
        text.push('{');
        Self { text, empty: true }
    }

    /// Ends it.
    pub(crate) fn end(self) {
        self.text.push('}');
    }

    /// A string.
    pub(crate) fn text(&mut self, key: &'static str, value: &str) {
        self.key(key);
        self.text.push('"');
        escape(self.text, value);
        self.text.push('"');
    }

    /// A string, where there is one.
    pub(crate) fn maybe(&mut self, key: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    /// A string, from a value that can be displayed.
    pub(crate) fn display(&mut self, key: &'static str, value: impl fmt::Display) {
        self.key(key);
        self.text.push('"');
        // Writing to a string does not fail; a `Display` that fails leaves the value cut.
        let _ = write!(Escaped(self.text), "{value}");
        self.text.push('"');
    }

    /// A number.
    pub(crate) fn number(&mut self, key: &'static str, value: impl Into<u64>) {
        self.key(key);
        let _ = write!(self.text, "{}", value.into());
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, key: &'static str, value: bool) {
        self.key(key);
        self.text.push_str(if value { "true" } else { "false" });
    }

    /// An object inside.
    pub(crate) fn object(&mut self, key: &'static str, fill: impl FnOnce(&mut Object<'_>)) {
        self.key(key);
        let mut inner = Object::begin(self.text);
        fill(&mut inner);
        inner.end();
    }

    /// Keys are ours: nothing in them needs escaping.
    fn key(&mut self, key: &'static str) {
        self.text.push_str(if self.empty { "\"" } else { ",\"" });
        self.empty = false;
        self.text.push_str(key);
        self.text.push_str("\":");
    }
}

struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.0, text);
        Ok(())
    }
}

/// What must not stand as it is. More than RFC 8259 §7 demands: DEL and the C1 controls move cursors of terminals as well, and
/// directional controls (Unicode UAX #9) and line separators make a line look like another one.
pub(crate) const fn is_hidden(c: char) -> bool {
    matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(out: &mut String, text: &str) {
    // Nearly all text needs nothing.
    if text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\') {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // All of them lie in the basic plane: four digits suffice.
            hidden if is_hidden(hidden) => {
                let _ = write!(out, "\\u{:04x}", u32::from(hidden));
            }
            plain => out.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8259_what_comes_in_comes_out_and_nothing_hidden_stands_in_the_text() {
        let strange =
            "\"\\/\u{8}\u{c}\n\r\t\0\x1b[2J\x7f\u{9b}31m\u{2028}\u{202e}\u{2066}é\u{10ffff}漢\u{feff}";
        for text in ["", "plain", strange] {
            let mut line = String::new();
            let mut object = Object::begin(&mut line);
            object.text("a", text);
            object.display("b", format_args!("<{text}>"));
            object.end();
            assert!(!line.chars().any(is_hidden), "{line:?}");
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["a"], text);
            assert_eq!(value["b"], format!("<{text}>"));
        }
    }

    #[test]
    fn objects_nest() {
        let mut line = String::new();
        let mut object = Object::begin(&mut line);
        object.maybe("absent", None);
        object.number("n", 7u32);
        object.object("in", |inner| inner.flag("yes", true));
        object.object("empty", |_| ());
        object.end();
        assert_eq!(line, r#"{"n":7,"in":{"yes":true},"empty":{}}"#);
    }
}
