//! Whether checkpoints fit each other: configs, tensors, and what has to be equal byte by byte.

use crate::checkpoint::OpenCheckpoint;
use crate::config_rules;
use crate::contents::same_bytes;
use crate::error::{CheckpointError, PoolError};
use crate::pool::{Place, PoolTensor};
use crate::roles::{self, Role};
use crate::storage::Stores;
use crate::vocabulary::{self, Joined};
use crate::{Error, Warning};

/// The members with adapters laid over the base, which is the last if there is one.
pub(super) fn over_base(members: Vec<OpenCheckpoint>, has_base: bool) -> Result<Vec<OpenCheckpoint>, Error> {
    let Some(adapter) = members.iter().find(|member| member.adapter.is_some()) else { return Ok(members) };
    let Some(base) = members.last().filter(|_| has_base).cloned() else {
        return Err(PoolError::NoBase(adapter.name.clone()).into());
    };
    if base.adapter.is_some() {
        return Err(PoolError::AdapterAlone { field: "base", adapter: base.name }.into());
    }
    members.into_iter().map(|member| member.over(&base)).collect()
}

pub(super) fn compare_configs(members: &[OpenCheckpoint]) -> Result<(), PoolError> {
    let Some((first, others)) = members.split_first() else { return Ok(()) };
    let meaning = config_rules::meaning(&first.config);
    for other in others {
        let theirs = config_rules::meaning(&other.config);
        if let Some((key, ours, theirs)) = config_rules::first_difference(&meaning, &theirs) {
            return Err(PoolError::Config {
                key: key.to_owned(),
                first: first.name.clone(),
                first_value: config_rules::shown(ours),
                other: other.name.clone(),
                value: config_rules::shown(theirs),
            });
        }
    }
    Ok(())
}

/// The output's tensors in natural order.
pub(super) async fn compare_tensors(
    stores: &Stores,
    members: &[OpenCheckpoint],
    joined: Option<&Joined>,
) -> Result<(Vec<PoolTensor>, Vec<Warning>), Error> {
    let mut warnings = Vec::new();
    let mut tensors = Vec::new();
    for name in roles::all_names(members) {
        let lacking = members.iter().find(|member| !member.tensors.contains_key(name));
        if let Some(embedding) = roles::tied_embedding(name, members) {
            check_tied_head(stores, members, name, embedding).await?;
            warnings.push(Warning::TiedHeadDropped { tensor: name.to_owned() });
            continue;
        }
        if let Some(lacking) = lacking {
            if roles::is_buffer(name) {
                let (tensor, lacking) = (name.to_owned(), lacking.name.clone());
                warnings.push(Warning::BufferDropped { tensor, lacking });
                continue;
            }
            let having = members.iter().find(|member| member.tensors.contains_key(name)).unwrap_or(lacking);
            return Err(PoolError::MissingTensor {
                lacking: lacking.name.clone(),
                having: having.name.clone(),
                tensor: name.to_owned(),
            }
            .into());
        }
        let joined = joined.filter(|_| vocabulary::has_tokens(name));
        let mut tensor = compare_tensor(members, name, joined.is_some())?;
        if let Some(joined) = joined {
            join(&mut tensor, members, joined)?;
        }
        if tensor.role == Role::Copied {
            check_copied(stores, members, &tensor).await?;
        }
        tensors.push(tensor);
    }
    Ok((tensors, warnings))
}

/// One tensor that all members have.
///
/// Of tensors with a row for each token, `by_tokens`, the numbers of rows may differ.
fn compare_tensor(members: &[OpenCheckpoint], name: &str, by_tokens: bool) -> Result<PoolTensor, Error> {
    let compared = |shape: &[u64]| shape.iter().copied().skip(usize::from(by_tokens)).collect::<Vec<u64>>();

    let mut all = members.iter().filter_map(|member| Some((member, member.tensors.get(name)?)));
    let Some((first, form)) = all.next() else { return Err(PoolError::Empty.into()) };
    for (other, theirs) in all {
        let (tensor, first, other) = (name.to_owned(), first.name.clone(), other.name.clone());
        if theirs.shape.len() != form.shape.len() || compared(&theirs.shape) != compared(&form.shape) {
            let (first_shape, shape) = (form.shape.clone(), theirs.shape.clone());
            return Err(PoolError::Shape { tensor, first, first_shape, other, shape }.into());
        }
        let both_float = theirs.element.float().is_some() && form.element.float().is_some();
        if theirs.element != form.element && !both_float {
            let (first_element, element) = (form.element, theirs.element);
            return Err(PoolError::Dtype { tensor, first, first_element, other, element }.into());
        }
    }
    if roles::is_scale(name) {
        return Err(first.blame(CheckpointError::Scaled { tensor: name.to_owned() }));
    }
    let whole_bytes = form.element.bits() % 8 == 0;
    let role = if (roles::is_buffer(name) && whole_bytes) || form.element.is_discrete() {
        Role::Copied
    } else if form.element.float().is_some() {
        Role::Merged
    } else {
        let tensor = name.to_owned();
        return Err(first.blame(CheckpointError::Unmergeable { tensor, element: form.element }));
    };
    let places = members.iter().filter_map(|member| member.tensors.get(name)).map(|place| Place {
        element: place.element,
        shard: place.shard,
        offset: place.offset,
        size: place.size,
        adjustment: place.adjustment.clone(),
        rows: None,
    });
    Ok(PoolTensor { name: name.to_owned(), shape: form.shape.clone(), role, places: places.collect() })
}

/// Gives the tensor the joined vocabulary's rows.
fn join(tensor: &mut PoolTensor, members: &[OpenCheckpoint], joined: &Joined) -> Result<(), PoolError> {
    let held = |member: &OpenCheckpoint| member.tensors.get(&tensor.name)?.shape.first().copied();
    let held: Vec<u64> = members.iter().map(|member| held(member).unwrap_or(0)).collect();
    if let Some(rows) = tensor.shape.first_mut() {
        *rows = joined.rows;
    }
    for (member, place) in tensor.places.iter_mut().enumerate() {
        place.rows = joined.rows(member, &held);
    }
    let apart = tensor.places.iter().any(|place| place.rows.is_some());
    match tensor.places.iter().zip(members).find(|(place, _)| apart && place.adjustment.is_some()) {
        Some((_, member)) => {
            let (tensor, checkpoint) = (tensor.name.clone(), member.name.clone());
            Err(PoolError::AdjustedRows { tensor, checkpoint })
        }
        None => Ok(()),
    }
}

/// A copied tensor is the same everywhere, in type and bytes.
async fn check_copied(stores: &Stores, members: &[OpenCheckpoint], tensor: &PoolTensor) -> Result<(), Error> {
    let mut all = members.iter().zip(&tensor.places);
    let Some((first, ours)) = all.next() else { return Ok(()) };
    for (other, theirs) in all {
        let same = ours.element == theirs.element
            && same_bytes(
                stores,
                (&first.shards[ours.shard], ours.offset),
                (&other.shards[theirs.shard], theirs.offset),
                ours.size,
            )
            .await?;
        if !same {
            return Err(PoolError::Buffer {
                tensor: tensor.name.clone(),
                first: first.name.clone(),
                other: other.name.clone(),
            }
            .into());
        }
    }
    Ok(())
}

/// An output head that the config ties to the embedding equals it wherever it's written.
async fn check_tied_head(
    stores: &Stores,
    members: &[OpenCheckpoint],
    head: &str,
    embedding: &str,
) -> Result<(), Error> {
    for member in members {
        let (Some(ours), Some(theirs)) = (member.tensors.get(head), member.tensors.get(embedding)) else {
            continue;
        };
        let same = ours.element == theirs.element
            && ours.shape == theirs.shape
            && same_bytes(
                stores,
                (&member.shards[ours.shard], ours.offset),
                (&member.shards[theirs.shard], theirs.offset),
                ours.size,
            )
            .await?;
        if !same {
            let (head, embedding) = (head.to_owned(), embedding.to_owned());
            return Err(member.blame(CheckpointError::TiedHead { head, embedding }));
        }
    }
    Ok(())
}
