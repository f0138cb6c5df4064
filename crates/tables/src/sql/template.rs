//! Templates with `%s` in them (pgsql_table(5), `query` and `result_format`).

/// A template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    /// `%s`, `%u`, `%d`: of the key in a query, of the value in a result.
    Own(Part),
    /// `%S`, `%U`, `%D`: of the key.
    Key(Part),
    /// `%1` to `%9`: of the key's domain, counted from its end.
    Label(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    User,
    Domain,
}

/// What a key and a value must have for the templates to make sense.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "flags of db_common.c, independent of each other")]
pub(crate) struct Needs {
    key_user: bool,
    key_domain: bool,
    value_user: bool,
    value_domain: bool,
    labels: usize,
}

/// An address taken apart; what has no `@` is all local part, and has no domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    whole: &'a str,
    user: &'a str,
    domain: Option<&'a str>,
}

impl<'a> Address<'a> {
    fn of(whole: &'a str) -> Self {
        match whole.rsplit_once('@') {
            Some((user, domain)) => Self { whole, user, domain: Some(domain) },
            None => Self { whole, user: whole, domain: None },
        }
    }

    fn part(&self, part: Part) -> &'a str {
        match part {
            Part::Whole => self.whole,
            Part::User => self.user,
            Part::Domain => self.domain.unwrap_or_default(),
        }
    }

    fn has(&self, user: bool, domain: bool) -> bool {
        (!domain || self.domain.is_some_and(|domain| !domain.is_empty()))
            && (!user || self.domain.is_none() || !self.user.is_empty())
    }

    fn labels(&self) -> impl DoubleEndedIterator<Item = &'a str> {
        self.domain.unwrap_or_default().split('.').filter(|label| !label.is_empty())
    }
}

impl Needs {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            key_user: self.key_user || other.key_user,
            key_domain: self.key_domain || other.key_domain,
            value_user: self.value_user || other.value_user,
            value_domain: self.value_domain || other.value_domain,
            labels: self.labels.max(other.labels),
        }
    }

    /// The key, if it has all that the templates need: "queries whose key does not contain all the information [...] are suppressed".
    pub(crate) fn key<'a>(&self, key: &'a str) -> Option<Address<'a>> {
        let address = Address::of(key);
        let enough = !key.is_empty()
            && address.has(self.key_user, self.key_domain)
            && (self.labels == 0 || address.labels().count() >= self.labels);
        enough.then_some(address)
    }

    /// Whether a value is not to be skipped.
    pub(crate) fn accept(&self, value: &str) -> bool {
        !value.is_empty() && Address::of(value).has(self.value_user, self.value_domain)
    }
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                plain.push(c);
                continue;
            }
            let piece = match chars.next() {
                Some('%') => {
                    plain.push('%');
                    continue;
                }
                Some('s') => Piece::Own(Part::Whole),
                Some('u') => Piece::Own(Part::User),
                Some('d') => Piece::Own(Part::Domain),
                Some('S') => Piece::Key(Part::Whole),
                Some('U') => Piece::Key(Part::User),
                Some('D') => Piece::Key(Part::Domain),
                Some(digit @ '1'..='9') => Piece::Label(digit as usize - '0' as usize),
                Some(other) => return Err(format!("%{other} means nothing; write %% for a percent sign")),
                None => return Err("a % at the end; write %% for a percent sign".to_owned()),
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece);
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    pub(crate) fn needs_as_query(&self) -> Needs {
        self.needs(|needs, part| needs.key(part))
    }

    pub(crate) fn needs_as_result(&self) -> Needs {
        self.needs(|needs, part| needs.value(part))
    }

    fn needs(&self, own: impl Fn(&mut NeedsMut, Part)) -> Needs {
        let mut needs = NeedsMut(Needs::default());
        for piece in &self.0 {
            match piece {
                Piece::Text(_) => {}
                Piece::Own(part) => own(&mut needs, *part),
                Piece::Key(part) => needs.key(*part),
                Piece::Label(number) => {
                    needs.0.labels = needs.0.labels.max(*number);
                    needs.0.key_domain = true;
                }
            }
        }
        needs.0
    }

    /// The text for a key, and in a result for a value.
    pub(crate) fn expand(
        &self,
        key: &Address<'_>,
        value: Option<&str>,
        quote: impl Fn(&str) -> String,
    ) -> String {
        let own = value.map_or(*key, Address::of);
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Own(part) => text.push_str(&quote(own.part(*part))),
                Piece::Key(part) => text.push_str(&quote(key.part(*part))),
                Piece::Label(number) => {
                    text.push_str(&quote(key.labels().rev().nth(number - 1).unwrap_or_default()))
                }
            }
        }
        text
    }
}

/// Needs being gathered.
struct NeedsMut(Needs);

impl NeedsMut {
    const fn key(&mut self, part: Part) {
        match part {
            Part::Whole => {}
            Part::User => self.0.key_user = true,
            Part::Domain => self.0.key_domain = true,
        }
    }

    const fn value(&mut self, part: Part) {
        match part {
            Part::Whole => {}
            Part::User => self.0.value_user = true,
            Part::Domain => self.0.value_domain = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_made_as_the_manual_says() {
        let table = [
            ("<%s>", "a@b.test", Some("<a@b.test>")),
            ("<%u|%d>", "a@b.test", Some("<a|b.test>")),
            ("<%U|%D|%S>", "a@b.test", Some("<a|b.test|a@b.test>")),
            ("<%u>", "b.test", Some("<b.test>")),
            ("<%u>", "@b.test", None),
            ("<%d>", "b.test", None),
            ("<%d>", "a@", None),
            ("<%3.%2.%1>", "user@mail.example.com", Some("<mail.example.com>")),
            ("<%4>", "user@mail.example.com", None),
            ("<%1>", "example.com", None),
            ("100%%", "x", Some("100%")),
            ("%s", "", None),
            ("%u", "a@b@c", Some("a@b")),
        ];
        for (text, key, expected) in table {
            let template = Template::parse(text).unwrap();
            let needs = template.needs_as_query();
            let got = needs.key(key).map(|parts| template.expand(&parts, None, str::to_owned));
            assert_eq!(got.as_deref(), expected, "{text} {key}");
        }
        assert!(Template::parse("%x").is_err() && Template::parse("x%").is_err());
    }

    #[test]
    fn results_are_made_as_the_manual_says() {
        let table = [
            ("smtp:[%s]", "k@d.test", "mx.test", Some("smtp:[mx.test]")),
            ("%u", "k@d.test", "a@b.test", Some("a")),
            ("%u", "k@d.test", "ab", Some("ab")),
            ("%u", "k@d.test", "@b", None),
            ("%d", "k@d.test", "a@b.test", Some("b.test")),
            ("%d", "k@d.test", "ab", None),
            ("%U %D %S %2", "k@d.test", "x", Some("k d.test k@d.test d")),
            ("%s", "k", "", None),
        ];
        for (text, key, value, expected) in table {
            let template = Template::parse(text).unwrap();
            let needs = template.needs_as_result();
            let parts = needs.key(key).unwrap();
            let got = needs.accept(value).then(|| template.expand(&parts, Some(value), str::to_owned));
            assert_eq!(got.as_deref(), expected, "{text} {value}");
        }
        assert_eq!(Template::parse("%D").unwrap().needs_as_result().key("d.test"), None);
    }
}
