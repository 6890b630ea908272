//! Checkpoints of different vocabularies: rows go by their tokens.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU32;

use mergesearch_merger::{Error, MergeOptions, MergeReport, Progress, merge};
use mergesearch_recipe::{MergeMethod, Recipe, Tokens, Vocabulary};
use safetensors::Dtype;
use serde_json::{Value, json};

use crate::pools::{self, Data, Folder, Model, stores, wait};
use crate::program::merge_from_s3;
use crate::server::Mischief;
use crate::shapes::model;

const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";
const NORM: &str = "model.norm.weight";
const COLUMNS: usize = 700;

type Words<'a> = &'a [&'a str];

/// A checkpoint whose tokens are these words, in order, the last `added` of them added tokens, with `spare` rows behind.
fn write(folder: &Folder, name: &str, words: Words<'_>, added: usize, spare: usize, seed: u64) -> Model {
    let rows = words.len() + spare;
    let form = [(EMBEDDING, vec![rows, COLUMNS]), (HEAD, vec![rows, COLUMNS]), (NORM, vec![COLUMNS])];
    let form = form.map(|(name, shape)| (name.to_owned(), shape)).to_vec();
    let model = model(&form, Dtype::F32, seed);
    pools::write(&folder.path(name), &model, 2);
    let mut config = pools::config();
    config["vocab_size"] = rows.into();
    fs::write(folder.path(name).join("config.json"), config.to_string()).unwrap();
    let (plain, special) = words.split_at(words.len() - added);
    let vocabulary: BTreeMap<&str, usize> = plain.iter().copied().zip(0..).collect();
    let entry =
        |(place, word): (usize, &&str)| json!({"id": plain.len() + place, "content": word, "special": true});
    let entries: Vec<Value> = special.iter().enumerate().map(entry).collect();
    let tokenizer = json!({"model": {"type": "WordLevel", "vocab": vocabulary}, "added_tokens": entries});
    fs::write(folder.path(name).join("tokenizer.json"), tokenizer.to_string()).unwrap();
    model
}

fn vocabulary(tokens: Tokens, multiple: u32) -> Vocabulary {
    Vocabulary { tokens, pad_to_multiple_of: NonZeroU32::new(multiple) }
}

fn run(folder: &Folder, recipe: &Recipe, threads: usize) -> Result<MergeReport, Error> {
    let options = MergeOptions { overwrite: true, threads, ..MergeOptions::default() };
    pools::merge_into(folder, recipe, "out", &options)
}

fn row(data: &Data, row: usize) -> Vec<f64> {
    data.values()[row * COLUMNS..(row + 1) * COLUMNS].to_vec()
}

/// The row of a word in a model of these words.
fn of(model: &Model, tensor: &str, words: Words<'_>, word: &str) -> Option<Vec<f64>> {
    words.iter().position(|other| *other == word).map(|place| row(&model[tensor], place))
}

fn zip(one: &[f64], other: &[f64], with: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    one.iter().zip(other).map(|(&one, &other)| with(one, other)).collect()
}

const FIRST: Words<'_> = &["a", "b", "c", "d", "<end>"];
const BASE: Words<'_> = &["a", "b", "x"];
const SECOND: Words<'_> = &["d", "c", "x", "b", "a", "<end>", "<tool>"];

fn folder() -> (Folder, Model, Model) {
    let folder = Folder::new(&[]);
    let first = write(&folder, "a", FIRST, 1, 3, 1);
    let second = write(&folder, "b", SECOND, 2, 0, 2);
    (folder, first, second)
}

#[test]
fn a_union_matches_rows_by_token_and_borrows_what_one_lacks() {
    let (folder, first, second) = folder();
    let mut recipe = folder.recipe(MergeMethod::Linear, &[0.75, 0.5]);
    recipe.vocabulary = Some(vocabulary(Tokens::Union, 8));
    for threads in [1, 3] {
        run(&folder, &recipe, threads).unwrap();
        let merged = pools::read(&folder.path("out"));
        let words = [FIRST, &["x", "<tool>"]].concat();
        for tensor in [EMBEDDING, HEAD] {
            assert_eq!(merged[tensor].shape, [8, COLUMNS]);
            for (place, word) in words.iter().enumerate() {
                let (one, other) = (of(&first, tensor, FIRST, word), of(&second, tensor, SECOND, word));
                // Who lacks a word has the other's row for it.
                let (Some(one), Some(other)) = (one.clone().or_else(|| other.clone()), other.or(one)) else {
                    panic!("{word}")
                };
                let expected = zip(&one, &other, |one, other| f64::from((0.75 * one + 0.5 * other) as f32));
                assert_eq!(row(&merged[tensor], place), expected, "{word}");
            }
            assert_eq!(row(&merged[tensor], 7), [0.0; COLUMNS]);
        }
        let json = |file: &str| -> Value {
            serde_json::from_slice(&fs::read(folder.path("out").join(file)).unwrap()).unwrap()
        };
        assert_eq!(json("config.json")["vocab_size"], 8);
        let tokenizer = json("tokenizer.json");
        let added = tokenizer["added_tokens"].as_array().unwrap();
        let added: Vec<_> =
            added.iter().map(|token| (&token["content"], &token["id"], &token["special"])).collect();
        let expected = [("<end>", 4, true), ("x", 5, false), ("<tool>", 6, true)];
        let expected = expected.map(|(text, row, special)| (json!(text), json!(row), json!(special)));
        assert_eq!(
            added,
            expected.iter().map(|(text, row, special)| (text, row, special)).collect::<Vec<_>>()
        );
    }
    let merged = pools::read(&folder.path("out"));
    fs::remove_dir_all(folder.path("out")).unwrap();
    merge_from_s3(&folder, recipe, Mischief::BreaksOff, 2).assert().success();
    assert!(pools::read(&folder.path("out")) == merged);
}

#[test]
fn the_base_lends_its_rows_and_borrows_means() {
    let (folder, first, second) = folder();
    let base = write(&folder, "c", BASE, 0, 0, 3);
    let mut recipe = folder.recipe(MergeMethod::TaskArithmetic, &[0.5, 0.25]);
    recipe.base = Some(folder.checkpoint(2));
    recipe.tokenizer_from = Some(recipe.checkpoints[1].name.clone());
    recipe.vocabulary = Some(vocabulary(Tokens::Donor, 1));
    run(&folder, &recipe, 2).unwrap();
    let merged = pools::read(&folder.path("out"));
    assert_eq!(merged[EMBEDDING].shape, [SECOND.len(), COLUMNS]);
    for (place, word) in SECOND.iter().enumerate() {
        let own = [
            of(&first, EMBEDDING, FIRST, word),
            of(&second, EMBEDDING, SECOND, word),
            of(&base, EMBEDDING, BASE, word),
        ];
        let having: Vec<&Vec<f64>> = own.iter().flatten().collect();
        let mean: Vec<f64> = (0..COLUMNS)
            .map(|column| having.iter().map(|row| row[column]).sum::<f64>() / having.len() as f64)
            .collect();
        let lent = own[2].clone().unwrap_or(mean);
        let [one, other, base] = own.map(|row| row.unwrap_or_else(|| lent.clone()));
        let expected: Vec<f64> = (0..COLUMNS)
            .map(|place| {
                let sum = 0.5 * (one[place] - base[place]) + 0.25 * (other[place] - base[place]);
                f64::from((base[place] + sum) as f32)
            })
            .collect();
        assert_eq!(row(&merged[EMBEDDING], place), expected, "{word}");
    }
    // The donor's tokenizer is used as it is.
    let file = |name: &str| fs::read(folder.path(name).join("tokenizer.json")).unwrap();
    assert_eq!(file("out"), file("b"));
}

#[test]
fn what_hinders_joining_is_said() {
    let (folder, _, _) = folder();
    let mut recipe = folder.recipe(MergeMethod::Linear, &[0.5, 0.5]);
    let equal = pools::open(&recipe).unwrap_err().to_string();
    assert!(equal.contains("shape"), "{equal}");
    recipe.vocabulary = Some(vocabulary(Tokens::Union, 1));
    let pool = pools::open(&recipe).unwrap();
    let mut other = recipe.clone();
    other.vocabulary = None;
    let differs = wait(async {
        merge(
            &stores(),
            &pool,
            &other,
            &folder.location("out"),
            &MergeOptions::default(),
            &Progress::default(),
        )
        .await
    });
    assert!(differs.unwrap_err().to_string().starts_with("vocabulary: the recipe has another"));
    fs::write(folder.path("b/tokenizer.json"), r#"{"model": {"vocab": {"a": 99999999999}}}"#).unwrap();
    let id = pools::open(&recipe).unwrap_err();
    assert!(id.exit_code() == 65 && id.to_string().contains("its id is 99999999999"), "{id}");
    fs::remove_file(folder.path("b/tokenizer.json")).unwrap();
    let none = pools::open(&recipe).unwrap_err().to_string();
    assert_eq!(none, "vocabulary: checkpoint b has no tokenizer.json, which its tokens are read from");
}
