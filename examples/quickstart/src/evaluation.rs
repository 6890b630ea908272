//! Scoring by exact match, with one teacher-forced forward pass for each batch of items.
//!
//! Greedy decoding reproduces an answer exactly when every answer token, the end included, is the most likely one after the right tokens
//! before it; so one pass over prompt and answer together decides what generating token by token would.

use candle_core::Result;

use crate::model::Model;
use crate::tasks::Item;
use crate::tokens::{ANSWER, CONTEXT, END, PROMPT, VOCABULARY, encode, encode_batch};

/// Items in a forward pass: small enough that the activations stay in the processor's cache.
const BATCH: usize = 100;

/// How a model did on one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// What greedy decoding writes, up to the end token or the first wrong token, whichever comes first.
    pub response: String,
    /// Whether the whole answer is right.
    pub correct: bool,
}

/// Scores every item, in order.
pub fn evaluate(model: &Model, items: &[Item]) -> Result<Vec<Answered>> {
    let mut answers = Vec::with_capacity(items.len());
    for batch in items.chunks(BATCH) {
        let inputs = encode_batch(batch)?.narrow(1, 0, CONTEXT - 1)?.contiguous()?;
        let greedy = model.logits(&inputs, ANSWER)?.argmax(2)?.to_vec2::<u32>()?;
        answers.extend(
            batch.iter().zip(&greedy).map(|(item, greedy)| answered(&encode(item)[PROMPT..], greedy)),
        );
    }
    Ok(answers)
}

fn answered(right: &[u32], greedy: &[u32]) -> Answered {
    let mut response = String::new();
    for (&right, &greedy) in right.iter().zip(greedy) {
        if right == END && greedy == END {
            return Answered { response, correct: true };
        }
        response.push_str(VOCABULARY.get(greedy as usize).copied().unwrap_or_default());
        if right != greedy {
            break;
        }
    }
    Answered { response, correct: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::{PAD, id};

    fn ids(answer: &str) -> Vec<u32> {
        answer.chars().map(id).chain([END, PAD, PAD]).take(ANSWER).collect()
    }

    #[test]
    fn an_answer_is_right_when_every_token_up_to_the_end_is() {
        assert_eq!(
            answered(&ids("1292"), &ids("1292")),
            Answered { response: "1292".to_owned(), correct: true }
        );
        let mut padded_otherwise = ids("1292");
        padded_otherwise[5] = id('7');
        assert!(answered(&ids("1292"), &padded_otherwise).correct);
    }

    #[test]
    fn a_wrong_token_or_a_missing_end_is_wrong_and_closes_the_response() {
        assert_eq!(
            answered(&ids("1292"), &ids("1392")),
            Answered { response: "13".to_owned(), correct: false }
        );
        assert_eq!(
            answered(&ids("1292"), &ids("12925")),
            Answered { response: "12925".to_owned(), correct: false }
        );
        assert_eq!(
            answered(&ids("1292"), &ids("129")),
            Answered { response: "129</s>".to_owned(), correct: false }
        );
    }
}
