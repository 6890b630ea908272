//! The verdict in words.

use super::{Gain, Verdict};
use crate::search::Search;
use crate::trial::TrialId;

impl Verdict {
    /// The one sentence: gain, error, what the baseline is called, items, and what was held out.
    pub fn sentence(&self, baseline: &str) -> String {
        let unit = if self.points { " points" } else { "" };
        let items = match self.items {
            Some(items) => format!(" on {} unseen items", thousands(items)),
            None => " on unseen items".to_owned(),
        };
        let held_out = self
            .held_out
            .as_ref()
            .map_or_else(String::new, |gain| format!("; held-out {}", self.shown(gain)));
        format!(
            "{}: {}{unit} over the best baseline ({}){items}{held_out}",
            self.best,
            self.shown(&self.test),
            baseline
        )
    }

    fn shown(&self, gain: &Gain) -> String {
        let (factor, digits) = if self.points { (100.0, 1) } else { (1.0, 4) };
        let value = gain.value * factor;
        let error = gain.stderr.map_or_else(String::new, |error| format!(" ± {:.digits$}", error * factor));
        format!("{value:+.digits$}{error}")
    }

    /// Why the gain may be none; it belongs beside the sentence wherever that stands.
    pub fn doubt(&self) -> Option<&'static str> {
        if self.test.value <= 0.0 {
            return Some("it is not better than the best baseline on these items; consider using that");
        }
        match self.test.stderr {
            None => {
                Some("the evaluator gives no standard errors, so nobody can say what of the gain is luck")
            }
            Some(error) if error > self.test.value / 2.0 => {
                Some("the error is larger than half the gain: more test items would tell whether it is one")
            }
            Some(_) => None,
        }
    }

    /// What to be careful about, the doubt first. `looked_for_items` says whether scores of items could have been found.
    pub fn warnings(&self, looked_for_items: bool) -> Vec<String> {
        let unpaired = match (self.test.paired_items, looked_for_items) {
            (Some(_), _) => None,
            (None, true) => Some(
                "the difference comes from the metrics' own errors: with scores of items (samples_*.jsonl) it would be \
                 paired and sharper",
            ),
            (None, false) => Some(
                "the difference comes from the metrics' own errors: scores of items, which would make it paired and \
                 sharper, are not in the journal",
            ),
        };
        self.doubt().into_iter().chain(unpaired).map(str::to_owned).collect()
    }
}

/// What people call a trial: `greedy soup` instead of the step that made it.
pub fn called(search: &Search, id: &TrialId) -> String {
    if search.greedy_soup().as_ref() == Some(id) && matches!(id, TrialId::Greedy(_)) {
        return format!("greedy soup, {id}");
    }
    match id {
        TrialId::Single(name) if search.best_single().as_ref() == Some(id) => format!("best single, {name}"),
        TrialId::Single(name) | TrialId::Own(name) => name.to_string(),
        TrialId::Uniform => "uniform soup".to_owned(),
        TrialId::Soup(size) => format!("soup of the best {size}"),
        TrialId::Greedy(_)
        | TrialId::Base
        | TrialId::Candidate { .. }
        | TrialId::Mean { .. }
        | TrialId::Final(_)
        | TrialId::Without { .. } => id.to_string(),
    }
}

/// A number with its thousands apart.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(points: bool, test: Gain, held_out: Option<Gain>) -> Verdict {
        let best = TrialId::Candidate { restart: 0, generation: 4, index: 12 };
        Verdict {
            best,
            baseline: TrialId::Greedy(3),
            items: test.paired_items,
            test,
            held_out,
            points,
            order_kept: None,
        }
    }

    #[test]
    fn the_sentence_tells_gain_error_and_items() {
        let gain = |value, stderr, paired_items| Gain { value, stderr, paired_items };
        let in_points =
            verdict(true, gain(0.0741, Some(0.0049), Some(4500)), Some(gain(-0.003, Some(0.0041), None)));
        assert_eq!(
            in_points.sentence("greedy soup"),
            "g0004-c012: +7.4 ± 0.5 points over the best baseline (greedy soup) on 4,500 unseen items; held-out -0.3 ± 0.4"
        );
        assert_eq!(in_points.warnings(true), [""; 0]);
        let plain = verdict(false, gain(0.25, None, None), None);
        assert_eq!(
            plain.sentence("greedy soup"),
            "g0004-c012: +0.2500 over the best baseline (greedy soup) on unseen items"
        );
        let unsure = verdict(true, gain(0.01, Some(0.006), Some(10)), None);
        assert!(unsure.doubt().unwrap().starts_with("the error is larger than half the gain"));
        for no_gain in [gain(-0.05, Some(0.01), Some(10)), gain(0.0, Some(0.0), Some(10))] {
            let doubt = verdict(true, no_gain, None).doubt().unwrap();
            assert!(doubt.starts_with("it is not better than the best baseline"), "{doubt}");
        }
        assert_eq!(unsure.warnings(true), [unsure.doubt().unwrap()]);
        assert_eq!((plain.warnings(true).len(), plain.warnings(false).len()), (2, 2));
    }

    #[test]
    fn thousands_are_grouped() {
        for (number, expected) in [(0, "0"), (999, "999"), (4500, "4,500"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), expected);
        }
    }
}
