//! What is trusted: one immutable snapshot.

/// The anchors of one demand.
#[derive(Debug, Default)]
pub struct Anchors {}
