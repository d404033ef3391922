//! The code walk: which functions of a style take each step of an order.

/// The steps of an order, in the order in which they are taken. A style that has no code of its own for one leaves it empty.
#[derive(Clone, Copy)]
pub struct Walk {
    /// The client asks.
    pub asked: &'static [Code],
    /// The order is stored, pending.
    pub pending: &'static [Code],
    /// The price is withdrawn.
    pub withdrawn: &'static [Code],
    /// The order is paid or rejected.
    pub settled: &'static [Code],
    /// The client is told.
    pub told: &'static [Code],
    /// The user is written to.
    pub written_to: &'static [Code],
}

/// Functions of one file, in the order in which they run.
#[derive(Clone, Copy)]
pub struct Code {
    /// The file, from the repository's root.
    pub path: &'static str,
    /// Its text, as it was when this program was built.
    pub source: &'static str,
    /// Their names.
    pub functions: &'static [&'static str],
}

/// Functions of a file that is named from the repository's root.
macro_rules! code {
    ($path:literal: $($function:ident),+) => {
        $crate::styles::walk::Code {
            path: $path,
            source: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../", $path)),
            functions: &[$(stringify!($function)),+],
        }
    };
}
pub(super) use code;
