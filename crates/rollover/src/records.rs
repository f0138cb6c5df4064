//! Sets of TLSA records that can be compared and kept.

use serde::{Deserialize, Serialize};
use waxseal_tlsa::{parse_record, rdata};
use waxseal_types::Tlsa;

/// Records of one set; DNS messages do not hold many more, and honest sets have fewer than ten.
const MAX_RECORDS: usize = 100;

/// A set: sorted, each record once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct RecordSet(Vec<Tlsa>);

impl RecordSet {
    /// Of these records, in any order. Those without data, which nobody can use, are left out.
    pub fn new(records: impl IntoIterator<Item = Tlsa>) -> Self {
        let whole = records.into_iter().filter(|record| !record.data.is_empty());
        let mut records: Vec<Tlsa> = whole.take(MAX_RECORDS).collect();
        records.sort_by(|one, other| key(one).cmp(&key(other)));
        records.dedup();
        Self(records)
    }

    /// The records.
    #[must_use]
    pub fn as_slice(&self) -> &[Tlsa] {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of `others` are in it.
    #[must_use]
    pub fn has_all(&self, others: &Self) -> bool {
        others.0.iter().all(|record| self.0.contains(record))
    }

    /// Whether any of `others` is in it.
    #[must_use]
    pub fn has_any(&self, others: &Self) -> bool {
        others.0.iter().any(|record| self.0.contains(record))
    }

    /// With `more`.
    #[must_use]
    pub fn with(&self, more: &Self) -> Self {
        Self::new(self.0.iter().chain(&more.0).cloned())
    }

    /// Without `those`.
    #[must_use]
    pub fn without(&self, those: &Self) -> Self {
        Self::new(self.0.iter().filter(|record| !those.0.contains(record)).cloned())
    }

    /// The records that `keep` is true for.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&Tlsa) -> bool) -> Self {
        Self::new(self.0.iter().filter(|record| keep(record)).cloned())
    }

    /// Each as a zone file has it, whole: `3 1 1 8cb0fc...`.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().map(rdata).collect()
    }
}

fn key(record: &Tlsa) -> (u8, u8, u8, &[u8]) {
    (record.usage.into(), record.selector.into(), record.matching.into(), &record.data)
}

impl TryFrom<Vec<String>> for RecordSet {
    type Error = String;

    fn try_from(lines: Vec<String>) -> Result<Self, Self::Error> {
        let records = lines.iter().map(|line| parse_record(line).map_err(|error| error.to_string()));
        Ok(Self::new(records.collect::<Result<Vec<_>, _>>()?))
    }
}

impl From<RecordSet> for Vec<String> {
    fn from(set: RecordSet) -> Self {
        set.lines()
    }
}
