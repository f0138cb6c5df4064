//! Which destinations are known to be prompt: those may have the last places, so that servers nobody knows cannot take all.

use std::{
    collections::{HashSet, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use super::{Destination, Schedule, line::Line, places::Places};

/// Destinations remembered at least, and half of those at most: some 200 kB. More than that are in no one's queue at a time when places are short.
const MOST: usize = 8192;

/// Destinations that a delivery to ended in time, in two generations: when the younger is full the elder is forgotten, so that who is in use stays.
#[derive(Debug, Default)]
pub(super) struct Prompt {
    younger: HashSet<u64>,
    elder: HashSet<u64>,
}

impl Prompt {
    /// Whether a destination was prompt when it was last seen.
    pub(super) fn knows(&self, destination: &Destination) -> bool {
        let name = hash(destination);
        self.younger.contains(&name) || self.elder.contains(&name)
    }

    /// It was in time.
    pub(super) fn learn(&mut self, destination: &Destination) {
        if self.younger.len() >= MOST {
            self.elder = std::mem::take(&mut self.younger);
        }
        self.younger.insert(hash(destination));
    }

    /// It was not.
    pub(super) fn forget(&mut self, destination: &Destination) {
        let name = hash(destination);
        self.younger.remove(&name);
        self.elder.remove(&name);
    }
}

/// Two that share a number share a good name, which does little harm: it is lost with the first delivery that is slow.
fn hash(destination: &Destination) -> u64 {
    let mut hasher = DefaultHasher::new();
    destination.hash(&mut hasher);
    hasher.finish()
}

/// Destinations that begin nothing although there are places.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// They have slow ones, and there are as many of those as may be.
    slow: VecDeque<u32>,
    /// Nobody knows them, and the places that are left are for those who are known.
    unknown: VecDeque<u32>,
}

impl Behind {
    /// Whether a destination has to wait for room of its kind; it is kept in mind then.
    pub(super) fn shuts_out(&mut self, number: u32, line: &mut Line, places: &Places) -> bool {
        let list = match line.slow {
            1.. if !places.has_room_for_slow() => &mut self.slow,
            0 if !line.prompt && places.room_for_unknown() == 0 => &mut self.unknown,
            _ => return false,
        };
        if !std::mem::replace(&mut line.behind, true) {
            list.push_back(number);
        }
        true
    }
}

impl Schedule {
    /// A delivery has ended, be it one of the slow: who was shut out is looked at again. No more of the unknown than there are places: they may be a
    /// hundred thousand.
    pub(super) fn let_in(&mut self, slow: bool) {
        let Behind { slow: behind_slow, unknown } = &mut self.behind;
        let room = usize::try_from(self.places.room_for_unknown()).unwrap_or(usize::MAX);
        let in_turn = unknown.drain(..room.min(unknown.len()));
        let all = if slow { behind_slow.len() } else { 0 };
        let numbers: Vec<u32> = in_turn.chain(behind_slow.drain(..all)).collect();
        for number in numbers {
            if let Some(line) = self.lines.get_mut(number as usize) {
                line.behind = false;
            }
            self.turn(number);
        }
    }
}
