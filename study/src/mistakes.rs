//! `study mistakes`: the classic errors, made on purpose one at a time, and what the checker finds against the sound version under
//! the same load and faults.
//!
//! The switches exist only in builds with the feature `failpoints`, which no release image has. One seed decides what clients ask
//! for and where the service dies, in both versions; what then happens between processes is timing, which no seed repeats.

mod balancing;
mod kinds;
mod lines;
mod load;
mod replies;
mod trial;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use lab::running::Ground;
use sandbox::Sandbox;

use self::kinds::{EXAMPLES, MISTAKES, Mistake, Version};
use self::trial::Trial;
use crate::figures::MistakeFigures;

/// Makes every mistake, prints what came of it, and writes `mistakes.json` to the directory `out`. `false`: a mistake was not
/// found, or the sound version has damage.
pub(crate) async fn mistakes(seed: Option<u64>, out: &Path) -> anyhow::Result<bool> {
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("mistakes --seed {seed}");
    let sandbox = Sandbox::start().await?;
    println!("sandbox     {}, {}", sandbox.postgres.describe(), sandbox.kafka.describe());
    let figures = all(&Ground::of(&sandbox), seed).await?;
    sandbox.stop().await?;
    figures.iter().for_each(print);
    std::fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    let file = out.join("mistakes.json");
    let written = std::fs::write(&file, serde_json::to_string_pretty(&figures)? + "\n");
    written.with_context(|| format!("writing {}", file.display()))?;
    println!("\n{}", file.display());
    Ok(figures.iter().all(is_as_expected))
}

/// Makes every mistake on `ground`, one after the other.
///
/// # Errors
/// When a style does not start, or cannot be watched.
pub async fn all(ground: &Ground, seed: u64) -> anyhow::Result<Vec<MistakeFigures>> {
    let mut figures = Vec::new();
    for mistake in &MISTAKES {
        figures.push(one(mistake, ground, seed).await.with_context(|| format!("making {}", mistake.name))?);
    }
    figures.push(balancing::make(ground).await.with_context(|| format!("making {}", balancing::NAME))?);
    figures.push(replies::make(ground).await.with_context(|| format!("making {}", replies::NAME))?);
    Ok(figures)
}

/// Whether the mistake was found, and nothing without it.
pub fn is_as_expected(figures: &MistakeFigures) -> bool {
    !figures.damage.is_empty() && figures.damage_when_sound.is_empty()
}

async fn one(mistake: &Mistake, ground: &Ground, seed: u64) -> anyhow::Result<MistakeFigures> {
    eprintln!("... {} in {}: the sound version", mistake.name, mistake.style);
    let sound = Trial::run(mistake, Version::Sound, ground, seed).await?;
    eprintln!("... {} in {}: the mistake", mistake.name, mistake.style);
    let wrong = Trial::run(mistake, Version::Wrong, ground, seed).await?;
    anyhow::ensure!(sound.requests == wrong.requests, "the two were not asked the same");
    let examples =
        if sound.violations.is_empty() { wrong.examples(EXAMPLES) } else { sound.examples(EXAMPLES) };
    Ok(MistakeFigures {
        mistake: mistake.name.to_owned(),
        style: mistake.style.to_owned(),
        about: mistake.about.to_owned(),
        sound_lines: lines::of(mistake.sound_lines)?,
        wrong_lines: lines::of(mistake.wrong_lines)?,
        requests: wrong.requests,
        damage: wrong.damage(),
        examples,
        damage_when_sound: sound.damage(),
    })
}

fn print(figures: &MistakeFigures) {
    let MistakeFigures { mistake, style, about, requests, damage, damage_when_sound, examples, .. } = figures;
    println!("\n{mistake}, in {style}\n{about}");
    println!("\n  right\n{}\n  wrong\n{}", indented(&figures.sound_lines), indented(&figures.wrong_lines));
    println!("  {requests} requests, with the same faults in both");
    println!("  sound       {}", counts(damage_when_sound));
    println!("  mistake     {}", counts(damage));
    for example in examples {
        println!("              {example}");
    }
    if !is_as_expected(figures) {
        println!("  NOT AS EXPECTED: the mistake must be found, and nothing without it");
    }
}

fn indented(lines: &str) -> String {
    let indent = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") };
    lines.lines().map(indent).collect::<Vec<_>>().concat()
}

fn counts(damage: &BTreeMap<String, u64>) -> String {
    if damage.is_empty() {
        return "all invariants hold".to_owned();
    }
    damage.iter().map(|(invariant, count)| format!("{invariant}: {count}")).collect::<Vec<_>>().join(", ")
}
