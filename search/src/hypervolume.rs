//! The hypervolume that a front dominates, and how much a point would add to it.
//!
//! All objectives are maximised, and a point counts only where it is better than the reference point in every
//! objective. Every function gives the same bits whatever the order of the points.

use crate::archive::dominates;

/// The exact volume of what `points` dominate and what is above `reference`.
///
/// A sweep for up to three objectives, the WFG algorithm (While, Bradstreet and Barone 2012) for more.
pub fn hypervolume(points: &[Vec<f64>], reference: &[f64]) -> f64 {
    let shifted: Vec<Vec<f64>> = points.iter().filter_map(|point| above(point, reference)).collect();
    volume(&front_of(shifted))
}

/// The part of the hypervolume of `points` that is lost without the point at `index`.
pub fn contribution(points: &[Vec<f64>], index: usize, reference: &[f64]) -> f64 {
    let others: Vec<Vec<f64>> =
        points.iter().enumerate().filter(|(i, _)| *i != index).map(|(_, point)| point.clone()).collect();
    improvement(&points[index], &others, reference)
}

/// How much `point` adds to the hypervolume of `front`; 0 when it is dominated or not above the reference.
pub fn improvement(point: &[f64], front: &[Vec<f64>], reference: &[f64]) -> f64 {
    let Some(point) = above(point, reference) else { return 0.0 };
    let others: Vec<Vec<f64>> = front.iter().filter_map(|other| above(other, reference)).collect();
    exclusive(&point, &others)
}

/// The uncrowded hypervolume improvement (Toure, Hansen, Auger and Brockhoff, GECCO 2019).
///
/// For a point that is not dominated and above `reference` it is what the point adds to the hypervolume of `front`;
/// for any other point it is minus the Euclidean distance to the nearest place where it would begin to add something.
/// So points are comparable wherever they are, and better ones are larger.
pub fn uncrowded_improvement(point: &[f64], front: &[Vec<f64>], reference: &[f64]) -> f64 {
    let gain = improvement(point, front, reference);
    if gain > 0.0 {
        return gain;
    }
    let squared_distance = |corner: &Vec<f64>| -> f64 {
        corner.iter().zip(point).map(|(c, p)| (c - p).max(0.0)).map(|gap| gap * gap).sum()
    };
    let nearest =
        undominated_corners(front, reference).iter().map(squared_distance).fold(f64::INFINITY, f64::min);
    0.0 - nearest.sqrt()
}

/// The lower corners of the region above `reference` that no point of `front` dominates: the region is the union of
/// the orthants above them (the local bounds of Klamroth, Lacour and Vanderpooten 2015).
fn undominated_corners(front: &[Vec<f64>], reference: &[f64]) -> Vec<Vec<f64>> {
    let mut corners = vec![reference.to_vec()];
    for point in front {
        let (covered, mut kept): (Vec<_>, Vec<_>) =
            corners.into_iter().partition(|corner| point.iter().zip(corner).all(|(p, c)| p > c));
        let mut raised: Vec<Vec<f64>> = Vec::new();
        for corner in covered {
            for (axis, value) in point.iter().enumerate() {
                let mut higher = corner.clone();
                higher[axis] = *value;
                raised.push(higher);
            }
        }
        // A corner at or above another one opens nothing new.
        raised.sort_by(|a, b| lexicographic(a, b));
        raised.dedup();
        let needed = |corner: &Vec<f64>| {
            !raised.iter().chain(&kept).any(|other| dominates(corner, other)) && !kept.contains(corner)
        };
        let needed: Vec<Vec<f64>> = raised.iter().filter(|corner| needed(corner)).cloned().collect();
        kept.extend(needed);
        corners = kept;
    }
    corners
}

/// The point relative to the reference; none unless it is above it in every objective.
fn above(point: &[f64], reference: &[f64]) -> Option<Vec<f64>> {
    let shifted: Vec<f64> = point.iter().zip(reference).map(|(p, r)| p - r).collect();
    shifted.iter().all(|value| *value > 0.0).then_some(shifted)
}

/// The non-dominated ones of `points`, each once, in a fixed order: descending from the last objective to the first.
fn front_of(mut points: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    points.sort_by(|a, b| lexicographic(b, a));
    points.dedup();
    // Whatever dominates a point comes before it, and domination is transitive.
    let mut front: Vec<Vec<f64>> = Vec::new();
    for point in points {
        if !front.iter().any(|better| dominates(better, &point)) {
            front.push(point);
        }
    }
    front
}

/// Compares from the last objective to the first.
fn lexicographic(a: &[f64], b: &[f64]) -> std::cmp::Ordering {
    let compare = |(a, b): (&f64, &f64)| a.total_cmp(b);
    a.iter().zip(b).rev().map(compare).find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
}

/// The volume between the origin and a front in the order of [`front_of`].
fn volume(front: &[Vec<f64>]) -> f64 {
    match front.first().map_or(0, Vec::len) {
        0 => 0.0,
        1 => front[0][0],
        2 => area(front.iter().map(|point| (point[0], point[1]))),
        3 => (0..front.len())
            .map(|index| {
                // The slice between this point's height and the next one's is covered by the points so far.
                let below = front.get(index + 1).map_or(0.0, |next| next[2]);
                let base = front[..=index].iter().map(|point| vec![point[0], point[1]]).collect();
                (front[index][2] - below) * volume(&front_of(base))
            })
            .sum(),
        _ => (0..front.len()).map(|index| exclusive(&front[index], &front[index + 1..])).sum(),
    }
}

/// The area under a front of points with descending second and so ascending first coordinate.
fn area(front: impl Iterator<Item = (f64, f64)>) -> f64 {
    let mut left = 0.0;
    let mut sum = 0.0;
    for (x, y) in front {
        sum += (x - left) * y;
        left = x;
    }
    sum
}

/// The volume that only `point` dominates: all of its own less what it shares with `others`.
fn exclusive(point: &[f64], others: &[Vec<f64>]) -> f64 {
    // Nothing is left of a point that another one reaches: exactly 0, without rounding.
    if others.iter().any(|other| other.iter().zip(point).all(|(o, p)| o >= p)) {
        return 0.0;
    }
    let shared =
        others.iter().map(|other| other.iter().zip(point).map(|(o, p)| o.min(*p)).collect()).collect();
    point.iter().product::<f64>() - volume(&front_of(shared))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole numbers and their halves are exact")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Inclusion and exclusion over all subsets.
    fn by_inclusion_and_exclusion(points: &[Vec<f64>], reference: &[f64]) -> f64 {
        let mut sum = 0.0;
        for subset in 1_u32..1 << points.len() {
            let mut corner = vec![f64::INFINITY; reference.len()];
            for (_, point) in points.iter().enumerate().filter(|(index, _)| subset >> index & 1 == 1) {
                corner = corner.iter().zip(point).map(|(c, p)| c.min(*p)).collect();
            }
            let inside: f64 = corner.iter().zip(reference).map(|(c, r)| (c - r).max(0.0)).product();
            sum += if subset.count_ones() % 2 == 1 { inside } else { -inside };
        }
        sum
    }

    #[test]
    fn known_volumes() {
        let points = [vec![1.0, 3.0], vec![2.0, 2.0], vec![3.0, 1.0], vec![1.0, 1.0]];
        assert_eq!(hypervolume(&points, &[0.0, 0.0]), 6.0);
        assert_eq!(hypervolume(&points, &[1.0, 1.0]), 1.0);
        assert_eq!(hypervolume(&[], &[0.0, 0.0]), 0.0);
        assert_eq!(hypervolume(&[vec![2.0], vec![5.0]], &[1.0]), 4.0);
        assert_eq!(hypervolume(&[vec![1.0, 2.0, 2.0, 2.0, 3.0]], &[0.0; 5]), 24.0);
        assert_eq!(contribution(&points, 1, &[0.0, 0.0]), 1.0);
        assert_eq!(contribution(&points, 3, &[0.0, 0.0]), 0.0);
    }

    #[test]
    fn a_dominated_point_is_as_bad_as_it_is_far_from_the_front() {
        let front = [vec![1.0, 3.0], vec![3.0, 1.0]];
        let at = |x, y| uncrowded_improvement(&[x, y], &front, &[0.0, 0.0]);
        assert_eq!(at(2.0, 2.0), 1.0);
        // The inner corner of the staircase is (1, 1): up to it the nearest way out leads to one of its sides.
        assert_eq!(at(0.5, 0.0), -1.118_033_988_749_895);
        assert_eq!(at(0.0, 2.5), -0.5);
        assert_eq!(at(2.5, 0.5), -0.5);
        // On the edge of the dominated region, on the front itself and beside the reference.
        assert_eq!(at(3.0, 0.5), 0.0);
        assert_eq!(at(3.0, 1.0), 0.0);
        assert_eq!(at(4.0, -1.0), -1.0);
        assert_eq!(uncrowded_improvement(&[-3.0, -4.0], &[], &[0.0, 0.0]), -5.0);
    }

    fn problem(
        objectives: std::ops::Range<usize>,
        count: usize,
    ) -> impl Strategy<Value = (Vec<Vec<f64>>, Vec<f64>)> {
        objectives.prop_flat_map(move |m| {
            // Half of the values on a grid, so that ties occur.
            let value = prop_oneof![(0_u8..6).prop_map(f64::from), 0.0..5.0];
            (
                prop::collection::vec(prop::collection::vec(value, m), 1..count),
                prop::collection::vec(-1.0..2.0, m),
            )
        })
    }

    proptest! {
        #[test]
        fn the_volume_agrees_with_inclusion_and_exclusion((points, reference) in problem(1..6, 9)) {
            let expected = by_inclusion_and_exclusion(&points, &reference);
            let volume = hypervolume(&points, &reference);
            prop_assert!((volume - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{} {}", volume, expected);
        }

        #[test]
        fn the_order_of_points_does_not_change_a_bit((points, reference) in problem(1..6, 12)) {
            let reversed: Vec<Vec<f64>> = points.iter().rev().cloned().collect();
            let rotated: Vec<Vec<f64>> = points[1..].iter().chain(&points[..1]).cloned().collect();
            for other in [&reversed, &rotated] {
                prop_assert_eq!(hypervolume(&points, &reference).to_bits(), hypervolume(other, &reference).to_bits());
                let point = &points[0];
                prop_assert_eq!(
                    uncrowded_improvement(point, &points[1..], &reference).to_bits(),
                    uncrowded_improvement(point, &rotated[..points.len() - 1], &reference).to_bits()
                );
            }
        }

        #[test]
        fn a_contribution_is_the_difference_of_two_volumes((points, reference) in problem(2..5, 12)) {
            let without = hypervolume(&points[1..], &reference);
            let difference = hypervolume(&points, &reference) - without;
            prop_assert!((contribution(&points, 0, &reference) - difference).abs() < 1e-9);
        }

        /// The distance: just inside it nothing is gained, and moving by it along the nearest corner is enough.
        #[test]
        fn the_distance_leads_to_the_edge_of_the_front((points, reference) in problem(1..5, 10)) {
            let (point, front) = (&points[0], &points[1..]);
            let value = uncrowded_improvement(point, front, &reference);
            if value > 0.0 {
                prop_assert_eq!(value, improvement(point, front, &reference));
                return Ok(());
            }
            let beaten = |candidate: &[f64]| {
                front.iter().any(|other| other.iter().zip(candidate).all(|(o, c)| o > c))
                    || candidate.iter().zip(&reference).any(|(c, r)| c < r)
            };
            let moved = |corner: &Vec<f64>| -> Vec<f64> { corner.iter().zip(point).map(|(c, p)| c.max(*p)).collect() };
            let distance = |to: &Vec<f64>| to.iter().zip(point).map(|(t, p)| (t - p) * (t - p)).sum::<f64>().sqrt();
            // Brute force: the nearest place has coordinates of the point itself, the reference or the front.
            let mut nearest = f64::INFINITY;
            let choices: Vec<Vec<f64>> = (0..reference.len())
                .map(|axis| front.iter().map(|f| f[axis]).chain([point[axis], reference[axis]]).collect())
                .collect();
            let mut grid: Vec<Vec<f64>> = vec![vec![]];
            for axis in &choices {
                grid = grid.iter().flat_map(|g| axis.iter().map(|v| [g.as_slice(), &[*v]].concat())).collect();
            }
            for corner in grid.iter().map(moved).filter(|corner| !beaten(corner)) {
                nearest = nearest.min(distance(&corner));
            }
            prop_assert!((value + nearest).abs() < 1e-12, "{} {}", value, nearest);
        }
    }
}
