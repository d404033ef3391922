//! The report and the claims, from made-up figures: what the page shows, what is concluded, and that both follow the figures.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod claims;
mod made_up;
mod sale;
mod shown;
mod which_style;
mod who_chooses;
