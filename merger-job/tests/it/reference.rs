//! Every merge method as its paper or mergekit's documentation has it: whole tensors in memory, sorted and summed plainly.

use std::cmp::Reverse;

use mergesearch_recipe::{MergeMethod, Recipe, Rescale};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// One tensor of a merge by the recipe's first group: the checkpoints' values, the base's, and the length of a row.
pub(crate) struct Tensor<'a> {
    pub(crate) name: &'a str,
    pub(crate) values: &'a [Vec<f64>],
    pub(crate) base: Option<&'a [f64]>,
    pub(crate) row: usize,
}

type Vector = Vec<f64>;

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}

fn norm(vector: &[f64]) -> f64 {
    dot(vector, vector).sqrt()
}

/// Places from the largest magnitude on, compared in f32; equal ones in their order.
fn descending(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&place| Reverse((values[place].abs() as f32).to_bits()));
    order
}

/// Random numbers in [0, 1) for every element.
fn uniforms(seed: u64, checkpoint: &str, tensor: &str, count: usize) -> Vector {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    for name in [checkpoint, tensor] {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
    }
    let mut generator = ChaCha8Rng::from_seed(hash.finalize().into());
    (0..count).map(|_| f64::from(generator.next_u32()) / 2f64.powi(32)).collect()
}

/// The merged tensor.
pub(crate) fn merge(recipe: &Recipe, tensor: &Tensor<'_>) -> Vector {
    let group = &recipe.groups[0];
    let used: Vec<usize> = (0..group.weights.len()).filter(|&place| group.weights[place] != 0.0).collect();
    let weights: Vector = used.iter().map(|&place| group.weights[place]).collect();
    let values: Vec<&[f64]> = used.iter().map(|&place| &tensor.values[place][..]).collect();
    let zeros = vec![0.0; tensor.values[0].len()];
    let base = tensor.base.unwrap_or(&zeros);
    let deltas: Vec<Vector> =
        values.iter().map(|values| values.iter().zip(base).map(|(x, b)| x - b).collect()).collect();
    let parameters = &group.parameters;
    let on_base = |sum: Vector, lambda: f64| base.iter().zip(sum).map(|(b, s)| b + lambda * s).collect();
    match recipe.method {
        MergeMethod::Linear | MergeMethod::Passthrough => weighted(&deltas, &weights),
        MergeMethod::TaskArithmetic => on_base(weighted(&deltas, &weights), parameters.lambda()),
        MergeMethod::Slerp => slerp(&deltas[0], &deltas[1], weights[1], |cosine| cosine.abs() > 0.9995),
        MergeMethod::Nuslerp => {
            let near = |cosine: f64| cosine.acos().sin().abs() < 1e-8;
            let row = if parameters.nuslerp_flatten() { zeros.len() } else { tensor.row };
            let rows = deltas[0].chunks(row.max(1)).zip(deltas[1].chunks(row.max(1)));
            on_base(rows.flat_map(|(a, b)| slerp(a, b, weights[1], near)).collect(), 1.0)
        }
        MergeMethod::Multislerp => on_base(multislerp(&deltas, &weights), 1.0),
        MergeMethod::Karcher => karcher(&deltas, &weights),
        MergeMethod::ModelStock => {
            let row = if parameters.filter_wise() { tensor.row } else { zeros.len() };
            on_base(model_stock(&deltas, row.max(1)), 1.0)
        }
        MergeMethod::Nearswap => {
            let t = parameters.t.unwrap();
            let near = |(a, b): (&f64, &f64)| {
                let share = (t / (a - b).abs().max(1e-6)).clamp(0.0, 1.0);
                share * b + (1.0 - share) * a
            };
            values[0].iter().zip(values[1]).map(near).collect()
        }
        MergeMethod::Sce => on_base(sce(&deltas, parameters.select_topk()), 1.0),
        MergeMethod::ArceeFusion => fusion(values[0], values[1], tensor.row),
        MergeMethod::Ram | MergeMethod::RamplusTl => {
            let strengthened = recipe.method == MergeMethod::RamplusTl;
            on_base(ram(&deltas, 1e-5, strengthened.then_some((parameters.r(), parameters.alpha()))), 1.0)
        }
        MergeMethod::Consensus => {
            let sum: Vector = weighted(&deltas, &weights);
            let masked = (0..zeros.len()).map(|place| {
                let merged = parameters.lambda() * sum[place];
                let votes = deltas.iter().filter(|delta| {
                    delta[place].abs() >= parameters.mask_lambda() * (merged - delta[place]).abs()
                });
                if votes.count() >= parameters.agreement() as usize { sum[place] } else { 0.0 }
            });
            on_base(masked.collect(), parameters.lambda())
        }
        _ => on_base(sparse(recipe, tensor, &used, &deltas, &weights), parameters.lambda()),
    }
}

fn weighted(vectors: &[Vector], weights: &[f64]) -> Vector {
    let at = |place: usize| vectors.iter().zip(weights).map(|(vector, weight)| weight * vector[place]).sum();
    (0..vectors[0].len()).map(at).collect()
}

fn slerp(a: &[f64], b: &[f64], t: f64, is_parallel: impl Fn(f64) -> bool) -> Vector {
    let norms = norm(a) * norm(b);
    let cosine = if norms == 0.0 { 0.0 } else { (dot(a, b) / norms).clamp(-1.0, 1.0) };
    let angle = cosine.acos();
    let (ours, theirs) = if is_parallel(cosine) {
        (1.0 - t, t)
    } else {
        (((1.0 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin())
    };
    a.iter().zip(b).map(|(a, b)| ours * a + theirs * b).collect()
}

fn unit(vector: &[f64]) -> Vector {
    let length = norm(vector);
    vector.iter().map(|value| value / length).collect()
}

/// One step from the normalised mean of the directions along the mean of what they have beside it.
fn multislerp(vectors: &[Vector], weights: &[f64]) -> Vector {
    // What adds to lengths keeps empty vectors empty.
    let unit_of = |vector: &Vector| vector.iter().map(|value| value / (norm(vector) + 1e-12)).collect();
    let units: Vec<Vector> = vectors.iter().map(unit_of).collect();
    let mean = weighted(&units, weights);
    if norm(&mean) < 1e-7 * weights.iter().map(|weight| weight.abs()).sum::<f64>() {
        // Directions that cancel out.
        return weighted(vectors, weights);
    }
    let mean = unit(&mean);
    let beside: Vec<Vector> = units
        .iter()
        .map(|unit| unit.iter().zip(&mean).map(|(u, m)| u - dot(unit, &mean) * m).collect())
        .collect();
    let tangent = weighted(&beside, weights);
    let (step, length) = (norm(&tangent), dot(weights, &vectors.iter().map(|v| norm(v)).collect::<Vector>()));
    let along = if step > 0.0 { step.sin() / step } else { 1.0 };
    mean.iter().zip(&tangent).map(|(m, t)| length * (m * step.cos() + t * along)).collect()
}

fn karcher(vectors: &[Vector], weights: &[f64]) -> Vector {
    let sum: f64 = weights.iter().sum();
    let weights: Vector = weights.iter().map(|weight| weight / sum).collect();
    let units: Vec<Vector> = vectors.iter().map(|vector| unit(vector)).collect();
    let mut mean = unit(&weighted(&units, &weights));
    for _ in 0..10 {
        let pulls: Vec<Vector> = units
            .iter()
            .map(|unit| {
                let cosine = dot(unit, &mean).clamp(-1.0, 1.0);
                let near = cosine.acos() < 1e-5 || cosine.acos().sin() < 1e-5;
                let scale = if near { 0.0 } else { cosine.acos() / cosine.acos().sin() };
                unit.iter().zip(&mean).map(|(u, m)| scale * (u - cosine * m)).collect()
            })
            .collect();
        let tangent = weighted(&pulls, &weights);
        let step = norm(&tangent);
        if step < 1e-5 {
            break;
        }
        mean = unit(
            &mean
                .iter()
                .zip(&tangent)
                .map(|(m, t)| step.cos() * m + step.sin() * t / step)
                .collect::<Vector>(),
        );
    }
    let length: f64 = vectors.iter().zip(&weights).map(|(vector, weight)| weight * norm(vector)).sum();
    mean.iter().map(|value| length * value).collect()
}

fn model_stock(deltas: &[Vector], row: usize) -> Vector {
    let (count, length) = (deltas.len() as f64, deltas[0].len());
    let mut merged = Vec::new();
    for begin in (0..length).step_by(row) {
        let rows: Vec<&[f64]> = deltas.iter().map(|delta| &delta[begin..(begin + row).min(length)]).collect();
        let mut cosines = Vec::new();
        for (place, left) in rows.iter().enumerate() {
            for right in &rows[place + 1..] {
                cosines.push((dot(left, right) / (norm(left) * norm(right)).max(1e-6)).clamp(-1.0, 1.0));
            }
        }
        let cosine = cosines.iter().sum::<f64>() / cosines.len() as f64;
        let t = count * cosine / (1.0 + (count - 1.0) * cosine);
        merged.extend((0..rows[0].len()).map(|at| t * rows.iter().map(|row| row[at]).sum::<f64>() / count));
    }
    merged
}

fn sce(deltas: &[Vector], select_topk: f64) -> Vector {
    let (count, length) = (deltas.len() as f64, deltas[0].len());
    let variance = |place: usize| {
        let mean = deltas.iter().map(|delta| delta[place]).sum::<f64>() / count;
        deltas.iter().map(|delta| (delta[place] - mean).powi(2)).sum::<f64>() / count
    };
    let variances: Vector = (0..length).map(variance).collect();
    let mut selected = vec![true; length];
    if select_topk < 1.0 {
        let varying = variances.iter().filter(|&&variance| variance > 1e-40).count();
        selected.fill(false);
        for place in descending(&variances).into_iter().take((select_topk * varying as f64) as usize) {
            selected[place] = true;
        }
    }
    let masked: Vec<Vector> = deltas
        .iter()
        .map(|delta| delta.iter().zip(&selected).map(|(d, &keep)| if keep { *d } else { 0.0 }).collect())
        .collect();
    let squares: Vector = masked.iter().map(|delta| dot(delta, delta) / length as f64).collect();
    let sum: f64 = squares.iter().sum();
    let weights: Vector =
        squares.iter().map(|square| if sum < 1e-6 { 1.0 / count } else { square / sum }).collect();
    let merged = (0..length).map(|place| {
        let positive = masked.iter().map(|delta| delta[place]).sum::<f64>() >= 0.0;
        let agreeing = masked
            .iter()
            .zip(&weights)
            .filter(|(delta, _)| if positive { delta[place] > 0.0 } else { delta[place] < 0.0 });
        let (sum, weights) = agreeing
            .fold((0.0, 0.0), |(sum, total), (delta, weight)| (sum + weight * delta[place], total + weight));
        sum / f64::max(weights, 1e-6)
    });
    merged.collect()
}

fn fusion(a: &[f64], b: &[f64], row: usize) -> Vector {
    let softmax = |row: &[f64]| {
        let sum: f64 = row.iter().map(|value| value.exp()).sum();
        row.iter().map(|value| value.exp() / sum + 1e-8).collect::<Vector>()
    };
    let rows = a.chunks(row.max(1)).zip(b.chunks(row.max(1)));
    let importances: Vec<f32> = rows
        .flat_map(|(a, b)| {
            let divergence: f64 = softmax(b).iter().zip(softmax(a)).map(|(p, q)| p * (p / q).ln()).sum();
            a.iter().zip(b).map(move |(a, b)| ((b - a).abs() * divergence).abs() as f32).collect::<Vec<_>>()
        })
        .collect();
    let mut ordered = importances.clone();
    ordered.sort_by(f32::total_cmp);
    let quantile =
        |q: f64| ordered.get((q * (ordered.len() - 1) as f64) as usize).map_or(0.0, |&v| f64::from(v));
    let threshold =
        if ordered.is_empty() { 0.0 } else { quantile(0.5) + 1.5 * (quantile(0.75) - quantile(0.25)) };
    let merged = a.iter().zip(b).zip(importances);
    merged.map(|((a, b), importance)| if f64::from(importance) >= threshold { *b } else { *a }).collect()
}

fn ram(deltas: &[Vector], epsilon: f64, strengthened: Option<(f64, f64)>) -> Vector {
    let moved = |delta: &Vector, place: usize| delta[place].abs() > epsilon;
    let changes = |place: usize| deltas.iter().filter(|delta| moved(delta, place)).count();
    let length = deltas[0].len();
    let factor = |delta: &Vector| {
        let Some((r, alpha)) = strengthened else { return 1.0 };
        let count = |wanted: fn(usize) -> bool| {
            (0..length).filter(|&place| moved(delta, place) && wanted(changes(place))).count() as f64
        };
        1.0 + r
            * (count(|changes| changes > 1) / count(|changes| changes == 1).max(epsilon)).clamp(0.0, alpha)
    };
    let factors: Vector = deltas.iter().map(factor).collect();
    let merged = (0..length).map(|place| {
        let several = changes(place);
        deltas
            .iter()
            .zip(&factors)
            .filter(|(delta, _)| moved(delta, place))
            .map(
                |(delta, factor)| {
                    if several > 1 { delta[place] / several as f64 } else { factor * delta[place] }
                },
            )
            .sum()
    });
    merged.collect()
}

/// The sum of task vectors of which a part is dropped.
fn sparse(
    recipe: &Recipe,
    tensor: &Tensor<'_>,
    used: &[usize],
    deltas: &[Vector],
    weights: &[f64],
) -> Vector {
    let (method, parameters) = (recipe.method, &recipe.groups[0].parameters);
    let kept: Vec<Vector> = used
        .iter()
        .zip(deltas)
        .map(|(&place, delta)| {
            let density = parameters.density(place);
            if density >= 1.0 {
                return delta.clone();
            }
            // For each element how likely it is kept, and whether it is.
            let length = delta.len();
            let mut chances = vec![density; length];
            let name = recipe.checkpoints[place].name.as_str();
            let mut keep = vec![false; length];
            let most = ((density * length as f64) as usize).max(1).min(length);
            match method {
                MergeMethod::Ties => descending(delta).into_iter().take(most).for_each(|at| keep[at] = true),
                MergeMethod::Breadcrumbs | MergeMethod::BreadcrumbsTies => {
                    let outliers = ((parameters.gamma(place) * length as f64) as usize).min(length - most);
                    let window = descending(delta).into_iter().skip(outliers).take(most);
                    window.for_each(|at| keep[at] = true);
                }
                _ => {
                    if matches!(method, MergeMethod::Della | MergeMethod::DellaLinear) {
                        let epsilon = parameters.epsilon(method, place);
                        for (row, chances) in delta.chunks(tensor.row).zip(chances.chunks_mut(tensor.row)) {
                            for (rank, at) in descending(row).into_iter().rev().enumerate() {
                                let steps = (row.len() - 1) as f64;
                                let share = if steps > 0.0 { rank as f64 / steps } else { 0.5 };
                                chances[at] = density - epsilon + 2.0 * epsilon * share;
                            }
                        }
                    }
                    let uniforms = uniforms(recipe.seed, name, tensor.name, length);
                    for (at, uniform) in uniforms.into_iter().enumerate() {
                        keep[at] = uniform < chances[at];
                    }
                }
            }
            let total = |only: bool| {
                let counted = delta.iter().zip(&keep).filter(|(_, keep)| **keep || !only);
                counted.map(|(delta, _)| delta.abs()).sum::<f64>()
            };
            let ratio = if total(true) < 1e-7 { 1.0 } else { total(false) / total(true) };
            let scaled = delta.iter().zip(keep).zip(chances).map(|((delta, keep), chance)| {
                let factor = match parameters.rescale(method) {
                    Rescale::None => 1.0,
                    Rescale::Inverse => 1.0 / chance,
                    Rescale::L1 => ratio,
                };
                if keep { delta * factor } else { 0.0 }
            });
            scaled.collect()
        })
        .collect();
    let elects = matches!(
        method,
        MergeMethod::Ties | MergeMethod::DareTies | MergeMethod::Della | MergeMethod::BreadcrumbsTies
    );
    if !elects {
        return weighted(&kept, weights);
    }
    let merged = weighted(&kept, weights).into_iter().enumerate().map(|(place, mass)| {
        let agreeing = kept.iter().zip(weights).filter(|(delta, weight)| {
            let delta = *weight * delta[place];
            if mass >= 0.0 { delta > 0.0 } else { delta < 0.0 }
        });
        let (sum, total) = agreeing
            .fold((0.0, 0.0), |(sum, total), (delta, weight)| (sum + weight * delta[place], total + weight));
        if parameters.normalize(method) && total != 0.0 { sum / total } else { sum }
    });
    merged.collect()
}
