//! Pages in browsers: whose may call a service for strangers, and what they are told.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod serving;

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use serving::{Answer, ask, serve};
use web::{BrowserSettings, Callers};

const LISTED: &str = "origin: https://shop.example.org";
const FOREIGN: [&str; 6] = [
    "origin: https://evil.example",
    "origin: null",
    "origin: https://shop.example.org.evil.example",
    "origin: https://shop.example.org:8443",
    "origin: http://shop.example.org",
    "origin: no origin",
];

/// Where everybody may read, and send what has an effect.
async fn gateway(origins: &str) -> SocketAddr {
    let routes =
        Router::new().route("/things", get(async || "things").post(async || "done").delete(async || "gone"));
    serve(routes, Callers::Strangers(BrowserSettings { cors_origins: origins.parse().unwrap() })).await
}

fn assert_foreign(answer: &Answer) {
    assert_eq!(
        (answer.status(), answer.json()["code"].as_str()),
        (403, Some("foreign-origin")),
        "{}",
        answer.body()
    );
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn an_effect_that_a_page_of_a_foreign_origin_asks_for_is_refused() {
    for origins in ["", "https://shop.example.org"] {
        let address = gateway(origins).await;
        for foreign in FOREIGN {
            for request in ["POST /things", "DELETE /things", "PUT /things", "PATCH /nowhere"] {
                assert_foreign(&ask(address, request, &[foreign], "").await);
            }
            // Reading has no effect, and the browser does not show the page what it got.
            let answer = ask(address, "GET /things", &[foreign], "").await;
            assert_eq!(
                (answer.status(), answer.header("access-control-allow-origin")),
                (200, None),
                "{foreign}"
            );
        }
        assert_foreign(&ask(address, "POST /things", &[LISTED, FOREIGN[0]], "").await);
    }
}

#[tokio::test]
async fn programs_and_the_services_own_pages_may_do_everything() {
    let address = gateway("").await;
    assert_eq!(ask(address, "POST /things", &[], "").await.body(), "done");
    let own = format!("origin: http://{address}");
    for headers in [
        [own.as_str(), "x: y"],
        // TLS ends in front of the service, which sees the host alone.
        ["origin: https://api.example.org", "host: api.example.org"],
        ["origin: https://api.example.org", "host: API.example.org:443"],
        ["origin: http://api.example.org", "host: api.example.org:80"],
        ["origin: https://[2001:db8::1]:8443", "host: [2001:db8::1]:8443"],
    ] {
        assert_eq!(ask(address, "POST /things", &headers, "").await.body(), "done", "{headers:?}");
    }
    for headers in [
        ["origin: https://api.example.org:8443", "host: api.example.org"],
        ["origin: https://api.example.org", "host: api.example.org:80"],
        ["origin: https://api.example.org", "host: example.org"],
        ["origin: https://api.example.org", "host: "],
    ] {
        assert_foreign(&ask(address, "POST /things", &headers, "").await);
    }
}

#[tokio::test]
async fn a_page_of_a_listed_origin_may_call_and_read_what_it_is_answered() {
    let address = gateway("http://localhost:5173,https://shop.example.org").await;
    for (request, status) in
        [("GET /things", 200), ("POST /things", 200), ("GET /nowhere", 404), ("PUT /things", 405)]
    {
        let answer = ask(address, request, &[LISTED], "").await;
        assert_eq!(answer.status(), status, "{request}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("https://shop.example.org"),
            "{request}"
        );
        let exposed = answer.header("access-control-expose-headers").unwrap();
        for header in ["etag", "link", "location", "retry-after", "preference-applied", "x-request-id"] {
            assert!(exposed.split(", ").any(|known| known == header), "{header} is not in {exposed}");
        }
    }
    for headers in [&[LISTED][..], &[], &[FOREIGN[0]]] {
        assert_eq!(
            ask(address, "GET /things", headers, "").await.header("vary"),
            Some("origin"),
            "{headers:?}"
        );
    }
    assert_eq!(ask(gateway("").await, "GET /things", &[LISTED], "").await.header("vary"), None);
}

#[tokio::test]
async fn a_browser_that_asks_first_is_told_who_may_call_and_how() {
    let address = gateway("https://shop.example.org").await;
    for path in ["/things", "/nowhere"] {
        let request = format!("OPTIONS {path}");
        let asked = ["access-control-request-method: PUT", "access-control-request-headers: idempotency-key"];
        let answer = ask(address, &request, &[LISTED, asked[0], asked[1]], "").await;
        assert_eq!((answer.status(), answer.body(), answer.header("content-length")), (204, "", None));
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://shop.example.org"));
        assert!(answer.header("access-control-allow-methods").unwrap().contains("PUT"));
        let allowed = answer.header("access-control-allow-headers").unwrap();
        for header in ["content-type", "idempotency-key", "prefer", "if-match", "if-none-match"] {
            assert!(allowed.split(", ").any(|known| known == header), "{header} is not in {allowed}");
        }
        for foreign in FOREIGN {
            assert_foreign(&ask(address, &request, &[foreign, asked[0]], "").await);
        }
    }
}

#[tokio::test]
async fn options_that_no_browser_sends_is_a_method_like_any_other() {
    let address = gateway("https://shop.example.org").await;
    for headers in [&[][..], &[LISTED], &[FOREIGN[0]]] {
        let answer = ask(address, "OPTIONS /things", headers, "").await;
        assert_eq!((answer.status(), answer.json()["code"].as_str()), (405, Some("method-not-allowed")));
        assert!(answer.header("allow").unwrap().contains("DELETE"));
    }
}

#[tokio::test]
async fn a_service_that_only_services_call_has_no_such_rules() {
    let routes = Router::new().route("/things", get(async || "things").post(async || "done"));
    let address = serve(routes, Callers::Services).await;
    assert_eq!(ask(address, "POST /things", &[FOREIGN[0]], "").await.body(), "done");
}
