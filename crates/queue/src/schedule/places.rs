//! The deliveries under way, and how many may be.
//!
//! A server that lets everybody wait must not take the places of all others: what has been under way for a second counts among the slow, which have as
//! many places again, and a destination that has slow ones begins more only while there is room among those. So that a thousand servers that nobody
//! knows yet do not take all of that one by one, the last quarter is for destinations that are known to be prompt. And retries come
//! due in crowds, which are let in at a pace, so that a fresh message finds no crowd before it; where each needs a connection and a handshake first,
//! the pace is slower, and where a crowd does not end at a pace that nobody feels, it is faster.

use std::{collections::VecDeque, time::Duration};

use waxseal_types::UnixTime;

/// From then on a delivery is slow. Most servers have taken a message by then.
const PROMPT: Duration = Duration::from_secs(1);
/// How long fresh mail is remembered by the pace of retries.
const MEMORY: Duration = Duration::from_secs(1);
/// Retries that begin in a millisecond for each thread: while fresh mail comes in, for which half of a core is enough; when a crowd has not
/// ended at that within [`PATIENCE`]; and without fresh mail, which is about all that a core can do.
const PACE: [i32; 3] = [3, 6, 15];
/// Due retries wait so long at the slow pace. Crowds of one back-off spread out by it: they come due again as they began.
const PATIENCE: Duration = Duration::from_secs(5);
/// No retry was asked for in such a time: there is no crowd.
const LULL: Duration = Duration::from_millis(50);
/// Milliseconds that a pause gives.
const SAVED: i32 = 2;
/// Tokens for a retry to a destination of which no connection is at hand: with its handshake it costs as much as some that find one.
const COLD: i32 = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct Places {
    limit: u32,
    threads: i32,
    prompt: u32,
    prompt_retries: u32,
    slow: u32,
    /// Those begun within [`PROMPT`], in their order.
    recent: VecDeque<Recent>,
    /// The number of the first of them.
    first: u64,
    now: UnixTime,
    last_fresh: Option<UnixTime>,
    /// Retries that may begin at once, and until when that was reckoned.
    tokens: i32,
    reckoned: UnixTime,
    /// Since when retries have been waiting without a lull.
    crowded: UnixTime,
    /// A retry was refused for want of a token, a delivery for want of a place.
    paced: bool,
    full: bool,
}

#[derive(Debug)]
struct Recent {
    began: UnixTime,
    line: u32,
    retry: bool,
    over: bool,
}

impl Places {
    pub(super) fn new(limit: u32, threads: usize) -> Self {
        let threads = i32::try_from(threads).unwrap_or(1).max(1);
        Self {
            limit: limit.max(1),
            threads,
            prompt: 0,
            prompt_retries: 0,
            slow: 0,
            recent: VecDeque::new(),
            first: 0,
            now: UnixTime::default(),
            last_fresh: None,
            tokens: 0,
            reckoned: UnixTime::default(),
            crowded: UnixTime::default(),
            paced: false,
            full: false,
        }
    }

    /// Deliveries under way.
    pub(super) const fn active(&self) -> u32 {
        self.prompt + self.slow
    }

    /// Whether anything may begin.
    pub(super) fn has_room(&mut self) -> bool {
        self.full = self.prompt >= self.limit || self.active() >= self.limit.saturating_mul(2);
        !self.full
    }

    /// Whether a destination may begin more that has slow ones.
    pub(super) const fn has_room_for_slow(&self) -> bool {
        self.slow < self.limit
    }

    /// How many may begin to destinations that are not known to be prompt.
    pub(super) const fn room_for_unknown(&self) -> u32 {
        // Of twice the limit, the last quarter is not theirs.
        self.limit.saturating_add(self.limit / 2).saturating_sub(self.active())
    }

    /// Whether a retry may begin. While fresh mail waits for its windows, retries may fill half of the places, and else three quarters.
    pub(super) fn has_room_for_retry(&self, fresh_waits: bool) -> bool {
        let room = if fresh_waits { self.limit / 2 } else { self.limit - self.limit / 4 };
        self.prompt_retries < room.max(1)
    }

    /// Takes what a retry needs to begin, where there is any.
    pub(super) fn take_token(&mut self) -> bool {
        let since = self.now.since(self.reckoned);
        if since > LULL {
            self.crowded = self.now;
        }
        let rate = self.pace() * self.threads;
        let elapsed = since.as_millis();
        if elapsed > 0 {
            let elapsed = i32::try_from(elapsed).unwrap_or(i32::MAX).min(SAVED);
            self.tokens = (self.tokens + rate * elapsed).min(rate * SAVED);
            self.reckoned = self.now;
        }
        self.paced = self.tokens <= 0;
        self.tokens -= i32::from(!self.paced);
        !self.paced
    }

    fn pace(&self) -> i32 {
        let [beside_fresh, crowded, alone] = PACE;
        if self.last_fresh.is_none_or(|last| self.now.since(last) >= MEMORY) {
            alone
        } else if self.now.since(self.crowded) >= PATIENCE {
            crowded
        } else {
            beside_fresh
        }
    }

    /// The retry that took a token makes a connection first: those after it pay the rest.
    pub(super) const fn charge_cold(&mut self) {
        self.tokens -= COLD - 1;
    }

    /// A token was taken and not used.
    pub(super) const fn return_token(&mut self) {
        self.tokens += 1;
    }

    /// A delivery begins; its number.
    pub(super) fn begin(&mut self, line: u32, retry: bool) -> u64 {
        self.prompt += 1;
        if retry {
            self.prompt_retries += 1;
        } else {
            self.last_fresh = Some(self.now);
        }
        self.recent.push_back(Recent { began: self.now, line, retry, over: false });
        self.first + self.recent.len() as u64 - 1
    }

    /// A delivery has ended. True where it was one of the slow.
    pub(super) fn end(&mut self, number: u64) -> bool {
        let place = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let Some(recent) = place.and_then(|index| self.recent.get_mut(index)) else {
            self.slow = self.slow.saturating_sub(1);
            return true;
        };
        recent.over = true;
        self.prompt = self.prompt.saturating_sub(1);
        self.prompt_retries = self.prompt_retries.saturating_sub(u32::from(recent.retry));
        while self.recent.front().is_some_and(|recent| recent.over) {
            self.recent.pop_front();
            self.first += 1;
        }
        false
    }

    /// It is `now`: the next line, if any, of which a delivery has just become slow. To be asked until there is none.
    pub(super) fn grow_slow(&mut self, now: UnixTime) -> Option<u32> {
        // A clock that was set back makes nothing slow, and one that was set forward does no harm.
        self.now = now;
        self.paced = false;
        self.reckoned = self.reckoned.min(now);
        self.crowded = self.crowded.min(now);
        while let Some(recent) =
            self.recent.pop_front_if(|recent| recent.over || recent.began + PROMPT <= now)
        {
            self.first += 1;
            if !recent.over {
                self.prompt = self.prompt.saturating_sub(1);
                self.prompt_retries = self.prompt_retries.saturating_sub(u32::from(recent.retry));
                self.slow += 1;
                return Some(recent.line);
            }
        }
        None
    }

    /// When something that was refused may begin although nothing ended.
    pub(super) fn next_change(&self) -> Option<UnixTime> {
        let token = self.paced.then(|| self.reckoned + Duration::from_millis(1));
        let slow = self.recent.front().filter(|_| self.full).map(|recent| recent.began + PROMPT);
        token.into_iter().chain(slow).min()
    }
}
