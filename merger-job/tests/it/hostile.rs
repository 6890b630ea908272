//! Bad input: each case is one clear sentence, final, and never a panic.

use std::fs;
use std::path::Path;

use mergesearch_merger::{Error, Pool, Warning, inspect};
use mergesearch_recipe::MergeMethod;
use proptest::prelude::*;
use rstest::rstest;
use safetensors::Dtype;
use serde_json::{Value, json};

use crate::pools::{self, Data, Folder, Model, config, open};

const EMBEDDING: &str = "model.embed_tokens.weight";
const WEIGHT: &str = "model.layers.0.mlp.up_proj.weight";

fn small() -> Model {
    [(EMBEDDING, 1.0), (WEIGHT, 2.0)]
        .map(|(name, value)| (name.to_owned(), Data::new(Dtype::F32, &[2, 2], &[value; 4])))
        .into()
}

/// A pool of `a`, one file, and `b`, two shards, after something was done to it.
fn opened(change: impl FnOnce(&Folder)) -> Result<Pool, Error> {
    opened_from(&[small(), small()], change)
}

fn opened_from(models: &[Model], change: impl FnOnce(&Folder)) -> Result<Pool, Error> {
    let folder = Folder::new(models);
    change(&folder);
    open(&folder.recipe(MergeMethod::Linear, &[0.5, 0.5]))
}

/// The message of the final error that opening ends with.
fn refused(change: impl FnOnce(&Folder)) -> String {
    message(opened(change))
}

fn message(outcome: Result<Pool, Error>) -> String {
    let error = outcome.unwrap_err();
    assert_eq!(error.exit_code(), 65, "{error}");
    error.to_string()
}

/// A safetensors file with that header, and as many bytes of tensors.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[rstest]
#[case::cut_length(vec![1, 2, 3], "expected at least 8 bytes, the file has 3")]
#[case::one_tebibyte(
    [(1_u64 << 40).to_le_bytes().as_slice(), b"{}"].concat(),
    "the header claims 1099511627776 bytes, expected at most 100000000"
)]
#[case::all_bits([0xff; 16].to_vec(), "expected at most 100000000")]
#[case::cut_header(99_u64.to_le_bytes().to_vec(), "the header claims 99 bytes, the file has only 8")]
#[case::no_json(file("{not json", 0), "the header isn't valid")]
#[case::no_object(file("[1]", 0), "the header isn't valid")]
#[case::no_text(
    [2_u64.to_le_bytes().as_slice(), &[0xff, 0xfe]].concat(),
    "the header isn't valid"
)]
#[case::nothing(file("{}", 0), "has no tensors")]
#[case::deep(file(&"[".repeat(10_000), 0), "the header isn't valid")]
#[case::repeated_key(
    file(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 4),
    "key \"a\" stands twice"
)]
#[case::repeated_field(
    file(r#"{"a":{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]}}"#, 4),
    "duplicate field"
)]
#[case::unknown_field(
    file(r#"{"a":{"dtype":"F32","\u001b[2J":1,"shape":[1],"data_offsets":[0,4]}}"#, 4),
    "unknown field `\\u{1b}[2J`"
)]
#[case::unknown_dtype(
    file(r#"{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}"#, 4),
    "tensor \"a\": unknown dtype \"F31\""
)]
#[case::overlap(
    file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#, 12),
    "tensor \"b\": begins at byte 4, expected 8"
)]
#[case::hole(
    file(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#, 12),
    "tensor \"b\": begins at byte 8, expected 4"
)]
#[case::backwards(
    file(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4),
    "shape [1] of F32 needs 4 bytes, its offsets 4..0 differ"
)]
#[case::overflowing_shape(
    file(r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#, 0),
    "shape [4294967296, 4294967296] of F32 has no size in bytes"
)]
#[case::overflowing_offsets(
    file(r#"{"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[1,0]}}"#, 0),
    "has no size in bytes"
)]
#[case::negative(
    file(r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4),
    "the header isn't valid"
)]
#[case::cut_short(
    file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 7),
    "expected 70 bytes by its header, the file has 69"
)]
#[case::too_long(
    file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 9),
    "expected 70 bytes by its header, the file has 71"
)]
#[case::broken_byte(
    file(r#"{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}"#, 2),
    "has no size in bytes"
)]
#[case::not_weights(
    file(r#"{"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}"#, 2),
    "has no tensor"
)]
fn a_bad_file_is_refused(#[case] content: Vec<u8>, #[case] expected: &str) {
    let message = refused(|folder| fs::write(folder.path("a/model.safetensors"), content).unwrap());
    assert!(message.starts_with("checkpoint ") && message.contains(expected), "{message}");
}

#[rstest]
#[case::missing_shard(
    |folder: &Folder| fs::remove_file(folder.path("b/model-00002-of-00002.safetensors")).unwrap(),
    "found no \"model-00002-of-00002.safetensors\""
)]
#[case::no_folder(|folder: &Folder| fs::remove_dir_all(folder.path("b")).unwrap(), "not found")]
#[case::no_model(
    |folder: &Folder| fs::remove_file(folder.path("a/model.safetensors")).unwrap(),
    "found neither model.safetensors nor model.safetensors.index.json"
)]
#[case::no_config(|folder: &Folder| fs::remove_file(folder.path("a/config.json")).unwrap(), "found no \"config.json\"")]
#[case::bad_config(|folder: &Folder| fs::write(folder.path("a/config.json"), "{").unwrap(), "\"config.json\": EOF")]
#[case::bad_index(
    |folder: &Folder| fs::write(folder.path("b/model.safetensors.index.json"), r#"{"weight_map":{"a":"x","a":"y"}}"#).unwrap(),
    "key \"a\" stands twice"
)]
#[case::parent(|folder: &Folder| set_shard(folder, "../a/model.safetensors"), "expected a safetensors file of the checkpoint's own folder")]
#[case::absolute(|folder: &Folder| set_shard(folder, "/etc/passwd.safetensors"), "\"/etc/passwd.safetensors\"")]
#[case::control(|folder: &Folder| set_shard(folder, "a\u{1b}[2J.safetensors"), "a\\u{1b}[2J.safetensors")]
#[case::wrong_shard(
    |folder: &Folder| set_shard(folder, "model-00002-of-00002.safetensors"),
    "has no tensors"
)]
#[case::unlisted(
    |folder: &Folder| edit_map(folder, |map| { map.remove(WEIGHT); map.insert("x".into(), "model-00002-of-00002.safetensors".into()); }),
    "has tensor \"model.layers.0.mlp.up_proj.weight\", which weight_map doesn't place there"
)]
#[case::listed_only(
    |folder: &Folder| edit_map(folder, |map| { map.insert("x".into(), "model-00002-of-00002.safetensors".into()); }),
    "tensor \"x\" is said to be in \"model-00002-of-00002.safetensors\", which doesn't have it"
)]
#[case::rope_theta(
    |folder: &Folder| edit(&folder.path("b/config.json"), |config| config["rope_theta"] = json!(1e6)),
    "config.json: rope_theta is 1000000.0 in checkpoint b, 10000.0 in checkpoint a; expected the same"
)]
fn a_bad_folder_is_refused(#[case] change: fn(&Folder), #[case] expected: &str) {
    let message = refused(change);
    assert!(
        message.contains(expected) || expected == "has no tensors" && message.contains("weight_map"),
        "{message}"
    );
}

fn edit_map(folder: &Folder, change: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    edit(&folder.path("b/model.safetensors.index.json"), |index| {
        change(index["weight_map"].as_object_mut().unwrap());
    });
}

fn set_shard(folder: &Folder, file: &str) {
    edit_map(folder, |map| {
        map.insert(EMBEDDING.to_owned(), file.into());
    });
}

#[test]
fn tensors_have_to_fit() {
    let mut other = small();
    let taken = other.remove(WEIGHT).unwrap();
    assert_eq!(
        message(opened_from(&[small(), other.clone()], |_| ())),
        format!("checkpoint b: has no tensor {WEIGHT:?}, which checkpoint a has")
    );
    assert_eq!(
        message(opened_from(&[other.clone(), small()], |_| ())),
        format!("checkpoint a: has no tensor {WEIGHT:?}, which checkpoint b has")
    );
    other.insert(WEIGHT.to_owned(), Data { shape: vec![4], ..taken });
    assert_eq!(
        message(opened_from(&[small(), other.clone()], |_| ())),
        format!("tensor {WEIGHT:?}: shape [4] in checkpoint b, [2, 2] in checkpoint a")
    );
    other.insert(WEIGHT.to_owned(), Data { dtype: Dtype::I32, shape: vec![2, 2], bytes: vec![0; 16] });
    assert_eq!(
        message(opened_from(&[small(), other], |_| ())),
        format!("tensor {WEIGHT:?}: dtype I32 in checkpoint b, F32 in checkpoint a")
    );
}

#[test]
fn buffers_are_equal_or_dropped() {
    let buffer = |value: u8| Data { dtype: Dtype::I64, shape: vec![1], bytes: vec![value; 8] };
    let with = |name: &str, value: u8| {
        let mut model = small();
        model.insert(name.to_owned(), buffer(value));
        model
    };
    let ids = "model.position_ids";
    assert!(opened_from(&[with(ids, 1), with(ids, 1)], |_| ()).unwrap().warnings().is_empty());
    assert!(
        message(opened_from(&[with(ids, 1), with(ids, 2)], |_| ()))
            .contains("differs between checkpoints a and b")
    );
    let dropped = opened_from(&[with(ids, 1), small()], |_| ()).unwrap();
    assert_eq!(
        dropped.warnings(),
        [Warning::BufferDropped { tensor: ids.to_owned(), lacking: "b".try_into().unwrap() }]
    );
    // An integer tensor that isn't known as a buffer may be anything: its absence is not passed over.
    assert!(message(opened_from(&[with("steps", 1), small()], |_| ())).contains("has no tensor \"steps\""));
}

#[test]
fn a_tied_head_equals_the_embedding() {
    let with_head = |value: f64| {
        let mut model = small();
        model.insert("lm_head.weight".to_owned(), Data::new(Dtype::F32, &[2, 2], &[value; 4]));
        model
    };
    let tie = |folder: &Folder| {
        for name in ["a", "b"] {
            edit(&folder.path(name).join("config.json"), |config| {
                config["tie_word_embeddings"] = true.into();
            });
        }
    };
    let tied = opened_from(&[small(), with_head(1.0)], tie).unwrap();
    assert_eq!(tied.warnings(), [Warning::TiedHeadDropped { tensor: "lm_head.weight".to_owned() }]);
    assert_eq!(tied.merged_tensors().collect::<Vec<_>>(), [EMBEDDING, WEIGHT]);
    assert_eq!(
        message(opened_from(&[small(), with_head(3.0)], tie)),
        format!(
            "checkpoint b: tensor \"lm_head.weight\": the model ties it to {EMBEDDING:?}, but the two differ"
        )
    );
    assert!(
        message(opened_from(&[small(), with_head(1.0)], |_| ())).contains("has no tensor \"lm_head.weight\"")
    );
}

#[test]
fn tokenizers_have_to_mean_the_same() {
    let tokenizer = |folder: &Folder, name: &str, id: u8| {
        let text = json!({"model": {"vocab": {"a": 0, "b": id}, "merges": []}, "added_tokens": []});
        fs::write(folder.path(name).join("tokenizer.json"), text.to_string()).unwrap();
    };
    let message = refused(|folder| {
        tokenizer(folder, "a", 1);
        tokenizer(folder, "b", 2);
    });
    assert_eq!(
        message,
        "tokenizer: the id of token \"b\" is 2 in checkpoint b, 1 in checkpoint a; expected the same"
    );
    let warned = opened(|folder| {
        tokenizer(folder, "a", 1);
        tokenizer(folder, "b", 1);
        fs::write(folder.path("b/tokenizer_config.json"), r#"{"chat_template": "x"}"#).unwrap();
        edit(&folder.path("b/config.json"), |config| config["eos_token_id"] = 7.into());
    });
    let warnings: Vec<String> = warned.unwrap().warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "chat template: checkpoint b has another than checkpoint a, whose is used",
            "config.json: eos_token_id is 7 in checkpoint b, 2 in checkpoint a, whose is used",
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever is done to the bytes, opening and merging end with a result: the walk never panics, hangs or asks for
    /// more memory than the file is long.
    #[test]
    fn damaged_files_never_panic(
        cut in prop::option::of(0..400_usize),
        flips in prop::collection::vec((0..400_usize, any::<u8>()), 0..4),
        splices in prop::collection::vec((0..300_usize, "[\\[\\]{}\",:0-9a-z]{0,6}"), 0..3),
        keep_length in any::<bool>(),
    ) {
        let folder = Folder::new(&[small(), small()]);
        let path = folder.path("a/model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        for (place, text) in splices {
            let place = place.min(bytes.len());
            bytes.splice(place..place, text.bytes());
        }
        for (place, bits) in flips {
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= bits;
            }
        }
        if let Some(cut) = cut {
            bytes.truncate(cut);
        }
        if keep_length && bytes.len() > 8 {
            let header = (bytes.len() as u64 - 8).min(200);
            bytes[..8].copy_from_slice(&header.to_le_bytes());
        }
        fs::write(&path, bytes).unwrap();
        if let Err(error) = open(&folder.recipe(MergeMethod::Linear, &[0.5, 0.5])) {
            prop_assert_eq!(error.exit_code(), 65, "{}", error);
            prop_assert!(!error.to_string().chars().any(char::is_control), "{}", error);
        }
    }
}

#[test]
fn the_unchanged_pool_is_opened() {
    let pool = opened(|_| ()).unwrap();
    assert_eq!(pool.layer_count(), Some(1));
    assert_eq!(pool.parameter_count(), 8);
    assert_eq!(pool.sources().map(|source| source.files.len()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(config()["rope_theta"], 10000.0);
    assert_eq!(pools::name(1), "b");
}

/// What fuzzing found to reach code of its own: `make fuzz` adds to it.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files: Vec<Vec<u8>> =
        fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(files.len() > 3, "{target}: the corpus is kept with the code");
    files
}

#[test]
fn what_fuzzing_found_is_read_or_refused() {
    let folder = Folder::new(&[small()]);
    let location = folder.location("a");
    let path = folder.path("a");
    pools::wait(async {
        let stores = pools::stores();
        for bytes in corpus("header") {
            fs::write(path.join("model.safetensors"), &bytes).unwrap();
            match inspect(&stores, &location).await {
                Ok(_) => assert!(safetensors::SafeTensors::deserialize(&bytes).is_ok()),
                Err(error) => assert_eq!(error.exit_code(), 65, "{error}"),
            }
        }
        fs::remove_file(path.join("model.safetensors")).unwrap();
        for bytes in corpus("index") {
            fs::write(path.join("model.safetensors.index.json"), bytes).unwrap();
            // There are no shards: none is read.
            let error = inspect(&stores, &location).await.unwrap_err();
            assert_eq!(error.exit_code(), 65, "{error}");
        }
    });
}
