//! The main program: compares the styles, measures them, makes the classic mistakes, and writes the report. What brings styles up,
//! drives, checks and breaks them is the library `lab`.

mod bench;
pub mod claims;
pub mod cli;
mod compare;
mod experiment;
pub mod figures;
mod grade;
mod limit;
mod mistakes;
pub mod report;
mod setup;
pub mod table;
