//! Messages: a pod's answer, small enough for a termination message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::results::Measurement;
use crate::trial::{StageScores, TrialId};

use super::StageRequest;

/// A pod's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Message {
    /// The pool is complete and of one architecture.
    Pool(PoolFacts),
    /// A trial's scores.
    #[serde(rename_all = "camelCase")]
    Scores {
        /// Which trial.
        trial: TrialId,
        /// Which attempt, from 0.
        attempt: u32,
        /// Hash of the canonical recipe.
        recipe_hash: String,
        /// One measurement for each metric of each stage, in the order asked for.
        scores: Scores,
        /// Whether the report and the results are in object storage; `None` while they are on their way.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uploaded: Option<bool>,
    },
    /// The trial has ended, and its scores are too many for a message: they are in its report.
    InReport {
        /// Which trial.
        trial: TrialId,
    },
    /// There is no report of this trial.
    Absent,
    /// A merge is published.
    Published {
        /// The URI of its folder.
        uri: String,
    },
    /// Done, nothing to say.
    Done,
    /// Something is wrong.
    Fault {
        /// Who can do something about it.
        class: FaultClass,
        /// One sentence.
        message: String,
    },
}

/// Kinds of faults, by what has to happen for another attempt to succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultClass {
    /// The recipe or the pool can't be merged.
    Input,
    /// A checkpoint is not the one that the search began with.
    PoolChanged,
    /// Object storage denies access or does not answer.
    Storage,
    /// The scratch volume is full.
    Scratch,
    /// The candidate is not whole where it was handed over: somebody deleted it.
    Candidate,
    /// The evaluator left no usable results.
    Results,
    /// Anything else that may pass.
    Other,
}

/// What preflight finds out about a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolFacts {
    /// Layers of the models; 0 when their config says nothing.
    pub layers: u32,
    /// Bytes of a merged checkpoint with everything beside its tensors.
    pub candidate_bytes: u64,
    /// One for each checkpoint in manifest order, then one for the base: hashes over names, sizes and versions of its
    /// files.
    pub fingerprints: Vec<String>,
    /// What a person should know about the pool, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Measurements as base64 of triples of little-endian f64: value, standard error and count of items; NaN stands for what
/// the evaluator does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scores(String);

/// Why scores do not fit what was asked for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScoresError {
    /// Not base64 of whole triples.
    #[error("scores: expected base64 of triples of numbers")]
    Malformed,
    /// Too many or too few.
    #[error("scores: expected {expected}, found {found}")]
    Count {
        /// Metrics asked for.
        expected: usize,
        /// Measurements found.
        found: usize,
    },
}

impl Scores {
    /// Packs the measurements of all stages, in order.
    pub fn pack(stages: &[StageScores]) -> Self {
        let measurements = stages.iter().flat_map(|stage| &stage.scores);
        let bytes: Vec<u8> = measurements
            .flat_map(|&Measurement { value, stderr, items }| {
                [value, stderr.unwrap_or(f64::NAN), items.map_or(f64::NAN, |items| items as f64)]
            })
            .flat_map(f64::to_le_bytes)
            .collect();
        Self(STANDARD.encode(bytes))
    }

    /// The measurements, divided among the stages that were asked for.
    ///
    /// # Errors
    /// When they are not as many as the metrics.
    pub fn unpack(&self, stages: &[StageRequest]) -> Result<Vec<StageScores>, ScoresError> {
        let bytes = STANDARD.decode(&self.0).map_err(|_| ScoresError::Malformed)?;
        let (triples, rest) = bytes.as_chunks::<24>();
        if !rest.is_empty() {
            return Err(ScoresError::Malformed);
        }
        let expected = stages.iter().map(|stage| stage.metrics.len()).sum();
        if triples.len() != expected {
            return Err(ScoresError::Count { expected, found: triples.len() });
        }
        let mut measurements = triples.iter().map(|triple| {
            let (numbers, _) = triple.as_chunks::<8>();
            let [value, stderr, items] = [numbers[0], numbers[1], numbers[2]].map(f64::from_le_bytes);
            let known = |number: f64| (!number.is_nan()).then_some(number);
            Measurement { value, stderr: known(stderr), items: known(items).map(|items| items as u64) }
        });
        let of_stage = |asked: &StageRequest| StageScores {
            stage: asked.stage,
            scores: measurements.by_ref().take(asked.metrics.len()).collect(),
        };
        Ok(stages.iter().map(of_stage).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::MetricName;
    use crate::trial::Stage;

    fn asked(stage: Stage, metrics: usize) -> StageRequest {
        let metric = |index| MetricName::try_from(format!("task-{index}/acc").as_str()).unwrap();
        StageRequest { stage, metrics: (0..metrics).map(metric).collect() }
    }

    #[test]
    fn scores_come_back_bit_for_bit_and_stage_by_stage() {
        let scores = vec![
            StageScores {
                stage: Stage::Test,
                scores: vec![
                    Measurement { value: 0.1, stderr: Some(1e-300), items: Some(1500) },
                    Measurement { value: -0.0, stderr: None, items: None },
                ],
            },
            StageScores {
                stage: Stage::HeldOut,
                scores: vec![Measurement { value: 1.0, stderr: None, items: None }],
            },
        ];
        let packed = Scores::pack(&scores);
        let unpacked = packed.unpack(&[asked(Stage::Test, 2), asked(Stage::HeldOut, 1)]).unwrap();
        assert_eq!(unpacked, scores);
        assert!(unpacked[0].scores[1].value.is_sign_negative());
        let too_few = packed.unpack(&[asked(Stage::Test, 2)]);
        assert_eq!(too_few, Err(ScoresError::Count { expected: 2, found: 3 }));
        assert_eq!(Scores("AAAA".into()).unpack(&[]), Err(ScoresError::Malformed));
    }

    #[test]
    fn a_message_of_two_objectives_is_far_below_a_kibibyte() {
        let id = "final-r1-g0004-c012".parse().unwrap();
        let measured =
            Measurement { value: 0.123_456_789_012_345, stderr: Some(0.001_234_567), items: Some(1500) };
        let scores = Scores::pack(&[StageScores { stage: Stage::Test, scores: vec![measured; 2] }]);
        let message = Message::Scores {
            trial: id,
            attempt: 2,
            recipe_hash: "0".repeat(64),
            scores,
            uploaded: Some(true),
        };
        let text = serde_json::to_string(&message).unwrap();
        assert!(text.len() < 300, "{}", text.len());
        assert_eq!(serde_json::from_str::<Message>(&text).unwrap(), message);
    }
}
