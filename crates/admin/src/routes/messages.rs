//! One message, one policy, one explanation.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{ContentDisposition, DispositionParam, DispositionType},
    },
    web,
};
use serde::Deserialize;
use waxseal_types::QueueId;

use super::{orders::body, who};
use crate::{
    Office,
    answer::{Problem, json_of},
    turned_away::Crowd,
};

/// A live explanation may call several servers, each with time limits of its own; this bounds them all.
const EXPLANATION: Duration = Duration::from_secs(120);

fn id(text: &str) -> Result<QueueId, Problem> {
    text.parse().map_err(Problem::wrong)
}

pub(super) async fn show(
    office: web::Data<Office>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    json_of(&office.desk.message(id(&path)?).await?)
}

/// The whole text. To be on loopback is not enough for it: everybody on this machine is.
pub(super) async fn raw(
    office: web::Data<Office>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = id(&path)?;
    if !who(&request).proven {
        let detail = "the text of a message is shown over the socket in the spool's folder, or for the token";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    let text = office.desk.raw(id).await?;
    let disposition = ContentDisposition {
        disposition: DispositionType::Attachment,
        parameters: vec![DispositionParam::Filename(format!("{id}.eml"))],
    };
    Ok(HttpResponse::Ok().content_type("message/rfc822").insert_header(disposition).body(text))
}

pub(super) async fn story(
    office: web::Data<Office>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    json_of(&office.desk.story(id(&path)?).await?)
}

pub(super) async fn policy(
    office: web::Data<Office>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    json_of(&office.desk.policy(&path).await?)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    target: String,
    #[serde(default)]
    connect: bool,
}

pub(super) async fn explain(
    office: web::Data<Office>,
    bytes: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let Question { target, connect } = body(bytes)?;
    let Ok(_place) = office.explanations.try_acquire() else {
        office.turned_away.count(Crowd::Explanations);
        let detail = "others are being explained just now; try again in a moment";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail));
    };
    let explained = tokio::time::timeout(EXPLANATION, office.desk.explain(&target, connect)).await;
    let late = |_| Problem::new(StatusCode::GATEWAY_TIMEOUT, "its servers took longer than two minutes");
    json_of(&explained.map_err(late)??)
}
