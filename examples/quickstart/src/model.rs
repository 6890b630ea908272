//! The forward pass of a Llama-layout model in f32, the same function for training and for evaluation.

use std::collections::BTreeMap;

use candle_core::{D, Device, Result, Tensor};
use candle_nn::ops::{rms_norm_slow, silu, softmax};
use candle_nn::rotary_emb::rope_slow;

use crate::config::Config;

/// A model ready to compute: its parameters as f32 tensors, sorted into their roles.
#[derive(Debug)]
pub struct Model {
    config: Config,
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: Tensor,
    head: Tensor,
    rotation: Rotation,
    mask: Tensor,
}

#[derive(Debug)]
struct Layer {
    input_norm: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    attention_norm: Tensor,
    gate: Tensor,
    up: Tensor,
    down: Tensor,
}

/// Cosines and sines of the rotary position embedding, context x head width / 2.
#[derive(Debug)]
struct Rotation {
    cos: Tensor,
    sin: Tensor,
}

impl Model {
    /// Sorts named f32 parameters into a model; they are shared, not copied, so a trained variable changes the model.
    ///
    /// The names and shapes must be those of [`Config::shapes`]; a missing name is an error.
    pub fn new(config: &Config, parameters: &BTreeMap<String, Tensor>) -> Result<Self> {
        let take = |name: &str| {
            parameters
                .get(name)
                .cloned()
                .ok_or_else(|| candle_core::Error::CannotFindTensor { path: name.to_owned() })
        };
        let embedding = take("model.embed_tokens.weight")?;
        let layers = (0..config.layers)
            .map(|layer| {
                let take = |name: &str| take(&format!("model.layers.{layer}.{name}.weight"));
                Ok(Layer {
                    input_norm: take("input_layernorm")?,
                    query: take("self_attn.q_proj")?,
                    key: take("self_attn.k_proj")?,
                    value: take("self_attn.v_proj")?,
                    output: take("self_attn.o_proj")?,
                    attention_norm: take("post_attention_layernorm")?,
                    gate: take("mlp.gate_proj")?,
                    up: take("mlp.up_proj")?,
                    down: take("mlp.down_proj")?,
                })
            })
            .collect::<Result<_>>()?;
        let head = if config.tied { embedding.clone() } else { take("lm_head.weight")? };
        Ok(Self {
            config: config.clone(),
            embedding,
            layers,
            norm: take("model.norm.weight")?,
            head,
            rotation: Rotation::new(config)?,
            mask: causal_mask(config.context)?,
        })
    }

    /// The logits at the last `last` places of each sequence: batch x `last` x vocabulary.
    ///
    /// `tokens` is batch x length, u32, at most the model's context long.
    pub fn logits(&self, tokens: &Tensor, last: usize) -> Result<Tensor> {
        let (batch, length) = tokens.dims2()?;
        let eps = self.config.rms_norm_eps as f32;
        let width = self.config.hidden_size;
        let mut stream = self.embedding.index_select(&tokens.flatten_all()?, 0)?;
        for layer in &self.layers {
            let normed = rms_norm_slow(&stream, &layer.input_norm, eps)?;
            stream = (stream + self.attend(layer, &normed, batch, length)?)?;
            let normed = rms_norm_slow(&stream, &layer.attention_norm, eps)?;
            let inner = (silu(&linear(&normed, &layer.gate)?)? * linear(&normed, &layer.up)?)?;
            stream = (stream + linear(&inner, &layer.down)?)?;
        }
        let end = stream
            .reshape((batch, length, width))?
            .narrow(1, length - last, last)?
            .reshape((batch * last, width))?;
        linear(&rms_norm_slow(&end, &self.norm, eps)?, &self.head)?.reshape((
            batch,
            last,
            self.config.vocabulary,
        ))
    }

    /// Causal self-attention; `normed` and the answer are (batch x length) x hidden size.
    fn attend(&self, layer: &Layer, normed: &Tensor, batch: usize, length: usize) -> Result<Tensor> {
        let Config { heads, head_dim, .. } = self.config;
        let split = |weight: &Tensor| {
            linear(normed, weight)?.reshape((batch, length, heads, head_dim))?.transpose(1, 2)?.contiguous()
        };
        let query = rope_slow(&split(&layer.query)?, &self.rotation.cos, &self.rotation.sin)?;
        let key = rope_slow(&split(&layer.key)?, &self.rotation.cos, &self.rotation.sin)?;
        let scores = (query.matmul(&key.t()?.contiguous()?)? * (head_dim as f64).sqrt().recip())?;
        let mask = self.mask.narrow(0, 0, length)?.narrow(1, 0, length)?;
        let mixed = softmax(&scores.broadcast_add(&mask)?, D::Minus1)?.matmul(&split(&layer.value)?)?;
        linear(&mixed.transpose(1, 2)?.reshape((batch * length, heads * head_dim))?, &layer.output)
    }
}

impl Rotation {
    /// The angle at place p in pair i is p / theta^(2i / head width); pairs are (i, i + head width / 2), as in transformers.
    fn new(config: &Config) -> Result<Self> {
        let half = config.head_dim / 2;
        let angles: Vec<f32> = (0..config.context)
            .flat_map(|place| {
                (0..half).map(move |pair| {
                    place as f32 * (1.0 / config.rope_theta.powf(pair as f64 / half as f64)) as f32
                })
            })
            .collect();
        let angles = Tensor::from_vec(angles, (config.context, half), &Device::Cpu)?;
        Ok(Self { cos: angles.cos()?, sin: angles.sin()? })
    }
}

/// 0 where the row may look at the column, minus infinity where the column is later.
fn causal_mask(context: usize) -> Result<Tensor> {
    let entries = (0..context * context)
        .map(|place| if place % context > place / context { f32::NEG_INFINITY } else { 0.0 })
        .collect();
    Tensor::from_vec(entries, (context, context), &Device::Cpu)
}

fn linear(rows: &Tensor, weight: &Tensor) -> Result<Tensor> {
    rows.matmul(&weight.t()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One layer whose attention and feed-forward outputs are zero, so that logits are embedding x normalised embedding.
    fn silent_model() -> Model {
        let config = Config {
            hidden_size: 4,
            intermediate_size: 4,
            layers: 1,
            heads: 2,
            head_dim: 2,
            vocabulary: 3,
            ..Config::quickstart()
        };
        let parameters = config
            .shapes()
            .into_iter()
            .map(|(name, shape)| {
                let count: usize = shape.iter().product();
                let value = |place: usize| match name.as_str() {
                    "model.embed_tokens.weight" => place as f32,
                    name if name.contains("norm") => 1.0,
                    _ => 0.0,
                };
                (
                    name.clone(),
                    Tensor::from_vec((0..count).map(value).collect(), shape, &Device::Cpu).unwrap(),
                )
            })
            .collect();
        Model::new(&config, &parameters).unwrap()
    }

    #[test]
    fn with_silent_layers_the_logits_are_those_computed_by_hand() {
        let tokens = Tensor::new(&[[2_u32, 0]], &Device::Cpu).unwrap();
        let logits = silent_model().logits(&tokens, 1).unwrap().to_vec3::<f32>().unwrap();
        // Token 0 embeds as (0, 1, 2, 3): mean square 3.5. Its products with the three embeddings are 14, 38 and 62.
        let scale = (3.5_f32 + 1e-5).sqrt();
        for (found, product) in logits[0][0].iter().zip([14.0, 38.0, 62.0]) {
            assert!((found - product / scale).abs() < 1e-4, "{found} against {}", product / scale);
        }
    }

    #[test]
    fn a_later_token_changes_nothing_before_it() {
        let config = Config::quickstart();
        let parameters = crate::training::fresh_parameters(&config, 1).unwrap();
        let parameters =
            parameters.into_iter().map(|(name, variable)| (name, variable.as_tensor().clone())).collect();
        let model = Model::new(&config, &parameters).unwrap();
        let logits = |tokens: [u32; 4]| {
            model
                .logits(&Tensor::new(&[tokens], &Device::Cpu).unwrap(), 4)
                .unwrap()
                .to_vec3::<f32>()
                .unwrap()
                .remove(0)
        };
        let (first, second) = (logits([1, 15, 7, 9]), logits([1, 15, 7, 4]));
        assert_eq!(first[..3], second[..3]);
        assert_ne!(first[3], second[3]);
    }
}
