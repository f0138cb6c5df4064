//! What the result of one recipient means for the spool and for the sender.

use std::sync::Arc;

use waxseal_spool::{Outcome as StoredOutcome, RecipientState};
use waxseal_types::UnixTime;

use crate::{
    Account,
    account::{Failure, Outcome},
    advice,
    bounce::{Action, Report, wants_success},
    disposition,
};

/// The state that a result leads to, and what the sender has to hear of it.
pub(super) fn settled(
    account: &Account,
    result: &crate::account::RecipientResult,
    too_old: bool,
    now: UnixTime,
) -> (RecipientState, Option<Report>) {
    let report = |action, said| Report::new(&account.envelope, result.index, action, said);
    match &result.outcome {
        Outcome::Delivered { reply, without_dsn } => {
            let told = *without_dsn && wants_success(&account.envelope, result.index);
            let said = || StoredOutcome { reason: reply.to_string().into(), ..stored(account, result, now) };
            (RecipientState::Delivered, told.then(|| report(Action::Relayed, said())).flatten())
        }
        Outcome::Bounced(_) => (RecipientState::Failed, report(Action::Failed, stored(account, result, now))),
        Outcome::Deferred(failure) if too_old => {
            let Failure { status, reason, reply, .. } = disposition::expired(Some(failure));
            let said = StoredOutcome { status, reason: reason.into(), reply, ..stored(account, result, now) };
            (RecipientState::Expired, report(Action::Failed, said))
        }
        Outcome::Deferred(_) => (RecipientState::Pending, None),
    }
}

fn account_host(account: &Account, connection: Option<usize>) -> Option<Arc<str>> {
    let connection = connection.and_then(|number| account.connections.get(number))?;
    connection
        .host
        .as_ref()
        .map(|host| host.as_str().into())
        .or_else(|| connection.address.map(|a| a.to_string().into()))
}

pub(super) fn stored(
    account: &Account,
    result: &crate::account::RecipientResult,
    now: UnixTime,
) -> StoredOutcome {
    let host = account_host(account, result.connection);
    match &result.outcome {
        Outcome::Delivered { reply, .. } => StoredOutcome {
            at: now,
            status: reply.enhanced(),
            host,
            reply: Some(reply.clone()),
            reason: "delivered".into(),
            trouble: None,
            tried: None,
        },
        Outcome::Deferred(failure) | Outcome::Bounced(failure) => StoredOutcome {
            at: now,
            status: failure.status,
            host,
            reply: failure.reply.clone(),
            reason: failure.reason.as_str().into(),
            trouble: Some(failure.trouble.as_str().into()),
            tried: advice::tried(account, result),
        },
    }
}
