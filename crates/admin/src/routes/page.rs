//! The page, as it is in the binary.

use actix_web::{HttpResponse, Route};

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, content type and text of each of its files. They hold no data, so that anybody may have them.
pub(crate) const FILES: [(&str, &str, &str); 8] = [
    ("/", "text/html; charset=utf-8", include_str!("../page/index.html")),
    ("/app.js", SCRIPT, include_str!("../page/app.js")),
    ("/charts.js", SCRIPT, include_str!("../page/charts.js")),
    ("/destinations.js", SCRIPT, include_str!("../page/destinations.js")),
    ("/dom.js", SCRIPT, include_str!("../page/dom.js")),
    ("/story.js", SCRIPT, include_str!("../page/story.js")),
    ("/style.css", "text/css; charset=utf-8", include_str!("../page/style.css")),
    ("/favicon.svg", "image/svg+xml", include_str!("../page/favicon.svg")),
];

/// Answers with one of them.
pub(super) fn serve(kind: &'static str, text: &'static str) -> Route {
    super::get().to(move || async move { HttpResponse::Ok().content_type(kind).body(text) })
}
