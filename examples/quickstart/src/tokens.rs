//! Characters as tokens: the vocabulary, encoded items, and the tokenizer files that transformers loads.

use candle_core::{Device, Tensor};
use serde_json::{Value, json};

use crate::tasks::Item;

/// The tokens in the order of their ids. The first four are special.
pub const VOCABULARY: [&str; 22] = [
    "<pad>", "<s>", "</s>", "<unk>", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "=", "s", "r", "o",
    "i", "d", "m", "+",
];
/// Fills an answer up to [`ANSWER`] tokens; never a target.
pub const PAD: u32 = 0;
/// Opens every sequence.
pub const BEGIN: u32 = 1;
/// Ends every answer.
pub const END: u32 = 2;
const UNKNOWN: u32 = 3;

/// Tokens a model reads before the first answer token: begin, task symbol, six digits, `=`.
pub const PROMPT: usize = 9;
/// Answer tokens including the end: at most six digits and one end token.
pub const ANSWER: usize = 7;
/// Tokens of a whole sequence.
pub const CONTEXT: usize = PROMPT + ANSWER;

/// The id of a one-character token, [`VOCABULARY`]'s `<unk>` for any other character.
pub fn id(character: char) -> u32 {
    VOCABULARY.iter().position(|token| token.chars().eq([character])).map_or(UNKNOWN, |id| id as u32)
}

/// The token ids of an item: begin, prompt, answer, end, then padding up to [`CONTEXT`].
pub fn encode(item: &Item) -> [u32; CONTEXT] {
    let ids = [BEGIN].into_iter().chain(item.prompt.chars().chain(item.answer.chars()).map(id)).chain([END]);
    let mut sequence = [PAD; CONTEXT];
    for (place, id) in sequence.iter_mut().zip(ids) {
        *place = id;
    }
    sequence
}

/// The encoded items as a tensor, items x [`CONTEXT`].
pub fn encode_batch(items: &[Item]) -> candle_core::Result<Tensor> {
    Tensor::from_vec(items.iter().flat_map(encode).collect(), (items.len(), CONTEXT), &Device::Cpu)
}

/// `tokenizer.json` in the format of the `tokenizers` library.
pub fn tokenizer_json() -> Value {
    let special = |id: u32| {
        json!({"id": id, "content": VOCABULARY[id as usize], "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    let begin = json!({"SpecialToken": {"id": "<s>", "type_id": 0}});
    let vocabulary: serde_json::Map<String, Value> =
        VOCABULARY.iter().enumerate().map(|(id, token)| ((*token).to_owned(), json!(id))).collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(PAD), special(BEGIN), special(END), special(UNKNOWN)],
        "normalizer": null,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": false},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [begin, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [begin, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [BEGIN], "tokens": ["<s>"]}},
        },
        "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    })
}

/// `tokenizer_config.json` as transformers reads it.
pub fn tokenizer_config_json() -> Value {
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": false,
        "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>",
    })
}

/// `special_tokens_map.json` as transformers reads it.
pub fn special_tokens_map_json() -> Value {
    json!({"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Task;

    #[test]
    fn every_item_fills_the_context_without_unknown_tokens() {
        for task in Task::ALL {
            let ids = encode(&Item::new(task, [9, 0, 8, 1, 7, 2]));
            assert!(!ids.contains(&UNKNOWN));
            assert_eq!((ids[0], ids[PROMPT - 1]), (BEGIN, id('=')));
            let end = ids.iter().position(|&id| id == END).unwrap();
            assert_eq!(end, if task == Task::Addition { CONTEXT - 3 } else { CONTEXT - 1 });
        }
    }

    #[test]
    fn an_unknown_character_is_the_unknown_token() {
        assert_eq!((id('?'), id('<')), (UNKNOWN, UNKNOWN));
    }
}
