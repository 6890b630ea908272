//! What a recipe asks of each tensor of a pool: which members are read, and how they are combined.

use mergesearch_recipe::{MergeMethod, Recipe};

use crate::Error;
use crate::element::{ElementType, Float};
use crate::kernel::Formula;
use crate::layout::OutputTensor;
use crate::pool::{Pool, PoolTensor};
use crate::roles::Role;

/// One tensor of the output with its work.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) output: OutputTensor,
    /// Index of the tensor in the pool.
    pub(crate) tensor: usize,
    /// The members that are read, in order.
    pub(crate) members: Vec<usize>,
    pub(crate) work: Work,
}

impl Job {
    /// Numbers in the tensor.
    pub(crate) fn elements(&self) -> u64 {
        self.output.shape.iter().product()
    }
}

/// What is done with the members' tensors.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Work {
    /// The bytes of the only member.
    Copy,
    /// Elements one by one.
    Combine(Formula, Float),
    /// A pass for the angle between the two members, then their weighted sum at this `t`.
    Slerp(f64, Float),
}

/// All tensors of the output in the pool's order. Fails when recipe and pool don't fit.
pub(crate) fn jobs(pool: &Pool, recipe: &Recipe) -> Result<Vec<Job>, Error> {
    recipe.validate()?;
    if !recipe.method.is_supported() {
        return Err(Error::UnsupportedMethod(recipe.method));
    }
    let members =
        recipe.checkpoints.iter().map(|checkpoint| pool.member(checkpoint)).collect::<Result<Vec<_>, _>>()?;
    let base = recipe.base.as_ref().map(|base| pool.member(base)).transpose()?;
    let tensors = pool.tensors.iter().enumerate();
    tensors.map(|(place, tensor)| job(pool, recipe, &members, base, place, tensor)).collect()
}

fn job(
    pool: &Pool,
    recipe: &Recipe,
    members: &[usize],
    base: Option<usize>,
    place: usize,
    tensor: &PoolTensor,
) -> Result<Job, Error> {
    let first = members.first().copied().unwrap_or(0);
    let first_element = tensor.places[first].element;
    let output = |element: ElementType| {
        let elements: u64 = tensor.shape.iter().product();
        let (name, shape) = (tensor.name.clone(), tensor.shape.clone());
        OutputTensor { name, shape, element, size: elements.saturating_mul(element.bits() / 8) }
    };
    let (Role::Merged, Some(float)) = (tensor.role, first_element.float()) else {
        let members = vec![first];
        return Ok(Job { output: output(first_element), tensor: place, members, work: Work::Copy });
    };
    let float = recipe.dtype.map_or(float, Float::from);
    let group = recipe
        .group_for(&tensor.name, pool.layer_count())
        .ok_or_else(|| Error::NoGroup { tensor: tensor.name.clone() })?;
    let terms =
        members.iter().copied().zip(group.weights.iter().copied()).filter(|&(_, weight)| weight != 0.0);
    let (mut used, weights): (Vec<usize>, Vec<f64>) = terms.unzip();
    let work = match (recipe.method, base) {
        // With one end only there's nothing to interpolate.
        (MergeMethod::Slerp, _) if used.len() == 2 => Work::Slerp(group.weights[1], float),
        (MergeMethod::TaskArithmetic, Some(base)) => {
            used.push(base);
            let lambda = group.parameters.lambda.unwrap_or(1.0);
            Work::Combine(Formula::TaskVectors { weights, lambda }, float)
        }
        _ => Work::Combine(Formula::Weighted { weights }, float),
    };
    Ok(Job { output: output(float.element_type()), tensor: place, members: used, work })
}
