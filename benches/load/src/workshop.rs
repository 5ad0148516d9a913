//! Builds and installs the programs that are measured.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Builds and installs. What fails says why.
#[derive(Clone, Copy, Debug)]
pub struct Workshop {
    /// False takes what is there as it is.
    pub builds: bool,
}

impl Workshop {
    /// An optimised program of our workspace.
    ///
    /// # Errors
    ///
    /// It cannot be built, or is not there.
    pub fn own(&self, package: &str, name: &str) -> Result<PathBuf, String> {
        let manifest = root().join("Cargo.toml");
        let mut cargo = cargo(&manifest);
        self.build(cargo.args(["--package", package, "--bin", name]))?;
        let own = env::current_exe().unwrap_or_default();
        let target = own.parent().and_then(Path::parent).unwrap_or(Path::new("target"));
        existing(target.join("release").join(name))
    }

    /// An optimised program of `benches/peers`, and the feature that it needs.
    ///
    /// # Errors
    ///
    /// As [`Workshop::own`].
    pub fn peer(&self, name: &str, feature: Option<&str>) -> Result<PathBuf, String> {
        let target = peers().join("target");
        let mut cargo = cargo(&peers().join("Cargo.toml"));
        cargo.arg("--target-dir").arg(&target).args(["--bin", name]);
        self.build(cargo.args(feature.iter().flat_map(|feature| ["--features", feature])))?;
        existing(target.join("release").join(name))
    }

    /// Installs a package and what it needs in a directory of `benches/peers`; gives the path of the script there.
    ///
    /// # Errors
    ///
    /// It cannot be installed, or is not there.
    pub fn npm(&self, directory: &str, package: &str, script: &str) -> Result<String, String> {
        let directory = peers().join(directory);
        let installed = directory.join("node_modules").join(package);
        if !installed.exists() {
            let npm = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
            self.build(Command::new("npm").args(npm).current_dir(&directory))?;
        }
        existing(installed)?;
        Ok(existing(directory.join(script))?.display().to_string())
    }

    /// Runs a command, unless nothing is to be built.
    ///
    /// # Errors
    ///
    /// It does not start, or fails.
    pub fn build(&self, command: &mut Command) -> Result<(), String> {
        if self.builds { self.run(command) } else { Ok(()) }
    }

    /// Runs a command.
    ///
    /// # Errors
    ///
    /// It does not start, or fails.
    pub fn run(&self, command: &mut Command) -> Result<(), String> {
        let program = command.get_program().display().to_string();
        // What is printed in the end is for a pipe.
        match command.stdout(Stdio::null()).status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{program} failed: {status}")),
            Err(error) => Err(format!("{program} does not start: {error}")),
        }
    }
}

/// The path, if something is there.
///
/// # Errors
///
/// Nothing is.
pub fn existing(path: PathBuf) -> Result<PathBuf, String> {
    if path.exists() { Ok(path) } else { Err(format!("{} is not there", path.display())) }
}

/// Where the programs of others are.
pub fn peers() -> PathBuf {
    root().join("benches/peers")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn cargo(manifest: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--release", "--locked", "--manifest-path"]).arg(manifest);
    command
}
