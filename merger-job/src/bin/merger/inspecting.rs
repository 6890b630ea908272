//! `merger inspect`.

use bytesize::ByteSize;
use mergesearch_merger::{Error, Inspection, Stores, inspect, printable};

use crate::arguments::Inspect;
use crate::terminal::print;

pub(crate) async fn run(stores: &Stores, arguments: &Inspect) -> Result<(), Error> {
    let inspection = inspect(stores, &arguments.location).await?;
    if arguments.json {
        print(&serde_json::to_string_pretty(&inspection).unwrap_or_default());
    } else {
        print(&table(&inspection));
    }
    Ok(())
}

fn table(inspection: &Inspection) -> String {
    let size = |bytes: u64| ByteSize(bytes).display().si();
    let layers = inspection.layers.map_or_else(|| "no".to_owned(), |layers| layers.to_string());
    let mut lines = vec![
        printable(&inspection.location),
        format!(
            "{}: {layers} layers, {} tensors, {} parameters, {}",
            printable(inspection.model_type.as_deref().unwrap_or("unknown model type")),
            inspection.tensors.len(),
            inspection.parameters,
            size(inspection.bytes),
        ),
    ];
    let files = inspection.files.iter();
    lines.extend(files.map(|file| format!("  {}  {}", printable(&file.name), size(file.bytes))));
    lines.push(String::new());
    let shown = |name: &str| name.escape_debug().to_string();
    let widest =
        inspection.tensors.iter().map(|tensor| shown(&tensor.name).chars().count()).max().unwrap_or(0);
    lines.extend(
        inspection
            .tensors
            .iter()
            .map(|tensor| format!("{:widest$}  {:5}  {:?}", shown(&tensor.name), tensor.dtype, tensor.shape)),
    );
    lines.join("\n")
}
