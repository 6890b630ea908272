//! The best merge so far by evaluation, on the items it is chosen by and on others.

use serde_json::{Value, json};

use super::{BLUE, GREY, VERMILION, base, points, value_axis};
use crate::results::Results;
use crate::rows::{Merge, ProgressRow};
use crate::settings::{REFERENCE, Setting};
use crate::statistics::Spread;
use crate::tables;

/// Evaluations between two points of a line.
const STEP: usize = 10;

/// Mean over seeds as a line, smallest to largest as a band.
pub(super) fn options(results: &Results) -> Value {
    let mut options = base("Best merge so far, setting three: mean and range over seeds", 70);
    let Some(setting) = Setting::named(REFERENCE) else { return options };
    let of_setting = |row: &&ProgressRow| row.setting == setting.name;
    let counts = || results.progress.iter().filter(of_setting).map(|row| row.evaluations);
    let (first, last) = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
    let places: Vec<usize> = (first..last).step_by(STEP).chain([last]).collect();
    let mut horizontal = value_axis("evaluations on search items");
    horizontal["min"] = 0.into();
    options["xAxis"] = horizontal;
    options["yAxis"] = value_axis("score in points");
    let values = |value: fn(&ProgressRow) -> Option<f64>| -> Vec<(usize, Vec<f64>)> {
        let at = |place: &usize| {
            let rows = tables::at(results, setting, *place);
            (*place, rows.into_iter().filter_map(value).collect::<Vec<f64>>())
        };
        places.iter().map(at).filter(|(_, values)| !values.is_empty()).collect()
    };
    let (search, test) = (values(|row| Some(row.best)), values(|row| row.best_test));
    let baseline = test_of_best_baseline(results, setting);
    let mut series = band("search", BLUE, &search);
    series.extend(band("test", VERMILION, &test));
    series.push(line("on search items, which choose it", BLUE, "solid", &search, None));
    series.push(line("on test items", VERMILION, "dashed", &test, baseline));
    // Wide enough to show the dashes.
    options["legend"]["itemWidth"] = 44.into();
    options["legend"]["data"] = json!(["on search items, which choose it", "on test items"]);
    options["series"] = series.into();
    options
}

fn test_of_best_baseline(results: &Results, setting: &Setting) -> Option<f64> {
    let rows = results.scores.iter().filter(|row| row.setting == setting.name);
    let tests: Vec<f64> =
        rows.filter(|row| row.merge == Merge::BestBaseline).filter_map(|row| row.test).collect();
    Spread::of(&tests).map(|spread| spread.mean)
}

fn line(name: &str, colour: &str, dash: &str, values: &[(usize, Vec<f64>)], baseline: Option<f64>) -> Value {
    let mean = |(place, values): &(usize, Vec<f64>)| {
        Spread::of(values).map(|spread| json!([place, points(spread.mean)]))
    };
    let mut series = json!({
        "name": name,
        "type": "line",
        "symbol": "none",
        "lineStyle": { "color": colour, "type": dash, "width": 2 },
        "itemStyle": { "color": colour },
        "data": values.iter().filter_map(mean).collect::<Vec<Value>>(),
    });
    if let Some(score) = baseline {
        series["markLine"] = json!({
            "silent": true,
            "symbol": "none",
            "lineStyle": { "color": GREY, "type": "dotted", "width": 1.5 },
            "label": { "formatter": "best baseline, test", "position": "insideStartTop", "color": GREY },
            "data": [{ "yAxis": points(score) }],
        });
    }
    series
}

/// Smallest to largest: an invisible line, and on it the rest as an area.
fn band(name: &str, colour: &str, values: &[(usize, Vec<f64>)]) -> Vec<Value> {
    let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let series = |area: f64, data: Vec<Value>| {
        json!({
            "type": "line",
            "stack": name,
            "showSymbol": false,
            "silent": true,
            "lineStyle": { "opacity": 0 },
            "areaStyle": { "color": colour, "opacity": area },
            "data": data,
        })
    };
    let lower = values.iter().map(|(place, values)| json!([place, points(least(values))])).collect();
    let height = values
        .iter()
        .map(|(place, values)| {
            json!([place, crate::rows::rounded(points(most(values)) - points(least(values)), 2)])
        })
        .collect();
    vec![series(0.0, lower), series(0.15, height)]
}
