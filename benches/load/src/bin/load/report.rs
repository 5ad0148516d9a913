//! The figures as a table for people, as JSON for programs, and as a plot.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};
use socketio_load::check::Faults;
use socketio_load::median;

use crate::Sample;
use crate::plot::{self, Panel};
use crate::servers::Skipped;

const LIMIT: &str = "limit";

/// What has been measured.
pub(crate) struct Report {
    servers: Vec<&'static str>,
    skipped: Vec<Skipped>,
    /// In the order in which they were measured.
    scenarios: Vec<String>,
    cells: BTreeMap<(String, &'static str), Cell>,
}

/// All rounds of one server in one scenario.
#[derive(Default)]
struct Cell {
    samples: Vec<Sample>,
    errors: Vec<String>,
}

impl Report {
    pub(crate) fn new(servers: Vec<&'static str>, skipped: Vec<Skipped>) -> Self {
        Self { servers, skipped, scenarios: Vec::new(), cells: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, scenario: &str, server: &'static str, sample: Result<Sample, String>) {
        if self.scenarios.last().is_none_or(|last| last != scenario) {
            self.scenarios.push(scenario.to_owned());
        }
        let cell = self.cells.entry((scenario.to_owned(), server)).or_default();
        match sample {
            Ok(sample) => cell.samples.push(sample),
            Err(error) => cell.errors.push(error),
        }
    }

    pub(crate) fn has_faults(&self) -> bool {
        self.cells.values().any(|cell| cell.fault().is_some())
    }

    pub(crate) fn write(&self, directory: &Path, is_scaling: bool) -> io::Result<()> {
        let name = if is_scaling { "scaling" } else { "load" };
        fs::write(directory.join(format!("{name}.md")), self.markdown())?;
        fs::write(directory.join(format!("{name}.json")), serde_json::to_vec_pretty(&self.json())?)?;
        let plot = if is_scaling {
            plot::lines(&self.servers, &self.growth())
        } else {
            plot::bars(&self.servers, &self.ratios())
        };
        fs::write(directory.join(format!("{name}.svg")), plot)
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from("Server CPU time per operation in µs, and as a multiple of the limit:\n\n");
        self.table(
            &mut text,
            |_| true,
            |cell, ratio| {
                let cpu = cell.median(|sample| sample.cpu_us);
                ratio.map_or(format!("{cpu:.3}"), |ratio| format!("{cpu:.3} (×{ratio:.2})"))
            },
        );
        text.push_str("\nOperations per second:\n\n");
        self.table(&mut text, |_| true, |cell, _| format!("{:.0}", cell.median(|sample| sample.per_second)));
        text.push_str("\nLatency in µs, p50 / p90 / p99:\n\n");
        self.table(
            &mut text,
            |_| true,
            |cell, _| {
                let [p50, p90, p99] = [
                    cell.median(|sample| sample.p50_us),
                    cell.median(|sample| sample.p90_us),
                    cell.median(|sample| sample.p99_us),
                ];
                format!("{p50:.0} / {p90:.0} / {p99:.0}")
            },
        );
        let has_memory = |cell: &Cell| cell.samples.iter().any(|sample| sample.held_bytes.is_some());
        if self.cells.values().any(has_memory) {
            text.push_str("\nResident bytes per connection, connected / held:\n\n");
            self.table(&mut text, has_memory, |cell, _| {
                let connected = cell.median(|sample| sample.connected_bytes.unwrap_or(f64::NAN));
                let held = cell.median(|sample| sample.held_bytes.unwrap_or(f64::NAN));
                format!("{connected:.0} / {held:.0}")
            });
        }
        for (server, reason) in &self.skipped {
            let _ = writeln!(text, "\nSKIPPED: {server}: {reason}");
        }
        for ((scenario, server), cell) in &self.cells {
            if let Some(fault) = cell.fault() {
                let _ = writeln!(text, "\nFAULTY: {scenario}: {server}: {fault}");
            }
        }
        text
    }

    /// A row for each scenario with a cell that `fits`.
    fn table(&self, text: &mut String, fits: impl Fn(&Cell) -> bool, show: impl Fn(&Cell, Option<f64>) -> String) {
        let _ = writeln!(text, "| scenario | {} |", self.servers.join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(self.servers.len()));
        let has_row = |scenario: &&String| self.cells.iter().any(|(key, cell)| key.0 == **scenario && fits(cell));
        for scenario in self.scenarios.iter().filter(has_row) {
            let _ = write!(text, "| {scenario} |");
            for server in &self.servers {
                let shown = match self.cells.get(&(scenario.clone(), *server)) {
                    None => "–".to_owned(),
                    Some(cell) if cell.fault().is_some() => "**FAULTY**".to_owned(),
                    Some(cell) => show(cell, self.ratio(scenario, server).filter(|_| *server != LIMIT)),
                };
                let _ = write!(text, " {shown} |");
            }
            text.push('\n');
        }
    }

    fn json(&self) -> Value {
        let cells = self.cells.iter().map(|((scenario, server), cell)| {
            json!({
                "scenario": scenario,
                "server": server,
                "cpu_us": cell.median(|sample| sample.cpu_us),
                "rounds": cell.samples,
                "errors": cell.errors,
            })
        });
        let skipped = self.skipped.iter().map(|(server, reason)| json!({"server": server, "reason": reason}));
        json!({"results": cells.collect::<Vec<_>>(), "skipped": skipped.collect::<Vec<_>>()})
    }

    fn cpu(&self, scenario: &str, server: &'static str) -> Option<f64> {
        let cell = self.cells.get(&(scenario.to_owned(), server))?;
        cell.fault().is_none().then(|| cell.median(|sample| sample.cpu_us))
    }

    /// A server's CPU time as a multiple of the limit's: the median over the rounds, since within one the machine changes
    /// less than from one to the next.
    fn ratio(&self, scenario: &str, server: &'static str) -> Option<f64> {
        let cell = |server| self.cells.get(&(scenario.to_owned(), server)).filter(|cell| cell.fault().is_none());
        let (own, limit) = (cell(server)?, cell(LIMIT)?);
        let pairs = own.samples.iter().zip(&limit.samples);
        Some(median(pairs.map(|(own, limit)| own.cpu_us / limit.cpu_us).collect()))
    }

    /// Of each scenario the multiples of the limit, in the order of the servers.
    fn ratios(&self) -> Vec<(&str, Vec<Option<f64>>)> {
        let of_scenario = |scenario: &String| {
            self.ratio(scenario, LIMIT)?;
            let ratios = self.servers.iter().map(|server| self.ratio(scenario, server));
            Some((&**self.scenarios.iter().find(|name| *name == scenario)?, ratios.collect()))
        };
        self.scenarios.iter().filter_map(of_scenario).collect()
    }

    /// CPU time of each server by what grows, from names like `echo, connections = 20`.
    fn growth(&self) -> Vec<Panel<'_>> {
        let mut panels: Vec<Panel<'_>> = Vec::new();
        for scenario in &self.scenarios {
            let Some((what, count)) = scenario.rsplit_once(" = ") else { continue };
            let Ok(count) = count.parse() else { continue };
            if panels.last().is_none_or(|(last, _)| *last != what) {
                panels.push((what, vec![Vec::new(); self.servers.len()]));
            }
            let lines = panels.last_mut().map(|(_, lines)| lines).into_iter().flatten();
            for (server, line) in self.servers.iter().zip(lines) {
                line.extend(self.cpu(scenario, server).map(|cpu| (count, cpu)));
            }
        }
        panels
    }
}

impl Cell {
    fn median(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(figure).collect())
    }

    /// What went wrong in any round.
    fn fault(&self) -> Option<String> {
        let mut faults = Faults::default();
        self.samples.iter().for_each(|sample| faults += sample.faults);
        let wrong = (faults.total() > 0).then(|| format!("{faults:?}"));
        self.errors.first().cloned().or(wrong)
    }
}
