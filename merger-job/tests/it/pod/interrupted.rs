//! A pod that is asked to end, ends at once: with its scores if it had told them, else with nothing claimed.

use std::net::TcpListener;
use std::process::{Child, Stdio};

use mergesearch_search::contract::{FaultClass, Message, Request};
use rustix::process::{Pid, Signal, kill_process};

use super::Pods;

/// A server that accepts connections and never says a word.
fn silent_server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    (listener, endpoint)
}

/// Asks the pod to end once it waits for the server; its exit code.
fn interrupt(mut pod: Child, server: &TcpListener) -> Option<i32> {
    let _waiting = server.accept().unwrap();
    kill_process(Pid::from_child(&pod), Signal::TERM).unwrap();
    pod.wait().unwrap().code()
}

#[test]
fn scores_that_were_told_stay_told() {
    let pods = Pods::new();
    let mut request = pods.trial_request();
    pods.evaluate(&request.stages);
    let (server, endpoint) = silent_server();
    request.storage.endpoint = Some(endpoint);
    request.output = "s3://bucket/trial".to_owned();
    let mut command = pods.command("report", &Request::Trial(Box::new(request)));
    let pod = command.args(["--upload-seconds", "3600"]).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(interrupt(pod, &server), Some(0));
    let answer = pods.answer();
    assert!(matches!(answer, Some(Message::Scores { uploaded: Some(false), .. })), "{answer:?}");
}

#[test]
fn a_merge_that_is_interrupted_may_be_tried_again() {
    let pods = Pods::new();
    let mut request = pods.trial_request();
    let (server, endpoint) = silent_server();
    request.storage.endpoint = Some(endpoint);
    request.recipe.checkpoints[0].uri = "s3://bucket/a".to_owned();
    let mut command = pods.command("merge", &Request::Trial(Box::new(request)));
    let pod = command.stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(interrupt(pod, &server), Some(75));
    let answer = pods.answer();
    assert!(matches!(answer, Some(Message::Fault { class: FaultClass::Other, .. })), "{answer:?}");
    assert!(!pods.folder.path("model").exists());
}
