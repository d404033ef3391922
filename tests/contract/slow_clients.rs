//! Clients that do not finish what they send: it is their fault, and nobody's error.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::Url;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Findings;
use super::endpoints::{Endpoint, endpoints};
use crate::harness::{Outcome, Stage, Suite, cases};

/// How long an answer may take.
const SOON: Duration = Duration::from_secs(20);
/// Far more than the failures in a row that open a circuit breaker.
const REPEATED: usize = 8;

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "slow_clients",
        [
            #[settings(&[("BODY_TIMEOUT_MS", "300")])]
            a_body_that_does_not_arrive_in_time_is_told_to_its_client_and_counts_as_no_error,
            #[settings(&[("BODY_TIMEOUT_MS", "300")])]
            a_body_that_comes_byte_by_byte_is_bounded_all_the_same,
            a_client_that_hangs_up_in_the_middle_of_its_body_counts_as_no_error,
        ]
    );
}

async fn a_body_that_does_not_arrive_in_time_is_told_to_its_client_and_counts_as_no_error(
    stage: &mut Stage,
) -> Outcome {
    let user = stage.api.create_user().await?;
    let before = failures(stage).await?;
    let mut findings = Findings::default();
    let mut requests = Vec::new();
    for service in stage.style.asked_over_http() {
        for Endpoint { method, path, .. } in endpoints(stage, user) {
            requests.push((service, format!("{method} {path}")));
        }
        // One that reads no body.
        requests.push((service, format!("GET /billing/user/{user}")));
    }
    requests.extend(std::iter::repeat_n(requests[0].clone(), REPEATED));
    let mut clients = JoinSet::new();
    for (service, request) in requests {
        let url = stage.deployment.url(service).clone();
        clients.spawn(async move {
            let answer = async { answer(begin(&url, &request, 60, b"{").await?).await };
            (format!("{request} of {}", service.name()), answer.await)
        });
    }
    for (row, answer) in clients.join_all().await {
        let answer = answer.with_context(|| row.clone())?;
        let told = answer.starts_with("HTTP/1.1 408 ")
            && answer.contains("application/problem+json")
            && answer.contains("\"request-timeout\"")
            && !answer.to_lowercase().contains("retry-after");
        findings.note(row, told.then_some(()).context(answer));
    }
    findings.note("how long it took the services", took_no_time(stage).await);
    findings.note("what is counted", nobody_failed_since(stage, &before).await);
    findings.conclude()
}

async fn a_body_that_comes_byte_by_byte_is_bounded_all_the_same(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user().await?;
    let before = failures(stage).await?;
    let mut findings = Findings::default();
    for Endpoint { method, path, .. } in endpoints(stage, user) {
        let request = format!("{method} {path}");
        let stream = begin(stage.deployment.gateway(), &request, 60_000, b"{").await?;
        let (mut reader, mut writer) = stream.into_split();
        let trickle = async {
            while writer.write_all(b" ").await.is_ok() {
                sleep(Duration::from_millis(50)).await;
            }
            std::future::pending::<()>().await;
        };
        let mut text = vec![0; 512];
        let answer = async { reader.read(&mut text).await };
        let read = tokio::select! {
            read = timeout(SOON, answer) => read??,
            () = trickle => unreachable!("it never ends"),
        };
        let answer = String::from_utf8_lossy(&text[..read]).into_owned();
        findings.note(request, answer.starts_with("HTTP/1.1 408 ").then_some(()).context(answer));
    }
    findings.note("what is counted", nobody_failed_since(stage, &before).await);
    findings.conclude()
}

async fn a_client_that_hangs_up_in_the_middle_of_its_body_counts_as_no_error(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user().await?;
    let before = failures(stage).await?;
    let mut findings = Findings::default();
    for Endpoint { method, path, .. } in endpoints(stage, user) {
        let request = format!("{method} {path}");
        // One that still listens is told.
        let mut stream = begin(stage.deployment.gateway(), &request, 60, b"{").await?;
        stream.shutdown().await?;
        let answer = answer(stream).await?;
        let told = answer.starts_with("HTTP/1.1 400 ") && answer.contains("\"field\":\"body\"");
        findings.note(&request, told.then_some(()).context(answer));
        for _ in 0..REPEATED {
            drop(begin(stage.deployment.gateway(), &request, 60, b"{").await?);
        }
    }
    findings.note("what is counted", nobody_failed_since(stage, &before).await);
    findings.conclude()
}

/// Sends the head of a request, and `sent` of a body that is announced to be longer.
async fn begin(service: &Url, request: &str, announced: usize, sent: &[u8]) -> anyhow::Result<TcpStream> {
    let address = service.socket_addrs(|| None)?[0];
    let mut stream = TcpStream::connect(address).await?;
    let head = format!("{request} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {announced}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(sent).await?;
    Ok(stream)
}

/// What comes until the service hangs up.
async fn answer(mut stream: TcpStream) -> anyhow::Result<String> {
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.context("no answer")??;
    Ok(answer)
}

/// What a client takes to send is not what a service takes to answer, on which there is an alert.
async fn took_no_time(stage: &Stage) -> Outcome {
    let mut took = 0.0;
    for &service in stage.style.services {
        let metrics = stage.metrics(service).await?;
        let sums = metrics.lines().filter(|line| {
            line.starts_with("http_server_request_duration_seconds_sum") && line.contains("status=\"408\"")
        });
        for sum in sums {
            took += sum.rsplit_once(' ').context("a value")?.1.parse::<f64>()?;
        }
    }
    ensure!(took < 0.3, "as long as one client at least: {took} s");
    Ok(())
}

/// What services count and log as failures, their own and others'; of a start there may be some.
async fn failures(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let calls = stage.style.calls_are_counted_as();
    let mut failures = Vec::new();
    for &service in stage.style.services {
        let metrics = stage.metrics(service).await?;
        let failed = metrics.lines().filter(|line| {
            let answered =
                line.starts_with("http_server_request_duration_seconds_count") && line.contains("status=\"5");
            let asked = line.starts_with(calls)
                && line.contains("_duration_seconds_count")
                && ["status=\"un", "status=\"5", "status=\"408"].iter().any(|status| line.contains(status));
            answered || asked || line.starts_with(&format!("{calls}_breaker_rejections_total"))
        });
        failures.extend(failed.map(|line| format!("{}: {line}", service.name())));
    }
    let logs = stage.logs()?;
    failures.extend(logs.lines().filter(|line| line.contains("\"answered\"")).map(str::to_owned));
    Ok(failures)
}

async fn nobody_failed_since(stage: &Stage, before: &[String]) -> Outcome {
    let now = failures(stage).await?;
    let new: Vec<_> = now.iter().filter(|failure| !before.contains(failure)).collect();
    ensure!(new.is_empty(), "{new:?}");
    Ok(())
}
