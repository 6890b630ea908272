//! Where a tensor stands in a model, read from its name: before the layers, in one of them, or after.

use std::fmt;

/// Where a tensor stands in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorPosition {
    /// Before the first layer: the embeddings. They belong to the first block.
    Before,
    /// In this layer, from 0.
    Layer(u32),
    /// After the last layer: the final norm and the output head. They belong to the last block.
    After,
}

/// What checkpoints of the field call the list of their layers: Llama and most others, GPT-2 and Falcon, MPT and RWKV,
/// BERT, T5.
const LAYER_LISTS: [&str; 5] = ["layers", "h", "blocks", "layer", "block"];

impl TensorPosition {
    /// The position of the tensor called `name`.
    ///
    /// A layer is a number after one of the usual list names (`model.layers.3.`, `transformer.h.3.`,
    /// `transformer.blocks.3.`, `encoder.layer.3.`, `encoder.block.3.`); the first one in the name counts, so experts
    /// and sub-layers stay in their layer. Of the rest, whatever is called an embedding (`embed_tokens`, `wte`, `wpe`,
    /// `word_embeddings`, ...) comes before, everything else after: final norm, `lm_head`, GPT-NeoX' `embed_out`.
    pub fn of(name: &str) -> Self {
        let parts: Vec<&str> = name.split('.').collect();
        let layer = parts.windows(2).find_map(|pair| match pair {
            [list, number] if LAYER_LISTS.contains(list) => layer_number(number),
            _ => None,
        });
        match layer {
            Some(layer) => Self::Layer(layer),
            None if parts.iter().any(|part| is_embedding(part)) => Self::Before,
            None => Self::After,
        }
    }

    /// The name with another layer number, if it has one.
    pub fn renamed(name: &str, layer: u32) -> String {
        let mut parts: Vec<&str> = name.split('.').collect();
        let number = layer.to_string();
        let place = parts.windows(2).position(|pair| match pair {
            [list, number] => LAYER_LISTS.contains(list) && layer_number(number).is_some(),
            _ => false,
        });
        if let Some(part) = place.and_then(|place| parts.get_mut(place + 1)) {
            *part = &number;
        }
        parts.join(".")
    }

    /// How many layers a model with these tensors has: one more than the highest layer number, `None` when no name
    /// has one.
    pub fn layer_count<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<u32> {
        let last = names.into_iter().filter_map(|name| match Self::of(name) {
            Self::Layer(layer) => Some(layer),
            Self::Before | Self::After => None,
        });
        last.max().map(|layer| layer.saturating_add(1))
    }
}

impl fmt::Display for TensorPosition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before => formatter.write_str("the embeddings"),
            Self::Layer(layer) => write!(formatter, "layer {layer}"),
            Self::After => formatter.write_str("the final norm and head"),
        }
    }
}

/// A plain decimal number; `str::parse` alone would take `+3` too.
fn layer_number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn is_embedding(part: &str) -> bool {
    part != "embed_out" && (part.contains("embed") || matches!(part, "wte" | "wpe" | "project_in"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::TensorPosition::{self, After, Before, Layer};

    #[rstest]
    #[case("model.embed_tokens.weight", Before)]
    #[case("transformer.wte.weight", Before)]
    #[case("transformer.word_embeddings_layernorm.bias", Before)]
    #[case("gpt_neox.embed_in.weight", Before)]
    #[case("tok_embeddings.weight", Before)]
    #[case("model.layers.0.self_attn.q_proj.weight", Layer(0))]
    #[case("model.layers.31.block_sparse_moe.experts.7.w1.weight", Layer(31))]
    #[case("transformer.h.11.attn.c_attn.weight", Layer(11))]
    #[case("transformer.blocks.2.ffn.up_proj.weight", Layer(2))]
    #[case("encoder.block.4.layer.1.DenseReluDense.wi.weight", Layer(4))]
    #[case("bert.encoder.layer.9.output.dense.bias", Layer(9))]
    #[case("h.3.ln_1.weight", Layer(3))]
    #[case("model.norm.weight", After)]
    #[case("lm_head.weight", After)]
    #[case("gpt_neox.embed_out.weight", After)]
    #[case("transformer.ln_f.weight", After)]
    #[case("model.layers.norm.weight", After)]
    #[case("model.layers.+3.weight", After)]
    #[case("model.layers.99999999999.weight", After)]
    #[case("", After)]
    fn position_follows_the_name(#[case] name: &str, #[case] expected: TensorPosition) {
        assert_eq!(TensorPosition::of(name), expected);
    }

    #[rstest]
    #[case("model.layers.3.mlp.experts.3.weight", "model.layers.12.mlp.experts.3.weight")]
    #[case("h.0.ln_1.weight", "h.12.ln_1.weight")]
    #[case("model.norm.weight", "model.norm.weight")]
    fn the_layer_is_renamed_and_nothing_else(#[case] name: &str, #[case] expected: &str) {
        assert_eq!(TensorPosition::renamed(name, 12), expected);
    }

    #[rstest]
    #[case(&["model.embed_tokens.weight", "model.layers.0.a", "model.layers.2.a", "lm_head.weight"], Some(3))]
    #[case(&["wte.weight", "ln_f.weight"], None)]
    #[case(&["layers.4294967295.a"], Some(u32::MAX))]
    fn layers_are_counted_by_the_highest(#[case] names: &[&str], #[case] expected: Option<u32>) {
        assert_eq!(TensorPosition::layer_count(names.iter().copied()), expected);
    }
}
