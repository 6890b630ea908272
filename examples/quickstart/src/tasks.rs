//! The seven text tasks on six digits, and the items each stage draws from them.
//!
//! An item is a prompt such as `s382910=` (sort these digits) and its one right answer, `012389`. Every six-digit number belongs to exactly
//! one [`Split`], whatever the task, so no number seen in training is ever asked in search or test.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::random::{Stream, scramble};

/// A transformation of six digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Digits in ascending order: `382910` gives `012389`.
    Sort,
    /// Digits in reverse: `382910` gives `019283`.
    Reverse,
    /// The two halves swapped: `382910` gives `910382`.
    Rotate,
    /// Each digit plus one, 9 becoming 0: `382910` gives `493021`.
    Increment,
    /// Digits in descending order: `382910` gives `983210`.
    SortDescending,
    /// Reversed, then each digit plus one: `382910` gives `120394`.
    ReverseIncrement,
    /// The sum of the two halves in four digits: `382910` gives `1292`.
    Addition,
}

impl Task {
    /// What every checkpoint learned first and should not forget: the held-out tasks.
    pub const OLD: [Self; 4] = [Self::Sort, Self::Reverse, Self::Rotate, Self::Increment];
    /// What the checkpoints trade against each other: the objectives.
    pub const NEW: [Self; 3] = [Self::SortDescending, Self::ReverseIncrement, Self::Addition];
    /// All tasks, the old ones first.
    pub const ALL: [Self; 7] = [
        Self::Sort,
        Self::Reverse,
        Self::Rotate,
        Self::Increment,
        Self::SortDescending,
        Self::ReverseIncrement,
        Self::Addition,
    ];

    /// The name in results and manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sort => "sort",
            Self::Reverse => "reverse",
            Self::Rotate => "rotate",
            Self::Increment => "increment",
            Self::SortDescending => "sort_descending",
            Self::ReverseIncrement => "reverse_increment",
            Self::Addition => "addition",
        }
    }

    /// The character that opens a prompt of this task.
    pub const fn symbol(self) -> char {
        match self {
            Self::Sort => 's',
            Self::Reverse => 'r',
            Self::Rotate => 'o',
            Self::Increment => 'i',
            Self::SortDescending => 'd',
            Self::ReverseIncrement => 'm',
            Self::Addition => '+',
        }
    }

    /// The right answer for these digits.
    pub fn answer(self, digits: [u8; 6]) -> String {
        let mut digits = digits;
        match self {
            Self::Sort => digits.sort_unstable(),
            Self::Reverse => digits.reverse(),
            Self::Rotate => digits.rotate_left(3),
            Self::Increment => digits = digits.map(successor),
            Self::SortDescending => digits.sort_unstable_by_key(|&digit| 9 - digit),
            Self::ReverseIncrement => {
                digits.reverse();
                digits = digits.map(successor);
            }
            Self::Addition => {
                let half =
                    |digits: &[u8]| digits.iter().fold(0_u32, |sum, &digit| 10 * sum + u32::from(digit));
                return format!("{:04}", half(&digits[..3]) + half(&digits[3..]));
            }
        }
        text(&digits)
    }
}

fn successor(digit: u8) -> u8 {
    (digit + 1) % 10
}

fn text(digits: &[u8]) -> String {
    digits.iter().map(|&digit| char::from(b'0' + digit)).collect()
}

/// A prompt and its right answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// The task's symbol, six digits and `=`.
    pub prompt: String,
    /// The digits that should follow.
    pub answer: String,
}

impl Item {
    /// The item of `task` on `digits`.
    pub fn new(task: Task, digits: [u8; 6]) -> Self {
        Self { prompt: format!("{}{}=", task.symbol(), text(&digits)), answer: task.answer(digits) }
    }
}

/// The part of the numbers an item may be drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Seven tenths of all numbers: training.
    Training,
    /// One tenth: fitness during a search.
    Search,
    /// Two tenths: the final score.
    Test,
}

impl Split {
    /// The split that a number below 1,000,000 belongs to.
    pub fn of(number: u32) -> Self {
        match scramble(u64::from(number)) % 10 {
            0 => Self::Search,
            1 | 2 => Self::Test,
            _ => Self::Training,
        }
    }

    /// Draws a random number of this split, as digits.
    pub fn draw(self, stream: &mut Stream) -> [u8; 6] {
        loop {
            let number = stream.below(1_000_000);
            if Self::of(number) == self {
                return std::array::from_fn(|place| (number / 10_u32.pow(5 - place as u32) % 10) as u8);
            }
        }
    }
}

/// A stage of a search, as named in `MERGESEARCH_STAGE`: which tasks are asked, on which numbers, how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Stage {
    /// The new tasks, 500 items each: what a search optimises.
    Search,
    /// The new tasks, 2,000 other items each: what is reported.
    Test,
    /// The old tasks, 1,000 items each: what a merge should not forget.
    Heldout,
}

impl Stage {
    /// The tasks asked at this stage.
    pub const fn tasks(self) -> &'static [Task] {
        match self {
            Self::Search | Self::Test => &Task::NEW,
            Self::Heldout => &Task::OLD,
        }
    }

    /// The numbers this stage draws from.
    pub const fn split(self) -> Split {
        match self {
            Self::Search => Split::Search,
            Self::Test | Self::Heldout => Split::Test,
        }
    }

    /// How many items of each task are asked.
    pub const fn items_per_task(self) -> usize {
        match self {
            Self::Search => 500,
            Self::Test => 2_000,
            Self::Heldout => 1_000,
        }
    }

    /// The first `count` items of `task` at this stage, all different and the same in every process.
    pub fn items(self, task: Task, count: usize) -> Vec<Item> {
        let mut stream = Stream::new(task.name(), self as u64);
        let mut seen = BTreeSet::new();
        std::iter::repeat_with(|| self.split().draw(&mut stream))
            .filter(|digits| seen.insert(*digits))
            .take(count)
            .map(|digits| Item::new(task, digits))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_gives_the_documented_answer() {
        let answers = Task::ALL.map(|task| task.answer([3, 8, 2, 9, 1, 0]));
        assert_eq!(answers, ["012389", "019283", "910382", "493021", "983210", "120394", "1292"]);
        assert_eq!(Task::Addition.answer([0, 0, 7, 0, 0, 5]), "0012");
        assert_eq!(Item::new(Task::Sort, [3, 8, 2, 9, 1, 0]).prompt, "s382910=");
    }

    #[test]
    fn search_and_test_items_are_many_different_and_disjoint() {
        for task in Task::NEW {
            let prompts = |stage: Stage| -> BTreeSet<String> {
                stage.items(task, stage.items_per_task()).into_iter().map(|item| item.prompt).collect()
            };
            let (search, test) = (prompts(Stage::Search), prompts(Stage::Test));
            assert_eq!((search.len(), test.len()), (500, 2_000));
            assert!(search.is_disjoint(&test));
        }
    }

    #[test]
    fn a_draw_comes_from_its_own_split_and_the_splits_have_their_sizes() {
        let mut stream = Stream::new("draws", 0);
        for split in [Split::Training, Split::Search, Split::Test] {
            for _ in 0..200 {
                let number =
                    split.draw(&mut stream).iter().fold(0, |sum, &digit| 10 * sum + u32::from(digit));
                assert_eq!(Split::of(number), split);
            }
        }
        let searched = (0..1_000_000).filter(|&number| Split::of(number) == Split::Search).count();
        assert!((98_000..102_000).contains(&searched), "{searched}");
    }

    #[test]
    fn fewer_items_are_a_prefix_of_more() {
        assert_eq!(Stage::Test.items(Task::Addition, 10), Stage::Test.items(Task::Addition, 50)[..10]);
    }
}
