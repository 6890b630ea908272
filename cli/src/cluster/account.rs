//! What is known of a search on a cluster: its object, and what its journal replays to; as text and as data.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use mergesearch_crds::{
    JournalContents, JournalDamage, MergeSearch, MergeSearchJournal, MergeSearchStatus, read_journal,
    search_config,
};
use mergesearch_search::{Record, ReplayError, Search, TrialId};
use serde::Serialize;

use crate::progress::duration;
use crate::show::{Report, columns, tables};
use crate::state::Published;

/// Running trials that are named in the text; more are counted.
const NAMED: usize = 4;

/// A search as its journal tells it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Replayed {
    /// The search.
    pub(super) search: Search,
    /// Trials that run or wait for a node, oldest first.
    pub(super) running: Vec<String>,
}

/// Why a journal does not tell a search.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// Chunks are missing or altered.
    #[error(transparent)]
    Damage(#[from] JournalDamage),
    /// The records are not of this search.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

impl Replayed {
    /// Replays a journal; `None` when the search has not begun.
    ///
    /// # Errors
    /// When the journal is damaged or belongs to another search.
    pub(super) fn new(
        resource: &MergeSearch,
        chunks: Vec<MergeSearchJournal>,
    ) -> Result<Option<Self>, Unreadable> {
        let named = resource.status.as_ref().map_or(&[][..], |status| &status.journal);
        let Some(JournalContents { start, records, .. }) = read_journal(chunks, named)? else {
            return Ok(None);
        };
        let issued: Vec<TrialId> = records
            .iter()
            .filter_map(|record| if let Record::Issued { id, .. } = record { Some(id.clone()) } else { None })
            .collect();
        // What the operator does not accept changes nothing: the search is as it was left, and its conditions say why.
        let search = match search_config(resource, start.layers.unsigned_abs()) {
            Ok(config) => Search::replay(config, records)?,
            Err(_) => Search::recorded(records)?,
        };
        let open = issued.iter().filter(|id| search.open_trial(id).is_some());
        Ok(Some(Self { running: open.map(ToString::to_string).collect(), search }))
    }
}

/// All that is known of a search: what `status -o json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Account {
    /// Its name.
    name: String,
    /// Its namespace.
    namespace: String,
    /// What the operator says of it.
    conditions: Vec<Condition>,
    /// GPU hours used.
    gpu_hours: Option<f64>,
    /// When the first trial was started.
    start_time: Option<Time>,
    /// When it ended.
    completion_time: Option<Time>,
    /// When it will end at the present rate.
    estimated_completion_time: Option<Time>,
    /// Trials that run or wait for a node.
    running: Vec<String>,
    /// What came out so far, as `show -o json` prints it for a local run; `None` before the search has begun.
    pub(super) report: Option<Report>,
}

impl Account {
    /// Puts together what the object says and what the journal tells.
    pub(super) fn new(resource: &MergeSearch, replayed: Option<&Replayed>) -> Self {
        let MergeSearchStatus {
            conditions,
            gpu_hours,
            start_time,
            completion_time,
            estimated_completion_time,
            published,
            ..
        } = resource.status.clone().unwrap_or_default();
        let published = published
            .into_iter()
            .filter_map(|entry| Some(Published { trial: entry.trial.parse().ok()?, uri: entry.uri }))
            .collect();
        let parallel_trials = usize::try_from(resource.spec.execution.parallel_trials).unwrap_or(1);
        Self {
            name: resource.metadata.name.clone().unwrap_or_default(),
            namespace: resource.metadata.namespace.clone().unwrap_or_default(),
            conditions,
            gpu_hours,
            start_time,
            completion_time,
            estimated_completion_time,
            running: replayed.map(|replayed| replayed.running.clone()).unwrap_or_default(),
            report: replayed
                .map(|replayed| Report::without_files(&replayed.search, published, parallel_trials)),
        }
    }

    /// How long the search takes from now on, at the present rate; `None` when that is not known, or over.
    pub(super) fn remaining(&self) -> Option<Duration> {
        since_epoch(self.estimated_completion_time.as_ref()?)?.checked_sub(now()?)
    }

    /// How long ago the first trial was started.
    pub(super) fn age(&self) -> Option<Duration> {
        now()?.checked_sub(since_epoch(self.start_time.as_ref()?)?)
    }

    /// For people.
    pub(super) fn text(&self, replayed: Option<&Replayed>) -> String {
        let mut text = format!("{} in namespace {}\n", self.name, self.namespace);
        if self.conditions.is_empty() {
            text.push_str(
                "no operator has taken it up yet; is mergesearch-operator running in this cluster?\n",
            );
        }
        let rows = self.conditions.iter().map(|condition| {
            let Condition { type_, status, reason, message, .. } = condition;
            // A table of lines: a message may have several.
            [format!(" {type_}"), status.clone(), reason.clone(), message.replace('\n', " ")]
        });
        text.push_str(&columns(rows));
        let (Some(report), Some(Replayed { search, .. })) = (&self.report, replayed) else {
            text.push_str("\nThe search has not begun: it has no journal.\n");
            return text;
        };
        let mut facts = vec![format!("generation {}", report.progress.generation)];
        facts.extend(report.progress.sigma.map(|sigma| format!("sigma {sigma:.3e}")));
        facts.extend(self.gpu_hours.map(|hours| format!("{hours:.2} GPU hours")));
        facts.extend(self.took().map(|took| format!("took {}", duration(took))));
        facts.extend(self.remaining().map(|left| format!("about {} left", duration(left))));
        // Writing to a String doesn't fail.
        let _ = writeln!(text, "\n{}", facts.join(", "));
        if !self.running.is_empty() {
            let more = self.running.len().saturating_sub(NAMED);
            let named = self.running[..self.running.len() - more].join("  ");
            let more = if more == 0 { String::new() } else { format!("  and {more} more") };
            let _ = writeln!(text, "running: {named}{more}");
        }
        text.push_str(&tables(search, report));
        text
    }

    /// As JSON text.
    ///
    /// # Errors
    /// Never for an account of a real search.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// As YAML text.
    ///
    /// # Errors
    /// Never for an account of a real search.
    pub(super) fn yaml(&self) -> Result<String, serde_saphyr::ser::Error> {
        serde_saphyr::to_string(self)
    }

    fn took(&self) -> Option<Duration> {
        since_epoch(self.completion_time.as_ref()?)?.checked_sub(since_epoch(self.start_time.as_ref()?)?)
    }
}

fn now() -> Option<Duration> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok()
}

fn since_epoch(time: &Time) -> Option<Duration> {
    u64::try_from(time.0.as_second()).ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use mergesearch_crds::conditions::{POOL_VERIFIED, reason};
    use serde_json::json;

    use super::*;
    use crate::cluster::fixture::{Fixture, condition};

    fn account(fixture: &Fixture) -> (Account, Option<Replayed>) {
        let replayed = Replayed::new(&fixture.resource, fixture.chunks.clone()).unwrap();
        (Account::new(&fixture.resource, replayed.as_ref()), replayed)
    }

    #[track_caller]
    fn assert_contains(text: &str, parts: &[&str]) {
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
    }

    #[test]
    fn a_completed_search_is_told_as_a_local_one_is_with_its_conditions_before() {
        let fixture = Fixture::completed();
        let (account, replayed) = account(&fixture);
        let text = account.text(replayed.as_ref());
        assert_contains(
            &text,
            &[
                "recycle in namespace team\n",
                "  Completed    True   MaxTrials  the trial budget is used up",
                "2.50 GPU hours, took 2h 00m",
                "completed: the trial budget is used up",
                "baselines:",
                "Held-out scores",
                "over the best baseline",
                "\npublished g",
            ],
        );
        assert!(text.ends_with(&{
            let Some(Replayed { search, .. }) = &replayed else { panic!("it has begun") };
            tables(search, account.report.as_ref().unwrap())
        }));
        let data: serde_json::Value = serde_json::from_str(&account.json().unwrap()).unwrap();
        assert_eq!(data["report"]["progress"]["phase"], "ended");
        assert_eq!(data["completionTime"], "2026-01-01T02:00:00Z");
        let timeline = &data["report"]["timeline"];
        assert_eq!((&timeline["busy"], &timeline["parallelTrials"]), (&json!(1.0), &json!(1)));
        assert_eq!(timeline["spans"][1]["started"], 60.0);
        let yaml: serde_json::Value = serde_saphyr::from_str(&account.yaml().unwrap()).unwrap();
        assert_eq!(yaml["report"]["objectives"], data["report"]["objectives"]);
        assert_eq!(yaml["conditions"], data["conditions"]);
    }

    #[test]
    fn what_each_checkpoint_contributes_is_told() {
        let fixture = Fixture::taken_apart();
        let (account, replayed) = account(&fixture);
        let best = account.report.as_ref().unwrap().best.clone().unwrap();
        let title =
            format!("\nWhat each checkpoint contributes to {best} (test fitness with it minus without it");
        let text = account.text(replayed.as_ref());
        assert_contains(&text, &[&title, "     code  "]);
        let data: serde_json::Value = serde_json::from_str(&account.json().unwrap()).unwrap();
        let contribution = &data["report"]["contribution"];
        assert_eq!(contribution["subject"], best.to_string());
        assert_eq!(contribution["checkpoints"].as_array().unwrap().len(), 3);
        let difference = &contribution["checkpoints"][0]["difference"];
        assert!(difference["value"].is_number() && difference["stderr"].is_number(), "{difference}");
    }

    #[test]
    fn a_running_search_names_its_running_trials() {
        let fixture = Fixture::running();
        let (account, replayed) = account(&fixture);
        assert_eq!(account.running, ["single-chat", "single-math", "uniform"]);
        assert_contains(
            &account.text(replayed.as_ref()),
            &["not finished: 1 of", "running: single-chat  single-math  uniform\n"],
        );
    }

    #[test]
    fn a_search_that_has_not_begun_shows_its_conditions() {
        let mut fixture = Fixture::running();
        fixture.chunks.clear();
        let status = fixture.resource.status.as_mut().unwrap();
        status.journal.clear();
        status.conditions = vec![condition(POOL_VERIFIED, "False", reason::POOL_INVALID, "code: no\nconfig")];
        let (waiting, replayed) = account(&fixture);
        assert_eq!(replayed, None);
        let text = waiting.text(None);
        assert_contains(&text, &["PoolVerified  False  PoolInvalid  code: no config\n", "has not begun"]);
        fixture.resource.status = None;
        assert_contains(&account(&fixture).0.text(None), &["no operator has taken it up yet"]);
    }

    #[test]
    fn a_damaged_journal_is_told_in_its_own_sentence() {
        let Fixture { resource, mut chunks } = Fixture::completed();
        chunks.remove(1);
        let damage = Replayed::new(&resource, chunks).unwrap_err().to_string();
        assert_eq!(
            damage,
            "journal chunk recycle-journal-0001 is missing; restore it from a backup, or delete the search"
        );
    }
}
