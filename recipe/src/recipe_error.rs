//! Why a recipe can't be merged, in one sentence each.

use crate::{CheckpointName, MergeMethod, TensorPosition};

/// Why a recipe can't be merged. Groups are counted from 0, as in `groups[0]`.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum RecipeError {
    /// No checkpoint or no group.
    #[error("recipe: expected at least one entry in {field}")]
    Empty {
        /// The empty list.
        field: &'static str,
    },
    /// A method of two got another number of checkpoints.
    #[error("recipe: {method} takes exactly two checkpoints, got {count}")]
    NotTwo {
        /// The method.
        method: MergeMethod,
        /// How many checkpoints there are.
        count: usize,
    },
    /// Two checkpoints, or a checkpoint and the base, share a name.
    #[error("recipe: the name {name} is used twice; checkpoints and base need names of their own")]
    DuplicateName {
        /// The name.
        name: CheckpointName,
    },
    /// A checkpoint without a place.
    #[error("checkpoint {name}: uri is empty, expected s3://bucket/prefix or file:///absolute/folder")]
    EmptyUri {
        /// The checkpoint.
        name: CheckpointName,
    },
    /// A method of task vectors without a base.
    #[error("recipe: {method} works on differences from a base, expected one in base")]
    NoBase {
        /// The method.
        method: MergeMethod,
    },
    /// `tokenizer_from` names nobody.
    #[error("recipe: tokenizer_from names {name}, which is neither a checkpoint nor the base")]
    UnknownTokenizer {
        /// The name.
        name: CheckpointName,
    },
    /// More or fewer weights than checkpoints.
    #[error("groups[{group}].weights: expected {expected} weights, one for each checkpoint, got {got}")]
    WeightCount {
        /// The group.
        group: usize,
        /// How many checkpoints there are.
        expected: usize,
        /// How many weights there are.
        got: usize,
    },
    /// A weight that is NaN or infinite.
    #[error("groups[{group}].weights: the weight of {name} is {value}, expected a finite number")]
    WeightNotFinite {
        /// The group.
        group: usize,
        /// The checkpoint.
        name: CheckpointName,
        /// The weight.
        value: f64,
    },
    /// Weights of an interpolation that do not sum to 1.
    #[error("groups[{group}].weights: {method} takes the weights [1 - t, t], got a sum of {sum}")]
    NotInterpolation {
        /// The group.
        group: usize,
        /// The method.
        method: MergeMethod,
        /// What the weights sum to.
        sum: f64,
    },
    /// A parameter that the method has no use for.
    #[error("groups[{group}].parameters: {method} takes no {parameter}")]
    UnfitParameter {
        /// The group.
        group: usize,
        /// The method.
        method: MergeMethod,
        /// The parameter.
        parameter: &'static str,
    },
    /// A parameter out of its range.
    #[error("groups[{group}].parameters.{parameter}: got {value}, expected {expected}")]
    ParameterRange {
        /// The group.
        group: usize,
        /// The parameter.
        parameter: &'static str,
        /// What was given.
        value: f64,
        /// What makes sense, in words.
        expected: &'static str,
    },
    /// A list of another length than that of the checkpoints.
    #[error(
        "groups[{group}].parameters.{parameter}: expected one number, or {expected}, one for each checkpoint, got {got}"
    )]
    ParameterCount {
        /// The group.
        group: usize,
        /// The parameter.
        parameter: &'static str,
        /// How many checkpoints there are.
        expected: usize,
        /// How many numbers there are.
        got: usize,
    },
    /// A parameter without default is missing.
    #[error("groups[{group}].parameters: {method} needs {parameter}")]
    ParameterMissing {
        /// The group.
        group: usize,
        /// The method.
        method: MergeMethod,
        /// The parameter.
        parameter: &'static str,
    },
    /// Probabilities that aren't.
    #[error(
        "groups[{group}].parameters: density {density} and epsilon {epsilon} of {name} make probabilities outside of 0 to 1, expected a smaller epsilon, or density 1 to keep everything"
    )]
    Probability {
        /// The group.
        group: usize,
        /// The checkpoint.
        name: CheckpointName,
        /// Its density.
        density: f64,
        /// Its epsilon.
        epsilon: f64,
    },
    /// A weight that is neither 0 nor 1 where weights are no amounts.
    #[error(
        "groups[{group}].weights: the weight of {name} is {value}; {method} has no amounts, expected 1, or 0 to leave the checkpoint out"
    )]
    NotSwitch {
        /// The group.
        group: usize,
        /// The method.
        method: MergeMethod,
        /// The checkpoint.
        name: CheckpointName,
        /// The weight.
        value: f64,
    },
    /// Too few or too many checkpoints of a weight that isn't 0.
    #[error("groups[{group}].weights: {count} of them are not 0, {method} takes {expected}")]
    Parts {
        /// The group.
        group: usize,
        /// The method.
        method: MergeMethod,
        /// How many checkpoints take part.
        count: usize,
        /// How many have to, in words.
        expected: &'static str,
    },
    /// Weights of a mean that point the other way.
    #[error(
        "groups[{group}].weights: the weight of {name} is {value}; {method} takes means, expected at least 0"
    )]
    NegativeWeight {
        /// The group.
        group: usize,
        /// The method.
        method: MergeMethod,
        /// The checkpoint.
        name: CheckpointName,
        /// The weight.
        value: f64,
    },
    /// More layers than any model has.
    #[error("stack[{index}]: more than {most} layers up to here, expected fewer")]
    StackTooHigh {
        /// Its place in the stack.
        index: usize,
        /// How many there may be.
        most: u32,
    },
    /// A stack's range of no layer.
    #[error("stack[{index}]: {start}..{end} holds no layer, expected start < end")]
    EmptyStackRange {
        /// Its place in the stack.
        index: usize,
        /// The first layer.
        start: u32,
        /// One past the last layer.
        end: u32,
    },
    /// A range of no layer.
    #[error("groups[{group}].select.layers: {start}..{end} holds no layer, expected start < end")]
    EmptyRange {
        /// The group.
        group: usize,
        /// The first layer.
        start: u32,
        /// One past the last layer.
        end: u32,
    },
    /// A filter that filters nothing.
    #[error(
        "groups[{group}].select.name_contains is empty, expected a part of tensor names; leave it out for all"
    )]
    EmptyFilter {
        /// The group.
        group: usize,
    },
    /// A group behind one that takes everything.
    #[error("groups[{group}] gets no tensor: groups[{everything}] before it selects them all")]
    Unreachable {
        /// The group without tensors.
        group: usize,
        /// The group that takes everything.
        everything: usize,
    },
    /// Tensors without a group.
    #[error(
        "groups: tensors of {position} whose names match no filter belong to no group; \
         add a last group that selects everything"
    )]
    Uncovered {
        /// The first place without a group.
        position: TensorPosition,
    },
}
