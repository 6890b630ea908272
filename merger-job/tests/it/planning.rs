//! `merger plan`: what merges of the largest pools take, from headers alone.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use assert_cmd::Command;
use mergesearch_recipe::MergeMethod;
use serde_json::{Map, Value, json};

use crate::pools::{self, Folder};

/// Bytes of one model of the paper's size in bf16.
const MODEL: u64 = 207_619_645_440;

/// The tensors of Command R+, 104 billion numbers, in files as transformers cuts them.
fn tensors() -> Vec<(String, Vec<u64>)> {
    let mut tensors = vec![("model.embed_tokens.weight".to_owned(), vec![256_000, 12_288])];
    for layer in 0..64 {
        let mut add = |part: &str, shape: &[u64]| {
            tensors.push((format!("model.layers.{layer}.{part}.weight"), shape.to_vec()));
        };
        add("input_layernorm", &[12_288]);
        for part in ["gate_proj", "up_proj"] {
            add(&format!("mlp.{part}"), &[33_792, 12_288]);
        }
        add("mlp.down_proj", &[12_288, 33_792]);
        for (part, rows) in [("q", 12_288), ("k", 1_024), ("v", 1_024), ("o", 12_288)] {
            add(&format!("self_attn.{part}_proj"), &[rows, 12_288]);
        }
    }
    tensors.push(("model.norm.weight".to_owned(), vec![12_288]));
    tensors
}

/// A checkpoint with headers and holes where the numbers would be.
fn write_headers(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let (mut files, mut weight_map) = (vec![(Map::new(), 0)], Map::new());
    for (name, shape) in tensors() {
        let size = 2 * shape.iter().product::<u64>();
        if files.last().unwrap().1 + size > 5_000_000_000 && files.last().unwrap().1 > 0 {
            files.push((Map::new(), 0));
        }
        let place = files.len();
        let (header, begin) = files.last_mut().unwrap();
        let entry = json!({"dtype": "BF16", "shape": shape, "data_offsets": [*begin, *begin + size]});
        header.insert(name.clone(), entry);
        *begin += size;
        weight_map.insert(name, Value::from(format!("model-{place:05}.safetensors")));
    }
    for (place, (header, size)) in files.into_iter().enumerate() {
        let text = Value::from(header).to_string();
        let mut file = File::create(folder.join(format!("model-{:05}.safetensors", place + 1))).unwrap();
        file.write_all(&(text.len() as u64).to_le_bytes()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.set_len(8 + text.len() as u64 + size).unwrap();
    }
    let index = json!({"metadata": {"total_size": MODEL}, "weight_map": weight_map});
    fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
    let config = json!({"model_type": "cohere", "num_hidden_layers": 64, "tie_word_embeddings": true});
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

/// The folder of sixteen such checkpoints and of `recipe.yaml`, which merges them.
fn pool(method: MergeMethod) -> Folder {
    let folder = Folder::new(&[]);
    for place in 0..16 {
        write_headers(&folder.path(&pools::name(place)));
    }
    let recipe = folder.recipe(method, &[1.0 / 16.0; 16]);
    fs::write(folder.path("recipe.yaml"), recipe.to_yaml().unwrap()).unwrap();
    folder
}

fn plan(pool: &Folder, arguments: &[&str]) -> String {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("merger"));
    command.current_dir(pool.root.path()).args(["plan", "--recipe", "recipe.yaml"]).args(arguments);
    let output = command.assert().success().get_output().clone();
    String::from_utf8(output.stdout).unwrap()
}

/// The value of a line.
fn line<'a>(plan: &'a str, title: &str) -> &'a str {
    plan.lines().find_map(|line| line.strip_prefix(title)).unwrap_or_else(|| panic!("{title}: {plan}")).trim()
}

#[test]
fn the_papers_pool_is_planned_from_headers() {
    let pool = pool(MergeMethod::Linear);
    let one = plan(&pool, &["--bandwidth", "1GB/s"]);
    assert_eq!(line(&one, "pool"), "16 checkpoints, 64 layers, 3.3 TB");
    assert_eq!(line(&one, "output"), format!("514 tensors, {} parameters", MODEL / 2));
    assert_eq!(line(&one, "reads"), "3.3 TB in 1 pass(es)");
    assert_eq!(line(&one, "writes"), "207.6 GB in 44 file(s)");
    // 17 models at a GB a second.
    assert_eq!(line(&one, "time"), "58 min 49 s at 1.0 GB/s");

    let many = plan(&pool, &["--population", "12", "--shard-count", "32", "--output", "s3://bucket/out"]);
    // The pool is read once for all twelve.
    assert_eq!(line(&many, "reads"), "3.3 TB in 1 pass(es)");
    assert!(
        line(&many, "writes").starts_with("2.5 TB in ") && line(&many, "writes").ends_with("of 12 merges")
    );
    assert!(line(&many, "machines").starts_with("32, each moving "), "{many}");
    assert!(line(&many, "one by one").starts_with("42.4 TB moved"), "{many}");
    assert!(line(&many, "peak memory").ends_with("MiB on each"), "{many}");
}

#[test]
fn methods_that_measure_read_more_often() {
    let pool = pool(MergeMethod::Karcher);
    assert_eq!(line(&plan(&pool, &[]), "reads"), "6.6 TB in 2 pass(es)");
    // Each merge is measured alone, and all are made together.
    assert_eq!(line(&plan(&pool, &["--population", "3"]), "reads"), "13.3 TB in 4 pass(es)");
}
