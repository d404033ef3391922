//! `SANDBOX=containers`: usable, restartable and gone afterwards. Says that it was skipped where no container engine answers.

use std::{env, net::TcpStream, process::Command};

use sandbox::{Sandbox, SandboxError};
use sqlx::{Connection, PgConnection};

use crate::{
    eventually,
    kafka::{create_topic, producer, reader, receive, send},
    listens,
};

/// Asks for containers in a process of its own, whose environment the other tests do not share.
#[tokio::test]
async fn the_whole_sandbox_runs_in_containers() {
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", "containers::in_the_child_process_that_asks_for_containers", "--nocapture"])
        .env("SANDBOX", "containers")
        .env_remove("DATABASE_URL")
        .env_remove("KAFKA_BROKERS")
        .env_remove("KAFKA_COMMAND")
        .env_remove("SMTP_URL")
        .status()
        .unwrap();
    assert!(status.success());
}

/// Not a test by itself.
#[tokio::test(flavor = "multi_thread")]
async fn in_the_child_process_that_asks_for_containers() {
    if env::var("SANDBOX").as_deref() != Ok("containers") {
        return;
    }
    match Sandbox::start().await {
        Ok(sandbox) => examine(sandbox).await,
        Err(SandboxError::BuiltWithoutContainers) if !cfg!(feature = "containers") => {}
        Err(error @ SandboxError::NoContainerEngine { .. }) => println!("SKIPPED: {error}"),
        Err(error) => panic!("{error:#?}"),
    }
}

async fn examine(mut sandbox: Sandbox) {
    println!("{}; {}", sandbox.postgres.describe(), sandbox.kafka.describe());
    assert!(sandbox.postgres.is_private() && sandbox.kafka.is_private() && !sandbox.kafka.is_in_memory());
    let (postgres, mail) = (sandbox.postgres.admin_url().clone(), sandbox.smtp.url().clone());
    assert!(sandbox.smtp.mailbox().is_none() && listens(&mail));

    let mut connection = PgConnection::connect(postgres.as_str()).await.unwrap();
    sqlx::query("create table kept as select 'still here' as word").execute(&mut connection).await.unwrap();
    sandbox.postgres.kill().await.unwrap();
    assert!(sqlx::query("select 1").execute(&mut connection).await.is_err());
    sandbox.postgres.restart().await.unwrap();
    let mut connection = PgConnection::connect(postgres.as_str()).await.unwrap();
    let word: String = sqlx::query_scalar("select word from kept").fetch_one(&mut connection).await.unwrap();
    assert_eq!(word, "still here");

    create_topic(&sandbox.kafka, "greetings", 1).await;
    send(&producer(&sandbox.kafka), "greetings", 0, "kept").await;
    sandbox.kafka.down().await.unwrap();
    sandbox.kafka.up().await.unwrap();
    assert_eq!(receive(&reader(&sandbox.kafka, "greetings", 0, 0)).await, "kept");

    let kafka = sandbox.kafka.brokers().to_owned();
    sandbox.stop().await.unwrap();
    eventually("all ports are closed", || {
        !listens(&postgres) && !listens(&mail) && TcpStream::connect(&kafka).is_err()
    })
    .await;
}
