//! The bare client does what it is told, and says when.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use socketio_load::client::Client;
use socketio_load::process::Process;

struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(server: &Process, scenario: &str, size: usize) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_client-limit"));
        command.args(["--url", &format!("http://{}", server.address()), "--scenario", scenario]);
        command.args(["--in-flight", "16", "--size", &size.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut program = Self { child, lines };
        program.says("ready");
        program
    }

    fn run(&mut self, count: u64) {
        writeln!(self.child.stdin.as_mut().expect("it is piped"), "{count}").expect("it reads");
        self.says("started");
    }

    fn says(&mut self, line: &str) {
        assert_eq!(self.lines.next().expect("it lives").expect("it is text"), line);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn server() -> Process {
    Process::start(Command::new(env!("CARGO_BIN_EXE_limit"))).expect("the server starts")
}

#[test]
fn echoes_come_back_run_after_run() {
    let server = server();
    for size in [32, 1024] {
        let mut program = Program::start(&server, "echo", size);
        // More, less and as many as are in flight.
        for count in [1000, 5, 16] {
            program.run(count);
            program.says("done");
        }
    }
}

#[test]
fn broadcasts_are_told_in_steps() {
    let server = server();
    let mut program = Program::start(&server, "broadcast", 32);
    let mut sender = Client::connect(server.address()).expect("it connects");
    let packet = format!("42[\"broadcast\",\"{}\"]", "x".repeat(32));
    for _ in 0..2 {
        program.run(2049);
        for _ in 0..2049 {
            sender.send(&packet).expect("the connection lives");
        }
        ["received", "received", "done"].iter().for_each(|line| program.says(line));
    }
}
