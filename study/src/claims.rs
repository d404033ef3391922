//! What teaching texts say about the styles, held against the figures: confirmed, refuted, or so in some circumstances only.
//!
//! `study/claims.md` is the committed table. A comparison says where it finds otherwise; `study claims <report.json> --write
//! study/claims.md` writes it anew.

mod claim;
mod each;
mod knowledge;
mod pairs;
mod rpc;
mod sagas;

use std::fmt::Write as _;

use self::claim::{Claim, Finding};
use self::rpc::{ELSEWHERE, Elsewhere};
use crate::figures::{ClaimFigures, Report, Verdict};

/// The table as it is committed.
pub const COMMITTED: &str = include_str!("../claims.md");

/// Every claim that figures judge.
fn all() -> impl Iterator<Item = &'static Claim> {
    each::CLAIMS.iter().chain(rpc::CLAIMS).chain(sagas::CLAIMS)
}

/// Holds every claim against the figures.
pub fn check(report: &Report) -> Vec<ClaimFigures> {
    let judged = |claim: &Claim| {
        let findings = (claim.judge)(report);
        let evidence: Vec<&str> = findings.iter().map(|finding| finding.figures.as_str()).collect();
        ClaimFigures {
            id: claim.id.to_owned(),
            claim: claim.says.to_owned(),
            verdict: verdict(&findings),
            evidence: evidence.join("; "),
        }
    };
    all().map(judged).collect()
}

/// A claim is confirmed if it holds wherever it was looked at, and refuted if it does nowhere.
fn verdict(findings: &[Finding]) -> Verdict {
    let holds = findings.iter().filter(|finding| finding.holds).count();
    match (holds, findings.len()) {
        (_, 0) => Verdict::NotMeasured,
        (0, _) => Verdict::Refuted,
        (holds, all) if holds == all => Verdict::Confirmed,
        _ => Verdict::Depends,
    }
}

/// Who makes the claim called `id`.
pub fn source(id: &str) -> Option<&'static str> {
    all().find(|claim| claim.id == id).map(|claim| claim.source)
}

/// A verdict in words.
pub fn in_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Confirmed => "confirmed",
        Verdict::Refuted => "refuted",
        Verdict::Depends => "depends",
        Verdict::NotMeasured => "not measured",
    }
}

/// The claims as a table in Markdown.
pub fn table(claims: &[ClaimFigures]) -> String {
    let mut table = "| id | claim | verdict | figures |\n|---|---|---|---|\n".to_owned();
    for ClaimFigures { id, claim, verdict, evidence } in claims {
        let evidence = evidence.replace('|', "\\|");
        let _ = writeln!(table, "| {id} | {claim} | {} | {evidence} |", in_words(*verdict));
    }
    table
}

/// All of `study/claims.md`: the table, on what it was measured, and who makes the claims.
pub fn document(report: &Report) -> String {
    let claims = check(report);
    let measured = claims.iter().any(|claim| claim.verdict != Verdict::NotMeasured);
    let origin = if measured {
        let setup = &report.setup;
        let kind = if report.quick { "a quick run" } else { "a full run" };
        format!(
            "The figures are those of {kind} on {} ({} cores; {}; {}) of {}.",
            setup.machine,
            setup.cores,
            setup.postgres,
            setup.broker,
            report.made_at.format("%Y-%m-%d"),
        )
    } else {
        "There are no figures yet.".to_owned()
    };
    let mut document = format!(
        "# Claims\n\nThis page lists what teaching texts say about the styles, and what was measured. `cargo run --release -- claims \
         <report.json>\n--write study/claims.md` writes it, and every comparison says where it finds otherwise. A claim is confirmed \
         if it holds in every\ncircumstance that was measured, and refuted if it holds in none. Otherwise it \
         depends.\n\n{origin}\n\n{}\nThese texts make the claims. The wording is ours:\n\n",
        table(&claims)
    );
    for Claim { id, source, .. } in all() {
        let _ = writeln!(document, "- {id}: {source}");
    }
    document.push_str(
        "\nThese claims are facts of a protocol, and no figure of a run judges them:\n\n| claim | who says it | answer |\n|---|---|---|\n",
    );
    for Elsewhere { says, source, answer } in ELSEWHERE {
        let _ = writeln!(document, "| {says} | {source} | {answer} |");
    }
    document
}

/// The verdict on each claim, as a text like `claims.md` has them.
fn verdicts(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        Some((cells.next()?, cells.nth(1)?))
    })
}

/// Where `measured` is otherwise than `committed` says, in words. What was not measured now is not held against it.
pub fn differences(measured: &[ClaimFigures], committed: &str) -> Vec<String> {
    let differs = |claim: &&ClaimFigures| claim.verdict != Verdict::NotMeasured;
    let say = |claim: &ClaimFigures| {
        let verdict = in_words(claim.verdict);
        let ClaimFigures { id, evidence, .. } = claim;
        match verdicts(committed).find(|(of, _)| of == id) {
            Some((_, same)) if same == verdict => None,
            Some((_, other)) => Some(format!("{id}: {verdict}, committed as {other} ({evidence})")),
            None => Some(format!("{id}: {verdict}, not in the committed table ({evidence})")),
        }
    };
    measured.iter().filter(differs).filter_map(say).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(id: &str, verdict: Verdict) -> ClaimFigures {
        let (claim, evidence) = ("it is so".to_owned(), "4 | 2".to_owned());
        ClaimFigures { id: id.to_owned(), claim, verdict, evidence }
    }

    #[test]
    fn a_verdict_that_differs_from_the_committed_one_is_said() {
        let committed = table(&[claim("a", Verdict::Confirmed), claim("b", Verdict::Confirmed)]);
        let now =
            [claim("a", Verdict::Refuted), claim("b", Verdict::Confirmed), claim("c", Verdict::Depends)];
        let differences = differences(&now, &committed);
        assert_eq!(
            differences,
            ["a: refuted, committed as confirmed (4 | 2)", "c: depends, not in the committed table (4 | 2)"]
        );
    }

    #[test]
    fn what_was_not_measured_is_not_held_against_the_committed_table() {
        let committed = table(&[claim("a", Verdict::Confirmed)]);
        assert!(differences(&[claim("a", Verdict::NotMeasured)], &committed).is_empty());
    }

    #[test]
    fn every_claim_is_in_the_committed_table() {
        let committed: Vec<&str> = verdicts(COMMITTED).map(|(id, _)| id).collect();
        for Claim { id, .. } in all() {
            assert!(committed.contains(id), "{id} is not in study/claims.md");
        }
    }
}
