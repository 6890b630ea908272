//! From a method to the formula of one tensor, by the passes over the tensor that the method needs.

use std::sync::Arc;

use mergesearch_recipe::Rescale;

use super::Pipeline;
use super::input::Stretch;
use super::round::{ALL_THREADS, Round};
use crate::Error;
use crate::job::Job;
use crate::kernel::{Cut, Formula, Keep, Series, Sparse, SparseTerm, State, Term};
use crate::methods::{Drop, Method, SparsePlan};
use crate::sphere::Gram;
use crate::statistics::{Census, Rank, Ranks, Sums, Totals, divergences, sums, unit};

/// Sums of magnitudes below this are nothing to rescale to.
const LEAST_MAGNITUDE: f64 = 1e-7;
/// Sums of mean squares below this say nothing about whose weight is larger.
const LEAST_SQUARES: f64 = 1e-6;
/// How many interquartile ranges above the median an importance has to be (`arcee_fusion`).
const OUTLYING: f64 = 1.5;

impl Pipeline {
    /// Measures what the method needs of the tensor.
    pub(super) async fn formula(self: &Arc<Self>, job: &Arc<Job>, method: &Method) -> Result<Formula, Error> {
        match method {
            Method::Ready(formula) => Ok(formula.clone()),
            Method::Sphere { base, slots, rule } => {
                let what = Sums::Products { base: *base, slots: slots.clone() };
                let gram = Gram::new(slots.len(), self.sums(job, what).await?);
                let weights = rule.weights(&gram);
                let terms = slots.iter().zip(weights).map(|(&slot, weight)| Term { slot, weight }).collect();
                Ok(match base {
                    Some(base) => Formula::TaskVectors { base: *base, terms, lambda: 1.0 },
                    None => Formula::Weighted(terms),
                })
            }
            Method::Sparse(plan) => self.sparse(job, plan).await,
            Method::Sce { base, slots, select_topk } => self.sce(job, *base, slots, *select_topk).await,
            Method::Fusion => self.fusion(job).await,
            Method::RamPlus { base, slots, epsilons, r, alpha } => {
                let (base, epsilons) = (*base, epsilons.clone());
                let what = Sums::Changes { base, slots: slots.clone(), epsilons: epsilons.clone() };
                let counts = self.sums(job, what).await?;
                let factor = |counts: &[f64], epsilon: f64| {
                    let overlap = counts[0] / counts[1].max(epsilon);
                    1.0 + r * overlap.clamp(0.0, *alpha)
                };
                let factors =
                    counts.chunks_exact(2).zip(&epsilons).map(|(counts, &epsilon)| factor(counts, epsilon));
                let terms = slots.iter().zip(factors).map(|(&slot, weight)| Term { slot, weight }).collect();
                Ok(Formula::Ram { base, terms, epsilons })
            }
        }
    }

    async fn sparse(self: &Arc<Self>, job: &Arc<Job>, plan: &SparsePlan) -> Result<Formula, Error> {
        let elements = job.elements();
        let mut asked = Vec::new();
        for term in &plan.terms {
            if let Drop::ByMagnitude { density, gamma } = term.drop {
                let series = Series::Difference { base: plan.base, slot: term.slot };
                asked.push(Ranks {
                    series,
                    ranks: ranks(elements, density, gamma).into_iter().map(Rank::First).collect(),
                });
            }
        }
        let mut cuts = self.cuts(job, asked).await?.into_iter();
        let terms = plan.terms.iter().map(|term| {
            let keep = match &term.drop {
                Drop::Known(keep) => keep.clone(),
                Drop::ByMagnitude { .. } => match cuts.next().unwrap_or_default()[..] {
                    [outliers, largest] => Keep::Between { outliers, largest },
                    [largest] => Keep::Largest(largest),
                    _ => Keep::All,
                },
            };
            SparseTerm { slot: term.slot, weight: term.weight, keep, divisor: 1.0 }
        });
        let (base, consensus, lambda) = (plan.base, plan.consensus, plan.lambda);
        let mut sparse = Sparse { base, terms: terms.collect(), consensus, lambda };
        let magnitudes = if plan.needs_magnitudes() {
            self.sums(job, Sums::Magnitudes(Formula::Sparse(sparse.clone()))).await?
        } else {
            Vec::new()
        };
        for (place, (term, planned)) in sparse.terms.iter_mut().zip(&plan.terms).enumerate() {
            term.divisor = match (planned.rescale, &planned.drop) {
                (Rescale::L1, _) => match magnitudes.get(2 * place..2 * place + 2) {
                    Some(&[all, kept]) if all >= LEAST_MAGNITUDE && kept >= LEAST_MAGNITUDE => kept / all,
                    _ => 1.0,
                },
                (Rescale::Inverse, Drop::ByMagnitude { density, .. }) => *density,
                (Rescale::Inverse, Drop::Known(Keep::Random { probability, .. })) => *probability,
                _ => 1.0,
            };
        }
        Ok(Formula::Sparse(sparse))
    }

    async fn sce(
        self: &Arc<Self>,
        job: &Arc<Job>,
        base: usize,
        slots: &[usize],
        select_topk: f64,
    ) -> Result<Formula, Error> {
        let mut cut = None;
        if select_topk < 1.0 {
            let series = Series::Variance { base, slots: slots.to_vec() };
            let asked = vec![Ranks { series, ranks: vec![Rank::OfNonZero(select_topk)] }];
            cut = self.cuts(job, asked).await?.into_iter().flatten().next();
        }
        let mut terms: Vec<Term> = slots.iter().map(|&slot| Term { slot, weight: 1.0 }).collect();
        let what = Sums::Squares(Formula::Sce { base, terms: terms.clone(), cut });
        let means: Vec<f64> =
            self.sums(job, what).await?.into_iter().map(|sum| sum / job.elements() as f64).collect();
        let sum: f64 = means.iter().sum();
        for (term, mean) in terms.iter_mut().zip(means) {
            term.weight = if sum < LEAST_SQUARES { 1.0 / slots.len() as f64 } else { mean / sum };
        }
        Ok(Formula::Sce { base, terms, cut })
    }

    async fn fusion(self: &Arc<Self>, job: &Arc<Job>) -> Result<Formula, Error> {
        let mut rows = Vec::new();
        let work = |stretch: &Stretch, _: &[u64]| {
            let mut found = Vec::new();
            stretch.each_chunk(|chunk| {
                found.extend(divergences(chunk));
                Ok(())
            })?;
            Ok(found)
        };
        self.round(job, Round { tied: Vec::new(), threads: ALL_THREADS, work }, |found: Vec<f64>| {
            rows.extend(found);
        })
        .await?;
        let divergences: Arc<[f64]> = rows.into();
        let elements = job.elements();
        // Order statistics from below, as ranks from above.
        let rank =
            |quantile: f64| Rank::First(elements - (quantile * elements.saturating_sub(1) as f64) as u64);
        let series = Series::Importance { divergences: Arc::clone(&divergences) };
        let asked = vec![Ranks { series, ranks: vec![rank(0.25), rank(0.5), rank(0.75)] }];
        let cuts = self.cuts(job, asked).await?.pop().unwrap_or_default();
        let value = |cut: &Cut| f64::from(f32::from_bits(cut.tied.map_or(cut.at_least, |tied| tied.key)));
        let threshold = match &cuts[..] {
            [low, middle, high] => value(middle) + OUTLYING * (value(high) - value(low)),
            _ => 0.0,
        };
        Ok(Formula::Fusion { divergences, threshold })
    }

    /// The cuts of each series at its ranks, by two passes; none asked for, none made.
    async fn cuts(self: &Arc<Self>, job: &Arc<Job>, asked: Vec<Ranks>) -> Result<Vec<Vec<Cut>>, Error> {
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let (_memory, threads) = self.budget.take_counters(job).await?;
        let first = self.count(job, Census::first(&asked), threads).await?;
        let (second, borders) = first.second(&asked);
        let second = self.count(job, second, threads).await?;
        Ok(second.cuts(&borders))
    }

    /// One pass that counts.
    async fn count(
        self: &Arc<Self>,
        job: &Arc<Job>,
        census: Census,
        threads: usize,
    ) -> Result<Census, Error> {
        let census = Arc::new(census);
        let counted = Arc::clone(&census);
        let work = move |stretch: &Stretch, _: &[u64]| {
            stretch.each_chunk(|chunk| {
                counted.count(chunk);
                Ok(())
            })
        };
        self.round(job, Round { tied: Vec::new(), threads, work }, |()| {}).await?;
        Arc::into_inner(census).ok_or_else(|| Error::Task("a count is still going on".to_owned()))
    }

    /// One pass that sums.
    async fn sums(self: &Arc<Self>, job: &Arc<Job>, what: Sums) -> Result<Vec<f64>, Error> {
        let mut totals = Totals::new(what.count());
        let unit = unit(job.needs_rows(), job.row() as usize);
        let tied = what.formula().into_iter().flat_map(Formula::tied).collect();
        let work = move |stretch: &Stretch, seen: &[u64]| {
            let mut state = what.formula().map(|formula| State::new(formula, seen, stretch.first));
            let mut found = Vec::new();
            stretch.each_chunk(|chunk| {
                found.extend(sums(chunk, &what, unit, state.as_mut()));
                Ok(())
            })?;
            Ok(found)
        };
        self.round(job, Round { tied, threads: ALL_THREADS, work }, |found: Vec<f64>| totals.push(&found))
            .await?;
        Ok(totals.values())
    }
}

/// The borders of what is kept, in ranks from the largest on: that of the outliers if there are any, and that of the rest.
/// At least one element is kept, and at most all.
fn ranks(elements: u64, density: f64, gamma: Option<f64>) -> Vec<u64> {
    let fraction = |fraction: f64| (fraction * elements as f64) as u64;
    let kept = fraction(density).max(1).min(elements);
    match gamma {
        None => vec![kept],
        Some(gamma) => {
            let outliers = fraction(gamma).min(elements - kept);
            vec![outliers, outliers + kept]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ranks;

    #[test]
    fn the_fraction_is_rounded_down_to_at_least_one() {
        assert_eq!(ranks(10, 0.55, None), [5]);
        assert_eq!(ranks(10, 0.01, None), [1]);
        assert_eq!(ranks(0, 0.5, None), [0]);
    }

    #[test]
    fn outliers_give_way_to_the_density() {
        assert_eq!(ranks(100, 0.5, Some(0.01)), [1, 51]);
        assert_eq!(ranks(100, 0.995, Some(0.01)), [1, 100]);
        assert_eq!(ranks(10, 0.5, Some(0.01)), [0, 5]);
    }
}
