//! Servers as processes of their own, and what they use.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::process::{self, Child, Command, Stdio};
use std::{fs, thread};

/// What the kernel counts in its statistics of processes; the same on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// A server that has said where it listens; killed in the end.
#[derive(Debug)]
pub struct Process {
    child: Child,
    address: SocketAddr,
}

/// CPU time that a process has used, in user space and in the kernel.
#[derive(Clone, Debug)]
pub struct CpuTime {
    /// Nanoseconds of each thread that is alive.
    threads: BTreeMap<u32, u64>,
    /// Of all threads, also those that have ended, but coarse.
    ticks: u32,
}

impl Process {
    /// Starts a server and waits for its line `listening on 127.0.0.1:PORT`.
    ///
    /// # Errors
    ///
    /// It does not start, or ends before it listens.
    pub fn start(mut command: Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut output = child.stdout.take().map(BufReader::new).ok_or(io::ErrorKind::BrokenPipe)?;
        let mut line = String::new();
        let port = loop {
            line.clear();
            if output.read_line(&mut line)? == 0 {
                return Err(io::Error::other(format!("the server ended: {}", child.wait()?)));
            }
            if let Some((_, port)) = line.split_once("listening on 127.0.0.1:") {
                break port.trim().parse().map_err(io::Error::other)?;
            }
        };
        // Nobody reads what else it says, but it must not wait for that.
        thread::spawn(move || io::copy(&mut output, &mut io::sink()));
        Ok(Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// CPU time until now.
    ///
    /// # Errors
    ///
    /// The process has ended, or this is not Linux.
    pub fn cpu_time(&self) -> io::Result<CpuTime> {
        CpuTime::of(self.child.id())
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    ///
    /// The process has ended, or this is not Linux.
    pub fn resident(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl CpuTime {
    /// CPU time of a process until now.
    ///
    /// # Errors
    ///
    /// There is no such process, or this is not Linux.
    pub fn of(process: u32) -> io::Result<Self> {
        let mut threads = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            let task = task?;
            let id = task.file_name().to_str().and_then(|id| id.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
            // A thread may end while this looks at it.
            if let Ok(times) = fs::read_to_string(task.path().join("schedstat")) {
                threads.insert(id, times.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0));
            }
        }
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The name of the program comes before and may hold spaces; user and system time are fields 14 and 15.
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ').skip(11).take(2);
        Ok(Self { threads, ticks: fields.filter_map(|field| field.parse::<u32>().ok()).sum() })
    }

    /// What was used since `before`.
    pub fn since(&self, before: &Self) -> Duration {
        let exact: u64 = self.threads.iter().map(|(id, time)| time - before.threads.get(id).unwrap_or(&0)).sum();
        let (exact, coarse) = (Duration::from_nanos(exact), TICK * (self.ticks - before.ticks));
        let has_lost = before.threads.keys().any(|id| !self.threads.contains_key(id));
        // Threads that came and went between the two show in the coarse figure alone.
        if has_lost || coarse > exact + exact / 20 + 5 * TICK { coarse } else { exact }
    }
}

/// A command that runs `program` on one processor, if that can be had.
pub fn pinned(program: impl AsRef<OsStr>, core: u32) -> Command {
    if !can_pin(core) {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}

/// Keeps this process on one processor; false if that cannot be had.
pub fn pin_self(core: u32) -> bool {
    let own = process::id().to_string();
    let pinned =
        Command::new("taskset").args(["-a", "-p", "-c", &core.to_string(), &own]).stdout(Stdio::null()).status();
    pinned.is_ok_and(|status| status.success())
}

/// Whether processes can be kept on a processor.
pub fn can_pin(core: u32) -> bool {
    let status = Command::new("taskset").args(["-c", &core.to_string(), "true"]).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
