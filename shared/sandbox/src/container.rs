//! One server in a container, for `SANDBOX=containers`: its port is published on the loopback interface only, and it
//! goes with its scratch directory.

use std::collections::HashMap;

use testcontainers::{
    ContainerAsync, GenericImage, ImageExt, TestcontainersError,
    bollard::models::{HostConfig, PortBinding},
    core::{ContainerPort, client::docker_client_instance},
    runners::AsyncRunner,
};

use crate::{SandboxError, container_spec::Spec, scratch::ScratchDir};

/// The watchdog removes the container that has the directory's name when it finds this file there.
const MARK: &str = "container";

/// A running container. Futures of testcontainers are large, so they are boxed here. When it is dropped without [`Container::remove`], the watchdog removes it.
#[derive(Debug)]
pub(crate) struct Container {
    image: String,
    running: ContainerAsync<GenericImage>,
    directory: ScratchDir,
}

impl Container {
    /// Starts it, which may have to fetch the image. The server in it may need longer until it serves.
    pub(crate) async fn start(spec: Spec) -> Result<Self, SandboxError> {
        find_engine().await?;
        let image = spec.image()?;
        let directory = ScratchDir::create()?;
        let name = directory.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        std::fs::write(directory.path().join(MARK), [])
            .map_err(SandboxError::io("tell the watchdog of a container"))?;
        // What follows the last colon may belong to `host:port/name`.
        let tagged = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
        let (repository, tag) = tagged.unwrap_or((&image, "latest"));
        let (host_port, container_port) = (spec.host_port, spec.container_port);
        let mut request = GenericImage::new(repository, tag)
            .with_exposed_port(ContainerPort::Tcp(container_port))
            .with_container_name(name)
            .with_cmd(spec.arguments)
            .with_host_config_modifier(move |host| publish(host, host_port, container_port));
        for (name, value) in spec.environment {
            request = request.with_env_var(name, value);
        }
        let running =
            Box::pin(request.start()).await.map_err(failed(format!("start a container of {image}")))?;
        Ok(Self { image, running, directory })
    }

    /// Its image.
    pub(crate) fn image(&self) -> &str {
        &self.image
    }

    /// Ends its processes at once, as a crash would. Its data stay.
    pub(crate) async fn kill(&self) -> Result<(), SandboxError> {
        let killed = self.running.stop_with_timeout(Some(0)).await;
        killed.map_err(failed(format!("stop the container of {}", self.image)))
    }

    /// Starts it again on the same port and data.
    pub(crate) async fn restart(&self) -> Result<(), SandboxError> {
        let started = self.running.start().await;
        started.map_err(failed(format!("start the container of {} again", self.image)))
    }

    /// Removes it and its data.
    pub(crate) async fn remove(self) -> Result<(), SandboxError> {
        let Self { image, running, directory } = self;
        let removed =
            Box::pin(running.rm()).await.map_err(failed(format!("remove the container of {image}")));
        if removed.is_ok() {
            // Nothing is left to do for the watchdog.
            let _ = std::fs::remove_file(directory.path().join(MARK));
        }
        directory.remove().await.and(removed)
    }
}

/// Asks for an answer before anything else, to tell a missing engine from a missing image.
async fn find_engine() -> Result<(), SandboxError> {
    let engine = docker_client_instance()
        .await
        .map_err(|error| SandboxError::NoContainerEngine { source: error.into() })?;
    engine.ping().await.map_err(|error| SandboxError::NoContainerEngine { source: error.into() })?;
    Ok(())
}

fn publish(host: &mut HostConfig, host_port: u16, container_port: u16) {
    let here = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(host_port.to_string()) };
    host.publish_all_ports = Some(false);
    host.port_bindings = Some(HashMap::from([(format!("{container_port}/tcp"), Some(vec![here]))]));
}

fn failed(action: String) -> impl FnOnce(TestcontainersError) -> SandboxError {
    move |source| SandboxError::Container { action, source: source.into() }
}
