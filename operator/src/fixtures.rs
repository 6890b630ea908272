//! A search for the tests of this crate.

use mergesearch_crds::{Manifest, MergeSearch, Place};

/// Two checkpoints, two objectives, an evaluator in a container.
const MANIFEST: &str = "
apiVersion: mergesearch.dev/v1alpha1
kind: MergeSearch
metadata: {name: recycle, namespace: team, uid: 1b4e28ba-2fa1-11d2-883f-0016d3cca427, generation: 1}
spec:
  pool:
    checkpoints:
      - {name: code, uri: s3://models/code}
      - {name: chat, uri: s3://models/chat}
      - {name: math, uri: s3://models/math}
  objectives:
    - {name: code, metric: code/acc}
    - {name: chat, metric: chat/acc}
  budget: {maxTrials: 60}
  evaluation:
    template:
      spec:
        containers:
          - name: evaluator
            image: example.com/evaluator:1
            command: [evaluate]
            resources: {limits: {nvidia.com/gpu: 1}}
  execution: {parallelTrials: 3}
  storage: {output: s3://models/searches, credentialsSecret: s3}
";

/// The search as the API server would give it.
pub(crate) fn resource() -> MergeSearch {
    Manifest::parse(MANIFEST, Place::Cluster).unwrap().resource
}
