//! What an engine is made of, and why one cannot be.

use std::sync::Arc;

use waxseal_policy::Tables;

use crate::attendant::NoTables;

/// Everything that an engine is made of.
#[derive(Clone)]
#[expect(missing_docs, reason = "each field is the settings of the crate of its name")]
pub struct EngineSettings {
    pub spool: waxseal_spool::Settings,
    /// What the messages are written to in place of the folder, which is for the rest then: a simulated disk.
    pub storage: Option<Arc<dyn waxseal_spool::Storage>>,
    pub intake: waxseal_intake::Settings,
    pub dns: waxseal_dns::Settings,
    pub policy: Arc<waxseal_policy::Settings>,
    /// The tables that `policy` names.
    pub tables: Arc<dyn Tables>,
    pub trust: waxseal_trust::Settings,
    pub transport: waxseal_transport::Settings,
    pub queue: waxseal_queue::Settings,
    pub admin: waxseal_admin::Settings,
}

impl From<&waxseal_config::Config> for EngineSettings {
    fn from(config: &waxseal_config::Config) -> Self {
        Self {
            spool: config.spool.clone(),
            storage: None,
            intake: config.intake.clone(),
            dns: config.dns.clone(),
            policy: Arc::clone(&config.policy),
            tables: Arc::clone(&config.tables) as Arc<dyn Tables>,
            trust: config.trust.clone(),
            transport: config.transport.clone(),
            queue: config.queue.clone(),
            admin: waxseal_admin::Settings {
                address: config.admin.listen,
                wanted: config.admin.wanted,
                token_file: config.admin.token_file.clone(),
            },
        }
    }
}

impl std::fmt::Debug for EngineSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineSettings").finish_non_exhaustive()
    }
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            spool: waxseal_spool::Settings::default(),
            storage: None,
            intake: waxseal_intake::Settings::default(),
            dns: waxseal_dns::Settings::default(),
            policy: Arc::default(),
            tables: Arc::new(NoTables),
            trust: waxseal_trust::Settings::default(),
            transport: waxseal_transport::Settings::default(),
            queue: waxseal_queue::Settings::default(),
            admin: waxseal_admin::Settings::default(),
        }
    }
}

/// The engine cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The spool cannot be opened.
    #[error("{0}")]
    Spool(#[from] waxseal_spool::Error),
    /// An address cannot be listened on.
    #[error("{0}")]
    Intake(#[from] waxseal_intake::Error),
    /// There is no usable resolver.
    #[error("dns: {0}")]
    Dns(#[from] waxseal_dns::Error),
    /// The trust store cannot be made.
    #[error("{0}")]
    Trust(#[from] waxseal_trust::Error),
    /// No connector can be made of the settings.
    #[error("transport: {0}")]
    Transport(#[from] waxseal_transport::Error),
    /// The host does not allow what is configured.
    #[error("{0}")]
    Host(String),
    /// The operators' door cannot be opened.
    #[error("{0}")]
    Admin(#[from] waxseal_admin::Error),
    /// The manager died while starting.
    #[error("the queue manager died while starting")]
    Manager,
}
