//! A disk that forgets: for tests of the log and of what stands on it.
//!
//! What was not synced may be lost, kept in part, or kept out of order, by sectors of 512 octets; operations on the folder likewise. A sync that fails throws
//! away what it did not write, as Linux does. The same seed and the same calls give the same disk.

use std::{
    collections::BTreeMap,
    io::{self, IoSlice},
    ops::RangeInclusive,
    sync::Arc,
};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::{Storage, StorageFile};

const SECTOR: usize = 512;

/// A simulated folder; cloning gives another handle to the same one.
#[derive(Clone)]
pub struct SimDisk(Arc<Shared>);

struct Shared {
    world: Mutex<World>,
    changed: Condvar,
}

#[derive(Default)]
struct World {
    random: u64,
    nodes: Vec<Node>,
    folder: BTreeMap<String, usize>,
    durable_folder: BTreeMap<String, usize>,
    folder_changes: Vec<FolderChange>,
    calls: u64,
    fail: Option<(RangeInclusive<u64>, io::ErrorKind)>,
    power_off: Option<u64>,
    capacity: Option<u64>,
    holding: bool,
    held: usize,
}

/// A file: what is read now, what is safe, and what is between.
#[derive(Default, Clone)]
struct Node {
    now: Vec<u8>,
    durable: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, octets: Vec<u8> },
    Length(usize),
}

#[derive(Clone)]
enum FolderChange {
    Create(String, usize),
    Remove(String),
    Rename(String, String),
}

struct SimFile {
    disk: SimDisk,
    node: usize,
}

impl World {
    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random() % 100 < percent
    }

    /// Counts a call; says whether it fails.
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        if self.power_off.is_some_and(|at| self.calls > at) {
            return Err(io::Error::other("no power"));
        }
        match &self.fail {
            Some((calls, kind)) if calls.contains(&self.calls) => Err((*kind).into()),
            Some(_) | None => Ok(()),
        }
    }

    fn used(&self) -> u64 {
        self.folder.values().map(|node| self.nodes[*node].now.len() as u64).sum()
    }

    /// What is left of a file's unsynced changes, each sector with a chance of `percent`.
    fn settle(&mut self, node: usize, percent: u64) {
        for change in std::mem::take(&mut self.nodes[node].changes) {
            match change {
                Change::Length(length) => {
                    if self.chance(percent) {
                        self.nodes[node].durable.resize(length, 0);
                    }
                }
                Change::Write { offset, octets } => self.settle_write(node, percent, offset, &octets),
            }
        }
    }

    fn settle_write(&mut self, node: usize, percent: u64, offset: usize, octets: &[u8]) {
        let (mut at, end) = (offset, offset + octets.len());
        while at < end {
            let upto = end.min((at / SECTOR + 1) * SECTOR);
            if self.chance(percent) {
                write(&mut self.nodes[node].durable, at, &octets[at - offset..upto - offset]);
            }
            at = upto;
        }
    }
}

fn write(file: &mut Vec<u8>, offset: usize, octets: &[u8]) {
    let end = offset + octets.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(octets);
}

fn change_folder(folder: &mut BTreeMap<String, usize>, change: &FolderChange) {
    match change {
        FolderChange::Create(name, node) => {
            folder.insert(name.clone(), *node);
        }
        FolderChange::Remove(name) => {
            folder.remove(name);
        }
        FolderChange::Rename(from, to) => {
            if let Some(node) = folder.remove(from) {
                folder.insert(to.clone(), node);
            }
        }
    }
}

impl SimDisk {
    /// An empty folder.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::of(World { random: seed, ..World::default() })
    }

    fn of(world: World) -> Self {
        Self(Arc::new(Shared { world: Mutex::new(world), changed: Condvar::new() }))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.world.lock()
    }

    /// Calls made so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.world().calls
    }

    /// Makes these calls, counted as [`SimDisk::calls`] counts them, fail so.
    pub fn fail_calls(&self, numbers: RangeInclusive<u64>, kind: io::ErrorKind) {
        self.world().fail = Some((numbers, kind));
    }

    /// Makes every call after that number fail.
    pub fn power_off_after(&self, number: u64) {
        self.world().power_off = Some(number);
    }

    /// The most octets that all files may have together.
    pub fn set_capacity(&self, octets: u64) {
        self.world().capacity = Some(octets);
    }

    /// Holds back every sync of a file until it is let go.
    pub fn hold_syncs(&self, hold: bool) {
        self.world().holding = hold;
        self.0.changed.notify_all();
    }

    /// Waits until a sync is held back.
    pub fn await_held_sync(&self) {
        let mut world = self.world();
        while world.held == 0 {
            self.0.changed.wait(&mut world);
        }
    }

    /// The disk after a loss of power now: another disk, with a new life.
    #[must_use]
    pub fn crash(&self) -> Self {
        let mut world = self.world();
        // From "all is lost" to "all is kept", and what is between.
        let percent = [0, 20, 50, 80, 100][world.random() as usize % 5];
        for node in 0..world.nodes.len() {
            let before = world.nodes[node].clone();
            world.settle(node, percent);
            let after = std::mem::replace(&mut world.nodes[node], before);
            world.nodes[node].durable = after.durable;
        }
        for change in std::mem::take(&mut world.folder_changes) {
            if world.chance(percent) {
                change_folder(&mut world.durable_folder, &change);
            }
        }
        let survivor = |node: &Node| Node {
            now: node.durable.clone(),
            durable: node.durable.clone(),
            changes: Vec::new(),
        };
        Self::of(World {
            random: world.random(),
            nodes: world.nodes.iter().map(survivor).collect(),
            folder: world.durable_folder.clone(),
            durable_folder: world.durable_folder.clone(),
            capacity: world.capacity,
            ..World::default()
        })
    }

    /// A disk with the same contents, all of it safe.
    #[must_use]
    pub fn copy(&self) -> Self {
        let world = self.world();
        let same =
            |node: &Node| Node { now: node.now.clone(), durable: node.now.clone(), changes: Vec::new() };
        Self::of(World {
            random: world.random,
            nodes: world.nodes.iter().map(same).collect(),
            folder: world.folder.clone(),
            durable_folder: world.folder.clone(),
            ..World::default()
        })
    }

    /// Flips bits of one octet, as rot does.
    pub fn rot(&self, name: &str, offset: u64, mask: u8) {
        let mut world = self.world();
        if let Some(node) = world.folder.get(name).copied()
            && let Some(octet) = world.nodes[node].now.get_mut(offset as usize)
        {
            *octet ^= mask;
        }
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Storage for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut world = self.world();
        world.call()?;
        Ok(world.folder.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let mut world = self.world();
        world.call()?;
        if world.folder.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = world.nodes.len();
        world.nodes.push(Node::default());
        world.folder.insert(name.into(), node);
        world.folder_changes.push(FolderChange::Create(name.into(), node));
        Ok(Box::new(SimFile { disk: self.clone(), node }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let mut world = self.world();
        world.call()?;
        let node = *world.folder.get(name).ok_or_else(missing)?;
        Ok(Box::new(SimFile { disk: self.clone(), node }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = self.world();
        world.call()?;
        world.folder.remove(name).ok_or_else(missing)?;
        world.folder_changes.push(FolderChange::Remove(name.into()));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world();
        world.call()?;
        let node = world.folder.remove(from).ok_or_else(missing)?;
        world.folder.insert(to.into(), node);
        world.folder_changes.push(FolderChange::Rename(from.into(), to.into()));
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut world = self.world();
        let result = world.call();
        for change in std::mem::take(&mut world.folder_changes) {
            if result.is_ok() || world.chance(50) {
                change_folder(&mut world.durable_folder, &change);
            }
        }
        result
    }

    fn free_space(&self) -> io::Result<u64> {
        let mut world = self.world();
        world.call()?;
        Ok(world.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(world.used())))
    }

    fn entropy(&self) -> u64 {
        self.world().random()
    }

    fn describe(&self) -> String {
        "the simulated disk".into()
    }
}

impl StorageFile for SimFile {
    fn write_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut octets = Vec::new();
        parts.iter().for_each(|part| octets.extend_from_slice(part));
        let mut world = self.disk.world();
        let mut result = world.call();
        // The call in which power goes may do a part of its work, no later one.
        if world.power_off.is_some_and(|at| world.calls > at + 1) {
            return result;
        }
        let offset = offset as usize;
        let growth = (offset + octets.len()).saturating_sub(world.nodes[self.node].now.len()) as u64;
        let free = world.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(world.used()));
        if growth > free {
            result = Err(io::ErrorKind::StorageFull.into());
        }
        if result.is_err() {
            // Part of it got through.
            let most = octets.len() as u64 - growth.saturating_sub(free).min(octets.len() as u64);
            octets.truncate((world.random() % (most + 1)) as usize);
        }
        write(&mut world.nodes[self.node].now, offset, &octets);
        world.nodes[self.node].changes.push(Change::Write { offset, octets });
        result
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut world = self.disk.world();
        world.call()?;
        let file = &world.nodes[self.node].now;
        let from = file.len().min(offset as usize);
        let length = buf.len().min(file.len() - from);
        buf[..length].copy_from_slice(&file[from..from + length]);
        Ok(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut world = self.disk.world();
        world.held += 1;
        self.disk.0.changed.notify_all();
        while world.holding {
            self.disk.0.changed.wait(&mut world);
        }
        world.held -= 1;
        let result = world.call();
        let percent = if result.is_ok() { 100 } else { 50 };
        world.settle(self.node, percent);
        result
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        world.call()?;
        let now = world.nodes[self.node].now.len() as u64;
        let free = world.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(world.used()));
        if len.saturating_sub(now) > free {
            return Err(io::ErrorKind::StorageFull.into());
        }
        world.nodes[self.node].now.resize(len as usize, 0);
        world.nodes[self.node].changes.push(Change::Length(len as usize));
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let mut world = self.disk.world();
        world.call()?;
        Ok(world.nodes[self.node].now.len() as u64)
    }
}
