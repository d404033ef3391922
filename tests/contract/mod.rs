//! placeholder

use crate::harness::Suite;

pub fn register(_suite: &mut Suite) {}
