//! Clients that are slow, cut off or strange: it is their fault, and they are told so in words of the API.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod serving;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::header;
use axum::routing::{get, post};
use serde::Deserialize;
use serving::{Answer, DEADLINE, SOON, ask, open, serve, serve_patiently};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};
use web::{Callers, Json, Path, Query};

#[derive(Deserialize)]
struct Thing {
    size: u16,
    #[serde(default)]
    colour: Option<Colour>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Colour {
    Red,
    Blue,
}

async fn put_thing(Json(Thing { size, colour }): Json<Thing>) -> String {
    let colour = colour.map_or("no", |colour| match colour {
        Colour::Red => "red",
        Colour::Blue => "blue",
    });
    format!("{size} {colour}")
}

fn routes() -> Router {
    Router::new()
        .route("/things", post(put_thing))
        .route("/things", get(async |Query(thing): Query<Thing>| thing.size.to_string()))
        .route("/things/{id}", get(async |Path(id): Path<i64>| id.to_string()))
        .route("/unread", post(async || "done"))
        .route(
            "/versioned",
            get(async || ([(header::ETAG, "\"7\"")], "seven"))
                .post(async || ([(header::ETAG, "\"7\"")], "seven")),
        )
}

async fn strangers() -> SocketAddr {
    serve(routes(), Callers::Strangers(web::BrowserSettings::default())).await
}

fn assert_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status(), answer.json()["code"].as_str()), (status, Some(code)), "{}", answer.body());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_the_clients_fault_whatever_the_route() {
    for callers in [Callers::Services, Callers::Strangers(web::BrowserSettings::default())] {
        let address = serve(routes(), callers).await;
        for path in ["/things", "/unread", "/nowhere", "/health"] {
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 60");
            let answer = Answer::read(open(address, &head, "{").await).await;
            assert_problem(&answer, 408, "request-timeout");
            assert_eq!((answer.header("retry-after"), answer.header("connection")), (None, Some("close")));
            assert_eq!(answer.json()["instance"], path);
        }
    }
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_does_not_win_time() {
    let address = strangers().await;
    let head = "POST /things HTTP/1.1\r\nhost: x\r\ncontent-length: 100000";
    let (reader, mut writer) = open(address, head, "{").await.into_split();
    let sending = tokio::spawn(async move {
        while writer.write_all(b" ").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
        writer
    });
    // Until the server hangs up.
    let mut answer = Vec::new();
    let mut reader = reader;
    drop(timeout(SOON, tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut answer)).await.unwrap());
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
    drop(timeout(SOON, sending).await.unwrap());
}

#[tokio::test]
async fn a_body_that_ends_before_its_end_is_not_valid() {
    let address = strangers().await;
    for (framing, body) in [
        ("content-length: 60", "{"),
        ("transfer-encoding: chunked", "a\r\n{"),
        ("transfer-encoding: chunked", "no number\r\n"),
    ] {
        let head = format!("POST /things HTTP/1.1\r\nhost: x\r\n{framing}");
        let mut stream = open(address, &head, body).await;
        stream.shutdown().await.unwrap();
        let answer = Answer::read(stream).await;
        assert_problem(&answer, 400, "invalid-request");
        assert_eq!(answer.json()["field"], "body", "{framing} {body}");
    }
}

#[tokio::test]
async fn a_body_may_be_slow_without_taking_time_from_the_work() {
    let callers = Callers::Strangers(web::BrowserSettings::default());
    let address = serve_patiently(routes(), callers, SOON).await;
    let head = "POST /things HTTP/1.1\r\nhost: x\r\ncontent-length: 10";
    let mut stream = open(address, head, "{\"si").await;
    // Longer than the deadline.
    sleep(DEADLINE + Duration::from_millis(300)).await;
    stream.write_all(b"ze\":3}").await.unwrap();
    let answer = Answer::read(stream).await;
    assert_eq!((answer.status(), answer.body()), (200, "3 no"));
}

#[tokio::test]
async fn a_body_is_read_in_utf_8_and_as_it_is() {
    let address = strangers().await;
    for accepted in [
        "x-none: of interest",
        "content-type: text/plain",
        "content-type: application/x-www-form-urlencoded",
        "content-type: no type at all",
        "content-type: application/json; charset=UTF-8",
        "content-type: text/plain;charset=\"utf-8\"; x=y",
        "content-type: text/plain; Charset = utf8",
        "content-encoding: identity",
        "content-encoding: ",
    ] {
        let answer = ask(address, "POST /things", &[accepted], "{\"size\":3}").await;
        assert_eq!((answer.status(), answer.body()), (200, "3 no"), "{accepted}");
    }
    for (refused, header, accepted) in [
        ("content-encoding: gzip", "accept-encoding", "identity"),
        ("content-encoding: identity, BR", "accept-encoding", "identity"),
        ("content-type: application/json; charset=ISO-8859-1", "accept", "application/json"),
        ("content-type: text/plain;x=y;CHARSET=\"utf-16\"", "accept", "application/json"),
        ("content-type: text/plain; charset=", "accept", "application/json"),
    ] {
        for path in ["/things", "/unread"] {
            let answer = ask(address, &format!("POST {path}"), &[refused], "{\"size\":3}").await;
            assert_problem(&answer, 415, "unsupported-media-type");
            assert_eq!(answer.header(header), Some(accepted), "{refused}");
        }
    }
    // Of no body nothing is said.
    let answer = ask(address, "GET /things/1", &["content-encoding: gzip"], "").await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_client_that_has_the_answer_gets_304_without_a_body() {
    let address = strangers().await;
    for known in ["\"7\"", "*", "\"6\", W/\"7\""] {
        for method in ["GET", "HEAD"] {
            let answer =
                ask(address, &format!("{method} /versioned"), &[&format!("if-none-match: {known}")], "")
                    .await;
            assert_eq!(
                (answer.status(), answer.body(), answer.header("etag")),
                (304, "", Some("\"7\"")),
                "{known}"
            );
            assert_eq!((answer.header("content-length"), answer.header("content-type")), (None, None));
        }
    }
    let lines = ["if-none-match: \"6\"", "if-none-match: \"7\""];
    assert_eq!(ask(address, "GET /versioned", &lines, "").await.status(), 304);
    for unknown in ["\"8\"", "7", ""] {
        let answer = ask(address, "GET /versioned", &[&format!("if-none-match: {unknown}")], "").await;
        assert_eq!((answer.status(), answer.body()), (200, "seven"), "{unknown}");
    }
    assert_eq!(ask(address, "POST /versioned", &["if-none-match: *"], "").await.status(), 200);
    assert_eq!(ask(address, "GET /nowhere", &["if-none-match: *"], "").await.status(), 404);
}

#[tokio::test]
async fn what_is_wrong_is_said_in_words_of_the_api() {
    let address = strangers().await;
    for (method_and_path, body, status, detail) in [
        ("GET /things/1e0", "", 404, "There is nothing at this path: `1e0` names nothing."),
        ("GET /things/%FF", "", 404, "There is nothing at this path."),
        ("GET /things?size=x", "", 400, "size: must be a whole number"),
        ("GET /things?size=", "", 400, "size: must be a whole number"),
        ("GET /things?size=65536", "", 400, "size: is too large"),
        ("GET /things?size=-1", "", 400, "size: must be a whole number"),
        ("GET /things", "", 400, "size: is missing"),
        ("GET /things?size=1&size=1", "", 400, "size: is there more than once"),
        ("GET /things?size=1&colour=black", "", 400, "colour: must be `red` or `blue`"),
        ("POST /things", "{\"size\":\"3\"}", 400, "size: must be a whole number"),
        ("POST /things", "{\"size\":{}}", 400, "size: must be a whole number"),
        ("POST /things", "{\"size\":1e400}", 400, "size: is not valid JSON (line 1, column 13)"),
        ("POST /things", "{\"colour\":\"red\"}", 400, "size: is missing"),
        ("POST /things", "{\"size\":1,\"size\":1}", 400, "size: is there more than once"),
        ("POST /things", "{\"size\":1,\"colour\":\"black\"}", 400, "colour: must be `red` or `blue`"),
        ("POST /things", "{\"size\":1", 400, "body: is not valid JSON (line 1, column 9)"),
        ("POST /things", "{\"size\":1}}", 400, "body: is not valid JSON (line 1, column 11)"),
        ("POST /things", "[1]", 400, "body: must be a JSON object"),
        ("POST /things", "", 400, "body: must be a JSON object"),
    ] {
        let answer = ask(address, method_and_path, &[], body).await;
        let told = (answer.status(), answer.json()["detail"].as_str().unwrap().to_owned());
        assert_eq!(told, (status, detail.to_owned()), "{method_and_path} {body}");
    }
}
