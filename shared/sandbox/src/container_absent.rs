//! In place of `container.rs` in a build without the feature `containers`: says so.

use crate::{SandboxError, container_spec::Spec};

/// There is none.
#[derive(Debug)]
pub(crate) enum Container {}

#[expect(clippy::unused_async, reason = "as in container.rs")]
impl Container {
    pub(crate) async fn start(_: Spec) -> Result<Self, SandboxError> {
        Err(SandboxError::BuiltWithoutContainers)
    }

    pub(crate) fn image(&self) -> &str {
        match *self {}
    }

    pub(crate) async fn kill(&self) -> Result<(), SandboxError> {
        match *self {}
    }

    pub(crate) async fn restart(&self) -> Result<(), SandboxError> {
        match *self {}
    }

    pub(crate) async fn remove(self) -> Result<(), SandboxError> {
        match self {}
    }
}
