//! The table of what each checkpoint contributes to a merge.

use mergesearch_search::{Contribution, Contributions, SearchConfig};

use super::table::{finish, plain};

/// The table, the largest contribution first, and the reasons of trials that failed.
pub(super) fn text(config: &SearchConfig, contributions: &Contributions) -> String {
    let Contributions { subject, test, checkpoints, .. } = contributions;
    let mut header = vec![String::new(), "weight".to_owned(), "contribution".to_owned()];
    header.extend(config.objectives.iter().map(|objective| objective.name.clone()));
    header.push("sum |w| without".to_owned());
    let mut table = plain(header);
    let mut sorted: Vec<&Contribution> = checkpoints.iter().collect();
    let value = |one: &Contribution| one.difference.map_or(f64::NEG_INFINITY, |difference| difference.value);
    sorted.sort_by(|one, other| value(other).total_cmp(&value(one)));
    for one in &sorted {
        let mut cells = vec![format!("    {}", one.checkpoint), weights(&one.weights), told(one)];
        cells.extend(config.objectives.iter().enumerate().map(|(index, objective)| {
            let scores = test.get(index).zip(one.test.get(index));
            scores.map_or_else(String::new, |(with, without)| {
                signed(objective.direction.sign() * (with.value - without.value))
            })
        }));
        cells.push(one.absolute_weights.map_or_else(String::new, |sum| format!("{sum:.2}")));
        table.add_row(cells);
    }
    let mut text = format!(
        "What each checkpoint contributes to {subject} (test fitness with it minus without it; above 0, it helps), and to \
         its objectives:\n\n{}",
        finish(&table)
    );
    for one in sorted {
        if let (Some(reason), Some(_)) = (&one.failure, one.absolute_weights) {
            text.extend([one.trial.to_string().as_str(), " failed: ", reason, "\n"]);
        }
    }
    text
}

/// The contribution with its error, or why there is none.
fn told(one: &Contribution) -> String {
    match (one.difference, &one.failure, one.absolute_weights) {
        (Some(difference), ..) => {
            let error = difference.stderr.map_or_else(String::new, |error| format!(" ± {error:.4}"));
            format!("{}{error}", signed(difference.value))
        }
        (None, Some(_), Some(_)) => "failed".to_owned(),
        (None, Some(_), None) => "stays in".to_owned(),
        (None, None, _) => "-".to_owned(),
    }
}

/// The weight, or the range of the groups' weights.
fn weights(weights: &[f64]) -> String {
    let fold = |pick: fn(f64, f64) -> f64| weights.iter().copied().reduce(pick).unwrap_or(f64::NAN);
    match weights {
        [weight] => format!("{weight:.3}"),
        _ => format!("{:.3} to {:.3}", fold(f64::min), fold(f64::max)),
    }
}

fn signed(value: f64) -> String {
    if value.abs() < 100.0 { format!("{value:+.4}") } else { format!("{value:+.1}") }
}

#[cfg(test)]
mod tests {
    use mergesearch_crds::{Manifest, Place, search_config};
    use mergesearch_search::TrialId;
    use mergesearch_search::results::{Difference, Measurement};

    use super::*;

    const MANIFEST: &str = "
apiVersion: mergesearch.dev/v1alpha1
kind: MergeSearch
metadata: {name: small}
spec:
  pool: {checkpoints: [{name: a, uri: s3://models/a}, {name: b, uri: s3://models/b}]}
  objectives: [{name: code, metric: code/acc}, {name: loss, metric: text/loss, direction: Minimize}]
  budget: {maxTrials: 60}
  evaluation: {template: {spec: {containers: [{name: evaluator, command: [evaluate]}]}}}
  storage: {output: s3://models/out}
";

    fn scores(values: [f64; 2]) -> Vec<Measurement> {
        values.map(|value| Measurement { value, stderr: Some(0.01), items: None }).to_vec()
    }

    fn of(
        checkpoint: &str,
        weights: &[f64],
        without: Option<[f64; 2]>,
        difference: Option<f64>,
    ) -> Contribution {
        Contribution {
            checkpoint: checkpoint.try_into().unwrap(),
            weights: weights.to_vec(),
            trial: format!("without-{checkpoint}.uniform").parse().unwrap(),
            test: without.map(scores).unwrap_or_default(),
            absolute_weights: Some(1.25),
            difference: difference.map(|value| Difference {
                value,
                stderr: Some(0.0042),
                paired_items: None,
            }),
            failure: None,
        }
    }

    #[test]
    fn the_largest_contribution_comes_first_and_above_0_is_good_for_every_objective() {
        let resource = Manifest::parse(MANIFEST, Place::Local).unwrap().resource;
        let config = search_config(&resource, 0).unwrap();
        let contributions = Contributions {
            subject: TrialId::Uniform,
            trial: TrialId::Final(Box::new(TrialId::Uniform)),
            test: scores([0.8, 200.0]),
            checkpoints: vec![
                Contribution { failure: Some("exit code 1".to_owned()), ..of("broken", &[0.1], None, None) },
                of("late", &[0.1], None, None),
                of("harm", &[-0.1], Some([0.85, 210.0]), Some(-0.0125)),
                Contribution {
                    failure: Some("no".to_owned()),
                    absolute_weights: None,
                    ..of("most", &[0.97], None, None)
                },
                of("help", &[0.25, 0.5], Some([0.7, 350.5]), Some(0.0875)),
            ],
        };
        let expected = "\
What each checkpoint contributes to uniform (test fitness with it minus without it; above 0, it helps), and to its objectives:

                     weight      contribution     code      loss  sum |w| without
     help    0.250 to 0.500  +0.0875 ± 0.0042  +0.1000    +150.5             1.25
     harm            -0.100  -0.0125 ± 0.0042  -0.0500  +10.0000             1.25
     broken           0.100            failed                                1.25
     late             0.100                 -                                1.25
     most             0.970          stays in
without-broken.uniform failed: exit code 1
";
        assert_eq!(text(&config, &contributions), expected);
    }
}
