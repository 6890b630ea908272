//! Weights and what they do, against checkpoints' own scores.

use serde_json::{Value, json};

use super::{BLUE, GREY, INK, VERMILION, base, category_axis, each_seed, points, value_axis, zero_line};
use crate::results::Results;
use crate::rows::{WeightRow, rounded};
use crate::settings::{BAD, REFERENCE, Setting};
use crate::statistics::Spread;
use crate::tables;

/// Own score to the right, weight upwards; each seed a small point, the mean a large one with the checkpoint's name.
pub(super) fn options(results: &Results) -> Value {
    let mut options = base("Own score and weight in the searched merge, setting three", 70);
    let Some(setting) = Setting::named(REFERENCE) else { return options };
    let checkpoints = tables::checkpoints(results, setting);
    let weights = |rows: &[&WeightRow]| rows.iter().map(|row| row.weight).collect::<Vec<f64>>();
    let seeds: Vec<Value> = checkpoints
        .iter()
        .flat_map(|(_, own, rows)| {
            weights(rows).into_iter().map(move |weight| json!([points(*own), rounded(weight, 3)]))
        })
        .collect();
    let means = |bad: bool| -> Vec<Value> {
        let wanted = checkpoints.iter().filter(|(name, _, _)| BAD.contains(name) == bad);
        wanted
            .filter_map(|(name, own, rows)| {
                let mean = Spread::of(&weights(rows))?.mean;
                Some(json!({ "name": name, "value": [points(*own), rounded(mean, 3)] }))
            })
            .collect()
    };
    let series = |name: &str, symbol: &str, colour: &str, data: Vec<Value>| {
        json!({
            "name": name,
            "type": "scatter",
            "symbol": symbol,
            "symbolSize": 12,
            "itemStyle": { "color": colour },
            "label": { "show": true, "formatter": "{b}", "position": "right", "fontSize": 10, "color": INK,
                "textBorderColor": "#FFFFFF", "textBorderWidth": 2 },
            "labelLayout": { "hideOverlap": true },
            "data": data,
        })
    };
    options["xAxis"] = value_axis("own score on search items, in points");
    let mut vertical = value_axis("weight");
    vertical["nameGap"] = 46.into();
    options["yAxis"] = vertical;
    options["series"] = json!([
        each_seed("one search", GREY, &seeds),
        series("mean over seeds", "circle", BLUE, means(false)),
        series("mean over seeds, bad on purpose", "triangle", VERMILION, means(true)),
    ]);
    options
}

/// A checkpoint's name on an axis; the mark is for those who see no colours.
fn shown(name: &str) -> String {
    if BAD.contains(&name) { format!("{name} (bad)") } else { name.to_owned() }
}

/// What taking a checkpoint out of the searched merge changes, best own score at the top.
pub(super) fn removals(results: &Results) -> Value {
    let mut options = base("Test score without a checkpoint, setting three", 190);
    let Some(setting) = Setting::named(REFERENCE) else { return options };
    let checkpoints = tables::checkpoints(results, setting);
    let changes = |rows: &[&WeightRow]| rows.iter().filter_map(|row| row.removal).collect::<Vec<f64>>();
    let seeds: Vec<Value> = checkpoints
        .iter()
        .flat_map(|(name, _, rows)| {
            changes(rows).into_iter().map(move |change| json!([points(change), shown(name)]))
        })
        .collect();
    let means: Vec<Value> = checkpoints
        .iter()
        .filter_map(|(name, _, rows)| {
            let mean = Spread::of(&changes(rows))?.mean;
            let bad = BAD.contains(name);
            let style = json!({ "color": if bad { VERMILION } else { BLUE }, "opacity": if bad { 0.5 } else { 0.8 } });
            Some(json!({ "value": [points(mean), shown(name)], "itemStyle": style }))
        })
        .collect();
    let mut horizontal = value_axis("change in points; below 0 the merge needs the checkpoint");
    horizontal["scale"] = false.into();
    options["xAxis"] = horizontal;
    let names: Vec<String> = checkpoints.iter().map(|(name, _, _)| shown(name)).collect();
    let mut vertical = category_axis(&names);
    vertical["inverse"] = true.into();
    vertical["axisLine"]["onZero"] = false.into();
    options["yAxis"] = vertical;
    options["series"] = json!([
        {
            "name": "mean over seeds",
            "type": "bar",
            "barWidth": 10,
            "itemStyle": { "color": BLUE },
            "data": means,
            "markLine": zero_line(),
        },
        each_seed("one search", INK, &seeds),
    ]);
    options
}
