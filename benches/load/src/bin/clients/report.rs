//! The figures as a table for people, and as JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};
use socketio_load::median;

use crate::Sample;
use crate::programs::Skipped;

const OURS: &str = "ours";
/// Above this part of the time, others have taken the processor from a client.
const QUIET: f64 = 0.1;

/// What has been measured.
pub(crate) struct Report {
    clients: Vec<&'static str>,
    skipped: Vec<Skipped>,
    /// In the order in which they were measured.
    scenarios: Vec<&'static str>,
    cells: BTreeMap<(&'static str, &'static str), Cell>,
}

/// All rounds of one client in one scenario.
#[derive(Default)]
struct Cell {
    samples: Vec<Sample>,
    errors: Vec<String>,
}

impl Report {
    pub(crate) fn new(clients: Vec<&'static str>, skipped: Vec<Skipped>) -> Self {
        Self { clients, skipped, scenarios: Vec::new(), cells: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, scenario: &'static str, client: &'static str, sample: Result<Sample, String>) {
        if self.scenarios.last() != Some(&scenario) {
            self.scenarios.push(scenario);
        }
        let cell = self.cells.entry((scenario, client)).or_default();
        match sample {
            Ok(sample) => cell.samples.push(sample),
            Err(error) => cell.errors.push(error),
        }
    }

    pub(crate) fn has_faults(&self) -> bool {
        self.cells.values().any(|cell| !cell.errors.is_empty())
    }

    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        fs::write(directory.join("clients.md"), self.markdown())?;
        fs::write(directory.join("clients.json"), serde_json::to_vec_pretty(&self.json())?)
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from("Client CPU time per message in ns, and as a multiple of ours:\n\n");
        self.table(&mut text, |cell, ratio| {
            let cpu = cell.median(|sample| sample.cpu_ns);
            ratio.map_or(format!("{cpu:.0}"), |ratio| format!("{cpu:.0} (×{ratio:.2})"))
        });
        text.push_str("\nMessages per second, and the part of the time in which the client was running:\n\n");
        self.table(&mut text, |cell, _| {
            let (rate, busy) = (cell.median(|sample| sample.per_second), cell.median(|sample| sample.busy));
            format!("{rate:.0} ({:.0} %)", busy * 100.0)
        });
        for (client, reason) in &self.skipped {
            let _ = writeln!(text, "\nSKIPPED: {client}: {reason}");
        }
        for ((scenario, client), cell) in &self.cells {
            if let Some(error) = cell.errors.first() {
                let _ = writeln!(text, "\nFAULTY: {scenario}: {client}: {error}");
            }
            let waited = cell.median(|sample| sample.waited);
            if waited > QUIET {
                let part = waited * 100.0;
                let _ = writeln!(
                    text,
                    "\nNOT QUIET: {scenario}: {client}: others had its processor {part:.0} % of the time"
                );
            }
        }
        text
    }

    fn table(&self, text: &mut String, show: impl Fn(&Cell, Option<f64>) -> String) {
        let _ = writeln!(text, "| scenario | {} |", self.clients.join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(self.clients.len()));
        for scenario in &self.scenarios {
            let _ = write!(text, "| {scenario} |");
            for client in &self.clients {
                let shown = match self.cells.get(&(*scenario, *client)) {
                    None => "–".to_owned(),
                    Some(cell) if !cell.errors.is_empty() => "**FAULTY**".to_owned(),
                    Some(cell) => show(cell, self.ratio(scenario, client).filter(|_| *client != OURS)),
                };
                let _ = write!(text, " {shown} |");
            }
            text.push('\n');
        }
    }

    fn json(&self) -> Value {
        let cells = self.cells.iter().map(|((scenario, client), cell)| {
            json!({
                "scenario": scenario,
                "client": client,
                "cpu_ns": cell.median(|sample| sample.cpu_ns),
                "per_second": cell.median(|sample| sample.per_second),
                "of_ours": self.ratio(scenario, client),
                "rounds": cell.samples,
                "errors": cell.errors,
            })
        });
        let skipped = self.skipped.iter().map(|(client, reason)| json!({"client": client, "reason": reason}));
        json!({"results": cells.collect::<Vec<_>>(), "skipped": skipped.collect::<Vec<_>>()})
    }

    /// A client's CPU time as a multiple of that of ours: the median over the rounds, since within one the machine changes
    /// less than from one to the next.
    fn ratio(&self, scenario: &str, client: &str) -> Option<f64> {
        let cell = |client| self.cells.get(&(scenario, client)).filter(|cell| cell.errors.is_empty());
        let (other, ours) = (cell(client)?, cell(OURS)?);
        let pairs = other.samples.iter().zip(&ours.samples);
        Some(median(pairs.map(|(other, ours)| other.cpu_ns / ours.cpu_ns).collect()))
    }
}

impl Cell {
    fn median(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(figure).collect())
    }
}
