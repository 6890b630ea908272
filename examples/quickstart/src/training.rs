//! Training: seeded initial parameters, batches drawn from a mix of tasks, and `AdamW` steps on the answer tokens.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::ops::log_softmax;
use candle_nn::{AdamW, Optimizer, ParamsAdamW};

use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::model::Model;
use crate::random::Stream;
use crate::tasks::{Item, Split, Task};
use crate::tokens::{ANSWER, CONTEXT, PAD, PROMPT, encode_batch};

/// How often each task is drawn, in the order of [`Task::ALL`]; any positive scale.
pub type Mix = [f64; Task::ALL.len()];

/// One stretch of training.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// Optimiser steps.
    pub steps: u32,
    /// Items in a step.
    pub batch: usize,
    /// The learning rate at its highest.
    pub learning_rate: f64,
    /// How the learning rate changes over the steps.
    pub schedule: Schedule,
    /// What is asked.
    pub mix: Mix,
    /// The fraction of items whose answer is replaced by random digits.
    pub random_answers: f64,
    /// Names the course's random numbers.
    pub seed: u64,
}

/// How the learning rate changes over a course.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// The same at every step.
    Constant,
    /// A linear rise over the first 100 steps, then half a cosine down to a fiftieth.
    WarmupCosine,
}

impl Schedule {
    fn factor(self, step: u32, steps: u32) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::WarmupCosine => {
                let rise = (f64::from(step + 1) / 100.0).min(1.0);
                let fall = 0.5 * (1.0 + (std::f64::consts::PI * f64::from(step) / f64::from(steps)).cos());
                rise * fall.max(0.02)
            }
        }
    }
}

/// The variables of a new model: norms at one, everything else bell-shaped with standard deviation 0.06.
pub fn fresh_parameters(config: &Config, seed: u64) -> Result<BTreeMap<String, Var>> {
    let mut stream = Stream::new("initial parameters", seed);
    let mut draw = |name: &str| if name.contains("norm") { 1.0 } else { 0.06 * stream.bell() as f32 };
    config
        .shapes()
        .into_iter()
        .map(|(name, shape)| {
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| draw(&name)).collect();
            Ok((name, Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)?))
        })
        .collect()
}

/// A model being trained.
#[derive(Debug)]
pub struct Trainee {
    config: Config,
    variables: BTreeMap<String, Var>,
    model: Model,
}

impl Trainee {
    /// Starts from nothing.
    pub fn new(config: &Config, seed: u64) -> Result<Self> {
        Self::of(config, fresh_parameters(config, seed)?)
    }

    /// Goes on from a checkpoint, which stays as it is.
    pub fn branch(parent: &Checkpoint) -> Result<Self> {
        let copy =
            |(name, tensor): (&String, &Tensor)| Ok((name.clone(), Var::from_tensor(&tensor.copy()?)?));
        Self::of(&parent.config, parent.parameters.iter().map(copy).collect::<Result<_>>()?)
    }

    fn of(config: &Config, variables: BTreeMap<String, Var>) -> Result<Self> {
        let tensors =
            variables.iter().map(|(name, variable)| (name.clone(), variable.as_tensor().clone())).collect();
        Ok(Self { config: config.clone(), model: Model::new(config, &tensors)?, variables })
    }

    /// Runs a course with a new optimiser; `report` is told each step's number and loss.
    pub fn train(&self, course: &Course, mut report: impl FnMut(u32, f32)) -> Result<()> {
        let settings =
            ParamsAdamW { lr: course.learning_rate, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.01 };
        let mut optimiser = AdamW::new(self.variables.values().cloned().collect(), settings)?;
        let mut stream = Stream::new("course", course.seed);
        for step in 0..course.steps {
            let items: Vec<Item> = (0..course.batch).map(|_| draw(course, &mut stream)).collect();
            let loss = self.loss(&items)?;
            optimiser.set_learning_rate(course.learning_rate * course.schedule.factor(step, course.steps));
            optimiser.backward_step(&loss)?;
            report(step, loss.to_scalar()?);
        }
        Ok(())
    }

    /// Mean cross-entropy over the answer tokens, padding left out.
    fn loss(&self, items: &[Item]) -> Result<Tensor> {
        let tokens = encode_batch(items)?;
        let logits = self.model.logits(&tokens.narrow(1, 0, CONTEXT - 1)?.contiguous()?, ANSWER)?;
        let targets = tokens.narrow(1, PROMPT, ANSWER)?.contiguous()?;
        let counted = targets.ne(PAD)?.to_dtype(DType::F32)?;
        let surprise = log_softmax(&logits, 2)?.gather(&targets.unsqueeze(2)?, 2)?.squeeze(2)?.neg()?;
        (surprise * &counted)?.sum_all()? / counted.sum_all()?
    }

    /// The parameters as they stand, rounded to bf16 as they will be on disk, so that nothing built on them depends on lost digits.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let round = |(name, variable): (&String, &Var)| {
            Ok((name.clone(), variable.as_tensor().to_dtype(DType::BF16)?.to_dtype(DType::F32)?))
        };
        Ok(Checkpoint {
            config: self.config.clone(),
            parameters: self.variables.iter().map(round).collect::<Result<_>>()?,
        })
    }
}

fn draw(course: &Course, stream: &mut Stream) -> Item {
    let mut place = stream.unit() * course.mix.iter().sum::<f64>();
    let chosen = course.mix.iter().position(|share| {
        place -= share;
        place < 0.0
    });
    // Rounding can leave a sliver beyond the last share.
    let task = Task::ALL[chosen.unwrap_or(Task::ALL.len() - 1)];
    let mut item = Item::new(task, Split::Training.draw(stream));
    if stream.unit() < course.random_answers {
        item.answer = item.answer.chars().map(|_| char::from(b'0' + stream.below(10) as u8)).collect();
    }
    item
}
