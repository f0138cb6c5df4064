//! Policies that were looked up a moment ago: each message to the same next hop needs the same one.

use alloc::{collections::BTreeMap, sync::Arc};

use waxseal_types::{NextHop, Service};

use crate::TlsPolicy;

/// Next hops that are remembered. A policy is some hundred octets; beyond this all are forgotten, and looked up again.
const LIMIT: usize = 1024;

/// What was found, as long as the tables stay as they are. Failures are not remembered.
#[derive(Debug, Default)]
pub(crate) struct Known {
    generation: u64,
    policies: BTreeMap<NextHop, (Service, Arc<TlsPolicy>)>,
}

impl Known {
    /// The policy of a next hop under this generation of the tables.
    pub(crate) fn find(
        &self,
        service: &Service,
        nexthop: &NextHop,
        generation: u64,
    ) -> Option<Arc<TlsPolicy>> {
        let current = Some(&self.policies).filter(|_| self.generation == generation)?;
        let (of, policy) = current.get(nexthop)?;
        (of == service).then(|| Arc::clone(policy))
    }

    /// Remembers what tables that are steady said under this generation, or later.
    pub(crate) fn keep(
        &mut self,
        (service, nexthop): (Service, NextHop),
        policy: &Arc<TlsPolicy>,
        generation: u64,
    ) {
        if self.generation != generation || self.policies.len() >= LIMIT {
            self.policies.clear();
            self.generation = generation;
        }
        self.policies.insert(nexthop, (service, Arc::clone(policy)));
    }
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, format};

    use super::*;
    use crate::{Settings, find_policy};

    fn policy() -> Arc<TlsPolicy> {
        struct NoTables;
        impl crate::Tables for NoTables {
            fn find<'a>(
                &'a self,
                _: &'a crate::TableName,
                _: &'a str,
            ) -> core::pin::Pin<Box<dyn Future<Output = crate::TableAnswer> + Send + 'a>> {
                Box::pin(core::future::ready(crate::TableAnswer::Absent))
            }

            fn generation(&self) -> u64 {
                0
            }
        }
        let (settings, nexthop) = (Settings::default(), nexthop("example.com"));
        let mut found = core::pin::pin!(find_policy(&settings, &NoTables, &Service::SMTP, &nexthop));
        let mut context = core::task::Context::from_waker(core::task::Waker::noop());
        match found.as_mut().poll(&mut context) {
            core::task::Poll::Ready(policy) => Arc::new(policy.unwrap()),
            core::task::Poll::Pending => panic!("nothing to wait for"),
        }
    }

    fn nexthop(text: &str) -> NextHop {
        text.parse().unwrap()
    }

    #[test]
    fn a_policy_is_known_for_its_service_next_hop_and_generation_only() {
        let (mut known, policy) = (Known::default(), policy());
        known.keep((Service::SMTP, nexthop("example.com")), &policy, 7);
        assert!(known.find(&Service::SMTP, &nexthop("example.com"), 7).is_some());
        assert!(known.find(&Service::LMTP, &nexthop("example.com"), 7).is_none());
        assert!(known.find(&Service::SMTP, &nexthop("[example.com]"), 7).is_none());
        assert!(known.find(&Service::SMTP, &nexthop("example.com"), 8).is_none());
        // What was found under another generation is forgotten, not mixed in.
        known.keep((Service::SMTP, nexthop("example.net")), &policy, 8);
        assert!(known.find(&Service::SMTP, &nexthop("example.com"), 8).is_none());
    }

    #[test]
    fn no_more_than_the_limit_is_remembered() {
        let (mut known, policy) = (Known::default(), policy());
        for number in 0..=LIMIT {
            known.keep((Service::SMTP, nexthop(&format!("d{number}.example"))), &policy, 1);
        }
        assert_eq!(known.policies.len(), 1);
    }
}
