//! The durable history of a search: records, and their lines of text chained by hash.
//!
//! Everything that steers a search is a record; [`Search`](crate::Search) is the fold of its records. A journal is
//! text, one JSON line a record, `{"chain": HASH, "record": {...}}`. Each hash covers the one before it and the
//! record's bytes, so a missing or altered line is found. A last line that was cut off while it was written is not
//! damage: it was never acknowledged, and is dropped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::config::{Budget, SearchConfig};
use crate::trial::{TrialId, TrialResult};

/// One thing that happened to a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Record {
    /// The first record: what the search is.
    Opened {
        /// The configuration at the start.
        config: Box<SearchConfig>,
    },
    /// A trial exists from here on.
    #[serde(rename_all = "camelCase")]
    Issued {
        /// Which one.
        id: TrialId,
        /// The sample in search coordinates, for candidates; not when it has more than 256, as it follows from the
        /// records before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vector: Option<Vector>,
        /// Hash of the canonical recipe: replay makes the same recipe or refuses.
        recipe: String,
        /// The earlier trial with the same recipe whose result this one shares.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duplicate_of: Option<TrialId>,
    },
    /// A trial ended. With the barrier off, the order of these records decides which trials close a generation.
    Finished(TrialResult),
    /// The budget was changed.
    BudgetChanged(Budget),
    /// The time is over: nothing more is searched, the final stages follow.
    TimeExhausted,
}

/// A vector whose f64 values are kept bit for bit: base64 of their little-endian bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Vector(pub Vec<f64>);

impl From<Vector> for String {
    fn from(vector: Vector) -> Self {
        let bytes: Vec<u8> = vector.0.iter().flat_map(|value| value.to_le_bytes()).collect();
        STANDARD.encode(bytes)
    }
}

impl TryFrom<String> for Vector {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = STANDARD.decode(&text).map_err(|error| format!("vector: {error}"))?;
        let (values, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(format!("vector: {} bytes are no whole number of f64 values", bytes.len()));
        }
        Ok(Self(values.iter().map(|&value| f64::from_le_bytes(value)).collect()))
    }
}

/// The hash that covers every line so far; starts empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain(String);

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    chain: String,
    #[serde(borrow)]
    record: &'a RawValue,
}

/// Why a journal can't be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalError {
    /// A line before the last is no record.
    #[error("journal line {line}: expected a record, found {problem}")]
    Malformed {
        /// From 1.
        line: usize,
        /// What the reader said.
        problem: String,
    },
    /// A line does not follow from those before it.
    #[error("journal line {line}: altered, or a line before it is missing (its hash does not follow)")]
    Broken {
        /// From 1.
        line: usize,
    },
}

/// A journal's readable part.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// The records, oldest first.
    pub records: Vec<Record>,
    /// Continues the chain.
    pub chain: Chain,
    /// Bytes of whole lines; what follows was cut off while it was written.
    pub length: usize,
}

impl Chain {
    /// The line for a record, with its line feed; the chain moves on.
    ///
    /// # Errors
    /// When the record has a value that JSON can't hold.
    pub fn line(&mut self, record: &Record) -> Result<String, serde_json::Error> {
        let record = serde_json::value::to_raw_value(record)?;
        self.advance(record.get());
        let mut line = serde_json::to_string(&Line { chain: self.0.clone(), record: &record })?;
        line.push('\n');
        Ok(line)
    }

    fn advance(&mut self, record: &str) {
        let digest = Sha256::new().chain_update(&self.0).chain_update(record).finalize();
        self.0 = hexadecimal(&digest[..16]);
    }
}

impl Journal {
    /// Reads a journal's text.
    ///
    /// # Errors
    /// When a whole line is no record, or does not follow from the lines before it.
    pub fn read(text: &str) -> Result<Self, JournalError> {
        let mut journal = Self { records: Vec::new(), chain: Chain::default(), length: 0 };
        for (index, line) in text.split_inclusive('\n').enumerate() {
            if !line.ends_with('\n') {
                break;
            }
            let malformed = |error: serde_json::Error| JournalError::Malformed {
                line: index + 1,
                problem: error.to_string(),
            };
            let Line { chain, record } = serde_json::from_str(line).map_err(malformed)?;
            journal.chain.advance(record.get());
            if journal.chain.0 != chain {
                return Err(JournalError::Broken { line: index + 1 });
            }
            journal.records.push(serde_json::from_str(record.get()).map_err(malformed)?);
            journal.length += line.len();
        }
        Ok(journal)
    }
}

/// Lower-case hexadecimal digits of bytes.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or_default());
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        vec![
            Record::Issued {
                id: TrialId::Uniform,
                vector: Some(Vector(vec![0.1, -0.0, 1e-300])),
                recipe: "abc".into(),
                duplicate_of: None,
            },
            Record::TimeExhausted,
        ]
    }

    fn text() -> String {
        let mut chain = Chain::default();
        records().iter().map(|record| chain.line(record).unwrap()).collect()
    }

    #[test]
    fn a_journal_reads_back_bit_for_bit() {
        let journal = Journal::read(&text()).unwrap();
        assert_eq!(journal.records, records());
        let Record::Issued { vector: Some(vector), .. } = &journal.records[0] else { panic!() };
        assert_eq!(vector.0[1].to_bits(), (-0.0_f64).to_bits());
        assert_eq!(journal.length, text().len());
    }

    #[test]
    fn a_result_from_before_times_were_noted_reads_and_is_written_as_it_was() {
        let text = r#"{"type":"finished","id":"base","outcome":{"failed":"out of luck"},"gpuSeconds":1.5}"#;
        let record: Record = serde_json::from_str(text).unwrap();
        assert!(matches!(&record, Record::Finished(result) if result.time.is_none()));
        assert_eq!(serde_json::to_string(&record).unwrap(), text);
    }

    #[test]
    fn a_cut_last_line_is_dropped_wherever_it_was_cut() {
        let text = text();
        let first = text.find('\n').unwrap() + 1;
        for cut in first..text.len() {
            let journal = Journal::read(&text[..cut]).unwrap();
            assert_eq!((journal.records.len(), journal.length), (1, first), "cut at {cut}");
        }
    }

    #[test]
    fn an_altered_or_missing_line_is_damage() {
        let altered = text().replacen("abc", "abd", 1);
        assert_eq!(Journal::read(&altered), Err(JournalError::Broken { line: 1 }));
        let text = text();
        let missing = &text[text.find('\n').unwrap() + 1..];
        assert_eq!(Journal::read(missing), Err(JournalError::Broken { line: 1 }));
        assert!(matches!(Journal::read("{}\n"), Err(JournalError::Malformed { line: 1, .. })));
    }
}
