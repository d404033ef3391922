//! Why something could not be stored or read, and whether trying again helps.

/// A statement failed, or the database could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// PostgreSQL or the way to it.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A stored value does not decode: the table was written by somebody else.
    #[error("stored value does not decode")]
    Corrupt(#[from] serde_json::Error),
    /// A stored text is none that its column may have: likewise.
    #[error("stored text is not valid")]
    Text(#[from] domain::TextError),
    /// The service's migrations could not be applied.
    #[error(transparent)]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

impl StoreError {
    /// Whether the same call may succeed later, since it is the database that is not as it should be (out of reach or out of
    /// connections, a standby, another password, a permission that is missing) and not what it was asked.
    pub fn is_unavailable(&self) -> bool {
        match self {
            // Class 21 cardinality violation, 22 data exception, 23 integrity constraint violation, 54 program limit
            // exceeded (PostgreSQL's appendix A): about the values of this call.
            Self::Database(sqlx::Error::Database(error)) => error
                .code()
                .is_none_or(|code| !["21", "22", "23", "54"].iter().any(|class| code.starts_with(class))),
            Self::Database(
                sqlx::Error::Encode(_)
                | sqlx::Error::Decode(_)
                | sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::RowNotFound
                | sqlx::Error::InvalidArgument(_),
            )
            | Self::Corrupt(_)
            | Self::Text(_)
            | Self::Migrate(_) => false,
            Self::Database(_) => true,
        }
    }
}
