//! What a server offers and we take no notice of.

use super::ehlo::Ehlo;

/// Keywords of EHLO that are taken as not said (postconf(5) `smtp_discard_ehlo_keywords`), for servers that offer what they cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Discard(u16);

/// A keyword, and what it takes away.
type Row = (&'static str, fn(&mut Ehlo));

/// All that can be discarded.
const KEYWORDS: &[Row] = &[
    ("8BITMIME", |ehlo| ehlo.eight_bit_mime = false),
    ("CHUNKING", |ehlo| ehlo.chunking = false),
    ("DSN", |ehlo| ehlo.dsn = false),
    ("ENHANCEDSTATUSCODES", |ehlo| ehlo.enhanced_status_codes = false),
    ("PIPELINING", |ehlo| ehlo.pipelining = false),
    ("REQUIRETLS", |ehlo| ehlo.requiretls = false),
    ("SIZE", |ehlo| (ehlo.size, ehlo.size_limit) = (false, None)),
    ("SMTPUTF8", |ehlo| ehlo.smtputf8 = false),
    ("STARTTLS", |ehlo| ehlo.starttls = false),
    // Postfix's words for what is not used here.
    ("AUTH", |_| ()),
    ("ETRN", |_| ()),
    ("SILENT-DISCARD", |_| ()),
    ("VERP", |_| ()),
    ("VRFY", |_| ()),
    ("XCLIENT", |_| ()),
    ("XFORWARD", |_| ()),
];

impl Discard {
    /// With one more keyword, in any case; `None` where there is no such one.
    #[must_use]
    pub fn with(self, keyword: &str) -> Option<Self> {
        let at = KEYWORDS.iter().position(|(name, _)| name.eq_ignore_ascii_case(keyword))?;
        Some(Self(self.0 | 1 << at))
    }

    /// What either of them discards.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is left of an offer.
    pub(super) fn from(self, mut offer: Ehlo) -> Ehlo {
        for (at, (_, discard)) in KEYWORDS.iter().enumerate() {
            if self.0 & (1 << at) != 0 {
                discard(&mut offer);
            }
        }
        offer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_keyword_takes_its_own_offer_away_and_no_other() {
        let offers = [
            "8BITMIME",
            "CHUNKING",
            "DSN",
            "ENHANCEDSTATUSCODES",
            "PIPELINING",
            "REQUIRETLS",
            "SIZE 10",
            "SMTPUTF8",
            "STARTTLS",
        ];
        for gone in offers {
            let keyword = gone.split(' ').next().unwrap_or_default().to_lowercase();
            let discard = Discard::default().with(&keyword).unwrap();
            let all = Ehlo::parse(core::iter::once("mx").chain(offers));
            let others = offers.into_iter().filter(|offer| *offer != gone);
            assert_eq!(discard.from(all), Ehlo::parse(core::iter::once("mx").chain(others)), "{gone}");
        }
        assert_eq!(Discard::default().with("CHUNKY"), None);
        assert_eq!(Discard::default().with("auth"), Discard::default().with("AUTH"));
    }
}
