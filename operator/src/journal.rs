//! The journal of a search in the cluster: its records in chunks that fit into etcd, chained by hash.

use kube::Resource as _;
use kube::api::ObjectMeta;
use mergesearch_crds::{
    JournalContents, JournalDamage, JournalStart, MergeSearch, MergeSearchJournal, MergeSearchJournalSpec,
    SEAL_BYTES, labels, read_journal,
};
use mergesearch_search::{Chain, Record};
use sha2::{Digest as _, Sha256};

use crate::identity::{hexadecimal, label_value};

/// A search's journal as it is in the cluster, with what is about to be written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Journal {
    start: JournalStart,
    /// Names of the chunks, in order.
    names: Vec<String>,
    /// The last chunk; `None` before the first write.
    last: Option<MergeSearchJournal>,
    chain: Chain,
}

impl Journal {
    /// The journal of a search that begins.
    pub(crate) fn new(start: JournalStart) -> Self {
        Self { start, names: Vec::new(), last: None, chain: Chain::default() }
    }

    /// Reads a search's chunks, in any order; `None` when there are none. `named` are those that its status knows of.
    ///
    /// # Errors
    /// When a chunk is missing or altered.
    pub(crate) fn read(
        chunks: Vec<MergeSearchJournal>,
        named: &[String],
    ) -> Result<Option<(Self, Vec<Record>)>, JournalDamage> {
        let contents = read_journal(chunks, named)?;
        Ok(contents.map(|JournalContents { start, names, last, chain, records }| {
            (Self { start, names, last: Some(last), chain }, records)
        }))
    }

    /// What the search began with.
    pub(crate) const fn start(&self) -> &JournalStart {
        &self.start
    }

    /// Names of the chunks, in order.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Adds records. Gives the chunks to write, in this order: a chunk without a resource version is new.
    ///
    /// # Errors
    /// When a record has a value that JSON can't hold.
    pub(crate) fn append(
        &mut self,
        resource: &MergeSearch,
        records: &[Record],
    ) -> Result<Vec<MergeSearchJournal>, serde_json::Error> {
        let mut written = Vec::new();
        for record in records {
            let line = self.chain.line(record)?;
            if self.last.as_ref().is_none_or(|last| last.spec.sealed) {
                let next = self.chunk(resource, self.last.as_ref());
                self.names.extend(next.metadata.name.clone());
                self.last = Some(next);
            }
            let Some(last) = &mut self.last else { continue };
            last.spec.records.push_str(&line);
            if last.spec.records.len() >= SEAL_BYTES {
                last.spec.sealed = true;
                written.push(last.clone());
            }
        }
        written.extend(self.last.clone().filter(|last| !records.is_empty() && !last.spec.sealed));
        Ok(written)
    }

    /// Takes over a chunk as the API server keeps it now.
    pub(crate) fn written(&mut self, chunk: MergeSearchJournal) {
        if self.last.as_ref().is_some_and(|last| last.spec.index == chunk.spec.index) {
            self.last = Some(chunk);
        }
    }

    /// The chunk after `last`, empty.
    fn chunk(&self, resource: &MergeSearch, last: Option<&MergeSearchJournal>) -> MergeSearchJournal {
        let search = resource.metadata.name.clone().unwrap_or_default();
        let uid = resource.metadata.uid.clone().unwrap_or_default();
        let index = last.map_or(0, |last| last.spec.index + 1);
        // The uid keeps the chunks of a search apart from those of an earlier one of its name that are still being deleted.
        let tail = &hexadecimal(&Sha256::digest(&uid))[..8];
        let name = format!("{}-journal-{tail}-{index:04}", label_value(&search));
        let spec = MergeSearchJournalSpec {
            search_uid: uid.clone(),
            index,
            sealed: false,
            start: (index == 0).then(|| self.start.clone()),
            previous_hash: last.map(|last| last.spec.hash()).unwrap_or_default(),
            records: String::new(),
        };
        let mut chunk = MergeSearchJournal::new(&name, spec);
        chunk.metadata = ObjectMeta {
            name: Some(name),
            namespace: resource.metadata.namespace.clone(),
            owner_references: resource.controller_owner_ref(&()).map(|owner| vec![owner]),
            labels: Some(
                [
                    (labels::SEARCH, label_value(&search)),
                    (labels::SEARCH_UID, uid),
                    (labels::MANAGED_BY, labels::OPERATOR.to_owned()),
                ]
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            ),
            ..ObjectMeta::default()
        };
        chunk
    }
}

#[cfg(test)]
mod tests {
    use mergesearch_search::TrialId;

    use super::*;

    fn resource() -> MergeSearch {
        let mut resource = crate::fixtures::resource();
        resource.metadata.uid = Some("1-2-3".to_owned());
        resource
    }

    fn records(count: usize, bytes: usize) -> Vec<Record> {
        let record = |index| Record::Issued {
            id: TrialId::Greedy(index),
            vector: None,
            recipe: "x".repeat(bytes),
            duplicate_of: None,
        };
        (0..count).map(record).collect()
    }

    /// Applies writes as the API server does.
    fn store(chunks: &mut Vec<MergeSearchJournal>, written: Vec<MergeSearchJournal>) {
        for chunk in written {
            chunks.retain(|other| other.metadata.name != chunk.metadata.name);
            chunks.push(chunk);
        }
    }

    #[test]
    fn what_is_written_in_many_passes_reads_back_and_goes_on() {
        let resource = resource();
        let start = JournalStart { layers: 3, ..JournalStart::default() };
        let all = records(200, 3000);
        let mut journal = Journal::new(start.clone());
        let mut chunks = Vec::new();
        for part in all.chunks(7) {
            let written = journal.append(&resource, part).unwrap();
            store(&mut chunks, written);
            let (mut read, records) = Journal::read(chunks.clone(), journal.names()).unwrap().unwrap();
            assert_eq!(records, all[..records.len()]);
            assert_eq!(read, journal);
            // A copy that was read goes on in the same words.
            let one = read.append(&resource, &all[..1]).unwrap();
            assert_eq!(one, journal.clone().append(&resource, &all[..1]).unwrap());
        }
        assert!(chunks.len() > 4, "{}", chunks.len());
        assert!(chunks.iter().all(|chunk| chunk.spec.records.len() < SEAL_BYTES + 4096));
        assert!(chunks.iter().rev().skip(1).all(|chunk| chunk.spec.sealed));
        assert!(journal.append(&resource, &[]).unwrap().is_empty());
    }

    #[test]
    fn a_missing_or_altered_chunk_is_damage_whichever_it_is() {
        let resource = resource();
        let mut journal = Journal::new(JournalStart::default());
        let mut chunks = Vec::new();
        store(&mut chunks, journal.append(&resource, &records(200, 3000)).unwrap());
        for index in 0..chunks.len() {
            let mut missing = chunks.clone();
            missing.remove(index);
            assert!(
                matches!(Journal::read(missing, journal.names()), Err(JournalDamage::Missing(_))),
                "{index}"
            );
            let mut altered = chunks.clone();
            let text = altered[index].spec.records.replacen("xxx", "xxy", 1);
            altered[index].spec.records = text;
            assert!(Journal::read(altered, journal.names()).is_err(), "{index}");
        }
        assert_eq!(Journal::read(Vec::new(), &[]), Ok(None));
        assert!(Journal::read(Vec::new(), journal.names()).is_err());
    }
}
