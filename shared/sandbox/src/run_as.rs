//! Whom PostgreSQL runs as: it refuses to run as root.

use std::{io, os::unix::fs::chown, path::Path};

use nix::unistd::{Uid, User};
use tokio::process::Command;

use crate::SandboxError;

/// The user of child processes and their files; `None` is the current user.
#[derive(Clone, Debug)]
pub(crate) struct RunAs(Option<User>);

impl RunAs {
    /// Ourselves, root or not.
    pub(crate) const CURRENT_USER: Self = Self(None);

    /// Ourselves, or another user if we are root.
    pub(crate) fn unprivileged() -> Result<Self, SandboxError> {
        if !Uid::effective().is_root() {
            return Ok(Self::CURRENT_USER);
        }
        let user = ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).ok().flatten());
        user.map(|user| Self(Some(user))).ok_or(SandboxError::NoUnprivilegedUser)
    }

    /// Lets `command` run as this user.
    pub(crate) fn apply(&self, command: &mut Command) {
        if let Some(user) = &self.0 {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
    }

    /// Gives `path` to this user.
    pub(crate) fn own(&self, path: &Path) -> io::Result<()> {
        match &self.0 {
            Some(user) => chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())),
            None => Ok(()),
        }
    }
}
