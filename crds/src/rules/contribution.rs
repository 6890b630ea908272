//! Rules of the merge whose checkpoints are left out. Whether the search comes to a trial is known in its end only.

use mergesearch_search::{ContributionOf, TrialId};

use crate::MergeSearchSpec;
use crate::manifest::Findings;

const PATH: &str = "spec.search.contribution";

pub(super) fn check(spec: &MergeSearchSpec, findings: &mut Findings) {
    match spec.search.contribution.as_deref().map(str::parse) {
        Some(Err(error)) => {
            let error: mergesearch_search::ContributionOfError = error;
            findings.error(PATH, error.to_string());
        }
        Some(Ok(ContributionOf::Trial(TrialId::Own(name))))
            if spec.baselines.iter().all(|own| own.name != name.as_str()) =>
        {
            findings.error(PATH, format!("no merge of spec.baselines has the name {:?}", name.as_str()));
        }
        Some(Ok(_)) | None => {}
    }
}
