//! Lists as operators and networks write them, right and wrong, on the real runtime: none of them costs a plain pod its network
//! for having kube-smc, and what kube-smc cannot use is said.

use anyhow::{Context as _, Result, bail, ensure};
use rig::layout::PAUSE_IMAGE;
use serde_json::{Value, json};

use super::access::LIST;
use crate::play::world::World;
use crate::play::{Run, Scene};

pub(super) const SCENES: &[Scene] = &[Scene {
    name: "lists",
    shows: "lists without a version or of an old one, with a wrong entry of ours or one in the wrong place: plain pods \
            start, and smcctl doctor says what is wrong",
    run: Run::Long,
    play: lists,
}];

const NODE: &str = "node1";
const ENTRY: &str = "smc-cni";

/// What is written in the list's place, and what comes of it.
struct Case {
    name: &'static str,
    /// Makes the list, which comes without an entry of ours.
    list: fn(&mut Value),
    /// What the doctor says, of a list that cannot be used as it is.
    said: Option<&'static str>,
    /// Whether the runtime starts pods by it. By one of a version before 0.3.0 containerd 1.6 starts none: a result of that version
    /// names no interface ("failed to find network info for sandbox").
    usable: bool,
}

const CASES: [Case; 7] = [
    Case {
        name: "no version",
        list: |list| drop(object(list).remove("cniVersion")),
        said: Some("cniVersion"),
        usable: false,
    },
    Case {
        name: "version 0.2.0",
        list: |list| list["cniVersion"] = json!("0.2.0"),
        said: Some("0.2.0"),
        usable: false,
    },
    Case {
        name: "wrong stateDir",
        list: |list| plugins(list).push(entry(&json!({ "stateDir": "x" }))),
        said: Some("stateDir"),
        usable: true,
    },
    Case {
        name: "wrong logMaxBytes",
        list: |list| plugins(list).push(entry(&json!({ "logMaxBytes": "4M" }))),
        said: Some("logMaxBytes"),
        usable: true,
    },
    Case {
        name: "wrong policy",
        list: |list| plugins(list).push(entry(&json!({ "policy": "Required" }))),
        said: Some("policy"),
        usable: true,
    },
    Case {
        name: "entry first",
        list: |list| plugins(list).insert(0, entry(&json!({}))),
        said: Some("first"),
        usable: true,
    },
    Case {
        name: "version 1.0.0",
        list: |list| list["cniVersion"] = json!("1.0.0"),
        said: None,
        usable: true,
    },
];

fn object(value: &mut Value) -> &mut serde_json::Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it is an object now")
}

fn plugins(list: &mut Value) -> &mut Vec<Value> {
    if !list["plugins"].is_array() {
        list["plugins"] = json!([]);
    }
    list["plugins"].as_array_mut().expect("it is an array now")
}

/// An entry of the operator's with these fields.
fn entry(fields: &Value) -> Value {
    let mut entry = json!({ "type": ENTRY, "capabilities": { "io.kubernetes.cri.pod-annotations": true } });
    for (key, value) in fields.as_object().into_iter().flatten() {
        entry[key] = value.clone();
    }
    entry
}

fn lists(world: &mut World) -> Result<String> {
    let original = read(world)?;
    let mut bare: Value = serde_json::from_str(&original)?;
    plugins(&mut bare).retain(|plugin| plugin["type"] != ENTRY);
    let mut wrong = Vec::new();
    for case in &CASES {
        let played = play(world, case, &bare);
        restore(world, &original)?;
        // All of them are worth knowing.
        if let Err(error) = played {
            wrong.push(format!("{}: {error:#}", case.name));
        }
    }
    world.eventually(|world| world.all_fine(NODE)).context("with its own list again")?;
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    Ok(format!(
        "{} lists ({}): each time a plain pod started where the runtime can start any, and the doctor said what is wrong",
        names.len(),
        names.join(", ")
    ))
}

fn play(world: &World, case: &Case, bare: &Value) -> Result<()> {
    let mut list = bare.clone();
    (case.list)(&mut list);
    write(world, &format!("{list:#}\n"))?;
    world.eventually(|world| {
        let doctor = world.smcctl(NODE, &["doctor"])?;
        let as_it_is_to_be = match case.said {
            Some(said) => doctor.contains(said) && !doctor.contains("All fine."),
            None => doctor.contains("All fine."),
        };
        ensure!(as_it_is_to_be, "to be said: {:?}\n{doctor}", case.said);
        Ok(())
    })?;
    if !case.usable {
        // What becomes of pods is the runtime's and the list's affair, as long as nothing of ours is in it.
        ensure!(!read(world)?.contains(ENTRY), "an entry was put into it");
        return Ok(());
    }
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "plain" },
        "spec": { "nodeName": NODE, "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": false,
                  "containers": [{ "name": "pause", "image": PAUSE_IMAGE }] },
    });
    world.apply(&pod.to_string())?;
    let ready = world.kubectl(&["wait", "pod/plain", "--for=condition=Ready", "--timeout=120s"]);
    if ready.is_err() {
        let events = world.events_on("default", "plain", "Warning")?;
        ready.with_context(|| format!("a plain pod does not start: {events:?}"))?;
    }
    Ok(())
}

/// The pod goes while the list is as it was when it came.
fn restore(world: &World, original: &str) -> Result<()> {
    world.kubectl(&["delete", "pod", "plain", "--ignore-not-found", "--timeout=120s"])?;
    write(world, original)
}

fn read(world: &World) -> Result<String> {
    let read = world.node(NODE)?.command(&["cat", LIST]).check()?;
    Ok(String::from_utf8(read.stdout)?)
}

/// As a careful operator does: beside it, then in its place.
fn write(world: &World, text: &str) -> Result<()> {
    let script = r#"printf %s "$2" >"$1.new" && mv "$1.new" "$1""#;
    world.node(NODE)?.command(&["sh", "-ec", script, "sh", LIST, text]).check()?;
    Ok(())
}
