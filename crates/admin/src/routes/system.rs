//! Health, metrics, the description, the audit log.

use actix_web::{HttpRequest, HttpResponse, ResponseError as _, http::StatusCode, web};
use serde_json::json;

use super::{limit, pairs};
use crate::{
    Office,
    answer::{Problem, json_of},
};

/// Most entries of the audit log in one answer.
const ENTRIES: usize = 1000;

/// The process answers.
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(json!({ "live": true }).to_string())
}

/// Mail is taken.
pub(super) async fn ready(office: web::Data<Office>) -> HttpResponse {
    match office.desk.ready() {
        Ok(()) => {
            HttpResponse::Ok().content_type("application/json").body(json!({ "ready": true }).to_string())
        }
        Err(why) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, why).error_response(),
    }
}

pub(super) async fn metrics(office: web::Data<Office>) -> Result<HttpResponse, Problem> {
    let text = office.desk.metrics().await?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}

pub(super) async fn openapi() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(super::OPENAPI)
}

pub(super) async fn audit(office: web::Data<Office>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let mut most = 100;
    for (key, value) in pairs(&request)? {
        match key.as_str() {
            "limit" => most = limit(&value, ENTRIES)?,
            _ => return Err(Problem::wrong(format!("unknown parameter {key:?}"))),
        }
    }
    let audit = std::sync::Arc::clone(&office.audit);
    let entries = web::block(move || audit.last(most)).await;
    let entries =
        entries.map_err(|error| error.to_string()).and_then(|entries| entries.map_err(|e| e.to_string()));
    let entries = entries.map_err(|text| Problem::new(StatusCode::SERVICE_UNAVAILABLE, text))?;
    json_of(&json!({ "entries": entries }))
}
