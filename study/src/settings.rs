//! What the study searches: one declaration for each setting. A setting differs from the first one, `three`, in one thing.

/// Seeds that every setting is searched with, from 1.
pub const SEEDS: u64 = 5;
/// Trials of a search, as in the quickstart's manifest.
pub const MAX_TRIALS: i32 = 400;
/// The setting that others are compared with.
pub const REFERENCE: &str = "three";
/// The objectives of the quickstart, as its manifest names them.
pub const OBJECTIVES: [&str; 3] = ["descending", "reverse-increment", "addition"];
/// The checkpoints that were made bad on purpose: random labels, never trained on the objectives, stopped early.
pub const BAD: [&str; 3] = ["sft-8-random-labels", "pref-8-off-task", "sft-7-early-stop"];

/// What one search of the study is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// In files, folders and on the command line.
    pub name: &'static str,
    /// What it is, for a table.
    pub about: &'static str,
    /// Which of [`OBJECTIVES`].
    pub objectives: &'static [&'static str],
    /// Which checkpoints.
    pub pool: Checkpoints,
    /// `search.populationSize`; `None` leaves the default, 12 for 16 checkpoints.
    pub population: Option<i32>,
    /// `merge.weights.nonNegative`.
    pub non_negative: bool,
    /// Whether the best merges are taken apart afterwards, checkpoint by checkpoint.
    pub taken_apart: bool,
}

/// Which checkpoints of the quickstart a search may merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoints {
    /// All sixteen.
    All,
    /// All but [`BAD`].
    WithoutBad,
    /// So many, half of them `sft` and half `pref`, drawn anew for each seed.
    Drawn(usize),
}

const THREE: Setting = Setting {
    name: REFERENCE,
    about: "three objectives, all 16 checkpoints",
    objectives: &OBJECTIVES,
    pool: Checkpoints::All,
    population: None,
    non_negative: false,
    taken_apart: true,
};

/// Every setting, in the order of tables.
pub const SETTINGS: &[Setting] = &[
    THREE,
    Setting {
        name: "two-descending-reverse",
        about: "two objectives: descending, reverse-increment",
        objectives: &["descending", "reverse-increment"],
        ..THREE
    },
    Setting {
        name: "two-descending-addition",
        about: "two objectives: descending, addition",
        objectives: &["descending", "addition"],
        ..THREE
    },
    Setting {
        name: "two-reverse-addition",
        about: "two objectives: reverse-increment, addition",
        objectives: &["reverse-increment", "addition"],
        ..THREE
    },
    Setting { name: "nonnegative", about: "no negative weights", non_negative: true, ..THREE },
    Setting {
        name: "population-half",
        about: "population 6 instead of 12",
        population: Some(6),
        taken_apart: false,
        ..THREE
    },
    Setting {
        name: "population-double",
        about: "population 24 instead of 12",
        population: Some(24),
        taken_apart: false,
        ..THREE
    },
    Setting {
        name: "pool-8",
        about: "8 of the 16 checkpoints, others for each seed",
        pool: Checkpoints::Drawn(8),
        taken_apart: false,
        ..THREE
    },
    Setting {
        name: "pool-4",
        about: "4 of those 8 checkpoints",
        pool: Checkpoints::Drawn(4),
        taken_apart: false,
        ..THREE
    },
    Setting {
        name: "without-bad",
        about: "13 checkpoints, without the three bad ones",
        pool: Checkpoints::WithoutBad,
        taken_apart: false,
        ..THREE
    },
];

impl Setting {
    /// The setting of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// Its place in tables and files; names that are none come last.
    pub fn position(name: &str) -> usize {
        SETTINGS.iter().position(|setting| setting.name == name).unwrap_or(SETTINGS.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_the_reference_is_the_first() {
        let names: BTreeSet<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(names.len(), SETTINGS.len());
        assert_eq!(Setting::position(REFERENCE), 0);
        assert_eq!(Setting::named("pool-4").map(|setting| setting.pool), Some(Checkpoints::Drawn(4)));
    }
}
