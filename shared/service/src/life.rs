//! Start, parts, serve, stop: one service from its beginning to its end.

use std::sync::Arc;

use api::AddressSettings;
use axum::Extension;
use clap::Args;
use futures_util::future::BoxFuture;
use sqlx::migrate::Migrator;
use store::notification::EmailQueue;
use store::{DatabaseSettings, Pool};
use telemetry::Telemetry;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use web::{BrowserSettings, Callers, Check, DeadlineOf, ListenSettings, ServerSettings};

use crate::workers::Workers;

/// Settings that every service has.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct ServiceSettings {
    /// Where it listens.
    #[command(flatten)]
    pub server: ListenSettings,
    /// Which email addresses it takes from clients, if it takes any.
    #[command(flatten)]
    pub addresses: AddressSettings,
    /// What it says of itself.
    #[command(flatten)]
    pub telemetry: telemetry::Settings,
}

/// A service that has started and does not serve yet.
pub struct Service {
    /// Held to the very end: what is exported of the last requests goes with it.
    telemetry: Telemetry,
    listen: ListenSettings,
    addresses: AddressSettings,
    listener: TcpListener,
    shutdown: CancellationToken,
    checks: Vec<Check>,
    workers: Workers,
    pool: Option<Pool>,
}

/// What a server needs, whatever protocol it speaks.
pub(crate) struct Server {
    pub(crate) listen: ListenSettings,
    pub(crate) listener: TcpListener,
    pub(crate) shutdown: CancellationToken,
    pub(crate) checks: Vec<Check>,
    pub(crate) metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// What ends after the server has.
pub(crate) struct Rest {
    workers: Workers,
    pool: Option<Pool>,
    /// Last: it exports what the others have done.
    telemetry: Telemetry,
}

impl Rest {
    /// Stops the workers, and waits for them.
    ///
    /// # Errors
    /// The first failure of a worker.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        let Self { workers, pool, telemetry } = self;
        let ended = workers.end().await;
        if let Some(pool) = pool {
            pool.close();
        }
        drop(telemetry);
        ended
    }
}

impl Service {
    /// Starts the service called `name`: logs, traces, metrics, its address, and the signals that stop it.
    ///
    /// # Errors
    /// When a setting is wrong or the address is taken.
    pub fn start(name: &'static str, settings: ServiceSettings) -> BoxFuture<'static, anyhow::Result<Self>> {
        Box::pin(async move {
            let telemetry = telemetry::init(name, &settings.telemetry)?;
            let listener = web::bind(settings.server.listen).await?;
            let shutdown = web::shutdown_on_signal()?;
            Ok(Self {
                telemetry,
                listen: settings.server,
                addresses: settings.addresses,
                listener,
                workers: Workers::new(shutdown.clone()),
                shutdown,
                checks: Vec::new(),
                pool: None,
            })
        })
    }

    /// Is cancelled when the service is told to stop.
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// The service's own database, with its tables brought up to date. Without it the service is not ready.
    ///
    /// # Errors
    /// When a setting is wrong, or the database is away.
    pub fn database<'a>(
        &'a mut self,
        name: &'a str,
        settings: &'a DatabaseSettings,
        migrations: &'a [Migrator],
    ) -> BoxFuture<'a, anyhow::Result<Pool>> {
        Box::pin(async move {
            let pool = settings.pool(name)?;
            for migrator in migrations {
                // It may wait for a table that somebody holds for hours.
                tokio::select! {
                    migrated = store::migrate(&pool, migrator) => migrated?,
                    () = self.shutdown.cancelled() => anyhow::bail!("told to stop before the tables were up to date"),
                }
            }
            self.checks.push(api::database_check(&pool));
            self.pool = Some(pool.clone());
            Ok(pool)
        })
    }

    /// `/ready` asks `checks`, too.
    pub fn checks(&mut self, checks: impl IntoIterator<Item = Check>) {
        self.checks.extend(checks);
    }

    /// Without `holds` the service is not ready, and says `otherwise`.
    pub fn ready_if(
        &mut self,
        name: &'static str,
        otherwise: &'static str,
        holds: impl Fn() -> bool + Send + Sync + 'static,
    ) {
        self.checks.push(Check::required(name, move || {
            let holds = holds();
            async move { if holds { Ok(()) } else { Err(otherwise.to_owned()) } }
        }));
    }

    /// `/ready` says `otherwise` without `holds`, and the service is ready all the same.
    pub fn better_if(
        &mut self,
        name: &'static str,
        otherwise: &'static str,
        holds: impl Fn() -> bool + Send + Sync + 'static,
    ) {
        self.checks.push(Check::optional(name, move || {
            let holds = holds();
            async move { if holds { Ok(()) } else { Err(otherwise.to_owned()) } }
        }));
    }

    /// Runs `worker` as long as the server; both are told to stop at the same time.
    pub fn while_serving<W>(&mut self, worker: impl FnOnce(CancellationToken) -> W)
    where
        W: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.workers.first(|stop| Box::pin(worker(stop)));
    }

    /// Runs `worker` until the server and all that runs while serving have ended: they may still leave it something to do.
    pub fn to_the_end<W>(&mut self, worker: impl FnOnce(CancellationToken) -> W)
    where
        W: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.workers.last(|stop| Box::pin(worker(stop)));
    }

    /// Sends the emails that are stored in `pool`, to the end. What it returns wakes it, so that none waits for its poll.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn send_emails(&mut self, settings: &mail::MailSettings, pool: &Pool) -> anyhow::Result<Arc<Notify>> {
        let (mailer, sending) = settings.mailer()?;
        let (queue, wake) = (EmailQueue(pool.clone()), Arc::new(Notify::new()));
        let woken = Arc::clone(&wake);
        self.to_the_end(move |stop| async move {
            mail::run(queue, mailer, sending, woken, stop).await;
            Ok(())
        });
        Ok(wake)
    }

    /// Serves `routes` to other services of the installation, until it is told to stop and all of it has ended. Their deadlines
    /// count.
    ///
    /// # Errors
    /// When a worker failed: the service has stopped because of it, so that whoever supervises it starts it anew.
    pub fn serve(self, routes: OpenApiRouter) -> BoxFuture<'static, anyhow::Result<()>> {
        self.serve_to(Callers::Services, routes, api::request_deadline)
    }

    /// As [`Self::serve`], to clients. They are strangers: what they say of deadlines does not count, and pages of other origins may
    /// call only if `browsers` lists them.
    ///
    /// # Errors
    /// As [`Self::serve`].
    pub fn serve_clients(
        self,
        routes: OpenApiRouter,
        deadline: DeadlineOf,
        browsers: BrowserSettings,
    ) -> BoxFuture<'static, anyhow::Result<()>> {
        self.serve_to(Callers::Strangers(browsers), routes, deadline)
    }

    fn serve_to(
        self,
        callers: Callers,
        routes: OpenApiRouter,
        deadline: DeadlineOf,
    ) -> BoxFuture<'static, anyhow::Result<()>> {
        let (addresses, (server, rest)) = (self.addresses, self.split());
        let Server { listen, listener, shutdown, checks, metrics } = server;
        let server = ServerSettings { listen, checks, metrics, deadline, callers };
        Box::pin(async move {
            let routes = api::docs::served(routes).layer(Extension(addresses));
            web::serve(listener, routes, server, shutdown).await;
            rest.end().await
        })
    }

    /// What serves, and what goes on until it has ended.
    pub(crate) fn split(self) -> (Server, Rest) {
        let Self { telemetry, listen, listener, shutdown, checks, workers, pool, .. } = self;
        let metrics = telemetry.metrics();
        (Server { listen, listener, shutdown, checks, metrics }, Rest { workers, pool, telemetry })
    }
}
