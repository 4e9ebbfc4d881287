//! The reference's policy engine, driven like ours (tests/rego/beside.c):
//!
//!     regorus-beside bench MILLISECONDS QUERY POLICY INPUT DATA [QUERY POLICY INPUT DATA ...]
//!         nanoseconds of one evaluation and its value, a line each; engine, input and data are ready before
//!     regorus-beside oracle
//!         {"modules":[text],"query":text,"input":any,"data":object} a line on standard input;
//!         {"value":any}, {"undefined":true}, {"error":text} or {"refused":text} a line back
use std::io::{BufRead, Write};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::{Duration, Instant};

use regorus::{Engine, Value};
use serde_json::json;

fn engine(modules: &[String], data: Value) -> Result<Engine, String> {
    let mut engine = Engine::new();
    for (i, text) in modules.iter().enumerate() {
        engine
            .add_policy(format!("{i}.rego"), text.clone())
            .map_err(|e| e.to_string())?;
    }
    engine.add_data(data).map_err(|e| e.to_string())?;
    Ok(engine)
}

// ---- bench ---------------------------------------------------------------------------------------

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn measure(budget: Duration, query: &str, policy: &str, input: &str, data: &str) -> (f64, String) {
    let data = Value::from_json_str(&read(data)).expect("data");
    let input = Value::from_json_str(&read(input)).expect("input");
    let mut engine = engine(&[read(policy)], data).expect(policy);
    engine.set_input(input.clone());
    let value = engine.eval_rule(query.to_string()).expect("evaluation").to_string();
    let mut once = |times: u32| {
        let began = Instant::now();
        for _ in 0..times {
            engine.set_input(input.clone());
            std::hint::black_box(engine.eval_rule(query.to_string()).expect("evaluation"));
        }
        began.elapsed()
    };
    let mut times = 1;
    loop {
        let spent = once(times);
        if spent >= budget {
            return (spent.as_nanos() as f64 / f64::from(times), value);
        }
        times *= 2;
    }
}

fn bench(args: &[String]) {
    let budget = Duration::from_millis(args[0].parse().expect("MILLISECONDS"));
    for four in args[1..].chunks_exact(4) {
        let (ns, value) = measure(budget, &four[0], &four[1], &four[2], &four[3]);
        println!("{ns:.1} {value}");
    }
}

// ---- oracle --------------------------------------------------------------------------------------

/// As a rule, since a query is mixed up with the policy's first body; but partial objects with a constant
/// key are no rule to it.
fn evaluate(engine: &mut Engine, query: &str) -> Result<Option<Value>, String> {
    match engine.eval_rule(query.to_string()) {
        Err(e) if e.to_string().contains("not a valid rule path") => engine
            .eval_query(query.to_string(), false)
            .map(|mut all| all.result.pop().and_then(|mut one| one.expressions.pop()).map(|e| e.value))
            .map_err(|e| e.to_string()),
        found => found.map(Some).map_err(|e| e.to_string()),
    }
}

fn answer(case: &serde_json::Value) -> serde_json::Value {
    let value = |name: &str| Value::from_json_str(&case[name].to_string()).unwrap_or(Value::Null);
    let modules: Vec<String> = case["modules"]
        .as_array()
        .map(|all| all.iter().filter_map(|m| m.as_str().map(String::from)).collect())
        .unwrap_or_default();
    let mut engine = match engine(&modules, value("data")) {
        Ok(engine) => engine,
        Err(e) => return json!({ "refused": e }),
    };
    engine.set_input(value("input"));
    engine.set_strict_builtin_errors(false); // as OPA
    match evaluate(&mut engine, case["query"].as_str().unwrap_or("")) {
        Ok(None | Some(Value::Undefined)) => json!({ "undefined": true }),
        Ok(Some(v)) => match v.to_json_str().ok().and_then(|t| serde_json::from_str::<serde_json::Value>(&t).ok()) {
            Some(v) => json!({ "value": v }),
            None => json!({ "error": "no JSON" }),
        },
        Err(e) => json!({ "error": e.to_string() }),
    }
}

fn oracle() {
    std::panic::set_hook(Box::new(|_| {}));
    let stdout = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let case = line.ok().and_then(|l| serde_json::from_str(&l).ok()).unwrap_or(serde_json::Value::Null);
        let reply = catch_unwind(AssertUnwindSafe(|| answer(&case)))
            .unwrap_or_else(|_| json!({ "error": "panic" }));
        let mut out = stdout.lock();
        writeln!(out, "{reply}").and_then(|()| out.flush()).expect("standard output");
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("bench") if args.len() > 2 => bench(&args[1..]),
        Some("oracle") => oracle(),
        _ => {
            eprintln!("usage: regorus-beside bench MILLISECONDS QUERY POLICY INPUT DATA ... | oracle");
            std::process::exit(2);
        }
    }
}
