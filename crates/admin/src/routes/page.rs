//! The page, as it is in the binary.

use actix_web::HttpResponse;

async fn asset(kind: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok().content_type(kind).body(text)
}

pub(super) async fn index() -> HttpResponse {
    asset("text/html; charset=utf-8", include_str!("../page/index.html")).await
}

pub(super) async fn app() -> HttpResponse {
    asset("text/javascript; charset=utf-8", include_str!("../page/app.js")).await
}

pub(super) async fn charts() -> HttpResponse {
    asset("text/javascript; charset=utf-8", include_str!("../page/charts.js")).await
}

pub(super) async fn story() -> HttpResponse {
    asset("text/javascript; charset=utf-8", include_str!("../page/story.js")).await
}

pub(super) async fn dom() -> HttpResponse {
    asset("text/javascript; charset=utf-8", include_str!("../page/dom.js")).await
}

pub(super) async fn style() -> HttpResponse {
    asset("text/css; charset=utf-8", include_str!("../page/style.css")).await
}

pub(super) async fn icon() -> HttpResponse {
    asset("image/svg+xml", include_str!("../page/favicon.svg")).await
}
