//! The chunks of a journal as far as they have been read: sealed ones never change and are read once.

use std::collections::{BTreeMap, BTreeSet};

use mergesearch_crds::{MergeSearch, MergeSearchJournal};

use super::connection::Connection;

/// What has been read of a journal.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    by_name: BTreeMap<String, MergeSearchJournal>,
    /// Whether all that there were have been read once.
    listed: bool,
}

impl Chunks {
    /// Reads what is new since the last time.
    ///
    /// # Errors
    /// When the API server does not answer; what was read before is kept.
    pub(super) async fn refresh(
        &mut self,
        connection: &Connection,
        resource: &MergeSearch,
    ) -> kube::Result<()> {
        if !self.listed {
            let uid = resource.metadata.uid.as_deref().unwrap_or_default();
            for chunk in connection.chunks(uid).await? {
                self.keep(chunk);
            }
            self.listed = true;
            return Ok(());
        }
        let named = resource.status.iter().flat_map(|status| &status.journal);
        for name in self.due(named) {
            match connection.chunk(&name).await? {
                Some(chunk) => self.keep(chunk),
                // Reading the whole says what is missing.
                None => drop(self.by_name.remove(&name)),
            }
        }
        Ok(())
    }

    /// All chunks so far.
    pub(super) fn all(&self) -> Vec<MergeSearchJournal> {
        self.by_name.values().cloned().collect()
    }

    fn keep(&mut self, chunk: MergeSearchJournal) {
        self.by_name.insert(chunk.metadata.name.clone().unwrap_or_default(), chunk);
    }

    /// Chunks that the status names and that may have changed since they were read, in any order.
    fn due<'a>(&'a self, named: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
        let known = self.by_name.keys();
        let is_sealed = |name: &&String| self.by_name.get(*name).is_some_and(|chunk| chunk.spec.sealed);
        known.chain(named).filter(|name| !is_sealed(name)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixture::Fixture;

    #[test]
    fn a_sealed_chunk_is_not_read_again() {
        let Fixture { chunks: all, .. } = Fixture::completed();
        assert_eq!(all.len(), 3);
        let names: Vec<String> = all.iter().filter_map(|chunk| chunk.metadata.name.clone()).collect();
        let mut chunks = Chunks::default();
        assert_eq!(chunks.due(&names).len(), 3);
        for chunk in &all[..2] {
            chunks.keep(chunk.clone());
        }
        assert_eq!(chunks.due(&names), BTreeSet::from([names[2].clone()]));
        // The last one grows without being named anew.
        chunks.keep(all[2].clone());
        assert_eq!(chunks.due([]), BTreeSet::from([names[2].clone()]));
        assert_eq!(chunks.all(), all);
    }
}
