//! A merge's folder: made ready without losing what an earlier attempt finished, and complete only at the very end.

use bytes::Bytes;

use crate::layout::{Layout, ShardPlan};
use crate::pool::Pool;
use crate::provenance::Metadata;
use crate::storage::{Entry, Stores};
use crate::{Error, Location};

/// What makes a folder a whole model; goes first, comes last.
const MARKERS: [&str; 2] = ["model.safetensors.index.json", "config.json"];

/// One merge's folder with the headers of its files, which say by what recipe and from which sources they were made.
#[derive(Debug)]
pub(crate) struct Folder<'a> {
    pub(crate) location: &'a Location,
    pub(crate) headers: Vec<Bytes>,
}

/// How a folder is made ready.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Preparation {
    /// Whether a complete model is replaced.
    pub(crate) overwrite: bool,
    /// Whether others write some of the files.
    pub(crate) shared: bool,
}

impl<'a> Folder<'a> {
    pub(crate) fn new(location: &'a Location, layout: &Layout, metadata: &Metadata) -> Self {
        Self { location, headers: layout.shards.iter().map(|shard| shard.header(metadata)).collect() }
    }

    /// Bytes of a file.
    pub(crate) fn size(&self, layout: &Layout, shard: usize) -> u64 {
        self.headers[shard].len() as u64 + layout.shards[shard].size
    }

    /// Makes room, and says which files are there already: whole, as this merge makes them. Refuses a source's own place
    /// and a complete model that isn't to be replaced. Files of other merges are removed.
    pub(crate) async fn prepare(
        &self,
        stores: &Stores,
        pool: &Pool,
        layout: &Layout,
        Preparation { overwrite, shared }: Preparation,
    ) -> Result<Vec<bool>, Error> {
        for member in pool.members() {
            if same_place(&member.location, self.location) {
                let checkpoint = member.name.clone();
                return Err(Error::OutputIsSource { output: self.location.to_string(), checkpoint });
            }
        }
        stores.check_writable(self.location).await?;
        let entries = stores.list(self.location).await?;
        let has = |name: &str| entries.iter().any(|entry| entry.name == name);
        let complete = is_complete(has);
        let mut finished = vec![false; layout.shards.len()];
        if shared || !complete {
            for (place, shard) in layout.shards.iter().enumerate() {
                finished[place] = self.is_finished(stores, layout, &entries, place, shard).await?;
            }
        }
        if complete && shared && finished.iter().all(|finished| *finished) {
            return Ok(finished);
        }
        if complete && !overwrite {
            return Err(Error::OutputExists(self.location.to_string()));
        }
        let is_kept = |name: &str| {
            layout.shards.iter().zip(&finished).any(|(shard, finished)| *finished && shard.file == name)
        };
        let markers = MARKERS.into_iter().filter(|name| has(name));
        let names = entries.iter().map(|entry| entry.name.as_str());
        let strangers = names.filter(|name| is_weights(name) && !is_kept(name));
        for name in markers.chain(strangers) {
            stores.delete(&self.location.join(name)).await?;
        }
        Ok(finished)
    }

    /// Whether the file is there as this merge makes it. Files become visible whole, so size and header are enough.
    async fn is_finished(
        &self,
        stores: &Stores,
        layout: &Layout,
        entries: &[Entry],
        place: usize,
        shard: &ShardPlan,
    ) -> Result<bool, Error> {
        let size = self.size(layout, place);
        if !entries.iter().any(|entry| entry.name == shard.file && entry.size == size) {
            return Ok(false);
        }
        let object = stores.head(&self.location.join(&shard.file)).await?;
        let header = &self.headers[place];
        Ok(object.size == size && stores.read(&object, 0, header.len()).await? == *header)
    }

    /// Writes what makes the folder a whole model, if every file is there; says whether it did.
    pub(crate) async fn complete(
        &self,
        stores: &Stores,
        layout: &Layout,
        config: Bytes,
        shared: bool,
    ) -> Result<bool, Error> {
        if shared {
            let entries = stores.list(self.location).await?;
            for (place, shard) in layout.shards.iter().enumerate() {
                if !self.is_finished(stores, layout, &entries, place, shard).await? {
                    return Ok(false);
                }
            }
        }
        stores.put(&self.location.join("config.json"), config).await?;
        if let Some(index) = &layout.index {
            stores.put(&self.location.join("model.safetensors.index.json"), index.clone()).await?;
        }
        Ok(true)
    }
}

/// Whether a folder that has these files is a whole model.
pub(crate) fn is_complete(has: impl Fn(&str) -> bool) -> bool {
    has("config.json") && (has("model.safetensors") || has("model.safetensors.index.json"))
}

/// Whether a merge may have written the file: `model.safetensors`, `model-00001-of-00002.safetensors`.
fn is_weights(name: &str) -> bool {
    let Some(middle) = name.strip_prefix("model").and_then(|rest| rest.strip_suffix(".safetensors")) else {
        return false;
    };
    let number = |text: &str| text.len() >= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = middle.strip_prefix('-').and_then(|middle| middle.split_once("-of-"));
    middle.is_empty() || numbers.is_some_and(|(shard, count)| number(shard) && number(count))
}

/// Whether the two are one folder, also through links.
pub(crate) fn same_place(source: &Location, output: &Location) -> bool {
    match (source, output) {
        (Location::File(source), Location::File(output)) => {
            let real = |path: &std::path::Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
            real(source) == real(output)
        }
        _ => source == output,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_merge_writes_is_removed() {
        assert!(is_weights("model.safetensors") && is_weights("model-00001-of-00002.safetensors"));
        for name in
            ["model-a-of-b.safetensors", "adapter_model.safetensors", "model.safetensors.bak", "model-1"]
        {
            assert!(!is_weights(name), "{name}");
        }
    }
}
