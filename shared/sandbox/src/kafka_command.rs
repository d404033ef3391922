//! A broker run by a program of the caller's, which talks to us in lines. [`crate::Kafka::start_private`] says which.

use std::{env, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::SandboxError;

/// The first start may have to fetch the broker.
const FIRST_READY_MAX: Duration = Duration::from_mins(10);
/// A start after a crash reads the logs again.
const ORDER_MAX: Duration = Duration::from_mins(2);
const STOP_MAX: Duration = Duration::from_secs(30);

const READY: &str = "ready HOST:PORT [NAME]";
const KILLED: &str = "killed";

/// The program and its broker. Both end when this is dropped, and when this process ends: its standard input does.
#[derive(Debug)]
pub(crate) struct CommandBroker {
    program: String,
    process: Child,
    /// Close-on-exec, as the standard library makes it: no other child keeps it open after our end.
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// While the broker is up.
    address: Option<String>,
    /// What it says that it is, if it does.
    name: Option<String>,
}

impl CommandBroker {
    /// Starts the program and waits for its broker's address.
    pub(crate) async fn start(program: String) -> Result<(Self, String), SandboxError> {
        let mut command = Command::new(&program);
        // A group of its own, because Ctrl-C in the terminal must not reach it: the services end first.
        command.arg("--with-parent").process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process =
            command.spawn().map_err(SandboxError::io(format!("start KAFKA_COMMAND ({program})")))?;
        let orders = process.stdin.take().expect("it was asked for");
        let answers = BufReader::new(process.stdout.take().expect("it was asked for")).lines();
        let mut broker = Self { program, process, orders, answers, address: None, name: None };
        let address = broker.await_ready(FIRST_READY_MAX).await?;
        Ok((broker, address))
    }

    /// What the broker is, and the program that started it: from here, if it is below the current directory.
    pub(crate) fn describe(&self) -> String {
        let program = Path::new(&self.program);
        let here = env::current_dir().unwrap_or_default();
        let program = program.strip_prefix(here).unwrap_or(program).display();
        match &self.name {
            Some(name) => format!("{name}, started by {program}"),
            None => format!("Kafka started by {program}"),
        }
    }

    /// Ends the broker as a crash would; its data stay. Does nothing if it is down.
    pub(crate) async fn kill(&mut self) -> Result<(), SandboxError> {
        if self.address.take().is_some() {
            self.order("kill").await?;
            let answer = self.await_answer(KILLED, ORDER_MAX).await?;
            if answer != KILLED {
                return Err(self.unexpected(KILLED, format!("it said `{answer}`")));
            }
        }
        Ok(())
    }

    /// Starts the broker again on the same port and data. Does nothing if it is up.
    pub(crate) async fn restart(&mut self) -> Result<(), SandboxError> {
        if self.address.is_none() {
            self.order("start").await?;
            self.await_ready(ORDER_MAX).await?;
        }
        Ok(())
    }

    /// Has the program end, and waits for it.
    pub(crate) async fn stop(self) -> Result<(), SandboxError> {
        let Self { mut process, orders, .. } = self;
        drop(orders);
        if let Ok(ended) = timeout(STOP_MAX, process.wait()).await {
            ended.map_err(SandboxError::io("wait for KAFKA_COMMAND to end"))?;
            return Ok(());
        }
        process.kill().await.map_err(SandboxError::io("end KAFKA_COMMAND"))
    }

    async fn order(&mut self, order: &str) -> Result<(), SandboxError> {
        let line = format!("{order}\n");
        self.orders
            .write_all(line.as_bytes())
            .await
            .map_err(SandboxError::io(format!("give KAFKA_COMMAND the order {order}")))
    }

    async fn await_ready(&mut self, max: Duration) -> Result<String, SandboxError> {
        let answer = self.await_answer(READY, max).await?;
        let Some(told) = answer.strip_prefix("ready ") else {
            return Err(self.unexpected(READY, format!("it said `{answer}`")));
        };
        let (address, name) = told.split_once(' ').map_or((told, None), |(it, name)| (it, Some(name)));
        self.name = name.map(str::to_owned);
        Ok(self.address.insert(address.to_owned()).clone())
    }

    async fn await_answer(&mut self, expected: &'static str, max: Duration) -> Result<String, SandboxError> {
        match timeout(max, self.answers.next_line()).await {
            Ok(Ok(Some(line))) => Ok(line),
            Ok(Ok(None)) => Err(self.unexpected(expected, "it ended".to_owned())),
            Ok(Err(error)) => Err(SandboxError::io("read what KAFKA_COMMAND says")(error)),
            Err(_) => Err(self.unexpected(expected, format!("heard nothing for {} s", max.as_secs()))),
        }
    }

    fn unexpected(&self, expected: &'static str, instead: String) -> SandboxError {
        SandboxError::BrokerCommand { program: self.program.clone(), expected, instead }
    }
}
