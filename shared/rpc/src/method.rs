//! A method of a service, as generated code names it.

/// A method of a service.
#[derive(Debug)]
pub struct Method {
    path: &'static str,
    may_be_repeated: bool,
}

impl Method {
    /// The method at `path`: `/billing.v1.BillingService/GetUser`. Whether it `may_be_repeated`, its `.proto` file says.
    pub const fn new(path: &'static str, may_be_repeated: bool) -> Self {
        Self { path, may_be_repeated }
    }

    /// `/billing.v1.BillingService/GetUser`
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// `billing.v1.BillingService/GetUser`
    pub fn full_name(&self) -> &'static str {
        self.path.trim_start_matches('/')
    }

    /// Whether a call may be made again if it is not known what came of it.
    pub fn may_be_repeated(&self) -> bool {
        self.may_be_repeated
    }
}
