//! What a comparison found: every raw figure, as `report.json` has it. `report.schema.json` beside it is made from these types.
//!
//! Units are in the names: `_ms` milliseconds, `_s` seconds, `_bytes` bytes; a `_per_s` is a rate. What was not measured (in a
//! quick run, or because there is nothing of it in a style) is absent, never 0.

mod bookings;
mod discovery;
pub mod left_out;
mod quantiles;
pub(crate) mod reading;
pub mod spans;
pub(crate) mod units;
pub(crate) mod who_chooses;

use std::collections::BTreeMap;

pub use bookings::{BookingsFigures, SaleFigures, Trouble};
use chrono::{DateTime, Utc};
pub use discovery::{ChosenBy, DiscoveryFigures, Strike, StrikeFigures};
pub use quantiles::Quantiles;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A whole comparison.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// When it began.
    pub made_at: DateTime<Utc>,
    /// How long it took.
    pub took_s: f64,
    /// Whether only the quick experiments ran.
    pub quick: bool,
    /// Decides users and prices of every load, and which faults come.
    pub seed: u64,
    /// On what it ran.
    pub setup: Setup,
    /// What PostgreSQL alone can do.
    pub limit: Option<Limit>,
    /// Each style, in the order of the registry.
    pub styles: Vec<StyleFigures>,
    /// What teaching texts say, held against these figures.
    pub claims: Vec<ClaimFigures>,
    /// What happens when it is done wrong.
    pub mistakes: Vec<MistakeFigures>,
}

/// On what it ran, and how that was set up.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Setup {
    /// What the user calls the machine (`STUDY_MACHINE`), or its host name.
    pub machine: String,
    /// The processor, as the system calls it.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Main memory.
    pub memory_bytes: u64,
    /// The kernel and its version.
    pub system: String,
    /// PostgreSQL: version, and where it runs.
    pub postgres: String,
    /// Its settings on which durability and speed rest, such as `fsync`, as the server tells them.
    pub postgres_settings: BTreeMap<String, String>,
    /// The broker: kind and version.
    pub broker: String,
    /// Whether it is librdkafka's in-memory broker, which is no Apache Kafka.
    pub broker_in_memory: bool,
    /// Partitions of each topic.
    pub partitions: i32,
    /// Connections of each service to its database, at most.
    pub database_connections: u32,
    /// Settings of the services that differ from their defaults.
    pub settings: BTreeMap<String, String>,
    /// Why there are no figures of SQL statements, if there are none.
    pub without_statements: Option<String>,
    /// Why throughput is not held against what PostgreSQL alone can do, if it is not.
    #[serde(default)]
    pub without_limit: Option<String>,
    /// Which part of the traces was recorded while throughput was measured.
    pub traces_sampled: f64,
}

/// The reference: `pgbench` running the four single-statement transactions of one order.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// Clients at a time.
    pub clients: u32,
    /// Orders per second of each run; the runs lie between those of the styles.
    pub orders_per_s: Vec<f64>,
}

/// What was found about one style.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct StyleFigures {
    /// Its name.
    pub style: String,
    /// From the start of the processes until all are ready.
    pub ready_after_s: f64,
    /// The scenario, step by step.
    pub scenario: Vec<StepFigures>,
    /// What one paid order costs.
    pub cost: CostFigures,
    /// How long an order takes, under each load.
    pub latency: Vec<LatencyFigures>,
    /// How many orders per second, at each number in flight.
    pub throughput: Vec<ThroughputFigures>,
    /// Each service's resident memory.
    pub memory: BTreeMap<String, MemoryFigures>,
    /// What it costs to do nothing.
    pub idle: Option<IdleFigures>,
    /// What happens while a part is away.
    pub availability: Vec<OutageFigures>,
    /// What two instances of a service make of it, by who chooses between them; in a style whose services call each other.
    #[serde(default)]
    pub discovery: Vec<DiscoveryFigures>,
    /// What becomes of far more buyers than seats, in a style that has bookings.
    #[serde(default)]
    pub bookings: Option<BookingsFigures>,
    /// How fresh replicas are, in a style that has them.
    pub freshness: Option<FreshnessFigures>,
    /// What the checker found after each experiment; nothing, if all is well.
    pub violations: Vec<String>,
    /// One paid order, as its trace tells it.
    pub trace: Vec<SpanFigures>,
}

/// A step of the scenario.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StepFigures {
    /// What it is about.
    pub name: String,
    /// The request, on one line.
    pub request: String,
    /// The answer, on one line.
    pub answer: String,
    /// From the request until the expected was seen.
    pub elapsed_ms: f64,
    /// What was expected and was not so.
    pub failure: Option<String>,
}

/// What a paid order costs, from the client's request to the email; the client's own request is not counted.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct CostFigures {
    /// Orders that were counted: traced one at a time.
    pub orders: usize,
    /// HTTP requests between services; the least and the most of any order.
    pub http_requests: (usize, usize),
    /// `GET`s among them.
    pub gets: (usize, usize),
    /// Calls by gRPC between services.
    #[serde(default)]
    pub rpcs: (usize, usize),
    /// Messages sent to the broker.
    pub messages: (usize, usize),
    /// Bytes of requests, answers and messages, headers included; of calls by gRPC everything that HTTP/2 writes. On average.
    pub bytes: f64,
    /// Transactions that write something, of all services together, single statements included: how many transaction ids
    /// PostgreSQL gave out. Absent where the server does not count statements either.
    pub writing_transactions: Option<f64>,
    /// By service: what it sends, and what it asks of its database.
    pub services: BTreeMap<String, ServiceCostFigures>,
}

/// One service's part of the cost of a paid order, on average.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ServiceCostFigures {
    /// HTTP requests that it sends.
    pub http_requests: f64,
    /// `GET`s among them.
    pub gets: f64,
    /// Calls by gRPC that it makes.
    #[serde(default)]
    pub rpcs: f64,
    /// Messages that it sends.
    pub messages: f64,
    /// Bytes of what it sends and is answered.
    pub bytes: f64,
    /// SQL statements of its role, transaction control aside (`pg_stat_statements`); what it does at idle is taken off. Absent
    /// for a service without a database, and where the server does not count them (see [`Setup::without_statements`]).
    pub sql_statements: Option<f64>,
    /// Transactions of several statements: those that it commits explicitly (`pg_stat_statements`). A statement on its own is
    /// a transaction too, and not among these.
    pub sql_transactions: Option<f64>,
}

/// How a load is made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Load {
    /// So many clients, each of which asks again as soon as it is answered.
    Closed {
        /// Clients.
        in_flight: usize,
    },
    /// So many orders per second, whether or not earlier ones were answered; each is timed from when it was due, so that a
    /// system that stalls cannot hide it (coordinated omission).
    Open {
        /// Orders that fall due per second.
        orders_per_s: f64,
    },
}

/// How long an order takes under one load.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LatencyFigures {
    /// The load.
    pub load: Load,
    /// Orders that were timed, after a warm-up.
    pub orders: u64,
    /// Until the client has its answer, as it times it.
    pub answer: Quantiles,
    /// Until the order is paid or rejected, as the database says afterwards.
    pub terminal: Quantiles,
    /// Until the SMTP server has taken its email, as the database says afterwards.
    pub email: Quantiles,
}

/// Orders per second with so many in flight.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ThroughputFigures {
    /// Clients that each wait for their answer before they ask again.
    pub in_flight: usize,
    /// Orders that became terminal per second, of each run.
    pub orders_per_s: Vec<f64>,
    /// The same as a part of the `pgbench` limit measured right before and after; its median is the figure. Empty without a limit.
    pub ratio: Vec<f64>,
    /// Time of a processor that one order takes, by process (`gateway`, `order`, ..., `postgres`, `broker and client`).
    pub cpu_ms_per_order: BTreeMap<String, f64>,
    /// From the end of the load until the last email was out.
    pub emails_drained_after_s: f64,
    /// Answers that were not 201, by status.
    pub other_answers: BTreeMap<u16, u64>,
}

/// Resident memory of one service.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MemoryFigures {
    /// Once it is ready and nothing has happened.
    pub idle_bytes: f64,
    /// The most that it ever had, up to the end of the throughput runs.
    pub peak_bytes: f64,
}

/// What a style costs while nobody wants anything.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct IdleFigures {
    /// How long it was watched.
    pub watched_s: f64,
    /// Processor time by process, in milliseconds per second.
    pub cpu_ms_per_s: BTreeMap<String, f64>,
    /// SQL statements by service.
    pub sql_statements_per_s: BTreeMap<String, f64>,
    /// HTTP requests between services, by the caller.
    pub http_requests_per_s: BTreeMap<String, f64>,
    /// Calls by gRPC that each service makes.
    #[serde(default)]
    pub rpcs_per_s: BTreeMap<String, f64>,
    /// Requests to the broker (fetches, heartbeats, ...), by service.
    pub broker_requests_per_s: BTreeMap<String, f64>,
}

/// One part was stopped, orders were placed, and it came back.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OutageFigures {
    /// Which: `order`, `billing`, `notification`, `broker`, `database`.
    pub part: String,
    /// How long it was away.
    pub away_s: f64,
    /// Orders that were placed while it was.
    pub placed: u64,
    /// Answered with 201.
    pub paid_at_once: u64,
    /// Answered with 202: it will be decided.
    pub accepted: u64,
    /// Answered with 503 or any other 5xx, or not at all.
    pub refused: u64,
    /// Answered after more than a second, however they were answered.
    pub answered_late: u64,
    /// Orders that were terminal only after the part was back.
    pub finished_after_recovery: u64,
    /// Orders that were acknowledged and are nowhere.
    pub lost: u64,
    /// Orders that were charged more than once.
    pub charged_twice: u64,
    /// Orders that were told about more than once by email.
    pub emailed_twice: u64,
    /// From the part's return (ready again) until every order that was placed before it was decided and its email was out; the
    /// checker looks after that. 0: nothing was left to do.
    pub consistent_after_s: f64,
    /// What clients saw, order by order, also before and after.
    pub timeline: Vec<AnswerFigures>,
}

/// One order in an outage's timeline.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AnswerFigures {
    /// When it was placed, in seconds since the part went away; negative before that.
    pub placed_at_s: f64,
    /// How long the answer took.
    pub answered_after_ms: f64,
    /// The status; 0 if there was no answer.
    pub status: u16,
    /// When the order was terminal, in seconds since the part went away; absent if it never was, or is unknown.
    pub terminal_at_s: Option<f64>,
}

/// How fresh replicas are under load.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FreshnessFigures {
    /// Profile changes that were followed.
    pub changes: u64,
    /// From the answer to the profile change until the replica has it, by the service that holds the replica.
    pub replica_behind: BTreeMap<String, Quantiles>,
    /// Orders that were placed in that window.
    pub orders_in_window: u64,
    /// Orders among them that used the old value: taken with the version before, or told about at the old address.
    pub orders_with_old_value: u64,
}

/// A span of an order's trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpanFigures {
    /// Its id, in hexadecimal digits.
    pub id: String,
    /// The span that it is part of; absent for the first.
    pub parent: Option<String>,
    /// The service.
    pub service: String,
    /// `client`, `server`, `producer`, `consumer`, `internal`.
    pub kind: String,
    /// What it does, such as `POST order` or `send OrderProcessed`.
    pub name: String,
    /// From the beginning of the trace.
    pub started_after_ms: f64,
    /// How long it took.
    pub took_ms: f64,
    /// The service or topic at the other end.
    pub peer: Option<String>,
    /// The status of an HTTP answer.
    pub status: Option<u16>,
}

/// A claim about styles, and what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimFigures {
    /// Its name in `study/claims.md`.
    pub id: String,
    /// What is claimed.
    pub claim: String,
    /// What the figures say to that.
    pub verdict: Verdict,
    /// The figures.
    pub evidence: String,
}

/// What figures say to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is so.
    Confirmed,
    /// It is not so.
    Refuted,
    /// It is so in some of the measured circumstances.
    Depends,
    /// This run has no figures about it.
    NotMeasured,
}

/// A classic mistake, made on purpose.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MistakeFigures {
    /// Its name, such as `dual write`.
    pub mistake: String,
    /// In which style it was made.
    pub style: String,
    /// What is done wrong, and what that looks like at first.
    pub about: String,
    /// The right lines, from the source.
    pub sound_lines: String,
    /// The wrong lines, from the source.
    pub wrong_lines: String,
    /// Orders, deposits and withdrawals that clients asked for, in each of the two runs.
    pub requests: u64,
    /// What the checker found with the mistake, by invariant.
    pub damage: BTreeMap<String, u64>,
    /// Some of it in words.
    pub examples: Vec<String>,
    /// What it found in the sound version under the same load and faults: nothing, or the experiment proves nothing.
    pub damage_when_sound: BTreeMap<String, u64>,
}
