//! Reading a journal: its chunks back to records, with the proof that none is missing or altered.

use std::fmt::Write as _;

use mergesearch_search::{Chain, Journal, JournalError, Record};
use sha2::{Digest as _, Sha256};

use super::{JournalStart, MergeSearchJournal, MergeSearchJournalSpec};

/// What a whole journal says, and what it takes to go on with it.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalContents {
    /// What the search began with.
    pub start: JournalStart,
    /// Names of the chunks, in order.
    pub names: Vec<String>,
    /// The last chunk.
    pub last: MergeSearchJournal,
    /// Continues the chain of its lines.
    pub chain: Chain,
    /// The records, oldest first.
    pub records: Vec<Record>,
}

/// Why a journal can't be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalDamage {
    /// A chunk is not there.
    #[error("journal chunk {0} is missing; restore it from a backup, or delete the search")]
    Missing(String),
    /// A chunk does not follow from the one before it.
    #[error(
        "journal chunk {0} was altered or does not follow from the one before it; restore it from a backup, or delete the search"
    )]
    Broken(String),
    /// The records can't be read.
    #[error("{0}; restore the journal from a backup, or delete the search")]
    Records(#[from] JournalError),
}

/// Reads a search's chunks, in any order; `None` when there are none. `named` are those that its status knows of.
///
/// # Errors
/// When a chunk is missing or altered.
pub fn read_journal(
    mut chunks: Vec<MergeSearchJournal>,
    named: &[String],
) -> Result<Option<JournalContents>, JournalDamage> {
    let name_of = |chunk: &MergeSearchJournal| chunk.metadata.name.clone().unwrap_or_default();
    chunks.sort_by_key(|chunk| chunk.spec.index);
    let present: Vec<String> = chunks.iter().map(name_of).collect();
    if let Some(missing) = named.iter().find(|named| !present.contains(named)) {
        return Err(JournalDamage::Missing(missing.clone()));
    }
    let Some(first) = chunks.first() else { return Ok(None) };
    let Some(start) = first.spec.start.clone() else {
        return Err(JournalDamage::Missing(format!("0 (before {})", name_of(first))));
    };
    let mut text = String::new();
    let mut previous_hash = String::new();
    for (index, chunk) in (0..).zip(&chunks) {
        if chunk.spec.index != index {
            return Err(JournalDamage::Missing(format!("{index} (before {})", name_of(chunk))));
        }
        if chunk.spec.previous_hash != previous_hash {
            return Err(JournalDamage::Broken(name_of(chunk)));
        }
        previous_hash = chunk.spec.hash();
        text.push_str(&chunk.spec.records);
    }
    let Journal { records, chain, length } = Journal::read(&text)?;
    let Some(last) = chunks.pop() else { return Ok(None) };
    // The API server keeps whole writes: nothing is ever cut off on the way.
    if length < text.len() {
        return Err(JournalDamage::Broken(name_of(&last)));
    }
    Ok(Some(JournalContents { start, names: present, last, chain, records }))
}

impl MergeSearchJournalSpec {
    /// SHA-256 of `previousHash` and `records`, in hexadecimal: the `previousHash` of the chunk after this one.
    pub fn hash(&self) -> String {
        let digest = Sha256::new().chain_update(&self.previous_hash).chain_update(&self.records).finalize();
        digest.iter().fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
            // Writing to a String can't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use mergesearch_search::TrialId;

    use super::*;

    /// So many chunks of one record each, every one but the last sealed.
    fn chunks(count: i32) -> Vec<MergeSearchJournal> {
        let (mut chunks, mut chain, mut previous_hash) = (Vec::new(), Chain::default(), String::new());
        for index in 0..count {
            let id = TrialId::Soup(usize::try_from(index).unwrap());
            let record = Record::Issued { id, vector: None, recipe: "hash".to_owned(), duplicate_of: None };
            let spec = MergeSearchJournalSpec {
                search_uid: "1-2-3".to_owned(),
                index,
                sealed: index + 1 < count,
                start: (index == 0).then(|| JournalStart { layers: 3, ..JournalStart::default() }),
                previous_hash,
                records: chain.line(&record).unwrap(),
            };
            previous_hash = spec.hash();
            chunks.push(MergeSearchJournal::new(&format!("chunk-{index}"), spec));
        }
        chunks
    }

    fn names(chunks: &[MergeSearchJournal]) -> Vec<String> {
        chunks.iter().map(|chunk| chunk.metadata.name.clone().unwrap()).collect()
    }

    #[test]
    fn chunks_read_in_any_order_and_say_how_to_go_on() {
        let all = chunks(4);
        let mut shuffled = all.clone();
        shuffled.rotate_left(3);
        shuffled.swap(0, 2);
        let read = read_journal(shuffled, &names(&all)[..2]).unwrap().unwrap();
        assert_eq!((read.start.layers, read.names, read.records.len()), (3, names(&all), 4));
        assert_eq!(read.last, all[3]);
        let (mut ours, mut theirs) = (read.chain, Journal::read(&all[0].spec.records).unwrap().chain);
        for record in &read.records[1..] {
            theirs.line(record).unwrap();
        }
        assert_eq!(ours.line(&Record::TimeExhausted).unwrap(), theirs.line(&Record::TimeExhausted).unwrap());
    }

    #[test]
    fn every_kind_of_damage_is_found_in_every_chunk() {
        let all = chunks(4);
        let named = names(&all);
        for index in 0..all.len() {
            let mut missing = all.clone();
            missing.remove(index);
            assert!(
                matches!(read_journal(missing.clone(), &named), Err(JournalDamage::Missing(_))),
                "{index}"
            );
            if index < 3 {
                assert!(matches!(read_journal(missing, &[]), Err(JournalDamage::Missing(_))), "{index}");
            }
            let mut altered = all.clone();
            altered[index].spec.records = altered[index].spec.records.replacen("hash", "hush", 1);
            assert!(read_journal(altered, &named).is_err(), "{index}");
            let mut cut = all.clone();
            cut[index].spec.records.pop();
            assert!(matches!(read_journal(cut, &named), Err(JournalDamage::Broken(_))), "{index}");
        }
        assert_eq!(read_journal(Vec::new(), &[]), Ok(None));
        assert_eq!(read_journal(Vec::new(), &named), Err(JournalDamage::Missing("chunk-0".to_owned())));
    }
}
