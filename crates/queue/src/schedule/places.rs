//! The deliveries under way, and how many may be.
//!
//! A server that lets everybody wait must not take the places of all others: what has been under way for a second counts among the slow, which have as
//! many places again, and a destination that has slow ones begins more only while there is room among those. And retries come
//! due in crowds, which are let in at a pace, so that a fresh message finds no crowd before it.

use std::{collections::VecDeque, time::Duration};

use waxseal_types::UnixTime;

/// From then on a delivery is slow. Most servers have taken a message by then.
const PROMPT: Duration = Duration::from_secs(1);
/// How long fresh mail is remembered by the pace of retries.
const MEMORY: Duration = Duration::from_secs(1);
/// Retries that begin in a millisecond for each thread, while fresh mail comes in and else: about a third of a core, and about all of it.
const PACE: [u32; 2] = [4, 16];
/// Milliseconds that a pause gives.
const SAVED: u32 = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct Places {
    limit: u32,
    threads: u32,
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
    tokens: u32,
    reckoned: UnixTime,
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
        let threads = u32::try_from(threads).unwrap_or(1).max(1);
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

    /// Whether a retry may begin. While fresh mail waits for its windows, retries may fill half of the places, and else three quarters.
    pub(super) fn has_room_for_retry(&self, fresh_waits: bool) -> bool {
        let room = if fresh_waits { self.limit / 2 } else { self.limit - self.limit / 4 };
        self.prompt_retries < room.max(1)
    }

    /// Takes what a retry needs to begin, where there is any.
    pub(super) fn take_token(&mut self) -> bool {
        let recent = self.last_fresh.is_some_and(|last| self.now.since(last) < MEMORY);
        let rate = PACE[usize::from(!recent)] * self.threads;
        let elapsed = self.now.since(self.reckoned).as_millis();
        if elapsed > 0 {
            let elapsed = u32::try_from(elapsed).unwrap_or(u32::MAX).min(SAVED);
            self.tokens = (self.tokens + rate * elapsed).min(rate * SAVED);
            self.reckoned = self.now;
        }
        self.paced = self.tokens == 0;
        self.tokens = self.tokens.saturating_sub(1);
        !self.paced
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
        if self.reckoned > now {
            self.reckoned = now;
        }
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
