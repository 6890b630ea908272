//! From search coordinates and baselines to recipes.

use mergesearch_recipe::{Checkpoint, Group, LayerRange, MergeMethod, Parameters, Recipe, Selection};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::cma::{Cma, CmaConfig, Constants};
use crate::config::{Budget, ConfigError, ContributionOf, Granularity, Lambda, SearchConfig};
use crate::encoding::{Decoded, Encoding, Shape, shorten};
use crate::journal::hexadecimal;

/// A configuration with what follows from it alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Problem {
    config: SearchConfig,
    encoding: Encoding,
    population_size: usize,
}

impl Problem {
    pub(crate) fn new(config: SearchConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let parameters = match &config.lambda {
            Some(Lambda::Searched(range)) => vec![range.clone()],
            Some(Lambda::Fixed(_)) | None => Vec::new(),
        };
        let encoding = Encoding::new(Shape {
            checkpoints: config.checkpoints.len(),
            groups: config.granularity.group_count(),
            parameters,
            non_negative: config.non_negative,
        })
        .map_err(|error| ConfigError::Optimizer(error.to_string()))?;
        let population_size = config
            .population_size
            .unwrap_or_else(|| Constants::default_population_size(encoding.dimension()));
        let problem = Self { config, encoding, population_size };
        let uniform = equal_weights(problem.config.checkpoints.len(), 0..problem.config.checkpoints.len());
        problem.cma(&uniform, 0).map_err(ConfigError::Optimizer)?;
        Ok(problem)
    }

    pub(crate) fn config(&self) -> &SearchConfig {
        &self.config
    }

    pub(crate) fn set_budget(&mut self, budget: Budget) {
        self.config.budget = budget;
    }

    pub(crate) fn set_contribution(&mut self, of: Option<ContributionOf>) {
        self.config.contribution = of;
    }

    /// Coordinates that CMA-ES searches in.
    pub(crate) fn dimension(&self) -> usize {
        self.encoding.dimension()
    }

    /// Candidates a generation before any restart.
    pub(crate) fn population_size(&self) -> usize {
        self.population_size
    }

    /// CMA-ES's first distribution around a weight vector; `None` for weights that do not sum to 1.
    pub(crate) fn distribution(&self, start: &[f64], restart: u32) -> Option<Cma> {
        self.cma(start, restart).ok()
    }

    fn cma(&self, start: &[f64], restart: u32) -> Result<Cma, String> {
        let sigma = self.config.sigma.unwrap_or_else(|| self.encoding.default_sigma());
        let mut config =
            CmaConfig::new(self.encoding.encode(start).map_err(|error| error.to_string())?, sigma);
        config.scales = self.encoding.scales(sigma);
        config.population_size = Some(self.population_size << restart.min(16));
        config.stop = self.config.stop.clone();
        Cma::new(config).map_err(|error| error.to_string())
    }

    /// How far a sample lies from the weights that are merged; 0 unless `nonNegative`.
    pub(crate) fn squared_projection_distance(&self, sample: &[f64]) -> f64 {
        self.encoding.decode(sample).map_or(0.0, |decoded| decoded.squared_distance)
    }

    /// The recipe that a sample stands for; `None` for a sample of another dimension.
    pub(crate) fn recipe_of_sample(&self, sample: &[f64]) -> Option<Recipe> {
        Some(self.recipe(self.encoding.decode(sample).ok()?))
    }

    /// The recipe of a distribution's mean, its numbers shortened to 6 decimals, so that an exported recipe is what was
    /// scored.
    pub(crate) fn recipe_of_mean(&self, mean: &[f64]) -> Option<Recipe> {
        let mut decoded = self.encoding.decode(mean).ok()?;
        decoded.weights = decoded.weights.iter().map(|weights| shorten(weights)).collect();
        decoded.parameters = decoded.parameters.iter().map(|value| (value * 1e6).round() / 1e6).collect();
        Some(self.recipe(decoded))
    }

    fn recipe(&self, decoded: Decoded) -> Recipe {
        let lambda = match self.config.lambda {
            Some(Lambda::Fixed(lambda)) => Some(lambda),
            Some(Lambda::Searched(_)) => decoded.parameters.first().copied(),
            None => None,
        };
        let parameters = Parameters { lambda, ..Parameters::default() };
        let groups = self
            .selections()
            .into_iter()
            .zip(decoded.weights)
            .map(|(select, weights)| Group { select, weights, parameters: parameters.clone() })
            .collect();
        self.recipe_of_groups(self.config.method, groups)
    }

    /// A baseline: one weight vector for the whole model. Soups are linear whatever the search's method is.
    pub(crate) fn recipe_of_weights(&self, weights: Vec<f64>) -> Recipe {
        let group = Group { select: Selection::default(), weights, parameters: Parameters::default() };
        self.recipe_of_groups(MergeMethod::Linear, vec![group])
    }

    /// The base checkpoint as it is; `None` without one.
    pub(crate) fn recipe_of_base(&self) -> Option<Recipe> {
        let base: Checkpoint = self.config.base.clone()?;
        let mut recipe = self.recipe_of_weights(vec![1.0]);
        recipe.checkpoints = vec![base];
        recipe.base = None;
        recipe.tokenizer_from = None;
        Some(recipe)
    }

    fn recipe_of_groups(&self, method: MergeMethod, groups: Vec<Group>) -> Recipe {
        Recipe {
            method,
            checkpoints: self.config.checkpoints.clone(),
            base: self.config.base.clone(),
            groups,
            dtype: self.config.dtype,
            tokenizer_from: self.config.tokenizer_from.clone(),
            seed: self.config.seed,
            stack: Vec::new(),
            vocabulary: self.config.vocabulary,
            align: self.config.align,
        }
    }

    fn selections(&self) -> Vec<Selection> {
        let layers = |&layers: &LayerRange| Selection { layers: Some(layers), ..Selection::default() };
        let name = |text: &String| Selection { name_contains: Some(text.clone()), ..Selection::default() };
        match &self.config.granularity {
            Granularity::WholeModel => vec![Selection::default()],
            Granularity::Blocks(blocks) => blocks.iter().map(layers).collect(),
            Granularity::Patterns(patterns) => {
                patterns.iter().map(name).chain([Selection::default()]).collect()
            }
        }
    }
}

/// Hash of a recipe's canonical text. Within one search the sources are pinned and the evaluator is fixed, so equal
/// keys mean equal scores.
pub(crate) fn recipe_key(recipe: &Recipe) -> String {
    hexadecimal(&Sha256::digest(recipe.canonical())[..16])
}

/// Equal weights for some members of a pool, 0 for the others.
pub(crate) fn equal_weights(pool: usize, members: impl ExactSizeIterator<Item = usize>) -> Vec<f64> {
    let mut weights = vec![0.0; pool];
    let share = 1.0 / members.len() as f64;
    for member in members {
        weights[member] = share;
    }
    weights
}
