//! What a service that is called by gRPC has besides.

use futures_util::future::BoxFuture;
use rpc::{DeadlineOf, RpcSettings, ServerSettings};

use crate::life::{Server, Service};

impl Service {
    /// Serves `services` to other services of the installation, until it is told to stop and all of it has ended. A call may take as
    /// long as `deadline` says, or its caller, whichever is shorter. `descriptors` are what server reflection tells.
    ///
    /// # Errors
    /// When a worker failed: the service has stopped because of it, so that whoever supervises it starts it anew.
    pub fn serve_rpc(
        self,
        services: Vec<rpc::Service>,
        settings: RpcSettings,
        descriptors: &'static [u8],
        deadline: DeadlineOf,
    ) -> BoxFuture<'static, anyhow::Result<()>> {
        let (Server { listen, listener, shutdown, checks, metrics }, rest) = self.split();
        let server = ServerSettings { listen, rpc: settings, checks, metrics, deadline, descriptors };
        Box::pin(async move {
            let served = rpc::serve(listener, services, server, shutdown).await;
            rest.end().await.and(served)
        })
    }
}
