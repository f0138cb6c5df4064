//! How much of us a client may have at once.

use std::collections::{HashMap, VecDeque};

use waxseal_types::UnixTime;

use super::{
    Destination, Schedule,
    line::{Line, Own},
};
use crate::DestinationLimits;

/// Clients that are remembered; beyond that those are forgotten that have nothing under way.
const MOST: usize = 10_000;

/// The clients that have a quota. Empty, and of no cost, where there are none.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    clients: HashMap<u32, Client>,
    /// Clients with room, behind whose quotas lines may be waiting.
    ready: Vec<u32>,
    held_back: u64,
}

#[derive(Debug, Default)]
struct Client {
    /// `None` is no limit.
    limit: Option<u32>,
    active: u32,
    /// Lines that had nothing to begin but what this client has too much of.
    behind: VecDeque<u32>,
}

impl Client {
    fn has_room(&self) -> bool {
        self.limit.is_none_or(|limit| self.active < limit)
    }
}

impl Quotas {
    /// Whether a client may have one more under way.
    pub(super) fn admits(&self, client: u32) -> bool {
        self.clients.get(&client).is_none_or(Client::has_room)
    }

    pub(super) fn begin(&mut self, client: u32) {
        if let Some(client) = self.clients.get_mut(&client) {
            client.active += 1;
        }
    }

    pub(super) fn end(&mut self, number: u32) {
        if let Some(client) = self.clients.get_mut(&number) {
            client.active = client.active.saturating_sub(1);
            if !client.behind.is_empty() {
                self.ready.push(number);
            }
        }
    }

    /// A line has nothing to begin but what this client, and others, have too much of.
    pub(super) fn wait(&mut self, client: u32, line: u32) {
        self.held_back += 1;
        if let Some(client) = self.clients.get_mut(&client) {
            client.behind.push_back(line);
        }
    }

    /// A line that waited for a client that has room by now.
    pub(super) fn next_ready(&mut self) -> Option<u32> {
        while let Some(number) = self.ready.last() {
            let client = self.clients.get_mut(number).filter(|client| client.has_room());
            if let Some(line) = client.and_then(|client| client.behind.pop_front()) {
                return Some(line);
            }
            self.ready.pop();
        }
        None
    }

    pub(super) const fn held_back(&self) -> u64 {
        self.held_back
    }

    fn set(&mut self, number: u32, limit: Option<u32>, active: u32) {
        if self.clients.len() >= MOST && !self.clients.contains_key(&number) {
            self.clients.retain(|_, client| client.active > 0 || !client.behind.is_empty());
        }
        let client = self.clients.entry(number).or_insert_with(|| Client { active, ..Client::default() });
        client.limit = limit;
        self.ready.push(number);
    }
}

impl Schedule {
    /// A client may have so many deliveries under way; `None` is no limit. What is under way counts from now on.
    pub fn set_quota(&mut self, client: u32, limit: Option<u32>) {
        self.quotas.set(client, limit, 0);
    }

    /// Whether the tables are to be asked about a destination, because they were not, or have changed since. Until they have answered for the first time,
    /// nothing begins there.
    pub fn wants_limits(&mut self, destination: &Destination, generation: u64) -> bool {
        let number = self.names.get(destination).copied();
        let Some(line) = number.and_then(|number| self.lines.get_mut(number as usize)) else { return false };
        match &mut line.own {
            Some(own) if own.generation == generation => false,
            Some(own) => {
                own.generation = generation;
                true
            }
            slot @ None => {
                *slot = Some(Box::new(Own { limits: None, generation }));
                true
            }
        }
    }

    /// The most recipients that one transaction with a destination may have.
    #[must_use]
    pub fn recipients(&self, destination: &Destination) -> usize {
        let number = self.names.get(destination);
        number.and_then(|number| self.lines.get(*number as usize)).map_or(usize::MAX, Line::recipients)
    }

    /// What the tables say of a destination.
    pub fn set_limits(&mut self, destination: &Destination, limits: DestinationLimits, now: UnixTime) {
        let Some(number) = self.names.get(destination).copied() else { return };
        if let Some(line) = self.lines.get_mut(number as usize)
            && let Some(own) = &mut line.own
        {
            let first = own.limits.replace(limits).is_none();
            let most = if first { line.initial() } else { line.limit() };
            line.window = if first { most } else { line.window.min(most) };
        }
        self.turn(number);
        self.retire(number, now);
    }

    /// Whether a quota was set, be it none.
    #[must_use]
    pub fn has_quota(&self, client: u32) -> bool {
        self.quotas.clients.contains_key(&client)
    }
}
