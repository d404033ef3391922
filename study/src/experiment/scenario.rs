//! The scenario, printed step by step while it runs.

use std::time::Duration;

use anyhow::Context as _;
use lab::driving::scenario::{self, Step};
use sandbox::Mailbox;

use super::stage::Stage;
use crate::figures::StepFigures;

/// Runs the scenario and prints it.
pub(crate) async fn run(stage: &Stage) -> anyhow::Result<Vec<StepFigures>> {
    let Stage { deployment, api, .. } = stage;
    println!("\n{}: the scenario at {}", deployment.style.name, deployment.gateway());
    let steps = scenario::run(api, deployment.mailbox(), print_step).await?;
    print_mails(deployment.mailbox())?;
    Ok(steps.into_iter().map(step_figures).collect())
}

fn step_figures(step: Step) -> StepFigures {
    let Step { name, request, answer, elapsed, failure } = step;
    StepFigures { name: name.to_owned(), request, answer, elapsed_ms: milliseconds(elapsed), failure }
}

fn print_step(step: &Step) {
    let verdict = if step.failure.is_none() { "ok  " } else { "FAIL" };
    println!("  {verdict} {:<38} {:>8.1} ms", step.name, milliseconds(step.elapsed));
    println!("         {}", step.request);
    println!("         {}", step.answer);
    if let Some(failure) = &step.failure {
        println!("         {failure}");
    }
}

fn print_mails(mailbox: Option<&Mailbox>) -> anyhow::Result<()> {
    let Some(mailbox) = mailbox else {
        println!("  the mailbox of SMTP_URL cannot be read from here");
        return Ok(());
    };
    println!("  mailbox");
    for mail in mailbox.messages().context("reading the mailbox")? {
        let to = mail.to.join(", ");
        println!("         {} to {to}: {} <{}>", mail.sequence, mail.subject, mail.message_id);
    }
    Ok(())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
