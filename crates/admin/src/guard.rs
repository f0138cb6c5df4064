//! Who may come in, and what leaves with every answer.

use std::{net::IpAddr, path::PathBuf, time::Instant};

use actix_web::{
    Error, HttpMessage as _, HttpRequest, ResponseError as _,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};
use parking_lot::RwLock;

use crate::{Office, Token, answer::Problem, failures::Failures, routes::FILES, turned_away::Crowd};

/// Who is at the other end of a connection, as the system knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A process of this machine, over the socket in the spool's folder.
    Local {
        /// Its user.
        uid: u32,
    },
    /// Somebody over TCP.
    Net(IpAddr),
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    /// For the audit log.
    pub(crate) name: String,
    /// By the token, or as a user of this machine that may open the spool; not just by being on loopback.
    pub(crate) proven: bool,
}

/// The header without which nothing is changed. A form cannot send it, and a script of another site may only after a preflight that we refuse.
const OURS: &str = "x-waxseal";

/// The health of the process is open to whoever comes, as is the page, which holds no data.
const OPEN: [&str; 2] = ["/health/live", "/health/ready"];

fn open(path: &str) -> bool {
    OPEN.contains(&path) || FILES.iter().any(|(file, _, _)| *file == path)
}

/// The rules of the door.
#[derive(Debug)]
pub(crate) struct Guard {
    token: RwLock<Option<Token>>,
    file: Option<PathBuf>,
    failures: Failures,
}

impl Guard {
    pub(crate) fn new(token: Option<Token>, file: Option<PathBuf>) -> Self {
        Self { token: RwLock::new(token), file, failures: Failures::default() }
    }

    /// Reads the token anew; where that fails, the old one stays.
    pub(crate) fn reload(&self) -> Result<(), crate::Error> {
        if let Some(file) = &self.file {
            let token = Token::read(file)?;
            *self.token.write() = Some(token);
        }
        Ok(())
    }

    fn admits(&self, request: &HttpRequest, peer: Peer) -> Result<Who, Problem> {
        let address = match peer {
            Peer::Local { uid } => return Ok(Who { name: format!("uid {uid}"), proven: true }),
            Peer::Net(address) => address,
        };
        let open = open(request.path());
        let token = self.token.read().clone();
        if let Some(token) = token {
            if !open {
                self.demands(&token, request.headers(), address)?;
            }
        } else if !is_loopback_name(text(request.headers(), &header::HOST)) {
            // DNS rebinding: a foreign name that was made to point to this machine.
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "this is 127.0.0.1 and no other name"));
        } else if !open {
            same_site(request)?;
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) && !request.headers().contains_key(OURS) {
            let detail = "what changes something must be sent with the header X-Waxseal";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        let proven = self.token.read().is_some() && !open;
        Ok(Who { name: format!("{address}{}", if proven { " with the token" } else { "" }), proven })
    }

    /// RFC 6750 §2.1.
    fn demands(&self, token: &Token, headers: &HeaderMap, address: IpAddr) -> Result<(), Problem> {
        if !self.failures.hears(Some(address), Instant::now()) {
            let detail = "too many wrong tokens from this address; wait a minute";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail));
        }
        let shown = text(headers, &header::AUTHORIZATION);
        let Some(shown) =
            shown.get(..7).filter(|word| word.eq_ignore_ascii_case("bearer ")).map(|_| &shown[7..])
        else {
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "a token is needed: Authorization: Bearer ...",
            ));
        };
        if token.is(shown.trim().as_bytes()) {
            return Ok(());
        }
        self.failures.failed(Some(address), Instant::now());
        Err(Problem::new(StatusCode::UNAUTHORIZED, "this is not the token"))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Whether `Host` is a name that only this machine has for itself (RFC 6761 §6.3), with any port: it may be forwarded.
fn is_loopback_name(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address, port),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| !digits.is_empty() && digits.parse::<u16>().is_ok());
    let loopback = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    port && (loopback || name.eq_ignore_ascii_case("localhost"))
}

/// What a browser sends for another site is refused, also where it only reads (Fetch Metadata; RFC 6454 §7).
fn same_site(request: &HttpRequest) -> Result<(), Problem> {
    let refuse =
        |what: &str| Err(Problem::new(StatusCode::FORBIDDEN, format!("sent for another site: {what}")));
    let headers = request.headers();
    if let Some(site) = headers.get("sec-fetch-site")
        && site != "same-origin"
        && site != "none"
    {
        return refuse("Sec-Fetch-Site");
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let host = text(headers, &header::HOST);
        let ours = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        if !ours.is_some_and(|(scheme, name)| {
            matches!(scheme, "http" | "https") && name.eq_ignore_ascii_case(host)
        }) {
            return refuse("Origin");
        }
    }
    Ok(())
}

/// Everything comes through here.
pub(crate) async fn guard(
    office: web::Data<Office>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    // A connection whose peer nobody knows is from outside.
    let unknown = Peer::Net(IpAddr::from([0, 0, 0, 0]));
    let peer = request.request().conn_data::<Peer>().copied().unwrap_or(unknown);
    let open = open(request.path());
    let mut response = match office.guard.admits(request.request(), peer) {
        Ok(who) => {
            request.extensions_mut().insert(who);
            next.call(request).await?.map_into_boxed_body()
        }
        Err(problem) => {
            if problem.status == StatusCode::TOO_MANY_REQUESTS {
                office.turned_away.count(Crowd::Tokens);
            }
            request.into_response(problem.error_response())
        }
    };
    seal(response.headers_mut(), open);
    Ok(response)
}

/// The headers of every answer: nothing foreign is loaded, embedded, guessed or kept.
fn seal(headers: &mut HeaderMap, open: bool) {
    const ALL: &[(&str, &str)] = &[
        (
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    for (name, value) in ALL {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let cache = if open { "no-cache" } else { "no-store" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_has_these_names() {
        for host in ["localhost", "LocalHost:8025", "127.0.0.1:8025", "127.1.2.3", "[::1]:8025", "[::1]"] {
            assert!(is_loopback_name(host), "{host}");
        }
        for host in [
            "",
            "evil.test",
            "localhost.evil.test",
            "127.0.0.1.evil.test",
            "127.0.0.1:8025.evil.test",
            "10.0.0.1",
            "0.0.0.0",
            "[::]:8025",
            "::1",
            "localhost:",
            "localhost:99999",
            "user@localhost",
            "[::1]evil",
        ] {
            assert!(!is_loopback_name(host), "{host}");
        }
    }
}
