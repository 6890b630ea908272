//! What happens to a tensor by its name: merged, copied as a buffer, or left out as a tied output head.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::checkpoint::OpenCheckpoint;

/// What happens to a tensor that goes into the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Weights, combined by the method.
    Merged,
    /// Equal in all checkpoints and copied: buffers, integers.
    Copied,
}

/// Whether the name is that of a buffer: computed from the config, not trained.
pub(crate) fn is_buffer(name: &str) -> bool {
    ["rotary_emb.inv_freq", "masked_bias", "position_ids"]
        .iter()
        .any(|buffer| name.strip_suffix(buffer).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// Whether the name is that of the scales of quantized weights, which stand beside them (`weight_scale_inv` of block-wise
/// FP8, and what other quantizers write).
pub(crate) fn is_scale(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    ["weight_scale_inv", "weight_scale", "input_scale", "weight_scale_2"].contains(&last)
}

/// All tensor names of all members, once each, numbers in names ordered as numbers.
pub(crate) fn all_names(members: &[OpenCheckpoint]) -> Vec<&str> {
    let names: BTreeSet<&str> =
        members.iter().flat_map(|member| member.tensors.keys()).map(String::as_str).collect();
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_by(|left, right| natural(left, right));
    names
}

/// A part of a dotted name; numbers by value, and before texts.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Number(u64),
    Text(&'a str),
}

/// Compares dotted names part by part: layer 2 before layer 10.
pub(crate) fn natural(left: &str, right: &str) -> Ordering {
    fn parts(name: &str) -> impl Iterator<Item = Part<'_>> {
        name.split('.').map(|part| part.parse().map_or(Part::Text(part), Part::Number))
    }
    parts(left).cmp(parts(right)).then_with(|| left.cmp(right))
}

/// Whether the name is that of an embedding of tokens.
pub(crate) fn is_embedding(name: &str) -> bool {
    ["embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight"]
        .iter()
        .any(|embedding| name.ends_with(embedding))
}

/// Whether the name is that of a language model's output head.
pub(crate) fn is_head(name: &str) -> bool {
    name == "lm_head.weight" || name.ends_with(".lm_head.weight")
}

/// The embedding that this tensor is tied to, if it's an output head of models that tie it.
///
/// Models tie when config.json says so, or says nothing and a member has no head.
pub(crate) fn tied_embedding<'a>(head: &str, members: &'a [OpenCheckpoint]) -> Option<&'a str> {
    if !is_head(head) {
        return None;
    }
    let config = &members.first()?.config;
    let section = config.get("text_config").unwrap_or(config);
    let tied = config.get("tie_word_embeddings").or_else(|| section.get("tie_word_embeddings"));
    let tied = match tied {
        Some(Value::Bool(tied)) => *tied,
        _ => members.iter().any(|member| !member.tensors.contains_key(head)),
    };
    let mut names = members.first()?.tensors.keys().map(String::as_str);
    tied.then(|| names.find(|name| is_embedding(name))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_ordered_by_number() {
        let mut names =
            ["model.layers.10.a", "model.layers.2.b", "model.layers.2.a", "lm_head", "model.layers"];
        names.sort_by(|left, right| natural(left, right));
        assert_eq!(
            names,
            ["lm_head", "model.layers", "model.layers.2.a", "model.layers.2.b", "model.layers.10.a"]
        );
    }

    #[test]
    fn scales_are_known_by_their_last_part() {
        assert!(is_scale("model.layers.0.mlp.up_proj.weight_scale_inv"));
        assert!(!is_scale("model.layers.0.weight_scale.weight"));
    }

    #[test]
    fn buffers_are_known_by_their_last_part() {
        assert!(is_buffer("model.layers.0.self_attn.rotary_emb.inv_freq"));
        assert!(is_buffer("position_ids"));
        assert!(is_buffer("transformer.h.0.attn.masked_bias"));
        assert!(!is_buffer("transformer.h.0.attn.unmasked_bias"));
        assert!(!is_buffer("model.norm.weight"));
    }
}
