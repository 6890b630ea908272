//! `adapter_config.json`: how an adapter's matrices are applied.

use regex_lite::Regex;
use serde::Deserialize;
use serde_json::Value;

use crate::error::CheckpointError;
use crate::printable;
use crate::unique_map::UniqueMap;

/// The file's name.
pub(crate) const FILE: &str = "adapter_config.json";
/// Ways to begin training that change the base too: the adapter goes with that base only.
const CHANGES_BASE: [&str; 5] = ["pissa", "olora", "corda", "loftq", "lora_ga"];

/// What of it decides how weights come out. Ranks follow from the matrices' shapes.
#[derive(Debug, Clone)]
pub(crate) struct AdapterConfig {
    alpha: f64,
    /// Other alphas, for modules whose name ends so; the first that fits counts.
    alphas: Vec<(Regex, f64)>,
    rank_stabilised: bool,
    /// Whether layers keep their weights by columns of outputs (`Conv1D` of GPT-2).
    pub(crate) fan_in_fan_out: bool,
    pub(crate) dora: bool,
}

#[derive(Deserialize)]
struct File {
    peft_type: String,
    lora_alpha: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    fan_in_fan_out: bool,
    #[serde(default)]
    alpha_pattern: Option<UniqueMap<f64>>,
    #[serde(default)]
    init_lora_weights: Value,
    #[serde(default)]
    layer_replication: Value,
}

impl AdapterConfig {
    /// Takes the file's own text: which of several patterns counts depends on their order.
    pub(crate) fn parse(text: &str) -> Result<Self, CheckpointError> {
        let fail = |message: String| CheckpointError::Json { file: FILE.to_owned(), message };
        let file: File = serde_json::from_str(text).map_err(|error| fail(printable(&error.to_string())))?;
        if file.peft_type != "LORA" {
            return Err(fail(format!("peft_type: got {:?}, expected \"LORA\"", file.peft_type)));
        }
        if let Some(way) = file.init_lora_weights.as_str()
            && CHANGES_BASE.iter().any(|known| way.starts_with(known))
        {
            return Err(fail(format!(
                "init_lora_weights: {way:?} changes the base, expected an adapter that was converted to plain LoRA"
            )));
        }
        if !file.layer_replication.is_null() {
            return Err(fail("layer_replication: got a value, expected none".to_owned()));
        }
        let pattern = |(text, alpha): (String, f64)| {
            // As PEFT has it: the whole name, or its end from a dot on.
            let regex = Regex::new(&format!(r"^(.*\.)?({text})$"));
            regex
                .map(|regex| (regex, alpha))
                .map_err(|error| fail(format!("alpha_pattern: {text:?}: {error}")))
        };
        Ok(Self {
            alpha: file.lora_alpha,
            alphas: file
                .alpha_pattern
                .map_or_else(Vec::new, |all| all.0)
                .into_iter()
                .map(pattern)
                .collect::<Result<_, _>>()?,
            rank_stabilised: file.use_rslora,
            fan_in_fan_out: file.fan_in_fan_out,
            dora: file.use_dora,
        })
    }

    /// What a module's product is multiplied by.
    pub(crate) fn factor(&self, module: &str, rank: u64) -> f64 {
        let found = self.alphas.iter().find(|(pattern, _)| pattern.is_match(module));
        let alpha = found.map_or(self.alpha, |(_, alpha)| *alpha);
        let rank = rank as f64;
        alpha / if self.rank_stabilised { rank.sqrt() } else { rank }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn factors_follow_from_alpha_and_rank() {
        let text =
            r#"{"peft_type": "LORA", "lora_alpha": 16, "alpha_pattern": {"q_proj": 8, "layers.1.*": 4}}"#;
        let plain = AdapterConfig::parse(text).unwrap();
        let factor = |module: &str| plain.factor(module, 4);
        assert_eq!(factor("model.layers.0.self_attn.k_proj").to_bits(), 4.0_f64.to_bits());
        assert_eq!(factor("model.layers.1.self_attn.k_proj").to_bits(), 1.0_f64.to_bits());
        // The first that fits, and only from a dot on.
        assert_eq!(factor("model.layers.1.self_attn.q_proj").to_bits(), 2.0_f64.to_bits());
        assert_eq!(factor("model.layers.0.self_attn.kq_proj").to_bits(), 4.0_f64.to_bits());
        let stabilised = r#"{"peft_type": "LORA", "lora_alpha": 16, "use_rslora": true}"#;
        assert_eq!(AdapterConfig::parse(stabilised).unwrap().factor("a", 4).to_bits(), 8.0_f64.to_bits());
    }

    #[test]
    fn what_is_no_plain_lora_is_refused() {
        let refused = |config: &Value| AdapterConfig::parse(&config.to_string()).unwrap_err().to_string();
        assert!(refused(&json!({"peft_type": "LOHA", "lora_alpha": 1})).contains("peft_type"));
        let pissa = json!({"peft_type": "LORA", "lora_alpha": 1, "init_lora_weights": "pissa_niter_4"});
        assert!(refused(&pissa).contains("changes the base"));
        let pattern = json!({"peft_type": "LORA", "lora_alpha": 1, "alpha_pattern": {"(": 1}});
        assert!(refused(&pattern).contains("alpha_pattern"));
    }
}
