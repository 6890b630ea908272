//! The rules that make a recipe one that can be merged, each broken one named in one sentence.

use std::collections::HashSet;

use crate::group::MOST_LAYERS;
use crate::{
    Group, LayerRange, MergeMethod, Parameter, Parameters, PerCheckpoint, Recipe, RecipeError, Selection,
    TensorPosition,
};

/// How far a sum of weights may be from 1 where the method needs it to be 1: room for decimals, not for another sum.
const SUM_TOLERANCE: f64 = 1e-9;

impl Recipe {
    /// Checks everything that can be known without the checkpoints themselves.
    ///
    /// Linear and task-vector weights may have any finite sum: what a recipe says is what is merged. A model with more
    /// layers than the groups name is the merger's question ([`Recipe::group_for`] is `None` for its tensors).
    pub fn validate(&self) -> Result<(), RecipeError> {
        self.validate_sources()?;
        let mut layers = 0_u32;
        for (index, LayerRange { start, end }) in self.stack.iter().enumerate() {
            if start >= end {
                return Err(RecipeError::EmptyStackRange { index, start: *start, end: *end });
            }
            layers = layers.saturating_add(end - start);
            if layers > MOST_LAYERS {
                return Err(RecipeError::StackTooHigh { index, most: MOST_LAYERS });
            }
        }
        for (index, group) in self.groups.iter().enumerate() {
            self.validate_group(index, group)?;
        }
        self.validate_coverage()
    }

    fn validate_sources(&self) -> Result<(), RecipeError> {
        let method = self.method;
        if self.checkpoints.is_empty() {
            return Err(RecipeError::Empty { field: "checkpoints" });
        }
        if method.takes_two() && self.checkpoints.len() != 2 {
            return Err(RecipeError::NotTwo { method, count: self.checkpoints.len() });
        }
        if method.needs_base() && self.base.is_none() {
            return Err(RecipeError::NoBase { method });
        }
        let mut names = HashSet::new();
        for checkpoint in self.checkpoints.iter().chain(&self.base) {
            let name = &checkpoint.name;
            if !names.insert(name) {
                return Err(RecipeError::DuplicateName { name: name.clone() });
            }
            if checkpoint.uri.is_empty() {
                return Err(RecipeError::EmptyUri { name: name.clone() });
            }
        }
        match &self.tokenizer_from {
            Some(name) if !names.contains(name) => Err(RecipeError::UnknownTokenizer { name: name.clone() }),
            _ => Ok(()),
        }
    }

    fn validate_group(&self, group: usize, content: &Group) -> Result<(), RecipeError> {
        let Group { select, weights, parameters } = content;
        if weights.len() != self.checkpoints.len() {
            let (expected, got) = (self.checkpoints.len(), weights.len());
            return Err(RecipeError::WeightCount { group, expected, got });
        }
        for (checkpoint, &value) in self.checkpoints.iter().zip(weights) {
            if !value.is_finite() {
                return Err(RecipeError::WeightNotFinite { group, name: checkpoint.name.clone(), value });
            }
        }
        self.validate_amounts(group, weights)?;
        self.validate_parameters(group, parameters)?;
        if let Some(LayerRange { start, end }) = select.layers
            && start >= end
        {
            return Err(RecipeError::EmptyRange { group, start, end });
        }
        if select.name_contains.as_deref() == Some("") {
            return Err(RecipeError::EmptyFilter { group });
        }
        Ok(())
    }

    /// What the weights mean to the method.
    fn validate_amounts(&self, group: usize, weights: &[f64]) -> Result<(), RecipeError> {
        let method = self.method;
        let named =
            || self.checkpoints.iter().map(|checkpoint| &checkpoint.name).zip(weights.iter().copied());
        let sum: f64 = weights.iter().sum();
        if method.interpolates() && (sum - 1.0).abs() > SUM_TOLERANCE {
            return Err(RecipeError::NotInterpolation { group, method, sum });
        }
        let is_switch = |value: f64| matches!(value, 0.0 | 1.0);
        if !method.has_weights()
            && let Some((name, value)) = named().find(|&(_, value)| !is_switch(value))
        {
            return Err(RecipeError::NotSwitch { group, method, name: name.clone(), value });
        }
        if method == MergeMethod::Karcher
            && let Some((name, value)) = named().find(|&(_, value)| value < 0.0)
        {
            return Err(RecipeError::NegativeWeight { group, method, name: name.clone(), value });
        }
        let count = weights.iter().filter(|&&weight| weight != 0.0).count();
        let (fits, expected) = match method {
            MergeMethod::Passthrough => (count <= 1, "one checkpoint, or none for zeros"),
            MergeMethod::Karcher | MergeMethod::Multislerp => (count >= 1, "at least one checkpoint"),
            MergeMethod::ModelStock => (count >= 2, "at least two checkpoints"),
            MergeMethod::Nearswap | MergeMethod::ArceeFusion => (count >= 1, "both checkpoints, or one"),
            _ => (true, ""),
        };
        if fits { Ok(()) } else { Err(RecipeError::Parts { group, method, count, expected }) }
    }

    fn validate_parameters(&self, group: usize, parameters: &Parameters) -> Result<(), RecipeError> {
        let (method, expected) = (self.method, self.checkpoints.len());
        let given = parameters.given();
        if let Some((parameter, _)) = given.iter().find(|(parameter, _)| !method.takes(*parameter)) {
            return Err(RecipeError::UnfitParameter { group, method, parameter: parameter.as_str() });
        }
        if let Some((parameter, value, expected)) = parameters.out_of_range() {
            return Err(RecipeError::ParameterRange {
                group,
                parameter: parameter.as_str(),
                value,
                expected,
            });
        }
        let lists = [
            (Parameter::Density, &parameters.density),
            (Parameter::Gamma, &parameters.gamma),
            (Parameter::Epsilon, &parameters.epsilon),
        ];
        for (parameter, list) in lists {
            if let Some(PerCheckpoint::Each(values)) = list
                && values.len() != expected
            {
                let (parameter, got) = (parameter.as_str(), values.len());
                return Err(RecipeError::ParameterCount { group, parameter, expected, got });
            }
        }
        if method == MergeMethod::Nearswap && parameters.t.is_none() {
            return Err(RecipeError::ParameterMissing { group, method, parameter: Parameter::T.as_str() });
        }
        let is_della = method.takes(Parameter::Density) && method.takes(Parameter::Epsilon);
        for (place, checkpoint) in self.checkpoints.iter().enumerate().filter(|_| is_della) {
            let (density, epsilon) = (parameters.density(place), parameters.epsilon(method, place));
            if density < 1.0 && !(density - epsilon > 0.0 && density + epsilon < 1.0) {
                let name = checkpoint.name.clone();
                return Err(RecipeError::Probability { group, name, density, epsilon });
            }
        }
        Ok(())
    }

    /// Every tensor has a group, and every group may have a tensor.
    fn validate_coverage(&self) -> Result<(), RecipeError> {
        if self.groups.is_empty() {
            return Err(RecipeError::Empty { field: "groups" });
        }
        if let Some(everything) = self.groups.iter().position(|group| group.select.is_everything()) {
            let last = self.groups.len() - 1;
            return if everything == last {
                Ok(())
            } else {
                Err(RecipeError::Unreachable { group: everything + 1, everything })
            };
        }
        match self.first_uncovered() {
            Some(position) => Err(RecipeError::Uncovered { position }),
            None => Ok(()),
        }
    }

    /// A position where a tensor that matches no filter has no group, given that no group selects everything.
    fn first_uncovered(&self) -> Option<TensorPosition> {
        let mut unfiltered: Vec<&Selection> = self.groups.iter().map(|group| &group.select).collect();
        unfiltered.retain(|select| select.name_contains.is_none());
        unfiltered.sort_by_key(|select| select.layers.map_or(0, |layers| layers.start));

        let end = self.last_block_end();
        let covered = unfiltered.iter().fold(0, |covered, select| match select.layers {
            None => end,
            Some(layers) if layers.start <= covered => covered.max(layers.end),
            Some(_) => covered,
        });
        let outside = |layer| {
            let mut blocks = unfiltered.iter().filter(|select| !select.within_layers);
            blocks.any(|select| select.layers.is_some_and(|layers| layers.contains(layer)))
        };
        if covered < end {
            Some(TensorPosition::Layer(covered))
        } else if !outside(0) {
            Some(TensorPosition::Before)
        } else if !outside(end.saturating_sub(1)) {
            Some(TensorPosition::After)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::Checkpoint;

    /// A valid recipe of two checkpoints and a base, to be changed by the cases.
    fn valid() -> Recipe {
        let checkpoint =
            |name: &str| Checkpoint { name: name.try_into().unwrap(), uri: format!("s3://pool/{name}") };
        Recipe {
            method: MergeMethod::TaskArithmetic,
            checkpoints: vec![checkpoint("a"), checkpoint("b")],
            base: Some(checkpoint("base")),
            groups: vec![block(0, 2), block(2, 4), everything()],
            dtype: None,
            tokenizer_from: Some("base".try_into().unwrap()),
            seed: 0,
            stack: Vec::new(),
            vocabulary: None,
            align: None,
        }
    }

    fn everything() -> Group {
        Group {
            select: crate::Selection::default(),
            weights: vec![0.5, 0.25],
            parameters: Parameters::default(),
        }
    }

    fn block(start: u32, end: u32) -> Group {
        let mut group = everything();
        group.select.layers = Some(LayerRange { start, end });
        group
    }

    fn filtered(text: &str) -> Group {
        let mut group = everything();
        group.select.name_contains = Some(text.to_owned());
        group
    }

    #[rstest]
    #[case::as_it_is(|_: &mut Recipe| {})]
    #[case::blocks_alone(|recipe: &mut Recipe| { recipe.groups.pop(); })]
    #[case::blocks_in_any_order(|recipe: &mut Recipe| { recipe.groups.pop(); recipe.groups.reverse(); })]
    #[case::filters_before_blocks(|recipe: &mut Recipe| recipe.groups = vec![filtered("mlp"), block(0, 4)])]
    #[case::within_layers_before_everything(|recipe: &mut Recipe| {
        recipe.groups = vec![block(0, 4), block(0, 4)];
        recipe.groups[0].select.within_layers = true;
    })]
    #[case::any_sum(|recipe: &mut Recipe| recipe.groups[0].weights = vec![0.0, 0.0])]
    #[case::slerp(|recipe: &mut Recipe| {
        recipe.method = MergeMethod::Slerp;
        recipe.groups = vec![everything()];
        recipe.groups[0].weights = vec![-0.2, 1.2];
    })]
    #[case::full_density(|recipe: &mut Recipe| {
        recipe.method = MergeMethod::Ties;
        recipe.groups[1].parameters = Parameters {
            lambda: Some(-2.0),
            density: Some(PerCheckpoint::All(1.0)),
            ..Parameters::default()
        };
    })]
    fn accepted(#[case] change: fn(&mut Recipe)) {
        let mut recipe = valid();
        change(&mut recipe);
        assert_eq!(recipe.validate(), Ok(()));
    }

    #[rstest]
    #[case(|r: &mut Recipe| r.checkpoints.clear(), "recipe: expected at least one entry in checkpoints")]
    #[case(|r: &mut Recipe| r.groups.clear(), "recipe: expected at least one entry in groups")]
    #[case(|r: &mut Recipe| { r.method = MergeMethod::Slerp; r.checkpoints.pop(); },
        "recipe: slerp takes exactly two checkpoints, got 1")]
    #[case(|r: &mut Recipe| r.checkpoints[1].name = r.checkpoints[0].name.clone(),
        "recipe: the name a is used twice; checkpoints and base need names of their own")]
    #[case(|r: &mut Recipe| r.checkpoints[1].name = "base".try_into().unwrap(),
        "recipe: the name base is used twice; checkpoints and base need names of their own")]
    #[case(|r: &mut Recipe| r.checkpoints[1].uri.clear(),
        "checkpoint b: uri is empty, expected s3://bucket/prefix or file:///absolute/folder")]
    #[case(|r: &mut Recipe| r.base = None,
        "recipe: task_arithmetic works on differences from a base, expected one in base")]
    #[case(|r: &mut Recipe| r.tokenizer_from = Some("c".try_into().unwrap()),
        "recipe: tokenizer_from names c, which is neither a checkpoint nor the base")]
    #[case(|r: &mut Recipe| r.groups[1].weights.push(1.0),
        "groups[1].weights: expected 2 weights, one for each checkpoint, got 3")]
    #[case(|r: &mut Recipe| r.groups[2].weights[1] = f64::NAN,
        "groups[2].weights: the weight of b is NaN, expected a finite number")]
    #[case(|r: &mut Recipe| r.groups[2].weights[0] = f64::INFINITY,
        "groups[2].weights: the weight of a is inf, expected a finite number")]
    #[case(|r: &mut Recipe| r.method = MergeMethod::Slerp,
        "groups[0].weights: slerp takes the weights [1 - t, t], got a sum of 0.75")]
    #[case(|r: &mut Recipe| r.groups[0].parameters.density = Some(PerCheckpoint::All(0.5)),
        "groups[0].parameters: task_arithmetic takes no density")]
    #[case(|r: &mut Recipe| { r.method = MergeMethod::Linear; r.groups[0].parameters.lambda = Some(1.0); },
        "groups[0].parameters: linear takes no lambda")]
    #[case(|r: &mut Recipe| r.groups[0].parameters.lambda = Some(f64::NAN),
        "groups[0].parameters.lambda: got NaN, expected a finite number")]
    #[case(|r: &mut Recipe| { r.method = MergeMethod::Ties; r.groups[0].parameters.density = Some(PerCheckpoint::All(0.0)); },
        "groups[0].parameters.density: got 0, expected more than 0 and at most 1")]
    #[case(|r: &mut Recipe| { r.method = MergeMethod::Ties; r.groups[0].parameters.density = Some(PerCheckpoint::All(f64::NAN)); },
        "groups[0].parameters.density: got NaN, expected more than 0 and at most 1")]
    #[case(|r: &mut Recipe| r.groups[0] = block(2, 2),
        "groups[0].select.layers: 2..2 holds no layer, expected start < end")]
    #[case(|r: &mut Recipe| r.stack = vec![LayerRange { start: 2, end: 2 }],
        "stack[0]: 2..2 holds no layer, expected start < end")]
    #[case(|r: &mut Recipe| r.stack = vec![LayerRange { start: 0, end: 1 }, LayerRange { start: 0, end: u32::MAX }],
        "stack[1]: more than 10000 layers up to here, expected fewer")]
    #[case(|r: &mut Recipe| r.groups[0] = filtered(""),
        "groups[0].select.name_contains is empty, expected a part of tensor names; leave it out for all")]
    #[case(|r: &mut Recipe| r.groups.push(filtered("mlp")),
        "groups[3] gets no tensor: groups[2] before it selects them all")]
    #[case(|r: &mut Recipe| r.groups = vec![block(0, 2), block(3, 4)],
        "groups: tensors of layer 2 whose names match no filter belong to no group; add a last group that selects everything")]
    #[case(|r: &mut Recipe| r.groups = vec![filtered("mlp")],
        "groups: tensors of the embeddings whose names match no filter belong to no group; add a last group that selects everything")]
    #[case(|r: &mut Recipe| { r.groups = vec![block(0, 1), block(0, 4)]; r.groups[1].select.within_layers = true; },
        "groups: tensors of the final norm and head whose names match no filter belong to no group; add a last group that selects everything")]
    fn refused(#[case] change: fn(&mut Recipe), #[case] sentence: &str) {
        let mut recipe = valid();
        change(&mut recipe);
        assert_eq!(recipe.validate().unwrap_err().to_string(), sentence);
    }
}
