//! What changes something. Each order stands in the audit log before it is carried out.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::who;
use crate::{
    Action, Answer, AuditEntry, Filter, Office, Order, SwitchesChange,
    answer::{Problem, json_of},
    words,
};

/// The body of a request as JSON of this shape.
pub(super) fn body<T: DeserializeOwned>(bytes: Result<web::Bytes, actix_web::Error>) -> Result<T, Problem> {
    let bytes = bytes.map_err(|error| {
        Problem::new(error.as_response_error().status_code(), format!("the request's content: {error}"))
    })?;
    // A struct would be taken from a list as well.
    let object: Map<String, Value> = serde_json::from_slice(&bytes).map_err(Problem::wrong)?;
    serde_json::from_value(Value::Object(object)).map_err(Problem::wrong)
}

async fn record(office: &Office, entry: AuditEntry) -> Result<(), Problem> {
    let audit = Arc::clone(&office.audit);
    let written = web::block(move || audit.record(&entry)).await;
    let fault = match written {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::error!("the audit log cannot be written: {fault}");
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("the audit log cannot be written: {fault}")))
}

/// Carries an order out between its two lines in the audit log.
async fn audited<T: Serialize>(
    office: &Office,
    request: &HttpRequest,
    (what, detail): (&str, Value),
    work: Answer<'_, T>,
) -> Result<HttpResponse, Problem> {
    let entry = |event, detail| AuditEntry {
        time: words::now(),
        event,
        who: who(request).name,
        what: what.to_owned(),
        detail,
    };
    record(office, entry("asked", detail)).await?;
    let (event, result, told) = match work.await {
        Ok(done) => {
            let told = serde_json::to_value(&done).unwrap_or(Value::Null);
            ("done", json_of(&done), told)
        }
        Err(refusal) => ("failed", Err(Problem::from(refusal.clone())), json!(format!("{refusal:?}"))),
    };
    // It is done, or not; that its end is not written down does not change that, and is in the log.
    let _ = record(office, entry(event, told)).await;
    result
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Acts {
    action: Action,
    #[serde(default)]
    select: Filter,
    #[serde(default)]
    all: bool,
    to: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

impl Acts {
    fn order(self) -> Result<Order, Problem> {
        if self.select.is_open() != self.all {
            let detail = if self.all {
                "either all or a selection"
            } else {
                "nothing is selected; say \"all\": true for all"
            };
            return Err(Problem::wrong(detail));
        }
        if self.to.is_some() != (self.action == Action::Reroute) {
            return Err(Problem::wrong("reroute, and nothing else, needs a next hop in \"to\""));
        }
        if self.reason.is_some() && self.action != Action::Bounce {
            return Err(Problem::wrong("only bounce has a \"reason\": it is told to the senders"));
        }
        if self
            .reason
            .as_ref()
            .is_some_and(|reason| reason.len() > 500 || reason.chars().any(char::is_control))
        {
            return Err(Problem::wrong("\"reason\" is one line of at most 500 octets"));
        }
        self.select.ids()?;
        let Self { action, select, to, reason, dry_run, .. } = self;
        Ok(Order { action, select, to, reason, dry_run })
    }
}

pub(super) async fn act(
    office: web::Data<Office>,
    request: HttpRequest,
    bytes: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let said: Value = body(bytes)?;
    if said.get("select").is_some_and(|select| !select.is_object()) {
        return Err(Problem::wrong("\"select\" is an object"));
    }
    let acts: Acts = serde_json::from_value(said.clone()).map_err(Problem::wrong)?;
    let order = acts.order()?;
    if order.dry_run {
        return json_of(&office.desk.act(&order).await?);
    }
    let what = said.get("action").and_then(Value::as_str).unwrap_or_default().to_owned();
    audited(&office, &request, (&what, said), office.desk.act(&order)).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    destination: String,
}

async fn close(
    office: &Office,
    request: &HttpRequest,
    bytes: Result<web::Bytes, actix_web::Error>,
    closed: bool,
) -> Result<HttpResponse, Problem> {
    let Which { destination } = body(bytes)?;
    let what = if closed { "suspend" } else { "resume" };
    let detail = json!({ "destination": destination });
    audited(office, request, (what, detail), office.desk.suspend(&destination, closed)).await
}

pub(super) async fn suspend(
    office: web::Data<Office>,
    request: HttpRequest,
    bytes: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    close(&office, &request, bytes, true).await
}

pub(super) async fn resume(
    office: web::Data<Office>,
    request: HttpRequest,
    bytes: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    close(&office, &request, bytes, false).await
}

pub(super) async fn switches(office: web::Data<Office>) -> Result<HttpResponse, Problem> {
    json_of(&office.desk.switches().await?)
}

pub(super) async fn switch(
    office: web::Data<Office>,
    request: HttpRequest,
    bytes: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let said: Value = body(bytes)?;
    let change: SwitchesChange = serde_json::from_value(said.clone()).map_err(Problem::wrong)?;
    audited(&office, &request, ("switch", said), office.desk.switch(change)).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReloadWish {
    #[serde(default)]
    switch_certificates: bool,
}

pub(super) async fn reload(office: web::Data<Office>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let wish = web::Query::<ReloadWish>::from_query(request.query_string()).map_err(Problem::wrong)?;
    let switches = wish.switch_certificates;
    let work = async {
        let mut notices = office.desk.reload(switches).await?;
        notices.extend(office.reload().err().map(|error| error.to_string()));
        Ok(json!({ "notices": notices }))
    };
    let said = if switches { json!({ "switch_certificates": true }) } else { Value::Null };
    audited(&office, &request, ("reload", said), Box::pin(work)).await
}
