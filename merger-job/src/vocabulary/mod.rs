//! Joins checkpoints of different vocabularies: rows of embeddings and output heads are matched by their tokens.
//!
//! As mergekit does it: the output has the donor's tokens, for a union then those that others have beside them, in the order of
//! the members. A checkpoint that lacks a token gets the base's row for it, or, where there's no base or the base lacks
//! it too, the mean of the rows of those that have it. Rows without a token are zeros.

mod rows;
mod tokens;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use mergesearch_recipe::{Tokens, Vocabulary};
use sha2::{Digest, Sha256};

pub(crate) use rows::Rows;

use self::tokens::{TokenizerFile, extended};
use crate::checkpoint::{OpenCheckpoint, read_small};
use crate::error::{CheckpointError, PoolError};
use crate::storage::Stores;
use crate::tokenizer::MAX_TOKENIZER;
use crate::{Error, roles};

/// The file that vocabularies are read from.
pub(crate) const FILE: &str = "tokenizer.json";

/// No row: more than any member holds.
const NONE: u32 = u32::MAX;

/// The vocabulary of the output, and where each member has its tokens.
#[derive(Debug)]
pub(crate) struct Joined {
    /// Rows of the output's embeddings.
    pub(crate) rows: u64,
    /// By member, for each row of the output the member's row of the same token, or [`NONE`].
    places: Vec<Vec<u32>>,
    /// Which member lends what others lack.
    base: Option<usize>,
    /// The output's tokenizer.json, if it isn't the donor's.
    pub(crate) file: Option<Bytes>,
    /// Other as soon as one of the tokenizers is.
    pub(crate) digest: [u8; 32],
}

impl Joined {
    /// Joins the vocabularies of the members; `base` is the place of the base, if there is one.
    pub(crate) async fn new(
        stores: &Stores,
        members: &[OpenCheckpoint],
        donor: &OpenCheckpoint,
        base: Option<usize>,
        rule: Vocabulary,
    ) -> Result<Self, Error> {
        let mut digest = Sha256::new();
        let mut files: Vec<Arc<TokenizerFile>> = Vec::new();
        let mut known: HashMap<[u8; 32], Arc<TokenizerFile>> = HashMap::new();
        let mut own_text = Bytes::new();
        for member in members {
            let reader = reader(members, member, base)?;
            let text = read_small(stores, &reader.location, FILE, MAX_TOKENIZER).await;
            let text = text.map_err(|source| reader.blame(source))?;
            let hash: [u8; 32] = Sha256::digest(&text).into();
            digest.update(hash);
            let file = match known.entry(hash) {
                Entry::Occupied(entry) => Arc::clone(entry.get()),
                Entry::Vacant(entry) => {
                    let file = TokenizerFile::parse(&text).map_err(|message| broken(reader, message))?;
                    Arc::clone(entry.insert(Arc::new(file)))
                }
            };
            files.push(file);
            if member.name == donor.name {
                own_text = text;
            }
        }
        let donor_place = members.iter().position(|member| member.name == donor.name).unwrap_or(0);
        let mut tokens = files[donor_place].by_row();
        let own = tokens.len();
        if rule.tokens == Tokens::Union {
            let mut seen = HashSet::new();
            for file in &files {
                let missing =
                    file.by_row().into_iter().flatten().filter(|token| !files[donor_place].has(token));
                tokens.extend(missing.filter(|token| seen.insert(*token)).map(Some));
            }
        }
        let added: Vec<(u64, &str)> = (own as u64..).zip(tokens[own..].iter().copied().flatten()).collect();
        let file = if added.is_empty() {
            None
        } else {
            Some(extended(&own_text, &added, &files).map_err(|message| broken(donor, message))?)
        };
        let multiple = rule.pad_to_multiple_of.map_or(1, |multiple| u64::from(multiple.get()));
        let rows = (tokens.len() as u64).next_multiple_of(multiple);
        let places = files
            .iter()
            .map(|file| tokens.iter().map(|token| token.map_or(NONE, |token| row_of(file, token))).collect())
            .collect();
        Ok(Self { rows, places, base, file, digest: digest.finalize().into() })
    }

    /// What rows of the member's tensor the output's rows are; `None` where they are its own in order. `held` says how many
    /// each member has.
    pub(crate) fn rows(&self, member: usize, held: &[u64]) -> Option<Arc<Rows>> {
        let own =
            |member: usize, row: usize| self.places[member].get(row).copied().map_or(u64::MAX, u64::from);
        let place = |member: usize, row: usize| Some(own(member, row)).filter(|&place| place < held[member]);
        let mut rows = Rows::default();
        for row in 0..self.rows as usize {
            let found = |member: usize| place(member, row).map(|place| (member, place));
            let sources = match (found(member), self.base.and_then(found)) {
                (Some(source), _) | (None, Some(source)) => vec![source],
                (None, None) => (0..held.len()).filter_map(found).collect(),
            };
            rows.push(sources);
        }
        (!rows.are_all_of(member, held[member])).then(|| Arc::new(rows))
    }
}

/// The token's row, which is less than 2^24, or [`NONE`].
fn row_of(file: &TokenizerFile, token: &str) -> u32 {
    file.row(token).and_then(|row| u32::try_from(row).ok()).unwrap_or(NONE)
}

/// Whose tokenizer a member has: what an adapter doesn't bring is its base's.
fn reader<'a>(
    members: &'a [OpenCheckpoint],
    member: &'a OpenCheckpoint,
    base: Option<usize>,
) -> Result<&'a OpenCheckpoint, Error> {
    let reader = match base {
        Some(base) if member.adapter.is_some() && !member.has(FILE) => &members[base],
        _ => member,
    };
    if reader.has(FILE) { Ok(reader) } else { Err(PoolError::NoVocabulary(member.name.clone()).into()) }
}

fn broken(member: &OpenCheckpoint, message: String) -> Error {
    member.blame(CheckpointError::Json { file: FILE.to_owned(), message })
}

/// Whether the tensor has a row for each token.
pub(crate) fn has_tokens(name: &str) -> bool {
    roles::is_embedding(name)
        || roles::is_head(name)
        || ["embed_out.weight", "lm_head.bias"].iter().any(|end| name.ends_with(end))
}
