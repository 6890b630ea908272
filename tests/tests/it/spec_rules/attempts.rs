//! Sends many searches to the API server, a batch with each kubectl, and compares its answers with what is expected.

use std::fmt::Write as _;
use std::thread;

use mergesearch_crds::MergeSearch;
use mergesearch_tests::cluster::{ApiServer, Namespace};
use serde_json::{Deserializer, Value, json};

use crate::cluster_api::apply_definitions;

/// Objects that one kubectl sends; several run at a time.
const BATCH: usize = 60;

/// A search that is sent, and everything that the refusal has to say; nothing for what is accepted.
pub(crate) struct Case {
    pub(crate) description: String,
    /// The search that is there before.
    pub(crate) kept: Option<Value>,
    pub(crate) sent: Value,
    pub(crate) refusal: Vec<String>,
}

/// A namespace of an API server that knows searches.
pub(crate) fn namespace(name: &str) -> Namespace {
    let server = ApiServer::shared();
    apply_definitions(server);
    server.namespace(name)
}

/// Sends specs with `kubectl VERB`; the object of each is named after its number.
pub(crate) fn send<'a>(
    namespace: &Namespace,
    verb: &[&str],
    specs: impl IntoIterator<Item = (usize, &'a Value)>,
) -> Result<String, String> {
    let object = |(number, spec): (usize, &Value)| {
        let (version, name) = ("mergesearch.dev/v1alpha1", name(number));
        json!({"apiVersion": version, "kind": "MergeSearch", "metadata": {"name": name}, "spec": spec})
    };
    // Not a List, which kubectl checks itself instead of having the server do it.
    let documents: Vec<_> = specs.into_iter().map(|spec| object(spec).to_string()).collect();
    let words = ["--filename=-", "--namespace", namespace.name()];
    namespace.cluster().try_kubectl_with_input(verb.iter().chain(&words), &documents.join("\n---\n"))
}

/// Tries all cases and fails with those that did not end as they should.
#[track_caller]
pub(crate) fn try_all(name: &str, cases: &[Case]) {
    let namespace = &namespace(name);
    // kubectl goes on after a refusal, but then it does not say what was accepted.
    let alike = |case: &Case| (case.refusal.is_empty(), case.kept.is_some());
    let mut numbered: Vec<_> = cases.iter().enumerate().collect();
    numbered.sort_by_key(|(_, case)| alike(case));
    let groups = numbered.chunk_by(|(_, one), (_, other)| alike(one) == alike(other));
    let wrong: String = thread::scope(|scope| {
        let start = |batch| scope.spawn(move || try_batch(namespace, batch));
        let running: Vec<_> = groups.flat_map(|group| group.chunks(BATCH)).map(start).collect();
        running.into_iter().map(|batch| batch.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "of {} cases:\n{wrong}", cases.len());
}

/// Tries cases that are all accepted or all refused; returns what ended otherwise.
fn try_batch(namespace: &Namespace, batch: &[(usize, &Case)]) -> String {
    let kept: Vec<_> =
        batch.iter().filter_map(|(number, case)| Some((*number, case.kept.as_ref()?))).collect();
    let verb = if kept.is_empty() { "create" } else { "replace" };
    if !kept.is_empty()
        && let Err(said) = send(namespace, &["create"], kept)
    {
        return format!("what should be there before was refused: {said}\n");
    }
    let sent = batch.iter().map(|(number, case)| (*number, &case.sent));
    match send(namespace, &[verb, "--dry-run=server", "--output=json"], sent) {
        Ok(said) => after_acceptance(batch, &said),
        Err(said) => after_refusal(batch, &said),
    }
}

/// What the API server keeps has to be what the operator reads.
fn after_acceptance(batch: &[(usize, &Case)], said: &str) -> String {
    let objects: Vec<Value> = Deserializer::from_str(said).into_iter().collect::<Result<_, _>>().unwrap();
    let mut wrong = String::new();
    for (number, Case { description, refusal, .. }) in batch {
        let object = objects.iter().find(|object| object["metadata"]["name"] == name(*number));
        let read = object.map(|object| serde_json::from_value::<MergeSearch>(object.clone()));
        match read {
            Some(Ok(_)) if refusal.is_empty() => {}
            Some(Ok(_)) => {
                writeln!(wrong, "{description}: expected {refusal:?}, but it was accepted").unwrap();
            }
            Some(Err(error)) => writeln!(wrong, "{description}: kept, but not readable: {error}").unwrap(),
            None => writeln!(wrong, "{description}: no answer").unwrap(),
        }
    }
    wrong
}

fn after_refusal(batch: &[(usize, &Case)], said: &str) -> String {
    let mut wrong = String::new();
    for (number, Case { description, refusal, .. }) in batch {
        let said = about(said, &name(*number));
        // Of those that should be accepted, what was accepted has no line.
        let right =
            if refusal.is_empty() { said.is_empty() } else { refusal.iter().all(|part| said.contains(part)) };
        if !right {
            writeln!(wrong, "{description}: expected {refusal:?}, found {said:?}").unwrap();
        }
    }
    if wrong.is_empty() && batch.iter().any(|(_, case)| case.refusal.is_empty()) {
        writeln!(wrong, "kubectl failed: {said}").unwrap();
    }
    wrong
}

/// The lines about one object. There may be several; the first names the object.
fn about(said: &str, name: &str) -> String {
    let mut lines = said.lines().skip_while(|line| !line.contains(&format!("\"{name}\"")));
    let first = lines.next().unwrap_or_default();
    let more = lines.take_while(|line| !line.contains("\"case-"));
    [first].into_iter().chain(more).collect::<Vec<_>>().join("\n")
}

fn name(number: usize) -> String {
    format!("case-{number}")
}
