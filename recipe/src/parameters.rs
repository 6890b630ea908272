//! The parameters that methods have besides their weights, with mergekit's names and defaults.

use serde::{Deserialize, Serialize};

use crate::{MergeMethod, Parameter, PerCheckpoint, Rescale};

/// A method's parameters besides its weights. Those that the method doesn't know are refused; those left out have the
/// defaults that the methods of this type give.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Factor on the sum of task vectors. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda: Option<f64>,
    /// Fraction of each task vector that is kept, in (0, 1]. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub density: Option<PerCheckpoint>,
    /// `breadcrumbs`: fraction of each task vector, its largest differences, that is dropped first, in [0, 1).
    /// Default 0.01.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gamma: Option<PerCheckpoint>,
    /// `della`: how far the probability of being kept goes below and above the density, default 0.15. `ram`: the
    /// magnitude above which a difference counts as a change, default 1e-5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<PerCheckpoint>,
    /// Whether the sum of agreeing differences is divided by the sum of their weights, element by element. Default yes
    /// for `ties` and `della`, no for `dare_ties` and `breadcrumbs_ties`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalize: Option<bool>,
    /// Default [`Rescale::Inverse`] for the methods of DARE and DELLA, none for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rescale: Option<Rescale>,
    /// `nearswap`: the distance up to which the second checkpoint's number is taken whole. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t: Option<f64>,
    /// `sce`: fraction of elements that are merged, those of the highest variance, in (0, 1]. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select_topk: Option<f64>,
    /// `model_stock`: whether each row has an angle of its own. Default no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_wise: Option<bool>,
    /// `nuslerp`: whether the whole tensor is one vector. Default yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nuslerp_flatten: Option<bool>,
    /// `nuslerp`, not flattened: mergekit's switch; yes makes vectors of the columns, no of the rows. Default no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nuslerp_row_wise: Option<bool>,
    /// `karcher`: most steps towards the mean. Default 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_iter: Option<u32>,
    /// `karcher`: the length of a step, in radians, below which it has arrived. Default 1e-5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tol: Option<f64>,
    /// `multislerp`: added to norms before dividing by them. Default 1e-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eps: Option<f64>,
    /// `ramplus_tl`: how much a checkpoint's overlap with others strengthens what it alone changed. Default 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r: Option<f64>,
    /// `ramplus_tl`: the largest overlap that counts. Default 0.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// `consensus`: how large a difference has to be beside what the others did to the element, for the element to
    /// matter to the checkpoint. Default 0.4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask_lambda: Option<f64>,
    /// `consensus`: to how many checkpoints an element has to matter to be merged. Default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<u32>,
}

impl Parameters {
    /// The parameters that are given, each with its numbers; those of switches are 0 and 1, as is whether anything is
    /// rescaled.
    pub(crate) fn given(&self) -> Vec<(Parameter, Vec<f64>)> {
        let Self {
            lambda,
            density,
            gamma,
            epsilon,
            normalize,
            rescale,
            t,
            select_topk,
            filter_wise,
            nuslerp_flatten,
            nuslerp_row_wise,
            max_iter,
            tol,
            eps,
            r,
            alpha,
            mask_lambda,
            agreement,
        } = self;
        let number = |value: &Option<f64>| value.map(|value| vec![value]);
        let count = |value: &Option<u32>| value.map(|value| vec![f64::from(value)]);
        let each = |value: &Option<PerCheckpoint>| value.as_ref().map(|value| value.values().to_vec());
        let switch = |value: &Option<bool>| value.map(|value| vec![f64::from(u8::from(value))]);
        let rescaled = |rescale: Rescale| vec![f64::from(u8::from(rescale != Rescale::None))];
        let all = [
            (Parameter::Lambda, number(lambda)),
            (Parameter::Density, each(density)),
            (Parameter::Gamma, each(gamma)),
            (Parameter::Epsilon, each(epsilon)),
            (Parameter::Normalize, switch(normalize)),
            (Parameter::Rescale, rescale.map(rescaled)),
            (Parameter::T, number(t)),
            (Parameter::SelectTopk, number(select_topk)),
            (Parameter::FilterWise, switch(filter_wise)),
            (Parameter::NuslerpFlatten, switch(nuslerp_flatten)),
            (Parameter::NuslerpRowWise, switch(nuslerp_row_wise)),
            (Parameter::MaxIter, count(max_iter)),
            (Parameter::Tol, number(tol)),
            (Parameter::Eps, number(eps)),
            (Parameter::R, number(r)),
            (Parameter::Alpha, number(alpha)),
            (Parameter::MaskLambda, number(mask_lambda)),
            (Parameter::Agreement, count(agreement)),
        ];
        all.into_iter().filter_map(|(parameter, values)| Some((parameter, values?))).collect()
    }

    /// What a parameter comes to, given or by default: one number, or one for each checkpoint. `None` for those that the method
    /// doesn't know, and those without default that aren't given.
    pub(crate) fn effective(
        &self,
        method: MergeMethod,
        parameter: Parameter,
        checkpoints: usize,
    ) -> Option<Vec<f64>> {
        let all = self.resolved(method, checkpoints).given();
        all.into_iter().find(|(found, _)| *found == parameter).map(|(_, values)| values)
    }

    /// Sets a parameter to a number, or to one for each checkpoint, with 1 for a switch that is on, and for rescaling as
    /// mergekit would. Fails with what was expected instead.
    pub(crate) fn set(
        &mut self,
        method: MergeMethod,
        parameter: Parameter,
        values: Vec<f64>,
    ) -> Result<(), &'static str> {
        let first = values.first().copied().unwrap_or_default();
        let switch = match first {
            0.0 => Ok(false),
            1.0 => Ok(true),
            _ => Err("true or false"),
        };
        let whole = if first.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&first) {
            Ok(first as u32)
        } else {
            Err("a whole number")
        };
        let same = values.iter().all(|value| value.to_bits() == first.to_bits());
        let each = if same { PerCheckpoint::All(first) } else { PerCheckpoint::Each(values) };
        match parameter {
            Parameter::Lambda => self.lambda = Some(first),
            Parameter::Density => self.density = Some(each),
            Parameter::Gamma => self.gamma = Some(each),
            Parameter::Epsilon => self.epsilon = Some(each),
            Parameter::Normalize => self.normalize = Some(switch?),
            Parameter::Rescale => {
                let rescaled = if method.is_random() { Rescale::Inverse } else { Rescale::L1 };
                self.rescale = Some(if switch? { rescaled } else { Rescale::None });
            }
            Parameter::T => self.t = Some(first),
            Parameter::SelectTopk => self.select_topk = Some(first),
            Parameter::FilterWise => self.filter_wise = Some(switch?),
            Parameter::NuslerpFlatten => self.nuslerp_flatten = Some(switch?),
            Parameter::NuslerpRowWise => self.nuslerp_row_wise = Some(switch?),
            Parameter::MaxIter => self.max_iter = Some(whole?),
            Parameter::Tol => self.tol = Some(first),
            Parameter::Eps => self.eps = Some(first),
            Parameter::R => self.r = Some(first),
            Parameter::Alpha => self.alpha = Some(first),
            Parameter::MaskLambda => self.mask_lambda = Some(first),
            Parameter::Agreement => self.agreement = Some(whole?),
        }
        Ok(())
    }

    /// The first number out of its range: the parameter, the number, and what was expected.
    pub(crate) fn out_of_range(&self) -> Option<(Parameter, f64, &'static str)> {
        self.given().into_iter().find_map(|(parameter, values)| {
            let (fits, expected) = parameter.range();
            let value = values.into_iter().find(|&value| !fits(value))?;
            Some((parameter, value, expected))
        })
    }

    /// Factor on the sum of task vectors.
    pub fn lambda(&self) -> f64 {
        self.lambda.unwrap_or(1.0)
    }

    /// Fraction of a checkpoint's task vector that is kept.
    pub fn density(&self, place: usize) -> f64 {
        of(self.density.as_ref(), place, 1.0)
    }

    /// Fraction of a checkpoint's task vector that is dropped as outliers.
    pub fn gamma(&self, place: usize) -> f64 {
        of(self.gamma.as_ref(), place, 0.01)
    }

    /// A checkpoint's spread of probabilities for the methods of DELLA, the least change for those of RAM.
    pub fn epsilon(&self, method: MergeMethod, place: usize) -> f64 {
        let default = if method.takes(Parameter::Density) { 0.15 } else { 1e-5 };
        of(self.epsilon.as_ref(), place, default)
    }

    /// Whether sums of agreeing differences are divided by the sums of their weights.
    pub fn normalize(&self, method: MergeMethod) -> bool {
        self.normalize.unwrap_or(matches!(method, MergeMethod::Ties | MergeMethod::Della))
    }

    /// What is done with kept differences.
    pub fn rescale(&self, method: MergeMethod) -> Rescale {
        let default = if method.is_random() { Rescale::Inverse } else { Rescale::None };
        self.rescale.unwrap_or(default)
    }

    /// The fraction of elements that `sce` merges.
    pub fn select_topk(&self) -> f64 {
        self.select_topk.unwrap_or(1.0)
    }

    /// Whether `model_stock` gives each row an angle of its own.
    pub fn filter_wise(&self) -> bool {
        self.filter_wise.unwrap_or(false)
    }

    /// Whether `nuslerp` takes the whole tensor for one vector.
    pub fn nuslerp_flatten(&self) -> bool {
        self.nuslerp_flatten.unwrap_or(true)
    }

    /// Whether `nuslerp`, not flattened, takes columns for vectors.
    pub fn nuslerp_row_wise(&self) -> bool {
        self.nuslerp_row_wise.unwrap_or(false)
    }

    /// Most steps of `karcher`.
    pub fn max_iter(&self) -> u32 {
        self.max_iter.unwrap_or(10)
    }

    /// The step at which `karcher` has arrived.
    pub fn tol(&self) -> f64 {
        self.tol.unwrap_or(1e-5)
    }

    /// What `multislerp` adds to norms.
    pub fn eps(&self) -> f64 {
        self.eps.unwrap_or(1e-8)
    }

    /// How much overlap strengthens in `ramplus_tl`.
    pub fn r(&self) -> f64 {
        self.r.unwrap_or(0.1)
    }

    /// The largest overlap that counts in `ramplus_tl`.
    pub fn alpha(&self) -> f64 {
        self.alpha.unwrap_or(0.2)
    }

    /// The threshold of the masks of `consensus`.
    pub fn mask_lambda(&self) -> f64 {
        self.mask_lambda.unwrap_or(0.4)
    }

    /// How many masks of `consensus` have to agree.
    pub fn agreement(&self) -> u32 {
        self.agreement.unwrap_or(2)
    }

    /// The parameters that the method knows, with defaults filled in, for `checkpoints` checkpoints.
    pub(crate) fn resolved(&self, method: MergeMethod, checkpoints: usize) -> Self {
        let takes = |parameter| method.takes(parameter);
        let each = |parameter, value: &dyn Fn(usize) -> f64| {
            takes(parameter)
                .then(|| PerCheckpoint::Each((0..checkpoints).map(|place| value(place) + 0.0).collect()))
        };
        Self {
            // Adding 0 makes -0.0 the 0.0 that it stands for.
            lambda: takes(Parameter::Lambda).then(|| self.lambda() + 0.0),
            density: each(Parameter::Density, &|place| self.density(place)),
            gamma: each(Parameter::Gamma, &|place| self.gamma(place)),
            epsilon: each(Parameter::Epsilon, &|place| self.epsilon(method, place)),
            normalize: takes(Parameter::Normalize).then(|| self.normalize(method)),
            rescale: takes(Parameter::Rescale).then(|| self.rescale(method)),
            t: self.t.filter(|_| takes(Parameter::T)).map(|t| t + 0.0),
            select_topk: takes(Parameter::SelectTopk).then(|| self.select_topk()),
            filter_wise: takes(Parameter::FilterWise).then(|| self.filter_wise()),
            nuslerp_flatten: takes(Parameter::NuslerpFlatten).then(|| self.nuslerp_flatten()),
            nuslerp_row_wise: takes(Parameter::NuslerpRowWise).then(|| self.nuslerp_row_wise()),
            max_iter: takes(Parameter::MaxIter).then(|| self.max_iter()),
            tol: takes(Parameter::Tol).then(|| self.tol() + 0.0),
            eps: takes(Parameter::Eps).then(|| self.eps() + 0.0),
            r: takes(Parameter::R).then(|| self.r() + 0.0),
            alpha: takes(Parameter::Alpha).then(|| self.alpha() + 0.0),
            mask_lambda: takes(Parameter::MaskLambda).then(|| self.mask_lambda() + 0.0),
            agreement: takes(Parameter::Agreement).then(|| self.agreement()),
        }
    }
}

fn of(values: Option<&PerCheckpoint>, place: usize, default: f64) -> f64 {
    values.and_then(|values| values.of(place)).unwrap_or(default)
}
