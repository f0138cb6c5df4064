//! How the API answers: JSON, and what went wrong as RFC 9457 has it.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use serde::Serialize;
use serde_json::json;

use crate::Refusal;

/// Why a request is not answered as it would like.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    pub(crate) fn wrong(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail.to_string())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        // RFC 9457 §3.1; the type is about:blank, so the title is the status's own (§4.2.1).
        let title = self.status.canonical_reason().unwrap_or_default();
        let body = json!({ "title": title, "status": self.status.as_u16(), "detail": self.detail });
        let mut answer = HttpResponse::build(self.status);
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 6750 §3.
            answer.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"waxseal\""));
        }
        answer.content_type("application/problem+json").body(body.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Wrong(text) => Self::new(StatusCode::BAD_REQUEST, text),
            Refusal::Unknown(text) => Self::new(StatusCode::NOT_FOUND, text),
            Refusal::Unavailable(text) => Self::new(StatusCode::SERVICE_UNAVAILABLE, text),
        }
    }
}

/// A value as JSON.
pub(crate) fn json_of(value: &impl Serialize) -> Result<HttpResponse, Problem> {
    let text = serde_json::to_string(value)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(HttpResponse::Ok().content_type("application/json").body(text))
}
