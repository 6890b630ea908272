//! The termination log: the file whose text Kubernetes keeps in a container's status, cut without notice when too long.

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mergesearch_search::contract::{FaultClass, Message};

use super::fault::PodFault;
use crate::arguments::Step;

/// Bytes of a message in a trial's pod: Kubernetes keeps 12 KiB of a pod, divided by its containers.
const IN_TRIAL: usize = 1024;
/// Bytes of a message in a pod with a container of ours alone.
const ALONE: usize = 4096;

/// Ends a sentence that was cut.
const ELLIPSIS: char = '…';

/// Where the answer goes.
#[derive(Debug)]
pub(super) struct TerminationLog {
    file: PathBuf,
    limit: usize,
    /// What stands there.
    written: RefCell<Option<Message>>,
}

impl TerminationLog {
    pub(super) fn of(step: Step, file: &Path) -> Self {
        let limit = match step {
            Step::Merge | Step::Fetch | Step::Report => IN_TRIAL,
            Step::Preflight | Step::Collect | Step::Publish | Step::Cleanup => ALONE,
        };
        Self { file: file.to_owned(), limit, written: RefCell::default() }
    }

    /// Whether the message is short enough.
    pub(super) fn fits(&self, message: &Message) -> bool {
        json(message).is_ok_and(|text| text.len() <= self.limit)
    }

    /// Replaces what stands there. Sentences that are too long are shortened; any other message must fit.
    ///
    /// The file is a mount of its own, so nothing can be renamed onto it. The new text is written over the old one at
    /// once, with spaces up to its end: whenever the process is killed, one whole message stands there.
    pub(super) fn write(&self, message: &Message) -> io::Result<()> {
        let text = shortened(message, self.limit)?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.file)?;
        let metadata = file.metadata()?;
        let before = if metadata.is_file() { usize::try_from(metadata.len()).unwrap_or(0) } else { 0 };
        file.write_all(format!("{text:before$}").as_bytes())?;
        if before > text.len() {
            file.set_len(text.len() as u64)?;
        }
        self.written.replace(Some(message.clone()));
        Ok(())
    }

    /// What is answered when the pod is asked to end: scores that were answered before stay.
    pub(super) fn interrupted(&self) -> Result<Option<Message>, PodFault> {
        match self.written.borrow().clone() {
            Some(Message::Scores { trial, attempt, recipe_hash, scores, uploaded: _ }) => {
                Ok(Some(Message::Scores { trial, attempt, recipe_hash, scores, uploaded: Some(false) }))
            }
            _ => Err(PodFault::new(FaultClass::Other, &"asked to end before it was done")),
        }
    }
}

fn json(message: &Message) -> io::Result<String> {
    serde_json::to_string(message).map_err(io::Error::other)
}

/// The message as JSON of at most `limit` bytes.
fn shortened(message: &Message, limit: usize) -> io::Result<String> {
    let text = json(message)?;
    let Some(excess) = text.len().checked_sub(limit).filter(|excess| *excess > 0) else { return Ok(text) };
    let Message::Fault { class, message: sentence } = message else {
        return Err(io::Error::other(format!(
            "the answer has {} bytes, expected at most {limit}",
            text.len()
        )));
    };
    let kept = sentence.trim_end_matches(ELLIPSIS);
    // Characters that JSON escapes take more there than here: no more than half is cut at once.
    let cut = (excess + ELLIPSIS.len_utf8()).min(kept.len().div_ceil(2));
    let kept = &kept[..kept.floor_char_boundary(kept.len() - cut)];
    shortened(&Message::Fault { class: *class, message: format!("{kept}{ELLIPSIS}") }, limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(message: &str) -> Message {
        Message::Fault { class: FaultClass::Other, message: message.to_owned() }
    }

    #[test]
    fn a_message_replaces_another_whether_longer_or_shorter() {
        let folder = tempfile::tempdir().unwrap();
        let log = TerminationLog::of(Step::Merge, &folder.path().join("log"));
        for text in ["one", "a longer one", "short"] {
            log.write(&fault(text)).unwrap();
            let found = std::fs::read_to_string(folder.path().join("log")).unwrap();
            assert_eq!(found, json(&fault(text)).unwrap());
        }
    }

    #[test]
    fn a_sentence_is_cut_between_characters_and_says_so() {
        for sentence in ["é".repeat(5000), "\"".repeat(5000), "a".repeat(1025)] {
            let text = shortened(&fault(&sentence), IN_TRIAL).unwrap();
            assert!(text.len() <= IN_TRIAL && text.len() > IN_TRIAL / 3, "{}", text.len());
            let Message::Fault { message, .. } = serde_json::from_str(&text).unwrap() else {
                panic!("{text}")
            };
            assert!(message.ends_with('…') && sentence.starts_with(message.trim_end_matches('…')));
        }
    }
}
