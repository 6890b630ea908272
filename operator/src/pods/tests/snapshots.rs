//! Whole Jobs, to be read by a person.

use super::*;

fn yaml(job: &Job) -> String {
    serde_saphyr::to_string(job).unwrap()
}

#[test]
fn plain_trial() {
    let made = search(&[]);
    let job = made.job(&Work::Trial(made.trial("g0004-c012", &[Stage::Search])), 1);
    insta::assert_snapshot!(yaml(&job));
}

#[test]
fn final_trial_with_held_out_metrics() {
    let made = search(&[
        ("  budget:", "  heldOut: [{name: code, metric: humaneval/pass@1, direction: Maximize}]\n  budget:"),
        ("  evaluation:", "  evaluation:\n    activeDeadlineSeconds: 3600\n    backoffLimit: 2"),
        ("  storage:", "  execution: {queueName: team-a, scratch: {medium: Memory}}\n  storage:"),
    ]);
    let job = made.job(&Work::Trial(made.trial("final-g0004-c012", &[Stage::Test, Stage::HeldOut])), 0);
    insta::assert_snapshot!(yaml(&job));
}

#[test]
fn trial_with_a_server_beside_the_evaluator() {
    let made = search(&[(
        "    template:\n      spec:",
        "    template:
      metadata:
        labels: {team: nlp, mergesearch.dev/role: other}
        annotations: {sidecar.istio.io/inject: 'false'}
      spec:
        nodeSelector: {pool: gpu}
        serviceAccountName: evaluator
        imagePullSecrets: [{name: registry}]
        volumes:
          - {name: cache, emptyDir: {}}
          - {name: shm, emptyDir: {medium: Memory, sizeLimit: 8Gi}}
        initContainers:
          - name: vllm
            image: registry.example/vllm:1
            restartPolicy: Always
            command: [sh, -c, 'vllm serve $MERGESEARCH_MODEL_DIR']
            startupProbe: {httpGet: {path: /health, port: 8000}, failureThreshold: 60}
            volumeMounts:
              - {name: cache, mountPath: /cache}
              - {name: shm, mountPath: /dev/shm/}",
    )]);
    let job = made.job(&Work::Trial(made.trial("uniform", &[Stage::Search])), 0);
    insta::assert_snapshot!(yaml(&job));
}

#[test]
fn preflight_of_claims_with_own_certificates() {
    let made = search(&[
        ("s3://models/sft", "pvc://pool/sft"),
        ("s3://models/dpo", "pvc://pool/dpo"),
        ("  objectives:", "    base: {name: base, uri: 'pvc://archive/base'}\n  objectives:"),
        (
            "  storage: {output: 's3://models/searches'}",
            "  storage:
    output: s3://models/searches/
    endpoint: https://minio.storage.svc:9000
    caBundle: {configMap: authority, key: root.pem}
    credentialsSecret: s3-credentials
  publish: {uri: 's3://published/recycled/'}",
        ),
    ]);
    let job = made.job(&Work::Preflight, 0);
    insta::assert_snapshot!(yaml(&job));
}

#[test]
fn publishing() {
    let made = search(&[(
        "  storage:",
        "  execution:
    merger:
      image: registry.example/merger:2
      imagePullPolicy: Always
      env: [{name: HTTPS_PROXY, value: 'http://proxy:3128'}]
      resources: {limits: {cpu: 4, memory: 8Gi}}
      nodeSelector: {pool: cpu}
      tolerations: [{key: merges, operator: Exists}]
  storage:",
    )]);
    let job = made.job(&made.publish(), 0);
    insta::assert_snapshot!(yaml(&job));
}

#[test]
fn a_generation_merged_by_pods_that_share_it() {
    let (from, to) = handing_over("uri: 's3://scratch/a'", 4);
    let made = search(&[(from, &to)]);
    insta::assert_snapshot!(yaml(&made.job(&made.generation(), 0)));
}

#[test]
fn a_trial_whose_candidate_others_have_merged() {
    let (from, to) = handing_over("uri: 's3://scratch/a'", 4);
    let made = search(&[(from, &to)]);
    let job = made.job(&Work::Trial(made.trial("g0004-c012", &[Stage::Search])), 0);
    insta::assert_snapshot!(yaml(&job));
}
