//! Test scores by the size of the pool.

use serde_json::{Value, json};

use super::{BLUE, GREEN, VERMILION, base, category_axis, points, value_axis};
use crate::results::Results;
use crate::rows::Merge;
use crate::settings::Setting;
use crate::statistics::Spread;
use crate::tables;

/// Settings by the size of their pool, smallest first.
const SIZES: [(&str, &str); 4] =
    [("pool-4", "4, drawn"), ("pool-8", "8, drawn"), ("without-bad", "13, without the bad"), ("three", "16")];
/// What is shown: merge, symbol, colour, dash.
const SHOWN: [(Merge, &str, &str, &str); 3] = [
    (Merge::BestSingle, "circle", GREEN, "dotted"),
    (Merge::BestBaseline, "rect", VERMILION, "dashed"),
    (Merge::Searched, "triangle", BLUE, "solid"),
];

/// Means over seeds joined by lines, each search a pale mark of the same shape.
pub(super) fn options(results: &Results) -> Value {
    let sizes: Vec<(&Setting, &str)> = SIZES
        .iter()
        .filter_map(|(name, label)| Some((Setting::named(name)?, *label)))
        .filter(|(setting, _)| results.of(setting).next().is_some())
        .collect();
    let mut options = base("Score on test items by size of the pool", 70);
    options["xAxis"] = category_axis(&sizes.iter().map(|(_, label)| (*label).to_owned()).collect::<Vec<_>>());
    let mut vertical = value_axis("score in points");
    vertical["nameGap"] = 46.into();
    options["yAxis"] = vertical;
    let mut series: Vec<Value> = Vec::new();
    for (merge, symbol, colour, dash) in SHOWN {
        let tests = |setting: &Setting| tables::scores(results, setting, merge, |row| row.test);
        let means: Vec<Value> = sizes
            .iter()
            .filter_map(|(setting, label)| Some(json!([label, points(Spread::of(&tests(setting))?.mean)])))
            .collect();
        let seeds: Vec<Value> = sizes
            .iter()
            .flat_map(|(setting, label)| {
                tests(setting).into_iter().map(move |test| json!([label, points(test)]))
            })
            .collect();
        series.push(json!({
            "name": merge.title(),
            "type": "line",
            "symbol": symbol,
            "symbolSize": 11,
            "lineStyle": { "color": colour, "type": dash, "width": 2 },
            "itemStyle": { "color": colour },
            "data": means,
        }));
        series.push(json!({
            "type": "scatter",
            "symbol": symbol,
            "symbolSize": 6,
            "itemStyle": { "color": colour, "opacity": 0.4 },
            "data": seeds,
        }));
    }
    options["legend"]["data"] = SHOWN.map(|(merge, ..)| merge.title()).into_iter().collect();
    options["series"] = series.into();
    options
}
