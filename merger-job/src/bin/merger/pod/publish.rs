//! `merger pod publish`: a merge of the search as a checkpoint with its card, straight into its folder.

use mergesearch_merger::{Progress, Publication, Stores, is_published};
use mergesearch_search::contract::{FaultClass, Message, PublishRequest};

use super::fault::PodFault;
use super::merge::options;
use super::pool;
use super::retry::retry;
use crate::progress::watch;
use crate::terminal::note;

/// Whole merges that are tried in one pod.
const ATTEMPTS: u32 = 3;

/// Publishes the merge unless it is there already. A whole model of another recipe is never replaced; what an
/// interrupted attempt left always is.
pub(super) async fn run(stores: &Stores, request: &PublishRequest) -> Result<Message, PodFault> {
    let PublishRequest { recipe, fingerprints, output: uri, .. } = request;
    let output = stores.locate(uri).map_err(|error| PodFault::new(FaultClass::Input, &error))?;
    let options = options(request.memory, request.max_shard_size, false);
    let title = Some(format!("Merge {}", request.trial));
    let publication = Publication { title, scores: table(&request.scores) };
    retry(ATTEMPTS, async || {
        if is_published(stores, recipe, &output)
            .await
            .map_err(|error| PodFault::of_merge_into_storage(&error))?
        {
            return Ok(());
        }
        let pool = pool::open(stores, recipe, fingerprints).await?;
        let progress = Progress::default();
        let merge =
            mergesearch_merger::publish(stores, &pool, recipe, &output, &options, &progress, &publication);
        let report = watch(&progress, "merging", merge)
            .await
            .map_err(|error| PodFault::of_merge_into_storage(&error))?;
        for warning in pool.warnings().iter().chain(&report.warnings) {
            note(&format!("warning: {warning}"));
        }
        Ok(())
    })
    .await?;
    Ok(Message::Published { uri: uri.clone() })
}

/// The scores as Markdown; none without scores.
fn table(scores: &[(String, String)]) -> Option<String> {
    let cell = |text: &str| text.replace('|', "\\|").replace(char::is_control, " ");
    let rows = scores.iter().map(|(name, value)| format!("| {} | {} |\n", cell(name), cell(value)));
    let rows: String = rows.collect();
    (!rows.is_empty()).then(|| format!("| Metric | Score |\n| --- | ---: |\n{rows}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_stay_in_their_cells() {
        let scores = [("a|b".to_owned(), "0.5\n".to_owned())];
        assert_eq!(table(&scores).unwrap(), "| Metric | Score |\n| --- | ---: |\n| a\\|b | 0.5  |\n");
        assert_eq!(table(&[]), None);
    }
}
