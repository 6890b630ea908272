//! All results of the study, and the CSV files that hold them.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::StudyError;
use crate::rows::{ProgressRow, ResultRow, ScoreRow, SearchRow, WeightRow};
use crate::settings::{SETTINGS, Setting};

/// The rows of every file, by setting and seed; rows of one search keep the order they were measured in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    /// One row a search.
    pub searches: Vec<SearchRow>,
    /// The merges of each search.
    pub scores: Vec<ScoreRow>,
    /// The checkpoints of each search.
    pub weights: Vec<WeightRow>,
    /// The generations of each search.
    pub progress: Vec<ProgressRow>,
}

impl Results {
    /// Reads the files of a folder; those that are missing are empty. Rows of settings that are no more are left out.
    ///
    /// # Errors
    /// When a file can't be read or has other columns.
    pub fn read(folder: &Path) -> Result<Self, StudyError> {
        Ok(Self {
            searches: read(folder)?,
            scores: read(folder)?,
            weights: read(folder)?,
            progress: read(folder)?,
        })
    }

    /// Writes the files into a folder, each whole or not at all.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn write(&self, folder: &Path) -> Result<(), StudyError> {
        fs::create_dir_all(folder).map_err(StudyError::at(folder))?;
        write(folder, &self.searches)?;
        write(folder, &self.scores)?;
        write(folder, &self.weights)?;
        write(folder, &self.progress)
    }

    /// Takes the rows of a search in the place of those that are there.
    pub fn replace(&mut self, newer: Self) {
        replace(&mut self.searches, newer.searches);
        replace(&mut self.scores, newer.scores);
        replace(&mut self.weights, newer.weights);
        replace(&mut self.progress, newer.progress);
    }

    /// The searches of a setting, by seed.
    pub fn of<'a>(&'a self, setting: &'a Setting) -> impl Iterator<Item = &'a SearchRow> {
        self.searches.iter().filter(|row| row.setting == setting.name)
    }

    /// Settings that there are searches of, in the order of tables.
    pub fn settings(&self) -> impl Iterator<Item = &'static Setting> {
        SETTINGS.iter().filter(|setting| self.of(setting).next().is_some())
    }
}

fn read<Row: ResultRow>(folder: &Path) -> Result<Vec<Row>, StudyError> {
    let path = folder.join(Row::FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StudyError::at(&path)(error)),
    };
    let rows: Result<Vec<Row>, csv::Error> =
        csv::Reader::from_reader(text.as_bytes()).deserialize().collect();
    let mut rows = rows.map_err(|source| StudyError::Csv { path, source })?;
    rows.retain(|row| Setting::named(row.search().0).is_some());
    Ok(rows)
}

fn write<Row: ResultRow>(folder: &Path, rows: &[Row]) -> Result<(), StudyError> {
    let path = folder.join(Row::FILE);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let wrong = |source: csv::Error| StudyError::Csv { path: path.clone(), source };
    for row in rows {
        writer.serialize(row).map_err(wrong)?;
    }
    let bytes = writer.into_inner().map_err(|error| StudyError::at(&path)(error.into_error()))?;
    write_whole(&path, &bytes)
}

/// Writes a file under another name first, so that it is never seen half written.
///
/// # Errors
/// When the folder can't be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StudyError> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".part");
    fs::write(&unfinished, bytes).map_err(StudyError::at(unfinished.as_ref()))?;
    fs::rename(&unfinished, path).map_err(StudyError::at(path))
}

fn replace<Row: ResultRow>(rows: &mut Vec<Row>, newer: Vec<Row>) {
    let key = |row: &Row| {
        let (setting, seed) = row.search();
        (Setting::position(setting), seed)
    };
    rows.retain(|row| !newer.iter().any(|other| key(other) == key(row)));
    rows.extend(newer);
    // The sort is stable: rows of one search stay in their order.
    rows.sort_by_key(key);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Merge;

    fn score(setting: &str, seed: u64, merge: Merge, test: f64) -> ScoreRow {
        ScoreRow {
            setting: setting.into(),
            seed,
            merge,
            trial: "uniform".into(),
            search: Some(0.5),
            test: Some(test),
            held_out: None,
            test_descending: Some(test),
            test_reverse_increment: None,
            test_addition: None,
        }
    }

    #[test]
    fn results_are_read_back_and_written_in_one_order_whatever_order_they_came_in() {
        let one = Results { scores: vec![score("three", 1, Merge::Uniform, 0.25)], ..Results::default() };
        let two = Results {
            scores: vec![score("three", 2, Merge::Searched, 0.5), score("three", 2, Merge::Uniform, 0.25)],
            ..Results::default()
        };
        let other = Results { scores: vec![score("pool-4", 1, Merge::Greedy, 0.75)], ..Results::default() };
        let mut forwards = Results::default();
        let mut backwards = Results::default();
        for part in [&one, &two, &other] {
            forwards.replace(part.clone());
        }
        for part in [&other, &two, &one, &two] {
            backwards.replace(part.clone());
        }
        assert_eq!(forwards, backwards);
        let folder = tempfile::tempdir().unwrap();
        forwards.write(folder.path()).unwrap();
        assert_eq!(Results::read(folder.path()).unwrap(), forwards);
        let text = fs::read_to_string(folder.path().join("scores.csv")).unwrap();
        assert!(text.lines().nth(1).unwrap().starts_with("three,1,uniform,uniform,0.5,0.25,,"), "{text}");
    }

    #[test]
    fn a_file_with_other_columns_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("weights.csv"), "setting,seed\nthree,1\n").unwrap();
        let error = Results::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("weights.csv"), "{error}");
    }
}
