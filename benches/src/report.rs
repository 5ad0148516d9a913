use std::alloc::System;
use std::io::{self, BufRead};
use std::{env, process};

use serde_json::{Map, Value, json};
use stats_alloc::StatsAlloc;

use crate::packets::messages;
use crate::{FLOOR, Operation, allocations, instructions, nanoseconds};

/// The program `count`, for any operations.
///
/// `run ID N` runs one N times, `time` and `instructions` print figures of those whose id contains the next argument,
/// `messages` prints the packets' texts by their names, `table` makes a table of the figures that it is given.
pub fn main(mut operations: Vec<Operation>) {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let filter = words.get(1).copied().unwrap_or_default();
    operations.retain(|operation| words.first() == Some(&"run") || operation.id().contains(filter));
    match *words {
        ["run", id, times] => run(&mut operations, id, times),
        ["time"] | ["time", _] => operations.iter_mut().for_each(|operation| {
            let (median, least) = nanoseconds(operation);
            print(operation, &json!({ "ns": median, "ns_min": least }));
        }),
        ["instructions"] | ["instructions", _] => {
            let own = env::current_exe().expect("a program knows where it is");
            operations.iter().for_each(|operation| match instructions(&own, &operation.id()) {
                Some(count) => print(operation, &json!({ "instructions": count })),
                None => usage("valgrind is not installed"),
            });
        }
        ["messages"] => println!("{}", Value::from_iter(messages())),
        ["table"] => table(),
        _ => usage("count run ID N | time [PART OF ID] | instructions [PART OF ID] | messages | table < FIGURES"),
    }
}

/// The program `allocations`, for any operations. `allocator` must be its global allocator.
pub fn print_allocations(mut operations: Vec<Operation>, allocator: &StatsAlloc<System>) {
    for operation in &mut operations {
        let counts = allocations(operation, allocator);
        print(operation, &json!({ "allocations": counts.allocations, "bytes": counts.bytes }));
    }
}

/// Prints figures of an operation as a line of JSON.
fn print(operation: &Operation, figures: &Value) {
    let mut line = json!({ "packet": operation.packet, "operation": operation.name, "codec": operation.codec });
    if let (Some(line), Some(figures)) = (line.as_object_mut(), figures.as_object()) {
        line.extend(figures.clone());
    }
    println!("{line}");
}

fn run(operations: &mut [Operation], id: &str, times: &str) {
    let operation = operations.iter_mut().find(|operation| operation.id() == id);
    let (Some(operation), Ok(times)) = (operation, times.parse::<u64>()) else { usage("no such operation") };
    (0..times).for_each(|_| (operation.run)());
}

fn usage(words: &str) -> ! {
    eprintln!("{words}");
    process::exit(2);
}

/// Lines of JSON in, one row per packet, operation and codec out.
fn table() {
    let mut rows: Vec<Map<String, Value>> = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line.expect("the figures are text");
        let Ok(Value::Object(figures)) = serde_json::from_str(&line) else { usage(&format!("no figure: {line}")) };
        match rows.iter_mut().find(|row| key(row) == key(&figures)) {
            Some(row) => row.extend(figures),
            None => rows.push(figures),
        }
    }
    let packets: Vec<Value> = rows.iter().map(|row| row["packet"].clone()).collect();
    let place = |row: &Map<String, Value>| packets.iter().position(|packet| *packet == row["packet"]);
    let mut sorted: Vec<&Map<String, Value>> = rows.iter().collect();
    sorted.sort_by_key(|row| (place(row), text(row, "operation")));
    println!("| packet | operation | codec | instructions | of the floor | allocations | bytes | ns | ns min |");
    println!("|---|---|---|--:|--:|--:|--:|--:|--:|");
    for row in sorted {
        let floor = rows.iter().find(|other| {
            other["codec"] == FLOOR && other["packet"] == row["packet"] && other["operation"] == row["operation"]
        });
        let ratio = floor.filter(|floor| key(floor) != key(row)).and_then(|floor| {
            let of = |row: &Map<String, Value>| row.get("instructions").and_then(Value::as_f64);
            Some(format!("{:.2}", of(row)? / of(floor)?))
        });
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            text(row, "packet"),
            text(row, "operation"),
            text(row, "codec"),
            number(row, "instructions"),
            ratio.unwrap_or_default(),
            number(row, "allocations"),
            number(row, "bytes"),
            number(row, "ns"),
            number(row, "ns_min"),
        );
    }
}

fn key(row: &Map<String, Value>) -> [&str; 3] {
    ["packet", "operation", "codec"].map(|name| text(row, name))
}

fn text<'a>(row: &'a Map<String, Value>, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(row: &Map<String, Value>, name: &str) -> String {
    match row.get(name).and_then(Value::as_f64) {
        Some(number) if number.fract() != 0.0 && number < 100.0 => format!("{number:.1}"),
        Some(number) => format!("{number:.0}"),
        None => String::new(),
    }
}
