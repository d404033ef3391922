//! What a test has to itself: a database and a prefix for topics and groups, on servers that it shares with others unless it
//! takes them down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use database::Pool;
use messaging::{KafkaSettings, Outbox, Topic, Topology};
use sandbox::{Kafka, Postgres};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// For everything that is expected to happen. Only a failure takes that long.
pub const DEADLINE: Duration = Duration::from_secs(40);
/// How long a member of a group may be silent.
pub const SESSION: Duration = Duration::from_secs(2);
/// Partitions of each topic.
pub const PARTITIONS: i32 = 4;

/// Servers that no test takes down. They end with this process.
static SHARED: OnceCell<(Postgres, Arc<Kafka>)> = OnceCell::const_new();

async fn shared() -> &'static (Postgres, Arc<Kafka>) {
    let start = async {
        let (postgres, kafka) = tokio::try_join!(Postgres::start(), Kafka::start()).unwrap();
        (postgres, Arc::new(kafka))
    };
    SHARED.get_or_init(|| Box::pin(start)).await
}

/// A database and a prefix of a test's own.
pub struct World {
    /// For the test itself; services have their own.
    pub pool: PgPool,
    pub settings: KafkaSettings,
    pub kafka: Arc<Kafka>,
    /// Where the superuser connects, and the name of the database.
    admin: String,
    database: String,
}

impl World {
    /// On servers that other tests use at the same time.
    pub async fn start() -> Self {
        let (postgres, kafka) = shared().await;
        Box::pin(Self::on(postgres.admin_url().as_str(), Arc::clone(kafka))).await
    }

    /// On a broker of its own, which may be taken down.
    pub async fn with_own_broker() -> Self {
        let (postgres, _) = shared().await;
        let kafka = Box::pin(Kafka::start_private()).await.unwrap();
        Box::pin(Self::on(postgres.admin_url().as_str(), Arc::new(kafka))).await
    }

    /// On `postgres`, which may be taken down.
    pub async fn with_own_database(postgres: &Postgres) -> Self {
        let (_, kafka) = shared().await;
        Box::pin(Self::on(postgres.admin_url().as_str(), Arc::clone(kafka))).await
    }

    async fn on(admin: &str, kafka: Arc<Kafka>) -> Self {
        let unique = Uuid::new_v4().simple().to_string();
        let database = format!("messaging_{unique}");
        let mut server = Box::pin(PgConnection::connect(admin)).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("create database {database}")))
            .execute(&mut server)
            .await
            .unwrap();
        let mut settings = KafkaSettings::at(kafka.brokers(), &format!("{unique}."));
        settings.kafka_partitions = PARTITIONS;
        settings.kafka_session_timeout_ms = u32::try_from(SESSION.as_millis()).unwrap();
        settings.kafka_commit_interval_ms = 100;
        for (name, value) in kafka.settings() {
            if name == "KAFKA_FETCH_WAIT_MS" {
                settings.kafka_fetch_wait_ms = value.parse().unwrap();
            }
        }
        let pool = PgPoolOptions::new()
            .max_connections(5)
            .acquire_timeout(Duration::from_secs(2))
            .connect_lazy_with(options(admin, &database));
        let world = Self { pool, settings, kafka, admin: admin.to_owned(), database };
        messaging::migrations().run(&world.pool).await.unwrap();
        sqlx::raw_sql(
            "create table effects (
                 id bigint generated always as identity primary key,
                 key text not null, number bigint not null, event_id uuid not null, member text not null
             )",
        )
        .execute(&world.pool)
        .await
        .unwrap();
        world.create_topics(&topology()).await;
        world
    }

    /// By the sandbox, or by the admin protocol where the broker speaks it.
    pub async fn create_topics(&self, topology: &Topology) {
        let named = |Topic { name, partitions, .. }| (name, partitions);
        let topics: Vec<_> = topology.topics(&self.settings).into_iter().map(named).collect();
        if !self.kafka.create_topics(&topics).unwrap() {
            assert!(messaging::create_topics(&self.settings, topology).await.unwrap().is_empty());
            // Brokers say that a topic is created before all of them know its partitions.
            eventually("the partitions are known", async || {
                let known = self.partitions().await;
                topics.iter().all(|(topic, count)| {
                    let there = topic.strip_prefix(&self.settings.kafka_prefix).and_then(|it| known.get(it));
                    there.is_some_and(|there| i32::try_from(*there) == Ok(*count))
                })
            })
            .await;
        }
    }

    /// An outbox with a pool of its own, as each replica of a service has.
    pub fn outbox(&self) -> Outbox {
        Outbox::new("notes", Pool::new(options(&self.admin, &self.database), 5), &self.settings)
    }

    /// How many messages wait in the outbox.
    pub async fn waiting(&self) -> i64 {
        sqlx::query_scalar("select count(*) from outbox").fetch_one(&self.pool).await.unwrap()
    }

    pub async fn until_outbox_is_empty(&self) {
        eventually("the outbox is empty", async || self.waiting().await == 0).await;
    }

    /// The effects that there are, in order: key and number.
    pub async fn effects(&self) -> Vec<(String, i64)> {
        sqlx::query_as("select key, number from effects order by id").fetch_all(&self.pool).await.unwrap()
    }

    /// Waits for `count` effects, which then are all that ever come.
    pub async fn until_effects(&self, count: usize) -> Vec<(String, i64)> {
        eventually("the effects are there", async || self.effects().await.len() >= count).await;
        let effects = self.effects().await;
        assert_eq!(effects.len(), count, "more effects than messages: {effects:?}");
        effects
    }

    /// Which member had the effects, and how many.
    pub async fn effects_by(&self, member: &str) -> i64 {
        let query = sqlx::query_scalar("select count(*) from effects where member = $1").bind(member);
        query.fetch_one(&self.pool).await.unwrap()
    }

    /// Removes the database, cutting off whoever is still connected.
    pub async fn stop(self) {
        self.pool.close().await;
        let mut server = Box::pin(PgConnection::connect(&self.admin)).await.unwrap();
        let drop = format!("drop database {} with (force)", self.database);
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut server).await.unwrap();
        // Ends with its last user if it is private.
        if let Some(kafka) = Arc::into_inner(self.kafka) {
            kafka.stop().await.unwrap();
        }
    }
}

/// The topics of these tests.
pub fn topology() -> Topology {
    Topology {
        kept: vec!["kept"],
        passing: vec!["notes", "answers", "commands"],
        consumers: vec![("reader", vec!["notes"]), ("participant", vec!["commands"])],
    }
}

/// Like a service's: patient for seconds, not for ever.
fn options(admin: &str, database: &str) -> PgConnectOptions {
    let options: PgConnectOptions = admin.parse().unwrap();
    options.database(database).options([("statement_timeout", "2s")])
}

/// A worker that runs beside the test.
pub struct Worker {
    shutdown: CancellationToken,
    pub task: JoinHandle<anyhow::Result<()>>,
}

impl Worker {
    pub fn run<F>(start: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(start(shutdown.clone()));
        Self { shutdown, task }
    }

    pub fn relay(outbox: Outbox) -> Self {
        Self::run(|shutdown| outbox.relay(shutdown))
    }

    /// Tells it to stop and waits for it; says how long that took.
    pub async fn stop(self) -> Duration {
        let asked = Instant::now();
        self.shutdown.cancel();
        tokio::time::timeout(DEADLINE, self.task).await.expect("it stops when told to").unwrap().unwrap();
        asked.elapsed()
    }
}

/// Polls until `condition` holds.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The numbers of `key` in `effects`, in order.
pub fn numbers_of(effects: &[(String, i64)], key: &str) -> Vec<i64> {
    effects.iter().filter(|(of, _)| of == key).map(|(_, number)| *number).collect()
}
