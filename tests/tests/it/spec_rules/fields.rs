//! The table: two values of every field, and every way to break a rule.

/// A field and two values that it may have, in YAML. If the field has a default, it is not `one`.
pub(crate) struct Field {
    pub(crate) path: &'static str,
    pub(crate) one: &'static str,
    /// Equal to `one` where there is no second value.
    pub(crate) other: &'static str,
    /// The fields that stand in its place: they can't be beside it, and one side must be there.
    pub(crate) instead: &'static [&'static str],
}

impl Field {
    const fn instead(self, instead: &'static [&'static str]) -> Self {
        Self { instead, ..self }
    }
}

const fn field(path: &'static str, one: &'static str, other: &'static str) -> Field {
    Field { path, one, other, instead: &[] }
}

/// The smallest search, to which every field comes. It has a deadline so that GPU hours may be limited, and it would not
/// begin if an operator saw it.
pub(crate) const SMALLEST: &str = "
pool: {checkpoints: [{name: a, uri: s3://models/a}, {name: b, uri: s3://models/b}]}
objectives: [{name: accuracy, metric: task/acc}]
budget: {maxTrials: 60}
evaluation:
  activeDeadlineSeconds: 3600
  template: {spec: {containers: [{name: evaluator, image: a, command: [evaluate]}]}}
storage: {output: s3://models/searches}
suspend: true
";

/// Of a field within another, the outer one has its first value.
pub(crate) const FIELDS: &[Field] = &[
    field(
        "baselines",
        "[{name: production, weights: {a: 0.7, b: 0.3}}]",
        "[{name: rival, weights: {a: 0.5, b: 0.5}}]",
    ),
    field("baselines[].name", "rival", "production"),
    field("baselines[].weights", "{a: 0.6, b: 0.4}", "{a: 1.0}"),
    field("budget", "{maxTrials: 60}", "{maxTrials: 100, maxDuration: 36h}"),
    field("budget.maxDuration", "36h", "1h30m"),
    field("budget.maxFailedTrials", "12", "0"),
    field("budget.maxGpuHours", "400", "0.5"),
    field("budget.maxTrials", "100", "50"),
    field("evaluation", EVALUATION, OTHER_EVALUATION),
    field("evaluation.activeDeadlineSeconds", "60", "7200"),
    field("evaluation.backoffLimit", "3", "0"),
    field("evaluation.template", TEMPLATE, OTHER_TEMPLATE),
    field("execution", "{handoff: {uri: 's3://scratch/a'}}", "{parallelTrials: 2}"),
    field("execution.handoff", "{uri: 's3://scratch/b'}", "{claimName: candidates}"),
    field("execution.handoff.claimName", "candidates", "others").instead(&["execution.handoff.uri"]),
    field("execution.handoff.uri", "s3://scratch/b", "s3://scratch/c")
        .instead(&["execution.handoff.claimName"]),
    field("execution.merger", "{image: merger}", "{image: other}"),
    field("execution.merger.env", "[{name: A, value: b}]", "[{name: A, value: c}]"),
    field("execution.merger.image", "one", "other"),
    field("execution.merger.imagePullPolicy", "Always", "Never"),
    field("execution.merger.nodeSelector", "{disk: fast}", "{disk: slow}"),
    field("execution.merger.parallelism", "8", "1000"),
    field(
        "execution.merger.resources",
        "{limits: {memory: 4Gi}}",
        "{limits: {memory: 8Gi}, requests: {cpu: 2}}",
    ),
    field("execution.merger.tolerations", "[{key: a, operator: Exists}]", "[{key: b, operator: Exists}]"),
    field("execution.nodeLostSeconds", "60", "86400"),
    field("execution.parallelTrials", "8", "10000"),
    field("execution.poolCache", "{hostPath: /var/cache/a}", "{claimName: cache}"),
    field("execution.poolCache.claimName", "cache", "other").instead(&["execution.poolCache.hostPath"]),
    field("execution.poolCache.hostPath", "/var/cache/b", "/var/cache/c")
        .instead(&["execution.poolCache.claimName"]),
    field("execution.poolCache.sizeLimit", "500Gi", "1000000000"),
    field("execution.queueName", "team-a", "team-b"),
    field("execution.scratch", "{sizeLimit: 20Gi}", "{medium: Memory}"),
    field("execution.scratch.medium", "Memory", "Disk"),
    field("execution.scratch.sizeLimit", "30Gi", "40Gi"),
    field(
        "execution.scratch.volumeClaimTemplate",
        "{spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 20Gi}}}}",
        "{metadata: {labels: {a: b}}, spec: {accessModes: [ReadWriteOnce], storageClassName: fast}}",
    ),
    field("execution.strategy", "MergeThenEvaluate", "PerGeneration"),
    field("heldOut", "[{name: safety, metric: truth/acc}]", "[{name: safety, metric: truth/mc2}]"),
    field("heldOut[].direction", "Minimize", "Maximize"),
    field("heldOut[].metric", "truth/mc1", "truth/mc2"),
    field("heldOut[].name", "truth", "candour"),
    field("merge", "{maxShardSize: 1G}", "{dtype: Bfloat16}"),
    field("merge.dtype", "Bfloat16", "Float64"),
    field("merge.granularity", "{blocks: 2}", "{patterns: [mlp]}"),
    field("merge.granularity.blocks", "4", "8"),
    field("merge.granularity.patterns", "[mlp]", "[self_attn, mlp]").instead(&["merge.granularity.blocks"]),
    field("merge.maxShardSize", "2G", "1000000"),
    field("merge.method", "Slerp", "Linear"),
    field("merge.parameters", "{lambda: {min: 0, max: 2, start: 1}}", "{lambda: {value: 1}}"),
    field("merge.parameters.lambda", "{min: 0.0, max: 2, start: 1}", "{value: 1}"),
    field("merge.parameters.lambda.max", "1.5", "3"),
    field("merge.parameters.lambda.min", "-1", "0.5"),
    field("merge.parameters.lambda.start", "0.5", "1.5"),
    field("merge.parameters.lambda.value", "1", "0.5").instead(&[
        "merge.parameters.lambda.max",
        "merge.parameters.lambda.min",
        "merge.parameters.lambda.start",
    ]),
    field("merge.tokenizerFrom", "a", "b"),
    field("merge.align", "Experts", "Experts"),
    field("merge.vocabulary", "{tokens: Union}", "{tokens: Donor}"),
    field("merge.vocabulary.padToMultipleOf", "64", "128"),
    field("merge.vocabulary.tokens", "Union", "Donor"),
    field("merge.weights", "{nonNegative: true}", "{nonNegative: false}"),
    field("merge.weights.nonNegative", "true", "false"),
    field("objectives", "[{name: accuracy, metric: task/acc}]", "[{name: loss, metric: task/loss}]"),
    field("objectives[].constraint", "{min: 0.5}", "{max: 0.5}"),
    field("objectives[].constraint.max", "7.5", "{relativeTo: a, delta: 0.1}"),
    field("objectives[].constraint.min", "{relativeTo: uniform}", "0.25"),
    field("objectives[].direction", "Minimize", "Maximize"),
    field("objectives[].metric", "task/f1", "{search: task_dev/f1, test: task/f1}"),
    field("objectives[].name", "math", "code"),
    field("objectives[].scale", "10", "0.1"),
    field("objectives[].weight", "2", "0.5"),
    field("pool", POOL, OTHER_POOL),
    field("pool.base", "{name: base, uri: s3://models/base}", "{name: base, uri: pvc://models/base}"),
    field("pool.base.name", "origin", "ancestor"),
    field("pool.base.uri", "s3://models/origin", "pvc://models/ancestor"),
    field(
        "pool.checkpoints",
        "[{name: a, uri: s3://models/a}, {name: c, uri: s3://models/c}]",
        "[{name: a, uri: s3://models/a}, {name: d, uri: s3://models/d}]",
    ),
    field("pool.checkpoints[].name", "x", "z"),
    field("pool.checkpoints[].uri", "s3://models/x", "pvc://models/y"),
    field("publish", "{top: 3}", "{uri: s3://models/recycled}"),
    field("publish.top", "2", "0"),
    field("publish.uri", "s3://models/recycled", "s3://models/others"),
    field("search", "{contribution: uniform}", "{contribution: best}"),
    field("search.algorithm", "CmaEs", "CmaEs"),
    field("search.barrier", "false", "true"),
    field("search.contribution", "best", "r1-g0004-c012"),
    field("search.finalists", "4", "16"),
    field("search.fitness", "Hypervolume", "Tchebycheff"),
    field("search.greedy", "{enabled: false}", "{maxSteps: 3}"),
    field("search.greedy.enabled", "false", "true"),
    field("search.greedy.maxSteps", "4", "5"),
    field("search.populationSize", "12", "24"),
    field("search.restarts", "1", "2"),
    field("search.seed", "2", "9007199254740991"),
    field("search.sigma", "0.1", "0.2"),
    field("search.start", "Uniform", "BestBaseline"),
    field("search.stop", "{tolX: 0.1}", "{noEffectAxis: true}"),
    field("search.stop.noEffectAxis", "true", "false"),
    field("search.stop.noEffectCoord", "true", "false"),
    field("search.stop.tolConditionCov", "1000", "2000"),
    field("search.stop.tolFlatFitness", "10", "20"),
    field("search.stop.tolFun", "0.001", "0.002"),
    field("search.stop.tolFunHist", "0.001", "0"),
    field("search.stop.tolStagnation", "200", "0"),
    field("search.stop.tolX", "0.2", "0"),
    field(
        "storage",
        "{output: s3://models/searches}",
        "{output: s3://models/searches, region: eu-central-1}",
    ),
    field("storage.caBundle", "{configMap: internal-ca}", "{configMap: other-ca}"),
    field("storage.caBundle.configMap", "authority", "other"),
    field("storage.caBundle.key", "root.pem", "other.pem"),
    field("storage.credentialsSecret", "s3-credentials", "others"),
    field("storage.deletionPolicy", "Delete", "Retain"),
    field("storage.endpoint", "https://storage.example:9000", "http://storage.example"),
    field("storage.output", "s3://models/searches", "s3://models/others"),
    field("storage.pathStyle", "true", "false"),
    field("storage.region", "eu-central-1", "us-west-2"),
    field("storage.serviceAccountName", "trials", "others"),
    field("suspend", "true", "false"),
];

const POOL: &str = "{checkpoints: [{name: a, uri: s3://models/a}, {name: b, uri: s3://models/b}]}";
const OTHER_POOL: &str = "{checkpoints: [{name: a, uri: s3://models/a}, {name: c, uri: s3://models/c}]}";
const TEMPLATE: &str = "{spec: {containers: [{name: evaluator, image: a, command: [evaluate]}]}}";
const OTHER_TEMPLATE: &str = "
metadata: {labels: {team: a}}
spec:
  nodeSelector: {accelerator: h100}
  initContainers: [{name: server, image: vllm, restartPolicy: Always, startupProbe: {httpGet: {port: 8000}}}]
  containers: [{name: evaluator, image: a, command: [evaluate], resources: {limits: {nvidia.com/gpu: 1}}}]
";
const EVALUATION: &str =
    "{template: {spec: {containers: [{name: evaluator, image: a, command: [evaluate]}]}}, backoffLimit: 2}";
const OTHER_EVALUATION: &str = "{template: {spec: {containers: [{name: evaluator, image: a, command: [evaluate]}], restartPolicy: Never}}}";

/// A way to break a rule: its message, and the values that the smallest search then has; `null` takes a field away.
pub(crate) type Mistake = (&'static str, &'static [(&'static str, &'static str)]);

/// Every rule of the CRD but those that something is immutable, which every immutable field tries.
pub(crate) const MISTAKES: &[Mistake] = &[
    ("merge.method: a search can't use this method", &[("merge.method", "Karcher")]),
    ("merge.method: task-vector methods require pool.base", &[("merge.method", "TaskArithmetic")]),
    (
        "merge.method: this method merges exactly 2 checkpoints",
        &[
            ("merge.method", "Slerp"),
            (
                "pool.checkpoints",
                "[{name: a, uri: s3://b/a}, {name: b, uri: s3://b/b}, {name: c, uri: s3://b/c}]",
            ),
        ],
    ),
    (
        "budget.maxGpuHours requires evaluation.activeDeadlineSeconds",
        &[("budget.maxGpuHours", "1"), ("evaluation.activeDeadlineSeconds", "null")],
    ),
    (
        "pool.checkpoints: in a cluster, uri begins with s3:// or pvc://",
        &[("pool.checkpoints[].uri", "file:///models/a")],
    ),
    (
        "pool.base: in a cluster, uri begins with s3:// or pvc://",
        &[("pool.base", "{name: base, uri: 'file:///b'}")],
    ),
    (
        "pool.base: has the name of a checkpoint of the pool",
        &[("pool.base", "{name: b, uri: 's3://models/c'}")],
    ),
    ("expected blocks or patterns, found both", &[("merge.granularity", "{blocks: 2, patterns: [mlp]}")]),
    (BOTH_VALUE_AND_RANGE, &[("merge.parameters.lambda", "{value: 1, min: 0}")]),
    (BOTH_VALUE_AND_RANGE, &[("merge.parameters.lambda", "{value: 1, max: 2}")]),
    (BOTH_VALUE_AND_RANGE, &[("merge.parameters.lambda", "{value: 1, start: 1}")]),
    ("expected min below max", &[("merge.parameters.lambda", "{min: 1, max: 1}")]),
    ("weight: expected a number above 0", &[("objectives[].weight", "0")]),
    ("scale: expected a number above 0", &[("objectives[].scale", "-1")]),
    ("sigma: expected a number above 0", &[("search.sigma", "0")]),
    (ONE_CONTAINER, &[("evaluation.template", "{}")]),
    (ONE_CONTAINER, &[("evaluation.template.spec.containers", "[]")]),
    (ONE_CONTAINER, &[("evaluation.template.spec.containers[].name", "other")]),
    (
        ONE_CONTAINER,
        &[(
            "evaluation.template.spec.containers",
            "[{name: evaluator, image: a, command: [a]}, {name: b, image: a, command: [a]}]",
        )],
    ),
    (
        "template: the evaluator's command is required",
        &[("evaluation.template.spec.containers[].command", "null")],
    ),
    (
        "template: the evaluator's command is required",
        &[("evaluation.template.spec.containers[].command", "[]")],
    ),
    (IMAGE, &[("evaluation.template.spec.containers[].image", "null")]),
    (IMAGE, &[("evaluation.template.spec.containers[].image", "''")]),
    (RUNS_TO_ITS_END, &[("evaluation.template.spec.containers[].livenessProbe", "{}")]),
    (RUNS_TO_ITS_END, &[("evaluation.template.spec.containers[].readinessProbe", "{}")]),
    (RUNS_TO_ITS_END, &[("evaluation.template.spec.containers[].startupProbe", "{}")]),
    (RUNS_TO_ITS_END, &[("evaluation.template.spec.containers[].lifecycle", "{}")]),
    (RUNS_TO_ITS_END, &[("evaluation.template.spec.containers[].restartPolicy", "Always")]),
    (RESERVED_CONTAINER, &[("evaluation.template.spec.initContainers[].name", "merge")]),
    (RESERVED_CONTAINER, &[("evaluation.template.spec.initContainers[].name", "report")]),
    (RESERVED_CONTAINER, &[("evaluation.template.spec.initContainers[].name", "evaluator")]),
    (RESERVED_CONTAINER, &[("evaluation.template.spec.initContainers[].name", "evaluator-heldout")]),
    (
        "template: volume names that begin with mergesearch- are reserved",
        &[("evaluation.template.spec.volumes", "[{name: mergesearch-a, emptyDir: {}}]")],
    ),
    (
        "template: expected restartPolicy Never or nothing; evaluation.backoffLimit says how often to retry",
        &[("evaluation.template.spec.restartPolicy", "OnFailure")],
    ),
    (
        "template: expected activeDeadlineSeconds in evaluation.activeDeadlineSeconds",
        &[("evaluation.template.spec.activeDeadlineSeconds", "60")],
    ),
    (
        "handoff: required by strategies MergeThenEvaluate and PerGeneration",
        &[("execution.strategy", "PerGeneration")],
    ),
    (
        "expected medium or volumeClaimTemplate, found both",
        &[(
            "execution.scratch",
            "{medium: Memory, volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce]}}}",
        )],
    ),
    ("expected exactly one of uri and claimName", &[("execution.handoff", "{}")]),
    (
        "expected exactly one of uri and claimName",
        &[("execution.handoff", "{uri: 's3://a/b', claimName: c}")],
    ),
    ("uri: expected s3://bucket/prefix", &[("execution.handoff", "{uri: 'file:///a'}")]),
    ("expected exactly one of hostPath and claimName", &[("execution.poolCache", "{}")]),
    (
        "expected exactly one of hostPath and claimName",
        &[("execution.poolCache", "{hostPath: /a, claimName: b}")],
    ),
    ("hostPath: expected an absolute path", &[("execution.poolCache", "{hostPath: a}")]),
    ("output: in a cluster, expected s3://bucket/prefix", &[("storage.output", "file:///a")]),
    ("endpoint: expected a URL of http:// or https://", &[("storage.endpoint", "storage.example:9000")]),
    ("uri: in a cluster, expected s3://bucket/prefix", &[("publish.uri", "pvc://a/b")]),
];

const BOTH_VALUE_AND_RANGE: &str = "expected value, or some of min, max and start; found both";
const ONE_CONTAINER: &str = "template: expected exactly one container, named evaluator; a server beside it is an init container with restartPolicy: Always";
const IMAGE: &str = "template: the evaluator's image is required in a cluster";
const RUNS_TO_ITS_END: &str = "template: the evaluator runs to its end, so it has no probes, lifecycle or restartPolicy; a server is an init container with restartPolicy: Always";
const RESERVED_CONTAINER: &str = "template: the container names merge, fetch-candidate, report, evaluator and evaluator-heldout are reserved";
