//! Looking on: from each state of a search to what is said of it, until it has ended.

use mergesearch_crds::MergeSearch;

use super::account::{Account, Replayed, Unreadable};
use super::chunks::Chunks;
use super::conditions::{ending, hindrances};
use super::connection::{Connection, is_lasting, said};
use crate::failure::Failure;
use crate::progress::{Display, Moment};

/// One who watches a search.
pub(super) struct Follower<'a> {
    connection: &'a Connection,
    /// Of the search that is watched; one of the same name that comes after it is another.
    uid: Option<String>,
    chunks: Chunks,
    display: Display,
    announced: bool,
    /// What was said last of what keeps the search from going on.
    hindrances: Vec<String>,
    /// Whether the API server has not been heard since that was said.
    unheard: bool,
}

/// How a search ended.
pub(super) struct Ending {
    /// All that is known of it.
    pub(super) account: Account,
    /// As its journal tells it; `None` when it never began.
    pub(super) replayed: Option<Replayed>,
    /// Why it failed.
    pub(super) failure: Option<String>,
}

/// Why a state was not shown.
pub(super) enum Interruption {
    /// It has no sense to go on.
    Final(Failure),
    /// The API server does not answer now; that has been said.
    Unheard,
}

impl<'a> Follower<'a> {
    pub(super) fn new(connection: &'a Connection, resource: &MergeSearch, display: Display) -> Self {
        Self {
            connection,
            uid: resource.metadata.uid.clone(),
            chunks: Chunks::default(),
            display,
            announced: false,
            hindrances: Vec::new(),
            unheard: false,
        }
    }

    /// Shows a state of the search; gives its ending once it has one.
    ///
    /// # Errors
    /// When the journal can't be read, now or at all.
    pub(super) async fn follow(&mut self, resource: &MergeSearch) -> Result<Option<Ending>, Interruption> {
        if resource.metadata.uid != self.uid {
            return Err(Interruption::Final(self.connection.deleted()));
        }
        if resource.metadata.deletion_timestamp.is_some() {
            // Its journal goes with it, chunk by chunk.
            self.display.warn("the search is being deleted".to_owned());
            return Ok(None);
        }
        if let Err(error) = self.chunks.refresh(self.connection, resource).await {
            return Err(self.failed(&error));
        }
        let replayed = match Replayed::new(resource, self.chunks.all()) {
            Ok(replayed) => replayed,
            Err(unreadable) => return Err(self.unreadable(unreadable).await),
        };
        if self.unheard {
            self.unheard = false;
            self.display.note("the API server answers again");
        }
        let account = Account::new(resource, replayed.as_ref());
        self.show(resource, &account, replayed.as_ref());
        Ok(ending(resource).map(|ended| Ending { account, replayed, failure: ended.err() }))
    }

    /// Says, once, that the API server is not heard.
    pub(super) fn unheard(&mut self, why: &str) {
        if !self.unheard {
            self.unheard = true;
            self.display.note(&format!(
                "the API server does not answer ({why}); the search is not affected, trying again"
            ));
        }
    }

    /// Leaves the last state on the screen.
    pub(super) fn finish(&self) {
        self.display.finish();
    }

    fn failed(&mut self, error: &kube::Error) -> Interruption {
        if is_lasting(error) {
            return Interruption::Final(self.connection.failure(error));
        }
        self.unheard(&said(error));
        Interruption::Unheard
    }

    /// A journal that can't be read is damaged, or was deleted with its search a moment ago.
    async fn unreadable(&mut self, why: Unreadable) -> Interruption {
        match self.connection.search().await {
            Ok(now) if now.metadata.uid == self.uid && now.metadata.deletion_timestamp.is_none() => {
                Interruption::Final(Failure::run(why))
            }
            Ok(_) => Interruption::Final(self.connection.deleted()),
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                Interruption::Final(self.connection.deleted())
            }
            Err(error) => self.failed(&error),
        }
    }

    fn show(&mut self, resource: &MergeSearch, account: &Account, replayed: Option<&Replayed>) {
        let now = resource.status.as_ref().map(hindrances).unwrap_or_default();
        if now != self.hindrances {
            for hindrance in &now {
                self.display.note(&format!("waiting: {hindrance}"));
            }
            if now.is_empty() {
                self.display.note("going on");
            }
            self.hindrances = now;
        }
        let Some(Replayed { search, running }) = replayed else {
            if !self.announced && self.hindrances.is_empty() {
                self.display.warn(
                    "the search has not begun: the operator has to check it and its pool first".to_owned(),
                );
            }
            return;
        };
        let progress = search.progress();
        if !self.announced {
            self.announced = true;
            self.display.since(account.age());
            self.display.note(&format!(
                "{}: {} checkpoints, {} objectives, about {} trials",
                self.connection.name(),
                search.config().checkpoints.len(),
                search.config().objectives.len(),
                progress.planned,
            ));
        }
        self.display.update(&Moment {
            remaining: account.remaining(),
            progress,
            running: running.clone(),
            history: search.history(),
        });
        for warning in search.warnings() {
            self.display.warn(warning);
        }
    }
}
