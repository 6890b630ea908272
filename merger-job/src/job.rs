//! What recipes ask of each tensor of a pool: which members are read, and how they are combined.

use std::sync::Arc;

use mergesearch_recipe::{Group, Recipe, TensorPosition};

use crate::Error;
use crate::adjustment::Adjuster;
use crate::element::{ElementType, Float};
use crate::layout::OutputTensor;
use crate::methods::{self, Method};
use crate::pool::{Pool, PoolTensor};
use crate::roles::{self, Role};

/// One tensor of the output with its work.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) output: OutputTensor,
    /// Index of the tensor in the pool.
    pub(crate) tensor: usize,
    /// The members that are read, in the order of the methods' slots.
    pub(crate) members: Vec<usize>,
    pub(crate) work: Work,
    /// For each of the members, what makes weights of its numbers: read before the tensor is streamed, empty until then.
    pub(crate) adjusters: Vec<Option<Arc<Adjuster>>>,
    /// Whether one of these looks at whole rows.
    pub(crate) adjusts_rows: bool,
}

/// What is done with the members' tensors.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Work {
    /// The bytes of the only member.
    Copy,
    /// One merge for each recipe.
    Merge(Vec<Method>, Float),
}

impl Job {
    /// Numbers in the tensor.
    pub(crate) fn elements(&self) -> u64 {
        self.output.shape.iter().product()
    }

    /// Numbers in a row, the last dimension.
    pub(crate) fn row(&self) -> u64 {
        self.output.shape.last().copied().unwrap_or(1).max(1)
    }

    /// The methods, none for what is copied.
    pub(crate) fn methods(&self) -> &[Method] {
        match &self.work {
            Work::Copy => &[],
            Work::Merge(methods, _) => methods,
        }
    }

    /// The job with one of its methods alone, which decides how the tensor is cut while it's measured: what is measured must
    /// not depend on the merges beside it.
    pub(crate) fn alone(&self, method: &Method) -> Self {
        let work = match &self.work {
            Work::Copy => Work::Copy,
            Work::Merge(_, float) => Work::Merge(vec![method.clone()], *float),
        };
        Self { work, ..self.clone() }
    }

    /// How often the members are read.
    pub(crate) fn passes(&self) -> u64 {
        // Several merges are measured one after the other and combined together.
        self.methods().iter().map(|method| method.passes() - 1).sum::<u64>() + 1
    }

    /// Whether some pass looks at whole rows.
    pub(crate) fn needs_rows(&self) -> bool {
        self.adjusts_rows || self.methods().iter().any(Method::needs_rows)
    }
}

/// All tensors of the output in its order. The recipes share everything but groups. Fails when recipes and pool don't
/// fit.
pub(crate) fn jobs(pool: &Pool, recipes: &[Recipe]) -> Result<Vec<Arc<Job>>, Error> {
    let Some(first) = recipes.first() else { return Ok(Vec::new()) };
    for recipe in recipes {
        recipe.validate()?;
        let by_columns =
            |group: &Group| !group.parameters.nuslerp_flatten() && group.parameters.nuslerp_row_wise();
        if recipe.groups.iter().any(by_columns) {
            return Err(Error::Columns);
        }
        if recipe.vocabulary != pool.vocabulary {
            return Err(Error::Vocabulary);
        }
        if let Some(field) = first.obstacle_to_one_pass(recipe) {
            return Err(Error::DifferentRecipes { field });
        }
    }
    let layers = layer_count(pool, first);
    let all = first.checkpoints.iter().chain(&first.base);
    let members: Vec<usize> = all.map(|checkpoint| pool.member(checkpoint)).collect::<Result<_, _>>()?;
    outputs(pool, first)?
        .into_iter()
        .map(|(name, place)| job(recipes, &members, layers, name, place, &pool.tensors[place]).map(Arc::new))
        .collect()
}

/// The layers that the output's layers come from; `None` where each is its own.
pub(crate) fn stacked_layers(recipe: &Recipe) -> Option<Vec<u32>> {
    let layers = || recipe.stack.iter().flat_map(|range| range.start..range.end);
    (!recipe.stack.is_empty()).then(|| layers().collect())
}

fn layer_count(pool: &Pool, recipe: &Recipe) -> Option<u32> {
    stacked_layers(recipe).map_or_else(|| pool.layer_count(), |layers| u32::try_from(layers.len()).ok())
}

/// The output's tensors: their names, and their places in the pool.
fn outputs(pool: &Pool, recipe: &Recipe) -> Result<Vec<(String, usize)>, Error> {
    let Some(layers) = stacked_layers(recipe) else {
        return Ok(pool
            .tensors
            .iter()
            .enumerate()
            .map(|(place, tensor)| (tensor.name.clone(), place))
            .collect());
    };
    let count = pool.layer_count().unwrap_or(0);
    if let Some(&layer) = layers.iter().find(|&&layer| layer >= count) {
        return Err(Error::NoLayer { layer, count });
    }
    let mut outputs = Vec::new();
    for (place, tensor) in pool.tensors.iter().enumerate() {
        let TensorPosition::Layer(from) = TensorPosition::of(&tensor.name) else {
            outputs.push((tensor.name.clone(), place));
            continue;
        };
        for (to, _) in layers.iter().enumerate().filter(|&(_, &layer)| layer == from) {
            let name = TensorPosition::renamed(&tensor.name, u32::try_from(to).unwrap_or(u32::MAX));
            outputs.push((name, place));
        }
    }
    outputs.sort_by(|(left, _), (right, _)| roles::natural(left, right));
    Ok(outputs)
}

fn job(
    recipes: &[Recipe],
    members: &[usize],
    layer_count: Option<u32>,
    name: String,
    place: usize,
    tensor: &PoolTensor,
) -> Result<Job, Error> {
    let first = members.first().copied().unwrap_or(0);
    let first_element = tensor.places[first].element;
    let (Role::Merged, Some(float)) = (tensor.role, first_element.float()) else {
        let (output, members) = (output(name, tensor, first_element), vec![first]);
        let (adjusters, adjusts_rows) = (Vec::new(), false);
        return Ok(Job { output, tensor: place, members, work: Work::Copy, adjusters, adjusts_rows });
    };
    // What is scaled has more digits than its numbers.
    let scaled =
        tensor.places[first].adjustment.as_ref().is_some_and(|adjustment| adjustment.scales.is_some());
    let float = if scaled { Float::Bf16 } else { float };
    let float = recipes.first().and_then(|recipe| recipe.dtype).map_or(float, Float::from);
    let mut groups = Vec::new();
    for recipe in recipes {
        let group =
            recipe.group_for(&name, layer_count).ok_or_else(|| Error::NoGroup { tensor: name.clone() })?;
        groups.push((recipe, group));
    }
    let mut places: Vec<usize> =
        groups.iter().flat_map(|(recipe, group)| methods::places(recipe, group)).collect();
    places.sort_unstable();
    places.dedup();
    let slot_of = |place: usize| places.iter().position(|&found| found == place).unwrap_or(0);
    // The random numbers of a stacked layer are those of its place in the output.
    let methods =
        groups.iter().map(|(recipe, group)| methods::method(recipe, group, &name, slot_of)).collect();
    let members: Vec<usize> = places.iter().map(|&place| members[place]).collect();
    let output = output(name, tensor, float.element_type());
    let adjustments = members.iter().filter_map(|&member| tensor.places[member].adjustment.as_ref());
    let adjusts_rows = adjustments.into_iter().any(|adjustment| adjustment.needs_rows());
    let work = Work::Merge(methods, float);
    Ok(Job { output, tensor: place, members, work, adjusters: Vec::new(), adjusts_rows })
}

fn output(name: String, tensor: &PoolTensor, element: ElementType) -> OutputTensor {
    let elements: u64 = tensor.shape.iter().product();
    let size = elements.saturating_mul(element.bits() / 8);
    OutputTensor { name, shape: tensor.shape.clone(), element, size }
}
