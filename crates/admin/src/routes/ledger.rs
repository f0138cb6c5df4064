//! What is remembered of mail that left, or did not.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::{limit, pairs};
use crate::{
    Lookup, Office,
    answer::{Problem, json_of},
    words::span,
};

/// Most stories in one answer.
const STORIES: usize = 1000;

pub(super) async fn search(office: web::Data<Office>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let mut lookup = Lookup { limit: Some(100), ..Lookup::default() };
    for (key, value) in pairs(&request)? {
        let time = |value: &str| {
            span(value)
                .map(Some)
                .ok_or_else(|| Problem::wrong(format!("{key} is a span of time, such as 7d")))
        };
        match key.as_str() {
            "queue_id" => lookup.queue_id = Some(value),
            "message_id" => lookup.message_id = Some(value),
            "sender" => lookup.sender = Some(value),
            "recipient" => lookup.recipient = Some(value),
            "domain" => lookup.domain = Some(value),
            "host" => lookup.host = Some(value),
            "status" => lookup.status = Some(value),
            "tls" => lookup.tls = Some(value),
            "since" => lookup.since = time(&value)?,
            "until" => lookup.until = time(&value)?,
            "limit" => lookup.limit = Some(limit(&value, STORIES)?),
            _ => return Err(Problem::wrong(format!("unknown parameter {key:?}"))),
        }
    }
    let stories = office.desk.ledger(&lookup).await?;
    json_of(&json!({ "stories": stories }))
}
