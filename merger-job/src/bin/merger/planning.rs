//! `merger plan`.

use std::time::Duration;

use bytesize::ByteSize;
use mergesearch_merger::{Error, Location, Stores, plan};

use crate::arguments::Plan;
use crate::reading;
use crate::terminal::print;

pub(crate) async fn run(stores: &Stores, arguments: &Plan) -> Result<(), Error> {
    let (recipe, pool) = reading::open(stores, &arguments.recipe.path).await?;
    let output = arguments.output.clone().unwrap_or_else(|| Location::File("/".into()));
    let plan = plan(&pool, &recipe, &output, &arguments.limits.options(true))?;
    let size = |bytes: u64| ByteSize(bytes).display().si();
    print(&format!(
        "pool         {} checkpoints, {} layers, {}",
        pool.sources().count(),
        pool.layer_count().map_or_else(|| "no".to_owned(), |layers| layers.to_string()),
        size(pool.total_bytes()),
    ));
    print(&plan.to_string());
    let bytes = plan.bytes_read.saturating_add(plan.bytes_written);
    let seconds = bytes as f64 / arguments.bandwidth.as_u64() as f64;
    let rate = size(arguments.bandwidth.as_u64());
    print(&format!("time         {} for one merge at {rate}/s", duration(seconds)));
    if arguments.population > 1 {
        let all = bytes.saturating_mul(arguments.population);
        print(&format!(
            "population   {} merges one after another: {} moved, {}",
            arguments.population,
            size(all),
            duration(seconds * arguments.population as f64),
        ));
    }
    Ok(())
}

fn duration(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).as_secs();
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours} h {minutes} min") } else { format!("{minutes} min {seconds} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_at_a_glance() {
        assert_eq!(duration(0.25), "0.2 s");
        assert_eq!(duration(61.0), "1 min 1 s");
        assert_eq!(duration(7_260.0), "2 h 1 min");
    }
}
