//! Equal elements of which only the first count: every stretch has to know how many came before it. Stretches count
//! theirs side by side and hand the sums on in order, so the sources aren't read once more for it.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::Pipeline;
use super::input::Stretch;
use crate::Error;
use crate::kernel::{Cut, Series, count_ties};

/// One stretch's place in the chain.
pub(super) struct Baton {
    tied: Arc<[(Series, Cut)]>,
    before: oneshot::Receiver<Vec<u64>>,
    after: oneshot::Sender<Vec<u64>>,
}

impl Baton {
    /// The batons of stretches that follow each other; none where there's nothing to count.
    pub(super) fn run(tied: Vec<(Series, Cut)>) -> impl Iterator<Item = Self> {
        let tied: Arc<[_]> = tied.into();
        let (first, mut next) = oneshot::channel();
        let wanted = !tied.is_empty();
        // The receiver is in our hands.
        let _ = first.send(vec![0; tied.len()]);
        std::iter::from_fn(move || {
            let (after, following) = oneshot::channel();
            let before = std::mem::replace(&mut next, following);
            wanted.then(|| Self { tied: Arc::clone(&tied), before, after })
        })
    }

    /// Counts the stretch's own equal elements, waits for the counts before it, and hands both together on.
    pub(super) async fn pass(self, pipeline: &Pipeline, stretch: &Arc<Stretch>) -> Result<Vec<u64>, Error> {
        let (tied, counted) = (Arc::clone(&self.tied), Arc::clone(stretch));
        let own = pipeline
            .compute(move || {
                let mut counts = vec![0; tied.len()];
                counted.each_chunk(|chunk| {
                    count_ties(chunk, &tied, &mut counts);
                    Ok(())
                })?;
                Ok::<_, Error>(counts)
            })
            .await??;
        let before = self.before.await.map_err(|error| Error::Task(error.to_string()))?;
        let after = before.iter().zip(&own).map(|(before, own)| before + own).collect();
        // Nobody waits behind the last stretch.
        let _ = self.after.send(after);
        Ok(before)
    }
}
