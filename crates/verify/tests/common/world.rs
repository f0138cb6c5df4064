//! A seeded world of authorities and servers, some in order and some not.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair,
    KeyUsagePurpose, NameConstraints,
};

use super::{Ca, authority, name};

/// Numbers that are the same in each run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        // xorshift64*, S. Vigna 2016.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.below(at + 1));
        }
    }
}

pub struct World {
    pub authorities: Vec<Ca>,
    /// The issuer of each authority; a root has none.
    pub issuers: Vec<Option<usize>>,
    pub leaves: Vec<(Vec<u8>, usize)>,
}

const ROOTS: usize = 6;

/// `shared_names`: some authorities have the name of another one, which makes several paths possible.
pub fn world(random: &mut Random, authorities: usize, leaves: usize, shared_names: bool) -> World {
    let keys: Vec<KeyPair> = (0..12).map(|_| KeyPair::generate().unwrap()).collect();
    let key =
        |random: &mut Random| KeyPair::try_from(keys[random.below(keys.len())].serialize_der()).unwrap();
    let mut world = World { authorities: Vec::new(), issuers: Vec::new(), leaves: Vec::new() };
    for number in 0..authorities {
        let shown = if shared_names && random.one_in(4) { random.below(number + 1) } else { number };
        let mut params = authority(&format!("Authority {shown}"));
        vary_authority(random, &mut params, number < ROOTS);
        let (own, issuer) = (key(random), (number >= ROOTS).then(|| random.below(number)));
        let der = match issuer {
            None => params.self_signed(&own).unwrap().der().to_vec(),
            Some(issuer) => {
                params.signed_by(&own, &world.authorities[issuer].issuer()).unwrap().der().to_vec()
            }
        };
        world.authorities.push(Ca { params, key: own, der });
        world.issuers.push(issuer);
    }
    for _ in 0..leaves {
        let issuer = random.below(authorities);
        let own = key(random);
        let mut der =
            leaf(random).signed_by(&own, &world.authorities[issuer].issuer()).unwrap().der().to_vec();
        if random.one_in(12) {
            let last = der.len() - 3;
            der[last] ^= 1;
        }
        world.leaves.push((der, issuer));
    }
    world
}

fn vary_authority(random: &mut Random, params: &mut CertificateParams, is_root: bool) {
    params.use_authority_key_identifier_extension = random.one_in(2);
    if random.one_in(10) {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(random.below(3) as u8));
    } else if !is_root && random.one_in(12) {
        params.is_ca = IsCa::ExplicitNoCa;
    }
    match random.below(10) {
        0 => params.key_usages = vec![KeyUsagePurpose::DigitalSignature],
        1 | 2 => params.key_usages.clear(),
        _ => {}
    }
    match random.below(16) {
        0 => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
        1 => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
        _ => {}
    }
    if random.one_in(10) {
        let tree = |name: &str| vec![GeneralSubtree::DnsName(name.into())];
        let (permitted, excluded) =
            if random.one_in(2) { (tree("example.com"), vec![]) } else { (vec![], tree("a.example.com")) };
        params.name_constraints =
            Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded });
    }
    dates(random, params);
}

fn leaf(random: &mut Random) -> CertificateParams {
    let all = ["mx.example.com", "a.example.com", "b.a.example.com", "mx.example.org", "*.example.com"];
    let names: Vec<String> = (0..=random.below(3)).map(|_| all[random.below(all.len())].to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    name(&mut params, "server");
    params.use_authority_key_identifier_extension = random.one_in(2);
    match random.below(12) {
        0 => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
        1 | 2 => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
        3 => params.key_usages = vec![KeyUsagePurpose::DigitalSignature],
        4 => params.key_usages = vec![KeyUsagePurpose::KeyCertSign],
        _ => {}
    }
    dates(random, &mut params);
    params
}

fn dates(random: &mut Random, params: &mut CertificateParams) {
    if random.one_in(15) {
        params.not_after = rcgen::date_time_ymd(2026, 1, 1);
    } else if random.one_in(25) {
        params.not_before = rcgen::date_time_ymd(2027, 1, 1);
    }
}

impl World {
    /// A chain as a server might present it: mostly complete, sometimes out of order, with strangers in it. And the anchors, one
    /// of which is mostly on the way.
    pub fn chain(&self, random: &mut Random) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let (leaf, issuer) = &self.leaves[random.below(self.leaves.len())];
        let mut way = vec![*issuer];
        while let Some(next) = way.last().and_then(|at| self.issuers[*at]) {
            way.push(next);
        }
        let mut anchors = vec![self.authorities[random.below(self.authorities.len())].der.clone()];
        if !random.one_in(8) {
            anchors.push(self.authorities[way[way.len() - 1 - random.below(way.len().min(2))]].der.clone());
        }
        let mut rest: Vec<_> = way.iter().map(|at| self.authorities[*at].der.clone()).collect();
        if random.one_in(10) && rest.len() > 1 {
            rest.remove(random.below(rest.len()));
        }
        for _ in 0..random.below(3) {
            rest.push(self.authorities[random.below(self.authorities.len())].der.clone());
        }
        if random.one_in(2) {
            random.shuffle(&mut rest);
        }
        let mut chain = vec![leaf.clone()];
        chain.extend(rest);
        chain.truncate(20);
        (chain, anchors)
    }
}
