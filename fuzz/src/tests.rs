//! What an ordinary `cargo test` does with all targets: no body rots, and what a fuzzer has found stays found.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use socketio_protocol::{Random, Seed};

use super::{Body, TARGETS};

/// How many inputs are drawn for each target: a few seconds for all of them, without optimisations.
const DRAWN: usize = 2000;

/// The largest input that is drawn from nothing.
const LARGEST: usize = 300;

pub(crate) fn replay_corpus(target: &str, body: Body) {
    for (path, data) in corpus(target) {
        let _told = Told(path.display().to_string());
        body(&data);
    }
}

pub(crate) fn run_drawn(target: &str, body: Body) {
    let seeds: Vec<_> = corpus(target).into_iter().map(|(_, data)| data).collect();
    let mut draw = Draw(Random::new(Seed::new([1; 32])));
    for _ in 0..DRAWN {
        let data = draw.input(&seeds);
        let _told = Told(format!("{data:?}"));
        body(&data);
    }
}

#[test]
fn every_target_is_complete() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |of: &mut dyn Iterator<Item = String>| of.collect::<BTreeSet<_>>();
    let stems = |directory: &str| {
        names(&mut entries(&root.join(directory)).iter().map(|path| path.file_stem().unwrap().to_str().unwrap().into()))
    };
    let targets = names(&mut TARGETS.iter().map(|(name, _)| (*name).into()));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let bins = manifest.lines().filter_map(|line| line.trim().strip_prefix("{ name = \"")?.split('"').next());
    assert_eq!(names(&mut bins.map(String::from)), targets, "Cargo.toml");
    for directory in ["fuzz_targets", "corpus", "mutations"] {
        assert_eq!(stems(directory), targets, "{directory}");
    }
    for target in targets {
        let program = fs::read_to_string(root.join(format!("fuzz_targets/{target}.rs"))).unwrap();
        assert!(program.ends_with(&format!("\n#![cfg_attr(fuzzing, no_main)]\nsocketio_fuzz::target!({target});\n")));
        assert!(!corpus(&target).is_empty(), "{target} has no seeds");
    }
}

/// The files of a target's corpus, in the order of their names.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    entries(&directory).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Says which input it was, should the body panic.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input: {}", self.0);
        }
    }
}

/// A mutator as simple as they come.
struct Draw(Random);

impl Draw {
    fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        if seeds.is_empty() || self.below(8) == 0 {
            return (0..self.below(LARGEST)).map(|_| self.byte()).collect();
        }
        let mut data = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            let other = &seeds[self.below(seeds.len())];
            self.change(&mut data, other);
        }
        data
    }

    fn change(&mut self, data: &mut Vec<u8>, other: &[u8]) {
        let (from, to) = self.range(data.len());
        match self.below(6) {
            0 => data.truncate(from),
            1 => drop(data.drain(from..to)),
            2 => data.splice(from..from, (0..4).map(|_| self.byte())).for_each(drop),
            3 => data.extend_from_within(from..to),
            4 => {
                let (start, end) = self.range(other.len());
                data.splice(from..to, other[start..end].iter().copied()).for_each(drop);
            }
            _ => data.get_mut(from).into_iter().for_each(|byte| *byte = self.byte()),
        }
    }

    fn range(&mut self, len: usize) -> (usize, usize) {
        let (a, b) = (self.below(len + 1), self.below(len + 1));
        (a.min(b), a.max(b))
    }

    /// One of the extremes as often as any other.
    fn byte(&mut self) -> u8 {
        let [byte, kind] = self.0.bytes();
        if kind < 128 { byte } else { [0, 1, 127, 128, 255, b'"', b'0', b'\\'][usize::from(kind & 7)] }
    }

    fn below(&mut self, limit: usize) -> usize {
        u32::from_le_bytes(self.0.bytes()) as usize % limit.max(1)
    }
}
