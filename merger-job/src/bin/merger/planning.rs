//! `merger plan`.

use std::time::Duration;

use bytesize::ByteSize;
use mergesearch_merger::{Error, Location, Part, Sources, Stores, plan};

use crate::arguments::Plan;
use crate::reading;
use crate::terminal::print;

pub(crate) async fn run(stores: &Stores, arguments: &Plan) -> Result<(), Error> {
    let own = reading::read_all(stores, &arguments.recipes).await?;
    let sources = own.first().map(Sources::from).ok_or(Error::NoRecipe)?;
    let pool = reading::open_pool(stores, &sources).await?;
    if arguments.population.is_some() && own.len() > 1 {
        return Err(Error::Population { recipes: own.len() });
    }
    let population = arguments.population.unwrap_or(1);
    let recipes = vec![own.clone(); population as usize].concat();
    let output = arguments.output.clone().unwrap_or_else(|| Location::File("/".into()));
    let mut options = arguments.limits.options(true);
    options.part = arguments.shard_count.map(|count| Part { index: 0, count });
    let planned = plan(&pool, &recipes, &output, &options)?;
    let size = |bytes: u64| ByteSize(bytes).display().si();
    print(&format!(
        "pool         {} checkpoints, {} layers, {}",
        pool.sources().count(),
        pool.layer_count().map_or_else(|| "no".to_owned(), |layers| layers.to_string()),
        size(pool.total_bytes()),
    ));
    print(&planned.to_string());
    let rate = arguments.bandwidth.as_u64();
    let seconds = |bytes: u64| duration(bytes as f64 / rate as f64);
    let each = if planned.parts.len() > 1 { " on each machine" } else { "" };
    print(&format!("time         {} at {}/s{each}", seconds(planned.longest()), size(rate)));
    if recipes.len() > 1 {
        let (mut moved, mut longest) = (0_u64, 0_u64);
        for recipe in &own {
            let alone = plan(&pool, std::slice::from_ref(recipe), &output, &options)?;
            moved = moved.saturating_add(alone.bytes_read.saturating_add(alone.bytes_written));
            longest = longest.saturating_add(alone.longest());
        }
        // Those of a population are all alike.
        let times = u64::from(population);
        let (moved, longest) = (moved.saturating_mul(times), longest.saturating_mul(times));
        print(&format!("one by one   {} moved, {}", size(moved), seconds(longest)));
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
