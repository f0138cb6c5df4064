//! The table of routes. What is registered and what is documented are both held against it.

mod ledger;
mod messages;
mod orders;
mod page;
mod queue;
mod system;

use actix_web::{
    HttpMessage as _, HttpRequest, HttpResponse, Resource, ResponseError as _, Route, guard,
    http::{StatusCode, header},
    web,
};

pub(crate) use self::page::FILES;
use crate::{answer::Problem, guard::Who};

/// The description of the API.
pub const OPENAPI: &str = include_str!("../openapi.json");

type Table = &'static [(&'static str, &'static str, fn() -> Route)];

/// Method, path and handler of the API.
const TABLE: Table = &[
    ("GET", "/health/live", || get().to(system::live)),
    ("GET", "/health/ready", || get().to(system::ready)),
    ("GET", "/metrics", || get().to(system::metrics)),
    ("GET", "/api/v1/openapi.json", || get().to(system::openapi)),
    ("GET", "/api/v1/overview", || get().to(queue::overview)),
    ("GET", "/api/v1/posture", || get().to(queue::posture)),
    ("GET", "/api/v1/queue", || get().to(queue::list)),
    ("GET", "/api/v1/destinations", || get().to(queue::destinations)),
    ("POST", "/api/v1/destinations/suspend", || web::post().to(orders::suspend)),
    ("POST", "/api/v1/destinations/resume", || web::post().to(orders::resume)),
    ("GET", "/api/v1/messages/{id}", || get().to(messages::show)),
    ("GET", "/api/v1/messages/{id}/raw", || get().to(messages::raw)),
    ("GET", "/api/v1/messages/{id}/explain", || get().to(messages::story)),
    ("GET", "/api/v1/ledger", || get().to(ledger::search)),
    ("GET", "/api/v1/policy/{nexthop}", || get().to(messages::policy)),
    ("POST", "/api/v1/explain", || web::post().to(messages::explain)),
    ("POST", "/api/v1/actions", || web::post().to(orders::act)),
    ("GET", "/api/v1/switches", || get().to(orders::switches)),
    ("POST", "/api/v1/switches", || web::post().to(orders::switch)),
    ("POST", "/api/v1/reload", || web::post().to(orders::reload)),
    ("GET", "/api/v1/audit", || get().to(system::audit)),
];

/// Method and path of each route of the API.
pub const ROUTES: [(&str, &str); TABLE.len()] = {
    let mut routes = [("", ""); TABLE.len()];
    let mut at = 0;
    while at < TABLE.len() {
        routes[at] = (TABLE[at].0, TABLE[at].1);
        at += 1;
    }
    routes
};

/// RFC 9110 §9.3.2: what GET answers, HEAD answers without the content.
fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

pub(crate) fn configure(app: &mut web::ServiceConfig) {
    for (path, kind, text) in FILES {
        app.service(resource(path, "GET, HEAD").route(page::serve(kind, text)));
    }
    for (at, (_, path, _)) in TABLE.iter().enumerate() {
        if TABLE.iter().take(at).any(|(_, earlier, _)| earlier == path) {
            continue;
        }
        let here = || TABLE.iter().filter(|(_, other, _)| other == path);
        let allowed: Vec<_> =
            here().map(|(method, ..)| if *method == "GET" { "GET, HEAD" } else { *method }).collect();
        let routes = here().map(|(.., route)| route());
        app.service(routes.fold(resource(path, &allowed.join(", ")), Resource::route));
    }
    app.default_service(web::to(nothing));
}

/// What is at this path, so far nothing but a refusal of all methods that are not allowed.
fn resource(path: &str, allowed: &str) -> Resource {
    let allowed = allowed.to_owned();
    web::resource(path).default_service(web::to(move || {
        let mut answer =
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("there is {allowed}")).error_response();
        // RFC 9110 §15.5.6.
        if let Ok(value) = header::HeaderValue::from_str(&allowed) {
            answer.headers_mut().insert(header::ALLOW, value);
        }
        async move { answer }
    }))
}

async fn nothing() -> HttpResponse {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing here").error_response()
}

/// Who asks. The guard has let nobody in without one.
fn who(request: &HttpRequest) -> Who {
    let known = request.extensions().get::<Who>().cloned();
    known.unwrap_or(Who { name: "nobody".into(), proven: false })
}

/// The parameters behind the question mark, decoded.
fn pairs(request: &HttpRequest) -> Result<Vec<(String, String)>, Problem> {
    web::Query::<Vec<(String, String)>>::from_query(request.query_string())
        .map(web::Query::into_inner)
        .map_err(Problem::wrong)
}

/// A number of things, within bounds.
fn limit(text: &str, most: usize) -> Result<usize, Problem> {
    let wrong = || Problem::wrong(format!("limit is a number from 1 to {most}"));
    let digits = text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && (1..=most).contains(number)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_route_is_in_the_description_and_nothing_else_is() {
        let described: Value = serde_json::from_str(OPENAPI).expect("JSON");
        let mut documented = Vec::new();
        for (path, item) in described["paths"].as_object().expect("paths") {
            for method in item.as_object().expect("an item").keys().filter(|key| *key != "parameters") {
                documented.push(format!("{} {path}", method.to_uppercase()));
            }
        }
        documented.sort();
        let mut routes: Vec<String> =
            ROUTES.iter().map(|(method, path)| format!("{method} {path}")).collect();
        routes.sort();
        assert_eq!(documented, routes);
    }

    #[test]
    fn references_in_the_description_lead_somewhere() {
        fn walk(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    map.values().for_each(|value| walk(value, found));
                }
                Value::Array(list) => list.iter().for_each(|value| walk(value, found)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let described: Value = serde_json::from_str(OPENAPI).expect("JSON");
        let mut found = Vec::new();
        walk(&described, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("a reference into this document");
            assert!(described.pointer(pointer).is_some(), "{reference}");
        }
    }
}
