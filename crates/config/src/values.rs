//! How values are written. Each type takes what TOML has for it, and the same as a string: so the environment and `main.cf`
//! need no types of their own.

use std::{fmt, marker::PhantomData, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use waxseal_policy::split_words;

/// A kind of value: how it is called in messages, and how it is read.
pub(crate) trait Kind: Sized {
    const EXPECTED: &'static str;
    fn from_text(text: &str) -> Option<Self>;
    fn from_bool(_: bool) -> Option<Self> {
        None
    }
    fn from_number(_: u64) -> Option<Self> {
        None
    }
    fn from_float(_: f64) -> Option<Self> {
        None
    }
    fn from_list(_: Vec<String>) -> Option<Self> {
        None
    }
}

struct KindVisitor<T>(PhantomData<T>);

impl<'de, T: Kind> Visitor<'de> for KindVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).ok_or_else(|| E::custom(format!("{text:?} is not {}", T::EXPECTED)))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        T::from_bool(value).ok_or_else(|| E::custom(format!("{value} is not {}", T::EXPECTED)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        T::from_number(value).ok_or_else(|| E::custom(format!("{value} is not {}", T::EXPECTED)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        let number = u64::try_from(value).ok().and_then(T::from_number);
        number.ok_or_else(|| E::custom(format!("{value} is not {}", T::EXPECTED)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        T::from_float(value).ok_or_else(|| E::custom(format!("{value} is not {}", T::EXPECTED)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        let mut words = Vec::new();
        while let Some(word) = seq.next_element::<String>()? {
            words.push(word);
        }
        T::from_list(words).ok_or_else(|| A::Error::custom(format!("a list is not {}", T::EXPECTED)))
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(KindVisitor(PhantomData))
            }
        }
    )+};
}

kinds! {
    /// One text.
    Text(String);
    /// A port: its number, or the name of a mail service.
    Port(String);
    /// A list of texts; as one text, between commas and white space.
    Words(Vec<String>);
    /// A span of time with its unit.
    Span(Duration);
    /// A number of octets.
    Size(u64);
    /// Yes or no.
    Flag(bool);
    /// A number.
    Count(u64);
    /// A part of all, as it is written.
    Ratio(String);
}

impl Kind for Port {
    const EXPECTED: &'static str = "a port";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(Self(number.to_string()))
    }
}

impl Kind for Ratio {
    const EXPECTED: &'static str = "a number from 0 to 1";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(Self(number.to_string()))
    }

    fn from_float(number: f64) -> Option<Self> {
        Some(Self(number.to_string()))
    }
}

impl Kind for Text {
    const EXPECTED: &'static str = "a text in quotes";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }
}

impl Kind for Words {
    const EXPECTED: &'static str = "a list of texts, such as [\"a\", \"b\"]";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self(split_words(text).into_iter().map(str::to_owned).collect()))
    }

    fn from_list(words: Vec<String>) -> Option<Self> {
        Some(Self(words))
    }
}

impl Kind for Span {
    const EXPECTED: &'static str = "a time with its unit, such as \"300s\", \"5m\", \"1h\" or \"2d\"";

    fn from_text(text: &str) -> Option<Self> {
        duration(text, None).map(Self)
    }
}

impl Kind for Size {
    const EXPECTED: &'static str = "a size, such as \"50 MiB\" or a number of octets";

    fn from_text(text: &str) -> Option<Self> {
        const UNITS: [(&str, u64); 10] = [
            ("", 1),
            ("B", 1),
            ("kB", 1000),
            ("KB", 1000),
            ("KiB", 1 << 10),
            ("MB", 1_000_000),
            ("MiB", 1 << 20),
            ("GB", 1_000_000_000),
            ("GiB", 1 << 30),
            ("TiB", 1 << 40),
        ];
        let text = text.trim();
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let factor = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?.1;
        number.parse::<u64>().ok()?.checked_mul(factor).map(Self)
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(Self(number))
    }
}

impl Kind for Flag {
    const EXPECTED: &'static str = "true or false";

    fn from_text(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "yes" | "true" => Some(Self(true)),
            "no" | "false" => Some(Self(false)),
            _ => None,
        }
    }

    fn from_bool(value: bool) -> Option<Self> {
        Some(Self(value))
    }
}

impl Kind for Count {
    const EXPECTED: &'static str = "a whole number";

    fn from_text(text: &str) -> Option<Self> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten().map(Self)
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(Self(number))
    }
}

/// `300s`, `5m`, `1h`, `2d`, `1w`, `250ms`; a bare number has `unit`, where that is given (postconf(5): each time parameter has one), and otherwise only
/// 0 may stand alone.
pub(crate) fn duration(text: &str, unit: Option<char>) -> Option<Duration> {
    let text = text.trim();
    let (number, suffix) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().ok()?;
    let seconds = |unit: char| match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3600),
        'd' => Some(86_400),
        'w' => Some(7 * 86_400),
        _ => None,
    };
    let mut letters = suffix.trim_start().chars();
    match (letters.next(), letters.as_str()) {
        (None, _) if number == 0 => Some(Duration::ZERO),
        (None, _) => number.checked_mul(seconds(unit?)?).map(Duration::from_secs),
        (Some('m'), "s") => Some(Duration::from_millis(number)),
        (Some(letter), "") => {
            number.checked_mul(seconds(letter.to_ascii_lowercase())?).map(Duration::from_secs)
        }
        (Some(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let secs = |n| Some(Duration::from_secs(n));
        let table = [
            ("300s", None, secs(300)),
            ("5m", None, secs(300)),
            ("1h", None, secs(3600)),
            ("2d", None, secs(172_800)),
            ("1w", None, secs(604_800)),
            ("250ms", None, Some(Duration::from_millis(250))),
            ("0", None, secs(0)),
            ("5", None, None),
            ("5", Some('d'), secs(432_000)),
            ("5s", Some('d'), secs(5)),
            ("-5s", None, None),
            ("s", None, None),
            ("5 s", None, secs(5)),
            ("5x", None, None),
            ("99999999999999999999d", None, None),
            ("999999999999999999d", None, None),
        ];
        for (text, unit, expected) in table {
            assert_eq!(duration(text, unit), expected, "{text}");
        }
    }

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        let table = [
            ("50 MiB", Some(50 << 20)),
            ("40000000", Some(40_000_000)),
            ("1kB", Some(1000)),
            ("10 MB", Some(10_000_000)),
            ("fifty", None),
            ("1 mb", None),
            ("-1", None),
        ];
        for (text, expected) in table {
            assert_eq!(Size::from_text(text).map(|size| size.0), expected, "{text}");
        }
    }
}
