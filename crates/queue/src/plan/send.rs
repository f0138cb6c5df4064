//! The message over a connection that was cleared, and what follows from the replies.

use std::sync::Arc;

use waxseal_transport::{Cause, OutMessage, RcptOutcome, Sent, SessionAfter, Stage};
use waxseal_types::UnixTime;
use waxseal_verify::{Clearance, ClearanceError, DemandDigest};

use super::{Downgrade, Pending, Plan, State};
use crate::{
    Ask, Feedback, Release,
    account::{Failure, Outcome, RecipientResult},
    disposition::{self, Consequence},
};

impl Plan {
    pub(super) fn send(&mut self, clearance: Clearance, now: UnixTime) {
        if self.order.rehearsal {
            if let Some(connection) = self.current_connection() {
                connection.ended = now;
            }
            self.pending.clear();
            self.ask(State::Release, Ask::Release(Release::Quit));
            return;
        }
        let Some(security) = self.guard.security.clone() else {
            self.state = State::Done;
            return;
        };
        // Only sessions that come to mail use up smtp_mx_session_limit (smtp_connect.c).
        self.site.sessions_begun += 1;
        let message = OutMessage {
            envelope: Arc::clone(&self.order.envelope),
            recipients: self.pending.iter().map(|pending| pending.index).collect(),
            body: self.order.body.clone(),
            demand: DemandDigest::of(&security.demand),
            policy: self.guard.generation.clone(),
        };
        self.ask(State::Send, Ask::Send(clearance, message));
    }

    pub(super) fn sent(&mut self, sent: Sent, now: UnixTime) {
        if self.replans > 0 && is_outdated(&sent) {
            return self.begin_anew(sent.session, now);
        }
        let number = self.link.connection;
        let peer = self.peer();
        let mut worst: Option<Failure> = None;
        let mut lost = None;
        let mut left = Vec::new();
        for (index, outcome) in sent.recipients {
            let Some(at) = self.pending.iter().position(|pending| pending.index == index) else { continue };
            let pending = self.pending.swap_remove(at);
            let settled = |outcome| RecipientResult { index, outcome, connection: number };
            let (failure, consequence) = match outcome {
                RcptOutcome::Delivered(reply) => {
                    self.account.results.push(settled(Outcome::Delivered { reply, without_dsn: !sent.dsn }));
                    continue;
                }
                RcptOutcome::Rejected { stage, reply } => {
                    if disposition::asks_for_less(&reply) {
                        self.feedback = Feedback::Busy;
                    }
                    disposition::rejected(&peer, stage, &reply)
                }
                // Nobody's loss: the session was given up since the text could not be read.
                RcptOutcome::Failed { stage, cause: cause @ Cause::Text(_) } => {
                    disposition::stage_failed(&peer, stage, &cause)
                }
                RcptOutcome::Failed { stage, cause } => {
                    lost = Some((stage, pooled_before_reply(stage)));
                    disposition::stage_failed(&peer, stage, &cause)
                }
                RcptOutcome::Unsupported(what) => {
                    (disposition::unsupported(&peer, &what), Consequence::Bounce)
                }
            };
            worst = Some(failure.clone());
            match consequence {
                Consequence::NextHost => left.push(Pending { last: Some((failure, number)), ..pending }),
                Consequence::Defer => self.account.results.push(settled(Outcome::Deferred(failure))),
                Consequence::Bounce => self.account.results.push(settled(Outcome::Bounced(failure))),
            }
        }
        // What the transport did not speak of waits for another host.
        left.append(&mut self.pending);
        left.sort_by_key(|pending| pending.index);
        self.pending = left;
        if let Some(connection) = self.current_connection() {
            connection.times.transaction = sent.took;
            connection.ended = now;
            if !self.pending.is_empty() || lost.is_some() {
                self.account.connections[number.unwrap_or_default()].failure = worst;
            }
        }
        self.after_send(lost, sent.session);
    }

    /// The policy changed before MAIL (design §5.9): what is in force now decides, and it is asked for at once. The connection may serve again, once it
    /// was judged again.
    fn begin_anew(&mut self, session: SessionAfter, now: UnixTime) {
        self.replans -= 1;
        if let Some(connection) = self.current_connection() {
            connection.ended = now;
        }
        let release = self.released(session);
        self.sites = self.order.sites();
        (self.site, self.guard, self.link) = Default::default();
        self.ask(State::Release, Ask::Release(release));
    }

    fn released(&self, session: SessionAfter) -> Release {
        match session {
            SessionAfter::Usable if self.link.poolable && self.may_keep() => Release::Keep,
            SessionAfter::Usable | SessionAfter::Closed => Release::Quit,
        }
    }

    /// Same address again, next address, or the end; and what becomes of the connection.
    fn after_send(&mut self, lost: Option<(Stage, bool)>, session: SessionAfter) {
        let pooled = self.current_connection().is_some_and(|connection| connection.pooled);
        let release = self.released(session);
        match lost {
            // An idle connection that the server had closed meanwhile is no failure of the server.
            Some((_, true)) if pooled && !self.pending.is_empty() => self.again_anew(),
            Some((stage, _))
                if stage != Stage::EndOfData
                    && self.link.facts.is_some()
                    && !self.pending.is_empty()
                    && self.may_fall_back() =>
            {
                self.again_in_clear(Downgrade::SessionDied);
            }
            Some(_) | None => self.link.endpoint = None,
        }
        self.ask(State::Release, Ask::Release(release));
    }

    fn may_keep(&self) -> bool {
        if self.link.facts.is_some() { self.guard.reuse } else { self.reach.reuse_clear }
    }
}

/// Whether nothing was sent because the clearance rests on what is no longer in force.
fn is_outdated(sent: &Sent) -> bool {
    let outdated = |outcome: &RcptOutcome| {
        matches!(
            outcome,
            RcptOutcome::Failed {
                cause: Cause::NotCleared(ClearanceError::Policy | ClearanceError::Expired),
                ..
            }
        )
    };
    !sent.recipients.is_empty() && sent.recipients.iter().all(|(_, outcome)| outdated(outcome))
}

/// Whether a pooled connection that failed here may simply have been stale.
const fn pooled_before_reply(stage: Stage) -> bool {
    matches!(stage, Stage::Mail | Stage::Rset)
}
