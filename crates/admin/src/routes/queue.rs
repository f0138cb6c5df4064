//! The queue: in a few numbers, by destination, message by message.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::Serialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::{limit, pairs};
use crate::{
    Desk, Filter, Office, Page, Refusal, State,
    answer::{Problem, json_of},
    turned_away::Crowd,
    words::{self, span},
};

/// Most rows of a page, and of a slice of a stream: what is asked of the queue at once.
const SLICE: usize = 500;
/// Most destinations in one answer.
const DESTINATIONS: usize = 1000;
/// Destinations in the overview.
const SHOWN: usize = 50;

pub(super) async fn overview(office: web::Data<Office>) -> Result<HttpResponse, Problem> {
    let desk = &office.desk;
    let ready = desk.ready();
    let queue = desk.overview().await?;
    let destinations = desk.destinations(SHOWN).await?;
    let switches = desk.switches().await?;
    json_of(&json!({
        "hostname": desk.hostname(),
        "version": env!("CARGO_PKG_VERSION"),
        "time": words::now().rfc3339().to_string(),
        "since": office.since.rfc3339().to_string(),
        "ready": ready.is_ok(),
        "trouble": ready.err(),
        "queue": queue,
        "destinations": destinations,
        "switches": switches,
    }))
}

pub(super) async fn posture(office: web::Data<Office>) -> Result<HttpResponse, Problem> {
    json_of(&json!({ "width": 300, "buckets": office.posture.since_yesterday(words::now()) }))
}

pub(super) async fn destinations(
    office: web::Data<Office>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut most = 100;
    for (key, value) in pairs(&request)? {
        match key.as_str() {
            "limit" => most = limit(&value, DESTINATIONS)?,
            _ => return Err(Problem::wrong(format!("unknown parameter {key:?}"))),
        }
    }
    json_of(&json!({ "destinations": office.desk.destinations(most).await? }))
}

/// What a listing is asked for.
struct Asked {
    filter: Filter,
    after: Option<String>,
    limit: usize,
    lines: bool,
}

fn asked(request: &HttpRequest) -> Result<Asked, Problem> {
    let accepted =
        request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let lines = accepted.contains("application/x-ndjson");
    let mut asked = Asked { filter: Filter::default(), after: None, limit: 100, lines };
    let filter = &mut asked.filter;
    for (key, value) in pairs(request)? {
        let time = |value: &str| {
            span(value)
                .map(Some)
                .ok_or_else(|| Problem::wrong(format!("{key} is a span of time, such as 2h")))
        };
        match key.as_str() {
            "id" => filter.ids.push(value),
            "sender" => filter.sender = Some(value),
            "recipient" => filter.recipient = Some(value),
            "domain" => filter.domain = Some(value),
            "destination" => filter.destination = Some(value),
            "reason" => filter.reason = Some(value),
            "older_than" => filter.older_than = time(&value)?,
            "younger_than" => filter.younger_than = time(&value)?,
            "state" => {
                filter.state = Some(match value.as_str() {
                    "active" => State::Active,
                    "waiting" => State::Waiting,
                    "held" => State::Held,
                    _ => return Err(Problem::wrong("state is active, waiting or held")),
                });
            }
            "after" => asked.after = Some(value),
            "limit" => asked.limit = limit(&value, SLICE)?,
            "format" if value == "ndjson" => asked.lines = true,
            "format" if value == "json" => asked.lines = false,
            "format" => return Err(Problem::wrong("format is json or ndjson")),
            _ => return Err(Problem::wrong(format!("unknown parameter {key:?}"))),
        }
    }
    asked.filter.ids()?;
    Ok(asked)
}

pub(super) async fn list(office: web::Data<Office>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let asked = asked(&request)?;
    if !asked.lines {
        return json_of(&page(office.desk.as_ref(), &asked).await?);
    }
    let Ok(place) = std::sync::Arc::clone(&office.streams).try_acquire_owned() else {
        office.turned_away.count(Crowd::Listings);
        let detail = "too many listings are under way";
        return Err(Problem::new(actix_web::http::StatusCode::TOO_MANY_REQUESTS, detail));
    };
    Ok(HttpResponse::Ok().content_type("application/x-ndjson").streaming(lines(office, asked, place)))
}

/// A page is as full as it can be: slices without a match are passed over.
async fn page(desk: &dyn Desk, asked: &Asked) -> Result<Page, Refusal> {
    let mut page = Page { next: asked.after.clone(), ..Page::default() };
    loop {
        let more = desk.list(&asked.filter, page.next.as_deref(), asked.limit - page.messages.len()).await?;
        page.messages.extend(more.messages);
        page.next = more.next;
        if page.next.is_none() || page.messages.len() >= asked.limit {
            return Ok(page);
        }
    }
}

/// How far a stream is.
struct Reading {
    office: web::Data<Office>,
    asked: Asked,
    count: usize,
    ended: bool,
    _place: OwnedSemaphorePermit,
}

/// One JSON object a line. The next slice is asked for when the reader has taken the one before, so that a slow reader costs
/// nothing, and the queue is at it for a moment only.
fn lines(
    office: web::Data<Office>,
    asked: Asked,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    let reading = Reading { office, asked, count: 0, ended: false, _place: place };
    stream::unfold(reading, |mut reading| async move {
        if reading.ended {
            return None;
        }
        let mut text = Vec::new();
        // An empty chunk would end the answer, so slices without a match are passed over.
        while text.is_empty() {
            let after = reading.asked.after.take();
            match reading.office.desk.list(&reading.asked.filter, after.as_deref(), SLICE).await {
                Ok(page) => {
                    page.messages.iter().for_each(|row| line(&mut text, row));
                    reading.count += page.messages.len();
                    reading.ended = page.next.is_none();
                    reading.asked.after = page.next;
                    if reading.ended {
                        line(&mut text, &json!({ "end": true, "count": reading.count }));
                    }
                }
                Err(refusal) => {
                    reading.ended = true;
                    line(&mut text, &json!({ "error": Problem::from(refusal).detail }));
                }
            }
        }
        Some((Ok(Bytes::from(text)), reading))
    })
}

fn line(text: &mut Vec<u8>, value: &impl Serialize) {
    // Writing to memory does not fail, and these values have string keys.
    if serde_json::to_writer(&mut *text, value).is_ok() {
        text.push(b'\n');
    }
}
