//! Mistakes in the small manifest and what is said about each.

/// A text of the manifest, what stands in its place, and the sentence that names the mistake.
type Mistake = (&'static str, &'static str, &'static str);

/// Mistakes that the schema finds.
pub(crate) const SHAPE: &[Mistake] = &[
    ("objectives:", "objetives:", "spec.objectives: required, but missing"),
    ("objectives:", "objetives:", "spec.objetives: no such field; did you mean `objectives`?"),
    (
        "maxTrials: 60",
        "maxTrials: many",
        "spec.budget.maxTrials: expected a whole number, found the text \"many\"",
    ),
    (
        "maxTrials: 60",
        "maxTrials: 40.5",
        "spec.budget.maxTrials: expected a whole number, found the number 40.5",
    ),
    ("maxTrials: 60", "maxTrials: 0", "spec.budget.maxTrials: expected at least 1, found 0"),
    ("name: a\n", "name: 1\n", "spec.pool.checkpoints[0].name: expected a text, found the number 1"),
    (
        "name: a\n",
        "name: A_1\n",
        "spec.pool.checkpoints[0].name: expected a name of lower-case letters, digits and '-' that begins and ends with a letter or digit, found \"A_1\"",
    ),
    (
        "name: b\n",
        "name: a\n",
        "spec.pool.checkpoints[1].name: \"a\" is the name of spec.pool.checkpoints[0] already; expected a unique one",
    ),
    (
        "command:",
        "comand:",
        "spec.evaluation.template.spec.containers[0].comand: no such field; did you mean `command`?",
    ),
    (
        "metric: task/acc",
        "metric: [task/acc]",
        "spec.objectives[0].metric: expected a text or a map, found a list",
    ),
    (
        "metric: task/acc",
        "metric: {search: task/acc, tset: a}",
        "spec.objectives[0].metric.tset: no such field; did you mean `test`?",
    ),
    (
        "metric: task/acc",
        "metric: {test: task/acc}",
        "spec.objectives[0].metric.search: required, but missing",
    ),
    (
        "metric: task/acc",
        "metric: task/acc\n      constraint: {min: {relativTo: a}}",
        "spec.objectives[0].constraint.min.relativTo: no such field; did you mean `relativeTo`?",
    ),
    (
        "metric: task/acc",
        "metric: task/acc\n      direction: Maximise",
        "spec.objectives[0].direction: expected one of Maximize, Minimize, found \"Maximise\"; did you mean Maximize?",
    ),
    (
        "spec:\n",
        "spec:\n  suspend: yes please\n",
        "spec.suspend: expected true or false, found the text \"yes please\"",
    ),
    (
        "apiVersion: mergesearch.dev/v1alpha1",
        "apiVersion: mergesearch.dev/v1",
        "apiVersion: expected mergesearch.dev/v1alpha1, found \"mergesearch.dev/v1\"",
    ),
    ("apiVersion: mergesearch.dev/v1alpha1\n", "", "apiVersion: required, but missing"),
    ("kind: MergeSearch", "kind: Experiment", "kind: expected MergeSearch, found \"Experiment\""),
    ("metadata:\n  name: small\n", "metadata: {}\n", "metadata.name: required, but missing"),
    (
        "budget:",
        "budget: {maxTrials: 60}\n  budget:",
        "not valid YAML: duplicate mapping key `budget` is not allowed here",
    ),
    ("maxTrials: 60", "maxTrials: 60\n    maxDuration: 3 days", "spec.budget.maxDuration: "),
    (
        "spec:\n",
        "spec:\n  search: {contribution: single-a}\n",
        "spec.search.contribution: expected best or the trial of a merge such as g0004-c012, found \"single-a\"",
    ),
];

/// Mistakes that the rules find; each is the only one.
pub(crate) const RULES: &[Mistake] = &[
    (
        "    - name: b\n      uri: file:///pool/b\n    - name: c\n      uri: file:///pool/c\n",
        "",
        "spec.pool.checkpoints: expected at least 2 entries, found 1",
    ),
    (
        "name: a\n",
        "name: uniform\n",
        "spec.pool.checkpoints[0].name: \"uniform\" is the name of a baseline; expected another",
    ),
    (
        "file:///pool/a",
        "gs://pool/a",
        "spec.pool.checkpoints[0].uri: expected a URI of s3:// (object storage), file:// (local runs) or pvc:// (cluster), found \"gs://pool/a\"",
    ),
    (
        "file:///pool/a",
        "pvc://pool/a",
        "spec.pool.checkpoints[0].uri: pvc:// exists only in a cluster; expected s3:// or file://, found \"pvc://pool/a\"",
    ),
    (
        "    checkpoints:",
        "    base: {name: a, uri: file:///base}\n    checkpoints:",
        "spec.pool.base.name: \"a\" is the name of spec.pool.checkpoints[0]; expected another: the base is not in the pool",
    ),
    (
        "spec:\n",
        "spec:\n  merge: {tokenizerFrom: d}\n",
        "spec.merge.tokenizerFrom: no checkpoint has the name \"d\"; expected one of a, b, c",
    ),
    (
        "spec:\n",
        "spec:\n  merge: {method: Ties}\n",
        "spec.merge.method: a search can't use Ties; expected one of Linear, Slerp, TaskArithmetic, Nuslerp, Multislerp",
    ),
    (
        "spec:\n",
        "spec:\n  merge: {method: TaskArithmetic}\n",
        "spec.pool.base: required by spec.merge.method TaskArithmetic, but missing",
    ),
    (
        "spec:\n",
        "spec:\n  merge: {method: Slerp}\n",
        "spec.pool.checkpoints: Slerp merges exactly 2 checkpoints, found 3",
    ),
    (
        "spec:\n",
        "spec:\n  merge: {parameters: {lambda: {value: 1}}}\n",
        "spec.merge.parameters.lambda: Linear has no lambda; only task-vector methods have",
    ),
    (
        "spec:\n  pool:\n",
        "spec:\n  merge: {method: TaskArithmetic, parameters: {lambda: {max: 0.5}}}\n  pool:\n    base: {name: base, uri: s3://models/base}\n",
        "spec.merge.parameters.lambda: expected min < max and start between them, found 0, 0.5 and 1",
    ),
    (
        "spec:\n",
        "spec:\n  baselines: [{name: a, weights: {a: 1}}]\n",
        "spec.baselines[0].name: \"a\" is the name of a checkpoint or of a built-in baseline; expected another",
    ),
    (
        "spec:\n",
        "spec:\n  baselines: [{name: own, weights: {a: 0.5, d: 0.5}}]\n",
        "spec.baselines[0].weights.d: no checkpoint of the pool has this name",
    ),
    (
        "spec:\n",
        "spec:\n  baselines: [{name: own, weights: {a: 0.5, b: 0.4}}]\n",
        "spec.baselines[0].weights: expected weights that sum to 1, found a sum of 0.9",
    ),
    (
        "spec:\n",
        "spec:\n  merge: {granularity: {blocks: 2, patterns: [mlp]}}\n",
        "spec.merge.granularity: expected blocks or patterns, found both",
    ),
    (
        "spec:\n",
        "spec:\n  merge: {granularity: {patterns: [mlp, mlp.down]}}\n",
        "spec.merge.granularity.patterns[1]: every name that contains \"mlp.down\" belongs to patterns[0] already; put the longer first",
    ),
    (
        "spec:\n",
        "spec:\n  merge: {maxShardSize: 5GB}\n",
        "spec.merge.maxShardSize: expected a size in bytes above 0, such as 5G or 512Mi, found \"5GB\"",
    ),
    (
        "metric: task/acc",
        "metric: task/",
        "spec.objectives[0].metric: expected TASK/METRIC,FILTER, such as gsm8k/exact_match,strict-match, found \"task/\"",
    ),
    (
        "metric: task/acc",
        "metric: task/acc\n      weight: 0",
        "spec.objectives[0].weight: expected a number above 0, found 0",
    ),
    (
        "metric: task/acc",
        "metric: task/acc\n      constraint: {min: {relativeTo: d}}",
        "spec.objectives[0].constraint.min.relativeTo: expected base, uniform, bestSingle or a checkpoint (a, b, c), found \"d\"",
    ),
    (
        "metric: task/acc",
        "metric: task/acc\n      constraint: {min: {relativeTo: base}}",
        "spec.objectives[0].constraint.min.relativeTo: there is no spec.pool.base to compare with",
    ),
    (
        "metric: task/acc",
        "metric: task/acc\n      constraint: {max: 1}",
        "spec.objectives[0].constraint.max: an objective to Maximize is limited by min only",
    ),
    (
        "spec:\n",
        "spec:\n  heldOut: [{name: accuracy, metric: other/acc}]\n",
        "spec.heldOut[0].name: \"accuracy\" is the name of spec.objectives[0] already; expected a unique one",
    ),
    (
        "spec:\n",
        "spec:\n  heldOut: [{name: other, metric: task/acc}]\n",
        "spec.heldOut[0].metric: \"task/acc\" is the metric of spec.objectives[0]; expected one that is not optimised",
    ),
    ("spec:\n", "spec:\n  search: {sigma: 0}\n", "spec.search.sigma: expected a number above 0, found 0"),
    (
        "spec:\n",
        "spec:\n  search: {contribution: baseline-production}\n",
        "spec.search.contribution: no merge of spec.baselines has the name \"production\"",
    ),
    (
        "spec:\n",
        "spec:\n  search: {contribution: soup-04}\n",
        "spec.search.contribution: expected best or a trial such as g0004-c012, found \"soup-04\"",
    ),
    (
        "maxTrials: 60",
        "maxTrials: 30",
        "spec.budget.maxTrials: expected at least 38, for 5 baselines, 2 steps of the greedy soup, 5 generations of 6 and the final mean, found 30",
    ),
    (
        "maxTrials: 60",
        "maxTrials: 60\n    maxGpuHours: 2",
        "spec.evaluation.activeDeadlineSeconds: required by spec.budget.maxGpuHours, but missing",
    ),
    (
        "maxTrials: 60",
        "maxTrials: 60\n    maxDuration: 0s",
        "spec.budget.maxDuration: expected a duration above 0, such as 36h, found none",
    ),
    (
        "- name: evaluator",
        "- name: main",
        "spec.evaluation.template.spec.containers[0].name: expected evaluator, found \"main\"",
    ),
    (
        "- name: evaluator",
        "- {name: server}\n          - name: evaluator",
        "spec.evaluation.template.spec.containers: expected exactly one container, named evaluator, found 2; a server beside it is an init container with restartPolicy: Always",
    ),
    (
        "command: [evaluate]",
        "args: [evaluate]",
        "spec.evaluation.template.spec.containers[0].command: required, but missing: local runs start it, and so does the pod",
    ),
    (
        "command: [evaluate]",
        "command: [evaluate]\n            livenessProbe: {}",
        "spec.evaluation.template.spec.containers[0].livenessProbe: the evaluator runs to its end, so it has no livenessProbe; a server is an init container with restartPolicy: Always",
    ),
    (
        "command: [evaluate]",
        "command: [evaluate]\n            env: [{name: MERGESEARCH_STAGE, value: test}]",
        "spec.evaluation.template.spec.containers[0].env[0].name: names that begin with MERGESEARCH_ are reserved, found \"MERGESEARCH_STAGE\"",
    ),
    (
        "containers:",
        "restartPolicy: OnFailure\n        containers:",
        "spec.evaluation.template.spec.restartPolicy: expected Never or nothing, found \"OnFailure\": spec.evaluation.backoffLimit says how often to retry",
    ),
    (
        "containers:",
        "initContainers: [{name: report}]\n        containers:",
        "spec.evaluation.template.spec.initContainers[0].name: \"report\" is reserved; expected another",
    ),
    (
        "containers:",
        "initContainers: [{name: server, env: [{name: MERGESEARCH_MODEL_DIR, value: /x}]}]\n        containers:",
        "spec.evaluation.template.spec.initContainers[0].env[0].name: names that begin with MERGESEARCH_ are reserved, found \"MERGESEARCH_MODEL_DIR\"",
    ),
    (
        "command: [evaluate]",
        "command: [evaluate]\n            volumeMounts: [{name: mine, mountPath: /mergesearch/model}]",
        "spec.evaluation.template.spec.containers[0].volumeMounts[0].mountPath: /mergesearch is reserved, found \"/mergesearch/model\"; expected another folder",
    ),
    (
        "containers:",
        "volumes: [{name: mergesearch-x}]\n        containers:",
        "spec.evaluation.template.spec.volumes[0].name: names that begin with mergesearch- are reserved, found \"mergesearch-x\"",
    ),
    (
        "containers:",
        "activeDeadlineSeconds: 5\n        containers:",
        "spec.evaluation.template.spec.activeDeadlineSeconds: expected it in spec.evaluation.activeDeadlineSeconds",
    ),
    (
        "storage:",
        "execution: {handoff: {}}\n  storage:",
        "spec.execution.handoff: expected exactly one of uri and claimName",
    ),
    (
        "storage:",
        "execution: {poolCache: {hostPath: cache}}\n  storage:",
        "spec.execution.poolCache.hostPath: expected an absolute path, found \"cache\"",
    ),
    (
        "storage:",
        "storage:\n    endpoint: minio:9000",
        "spec.storage.endpoint: expected a URL of http:// or https://, found \"minio:9000\"",
    ),
    (
        "name: small",
        "name: Small",
        "metadata.name: expected 1 to 253 lower-case letters, digits, '-' and '.' between letters or digits, found \"Small\"",
    ),
];
