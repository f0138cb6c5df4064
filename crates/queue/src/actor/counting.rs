//! Counting the queue for the metrics.

use actix::{Context, Handler, Message, MessageResult};

use super::manager::QueueManager;
use crate::Census;

/// Counts the queue for some time; to be sent again until the census is complete, so that deliveries go on in between.
#[derive(Debug, Message)]
#[rtype(result = "Census")]
pub struct Count(pub Census);

impl Handler<Count> for QueueManager {
    type Result = MessageResult<Count>;

    fn handle(&mut self, Count(mut census): Count, _: &mut Context<Self>) -> Self::Result {
        self.schedule.count(&mut census);
        census.beyond_memory = self.owner.beyond_memory;
        census.held = self.owner.all_holds().map(|(_, parts)| parts).sum();
        MessageResult(census)
    }
}
