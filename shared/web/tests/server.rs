//! The frame around routes that misbehave.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod serving;

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use web::{Callers, Problem};

async fn panicking() -> &'static str {
    panic!("a secret")
}

/// Serves two routes: one that panics, one that never answers.
async fn serve() -> String {
    let routes =
        Router::new().route("/panic", get(panicking)).route("/never", get(std::future::pending::<()>));
    format!("http://{}", serving::serve(routes, Callers::Strangers(web::BrowserSettings::default())).await)
}

#[tokio::test]
async fn a_panic_and_a_missed_deadline_are_problems_that_show_no_internals() {
    let base = serve().await;
    for (path, status, code) in
        [("/panic", 500, "internal"), ("/never", 503, "unavailable"), ("/nothing", 404, "no-such-path")]
    {
        let answer = reqwest::get(format!("{base}{path}")).await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(answer.headers().contains_key("retry-after"), status == 503);
        let text = answer.text().await.unwrap();
        assert!(!text.contains("secret"), "{text}");
        let problem: Problem = serde_json::from_str(&text).unwrap();
        assert_eq!((problem.code.as_ref(), problem.instance.as_deref()), (code, Some(path)));
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_said_in_one_line() {
    let taken = web::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = web::bind(address).await.unwrap_err().to_string();
    assert!(
        error.contains(&address.to_string()) && error.contains("--listen") && !error.contains('\n'),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_head_is_cut_off_and_makes_room_for_the_next() {
    let base = serve().await;
    let address = base.strip_prefix("http://").unwrap();
    let mut slow = Vec::new();
    for head in ["", "GET /nothing HTTP/1.1\r\nhost: x\r\nx-never: ended"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    // There is room for two connections; the third is served when one of them is cut off.
    let third = reqwest::get(format!("{base}/nothing"));
    assert_eq!(timeout(Duration::from_secs(10), third).await.unwrap().unwrap().status(), 404);
    for mut stream in slow {
        let mut rest = Vec::new();
        timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    }
}
