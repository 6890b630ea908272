//! `merger pod cleanup`: everything that a deleted search left in storage.

use std::time::Duration;

use mergesearch_merger::Stores;
use mergesearch_search::contract::{CleanupRequest, FaultClass, Message};

use super::fault::PodFault;
use super::retry::{retry, within};
use crate::arguments::Places;

/// Deletes the search's folders; what passes is tried again until the time is over.
pub(super) async fn run(
    stores: &Stores,
    request: &CleanupRequest,
    places: &Places,
) -> Result<Message, PodFault> {
    let CleanupRequest { search, storage: _, folders } = request;
    // Whatever the request says, no other folder than a search's own is ever deleted.
    if let Some(folder) = folders.iter().find(|folder| !search.owns(folder)) {
        let message =
            format!("folder {folder:?}: expected the search's own, which ends with {:?}", search.folder(""));
        return Err(PodFault::new(FaultClass::Input, &message));
    }
    let time = Duration::from_secs(places.upload_seconds);
    within(time, async {
        for folder in folders {
            let location = stores.locate(folder).map_err(|error| PodFault::new(FaultClass::Input, &error))?;
            let delete =
                async || stores.delete_folder(&location).await.map_err(|error| PodFault::storage(&error));
            retry(u32::MAX, delete).await?;
        }
        Ok(())
    })
    .await?;
    Ok(Message::Done)
}
