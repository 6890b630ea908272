//! The recipe itself: everything the merger needs to make one candidate.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Checkpoint, CheckpointName, Group, LayerRange, MergeMethod, TensorPosition, Vocabulary};

/// The element type of floating-point tensors in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// bfloat16.
    Bfloat16,
    /// IEEE half precision.
    Float16,
    /// IEEE single precision.
    Float32,
    /// IEEE double precision.
    Float64,
    /// 8 bits, 4 of them exponent, without infinities (OCP FP8).
    #[serde(rename = "float8_e4m3fn")]
    Float8E4m3fn,
    /// 8 bits, 5 of them exponent (OCP FP8).
    #[serde(rename = "float8_e5m2")]
    Float8E5m2,
}

impl Dtype {
    /// The name in recipes, mergekit's YAML and `torch_dtype`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bfloat16 => "bfloat16",
            Self::Float16 => "float16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Float8E4m3fn => "float8_e4m3fn",
            Self::Float8E5m2 => "float8_e5m2",
        }
    }
}

/// What is matched between checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Align {
    /// The experts of each layer, by their weights: each checkpoint's are put into the order of the base's, or where there's
    /// none of the first checkpoint's.
    Experts,
}

impl fmt::Display for Dtype {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Everything the merger needs to make one candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// How tensors are combined.
    pub method: MergeMethod,
    /// The checkpoints, in the order of every group's weights.
    pub checkpoints: Vec<Checkpoint>,
    /// The checkpoint that task vectors are taken from, for methods that need one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Checkpoint>,
    /// At least one; a tensor belongs to the first group that selects it, and every tensor to some group.
    pub groups: Vec<Group>,
    /// Element type of the output. Default: that of the first checkpoint, tensor by tensor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<Dtype>,
    /// Whose config, tokenizer and other carried files the output gets. Default: the base, else the first checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer_from: Option<CheckpointName>,
    /// How different vocabularies come together. Default: they have to be equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<Vocabulary>,
    /// What is matched between checkpoints before they are merged. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub align: Option<Align>,
    /// Where the random numbers of methods that drop differences at random start. Default 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seed: u64,
    /// The layers that the output's layers come from, range after range, the same of every checkpoint; groups select by
    /// the output's layers. Empty, the default: each layer from itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<LayerRange>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(seed: &u64) -> bool {
    *seed == 0
}

impl Recipe {
    /// The checkpoint's place in the order of the weights.
    pub fn checkpoint_index(&self, name: &CheckpointName) -> Option<usize> {
        self.checkpoints.iter().position(|checkpoint| checkpoint.name == *name)
    }

    /// The index of the group that a tensor belongs to: the first that selects it. `None` when no group does.
    ///
    /// `layer_count` is the model's ([`TensorPosition::layer_count`]); final norm and output head belong to the block of
    /// its last layer. Without it they belong to the block that ends highest.
    pub fn group_index(&self, tensor: &str, layer_count: Option<u32>) -> Option<usize> {
        let layer_count = layer_count.unwrap_or_else(|| self.last_block_end());
        let position = TensorPosition::of(tensor);
        let last_layer = layer_count.saturating_sub(1);
        self.groups.iter().position(|group| group.select.selects(tensor, position, last_layer))
    }

    /// The group that a tensor belongs to; see [`Recipe::group_index`].
    pub fn group_for(&self, tensor: &str, layer_count: Option<u32>) -> Option<&Group> {
        self.groups.get(self.group_index(tensor, layer_count)?)
    }

    /// What keeps two recipes from being merged in one pass over their checkpoints, as the name of a field; `None` when
    /// nothing does. They may differ in method, groups and seed.
    pub fn obstacle_to_one_pass(&self, other: &Self) -> Option<&'static str> {
        let differences = [
            ("checkpoints", self.checkpoints != other.checkpoints),
            ("base", self.base != other.base),
            ("dtype", self.dtype != other.dtype),
            ("stack", self.stack != other.stack),
            ("align", self.align != other.align),
            ("vocabulary", self.vocabulary != other.vocabulary),
            ("tokenizer_from", self.tokenizer_from != other.tokenizer_from),
        ];
        differences.into_iter().find(|(_, differs)| *differs).map(|(field, _)| field)
    }

    /// The checkpoint whose config, tokenizer and other carried files the output gets. `None` only in a recipe that
    /// [`Recipe::validate`] refuses.
    pub fn donor(&self) -> Option<&Checkpoint> {
        let mut known = self.checkpoints.iter().chain(&self.base);
        match &self.tokenizer_from {
            Some(name) => known.find(|checkpoint| checkpoint.name == *name),
            None => self.base.as_ref().or_else(|| self.checkpoints.first()),
        }
    }

    /// A text that two recipes share exactly when they make the same merge: every weight bit for bit (only -0.0 counts
    /// as 0.0), parameters with their defaults filled in, sources in order. The key for finding duplicates, with the
    /// sources' `ETag`s beside it.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "JSON fails only on maps with other keys than strings; a recipe has no map"
    )]
    pub fn canonical(&self) -> String {
        let mut recipe = self.clone();
        for group in &mut recipe.groups {
            for weight in &mut group.weights {
                // IEEE 754: -0.0 + 0.0 is +0.0, and nothing else changes.
                *weight += 0.0;
            }
            group.parameters = group.parameters.resolved(self.method, self.checkpoints.len());
        }
        recipe.tokenizer_from = self.donor().map(|donor| donor.name.clone());
        if !self.method.is_random() {
            recipe.seed = 0;
        }
        // The shortest decimal that reads back as the same number is as exact as the bits.
        serde_json::to_string(&recipe).expect("structs, lists, strings and numbers always have a JSON form")
    }

    /// One past the highest layer that a group names; 0 when none names one.
    pub(crate) fn last_block_end(&self) -> u32 {
        self.groups.iter().filter_map(|group| group.select.layers).map(|layers| layers.end).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{Parameters, Selection};

    fn group(layers: Option<(u32, u32)>, name_contains: Option<&str>) -> Group {
        let select = Selection {
            layers: layers.map(|(start, end)| LayerRange { start, end }),
            name_contains: name_contains.map(str::to_owned),
            ..Selection::default()
        };
        Group { select, weights: vec![0.25, 0.75], parameters: Parameters::default() }
    }

    fn recipe(groups: Vec<Group>) -> Recipe {
        let checkpoint =
            |name: &str| Checkpoint { name: name.try_into().unwrap(), uri: format!("file:///pool/{name}") };
        Recipe {
            method: MergeMethod::Linear,
            checkpoints: vec![checkpoint("a"), checkpoint("b")],
            base: None,
            groups,
            dtype: None,
            tokenizer_from: None,
            seed: 0,
            stack: Vec::new(),
            vocabulary: None,
            align: None,
        }
    }

    #[rstest]
    #[case("model.embed_tokens.weight", Some(4), Some(1))]
    #[case("model.layers.0.self_attn.q_proj.weight", Some(4), Some(0))]
    #[case("model.layers.1.mlp.up_proj.weight", Some(4), Some(1))]
    #[case("model.layers.3.mlp.up_proj.weight", Some(4), Some(2))]
    #[case("model.norm.weight", Some(4), Some(2))]
    #[case("lm_head.weight", None, Some(2))]
    // A model with fewer layers than the blocks name: the head belongs to the block of the last layer there is.
    #[case("lm_head.weight", Some(2), Some(1))]
    // One with more: no block selects the tensor.
    #[case("model.layers.4.mlp.up_proj.weight", Some(5), None)]
    #[case("lm_head.weight", Some(5), None)]
    fn first_group_that_selects_a_tensor_takes_it(
        #[case] tensor: &str,
        #[case] layer_count: Option<u32>,
        #[case] expected: Option<usize>,
    ) {
        let recipe = recipe(vec![
            group(None, Some("self_attn")),
            group(Some((0, 2)), None),
            group(Some((2, 4)), None),
        ]);
        assert_eq!(recipe.group_index(tensor, layer_count), expected);
        assert_eq!(recipe.group_for(tensor, layer_count), expected.map(|index| &recipe.groups[index]));
    }

    #[rstest]
    #[case("model.embed_tokens.weight", Some(1))]
    #[case("model.layers.3.mlp.up_proj.weight", Some(0))]
    #[case("lm_head.weight", Some(1))]
    fn a_group_within_layers_leaves_embeddings_and_head(
        #[case] tensor: &str,
        #[case] expected: Option<usize>,
    ) {
        let mut recipe = recipe(vec![group(Some((0, 4)), None), group(None, None)]);
        recipe.groups[0].select.within_layers = true;
        assert_eq!(recipe.group_index(tensor, Some(4)), expected);
    }

    #[test]
    fn a_model_without_layers_is_one_block() {
        assert_eq!(recipe(vec![group(None, None)]).group_index("lm_head.weight", None), Some(0));
        assert_eq!(recipe(vec![group(Some((0, 4)), None)]).group_index("lm_head.weight", Some(0)), Some(0));
    }

    #[test]
    fn canonical_sees_one_bit_but_not_the_sign_of_zero() {
        let mut first = recipe(vec![group(None, None)]);
        let mut second = first.clone();
        second.groups[0].weights[0] = f64::from_bits(0.25_f64.to_bits() + 1);
        assert_ne!(first.canonical(), second.canonical());

        first.groups[0].weights[0] = 0.0;
        second.groups[0].weights[0] = -0.0;
        assert_eq!(first.canonical(), second.canonical());
    }

    #[test]
    fn canonical_fills_defaults_in() {
        let mut first = recipe(vec![group(None, None)]);
        first.method = MergeMethod::TaskArithmetic;
        let mut second = first.clone();
        second.groups[0].parameters.lambda = Some(1.0);
        second.tokenizer_from = Some("a".try_into().unwrap());
        assert_eq!(first.canonical(), second.canonical());
        second.groups[0].parameters.lambda = Some(0.5);
        assert_ne!(first.canonical(), second.canonical());
    }

    #[test]
    fn canonical_keeps_the_order_of_sources() {
        let first = recipe(vec![group(None, None)]);
        let mut second = first.clone();
        second.checkpoints.reverse();
        assert_ne!(first.canonical(), second.canonical());
    }
}
