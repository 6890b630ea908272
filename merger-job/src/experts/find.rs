//! Finds experts by the names of tensors, as transformers has them.

use std::collections::{BTreeMap, BTreeSet};

use crate::pool::PoolTensor;
use crate::roles::Role;

/// A layer with experts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) experts: usize,
    pub(super) parts: Vec<Part>,
}

/// Tensors with something of every expert; places in the pool's list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// `PREFIX.experts.3.REST`: a tensor for each, in order.
    Apart(Vec<usize>),
    /// `PREFIX.experts.REST`, or the router's: one row for each.
    Rows(usize),
}

impl Part {
    pub(super) fn tensors(&self) -> &[usize] {
        match self {
            Self::Apart(tensors) => tensors,
            Self::Rows(tensor) => std::slice::from_ref(tensor),
        }
    }
}

/// All layers with experts.
pub(super) fn layers(tensors: &[PoolTensor]) -> Vec<Layer> {
    const MARK: &str = ".experts.";
    let mut apart: BTreeMap<&str, BTreeMap<&str, BTreeMap<usize, usize>>> = BTreeMap::new();
    let mut whole: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, tensor) in tensors.iter().enumerate().filter(|(_, tensor)| tensor.role == Role::Merged) {
        let Some((prefix, rest)) = tensor.name.split_once(MARK) else { continue };
        match rest.split_once('.').and_then(|(number, rest)| Some((number.parse().ok()?, rest))) {
            Some((expert, rest)) => {
                apart.entry(prefix).or_default().entry(rest).or_default().insert(expert, place);
            }
            None => whole.entry(prefix).or_default().push(place),
        }
    }
    let mut found = Vec::new();
    let prefixes: BTreeSet<&str> = apart.keys().chain(whole.keys()).copied().collect();
    for prefix in prefixes {
        let named = apart.get(prefix);
        let first_rows = || {
            let first = whole.get(prefix)?.first()?;
            usize::try_from(*tensors[*first].shape.first()?).ok()
        };
        let experts = named.and_then(|parts| parts.values().next()).map(BTreeMap::len).or_else(first_rows);
        let Some(experts) = experts else { continue };
        let complete = |numbers: &BTreeMap<usize, usize>| numbers.keys().copied().eq(0..experts);
        let mut parts: Vec<Part> = named
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(|numbers| complete(numbers))
            .map(|numbers| Part::Apart(numbers.values().copied().collect()))
            .collect();
        let routers = [".gate.", ".router."].map(|router| format!("{prefix}{router}"));
        let is_router = |name: &str| routers.iter().any(|router| name.starts_with(router));
        let router = (0..tensors.len()).filter(|&place| is_router(&tensors[place].name));
        let rows = whole.get(prefix).into_iter().flatten().copied().chain(router);
        let has_rows = |place: &usize| {
            tensors[*place].role == Role::Merged && tensors[*place].shape.first() == Some(&(experts as u64))
        };
        parts.extend(rows.filter(has_rows).map(Part::Rows));
        found.push(Layer { experts, parts });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(named: &[(&str, &[u64])]) -> Vec<PoolTensor> {
        let tensor = |&(name, shape): &(&str, &[u64])| PoolTensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            role: Role::Merged,
            places: Vec::new(),
        };
        named.iter().map(tensor).collect()
    }

    #[test]
    fn experts_and_their_router_are_found() {
        let mixtral = tensors(&[
            ("model.layers.0.block_sparse_moe.experts.0.w1.weight", &[4, 2]),
            ("model.layers.0.block_sparse_moe.experts.1.w1.weight", &[4, 2]),
            ("model.layers.0.block_sparse_moe.gate.weight", &[2, 2]),
            ("model.layers.0.mlp.shared_experts.gate_proj.weight", &[2, 2]),
            ("model.layers.1.mlp.gate_proj.weight", &[2, 2]),
        ]);
        assert_eq!(
            layers(&mixtral),
            [Layer { experts: 2, parts: vec![Part::Apart(vec![0, 1]), Part::Rows(2)] }]
        );
        let fused = tensors(&[
            ("model.layers.0.mlp.experts.gate_up_proj", &[3, 4, 2]),
            ("model.layers.0.mlp.experts.gate_up_proj_bias", &[3, 4]),
            ("model.layers.0.mlp.router.bias", &[3]),
            ("model.layers.0.mlp.router.weight", &[3, 2]),
        ]);
        let parts = (0..4).map(Part::Rows).collect();
        assert_eq!(layers(&fused), [Layer { experts: 3, parts }]);
        assert_eq!(layers(&tensors(&[("model.layers.0.mlp.up_proj.weight", &[2, 2])])), []);
    }
}
