//! What each reply means for the transaction.

use waxseal_types::{Protocol, Reply};

use super::{Command, Phase, Transaction};
use crate::{
    Stage,
    client::outcome::{Afterwards, OutOfStep, Settled, too_many},
};

impl Transaction {
    pub(super) fn reset_answered(&mut self, reply: Reply) -> Result<(), OutOfStep> {
        if !reply.is_positive() {
            return Err(self.out_of_step(Stage::Rset, reply));
        }
        self.afterwards = Afterwards::Clean;
        Ok(())
    }

    pub(super) fn mail_answered(&mut self, reply: Reply) -> Result<(), OutOfStep> {
        if reply.is_intermediate() {
            return Err(self.out_of_step(Stage::Mail, reply));
        }
        if reply.is_positive() {
            self.mail_taken = true;
            self.afterwards = Afterwards::NeedsReset;
        } else {
            self.reject_open(Stage::Mail, &reply);
        }
        self.end_if_nothing_is_left();
        Ok(())
    }

    pub(super) fn rcpt_answered(&mut self, at: usize, reply: Reply) -> Result<(), OutOfStep> {
        if reply.is_intermediate() {
            return Err(self.out_of_step(Stage::Rcpt, reply));
        }
        // MAIL was refused: what the server says of the recipients that were sent along means nothing.
        if self.mail_taken {
            let target = &mut self.targets[at];
            if reply.is_positive() {
                target.accepted = true;
            } else {
                target.settled = Some(Settled::Rejected { stage: Stage::Rcpt, reply: too_many(reply) });
            }
        }
        self.end_if_nothing_is_left();
        Ok(())
    }

    pub(super) fn data_answered(&mut self, reply: Reply) -> Result<(), OutOfStep> {
        if reply.is_intermediate() {
            self.phase = Phase::Text;
            // RFC 2033 §4.2: a final reply for each accepted recipient, so none follows a lone dot in LMTP, or one that answers nothing.
            if self.protocol == Protocol::Lmtp && !self.targets.iter().any(|t| t.accepted) {
                self.close();
            }
            return Ok(());
        }
        if reply.is_positive() {
            return Err(self.out_of_step(Stage::Data, reply));
        }
        self.reject_open(Stage::Data, &reply);
        self.phase = Phase::Over;
        Ok(())
    }

    /// The reply to a chunk that was the whole text; those to MAIL and RCPT have been read.
    pub(super) fn chunk_answered(&mut self, reply: Reply) -> Result<(), OutOfStep> {
        if reply.is_intermediate() {
            return Err(self.out_of_step(Stage::EndOfData, reply));
        }
        // RFC 3030 §2: what state a chunk that was refused leaves is not certain, so RSET comes before what follows.
        let taken = reply.is_positive();
        self.afterwards = if taken { Afterwards::Clean } else { Afterwards::NeedsReset };
        if self.targets.iter().any(|target| target.accepted) {
            let afterwards = self.afterwards;
            let result = self.final_reply(reply);
            self.afterwards = afterwards;
            return result;
        }
        // Nobody was to have it: what the server says of it means nothing.
        self.phase = Phase::Over;
        Ok(())
    }

    pub(super) fn final_reply(&mut self, reply: Reply) -> Result<(), OutOfStep> {
        if reply.is_intermediate() {
            return Err(self.out_of_step(Stage::EndOfData, reply));
        }
        let settled = if reply.is_positive() {
            Settled::Delivered(reply)
        } else {
            Settled::Rejected { stage: Stage::EndOfData, reply }
        };
        self.finals += 1;
        let mut waiting = self.targets.iter_mut().filter(|t| t.accepted && t.settled.is_none());
        match self.protocol {
            Protocol::Smtp => waiting.for_each(|target| target.settled = Some(settled.clone())),
            // RFC 2033 §4.2: one reply for each accepted RCPT, in their order.
            Protocol::Lmtp => {
                if let Some(target) = waiting.next() {
                    target.settled = Some(settled);
                }
            }
        }
        if !self.awaits_final() {
            self.phase = Phase::Over;
            self.afterwards = Afterwards::Clean;
        }
        Ok(())
    }

    /// Without PIPELINING, and before DATA was written, a transaction that serves nobody ends early.
    fn end_if_nothing_is_left(&mut self) {
        if self.answered < self.written {
            return;
        }
        let next_is_data = self.command(self.written) == Command::Data;
        let serves_nobody = self.targets.iter().all(|target| target.settled.is_some());
        if serves_nobody && (next_is_data || !self.mail_taken) {
            self.phase = Phase::Over;
        }
    }
}
