//! The gain over the best baseline by setting.

use serde_json::{Value, json};

use super::{BLUE, INK, base, category_axis, each_seed, points, value_axis, zero_line};
use crate::results::Results;
use crate::rows::SearchRow;
use crate::settings::Setting;
use crate::statistics::Spread;

/// Settings from top to bottom, each seed a point and the mean a bar.
pub(super) fn options(results: &Results) -> Value {
    let settings: Vec<&Setting> = results.settings().collect();
    let gains = |setting: &Setting| results.of(setting).map(|row: &SearchRow| row.gain).collect::<Vec<f64>>();
    let seeds = settings
        .iter()
        .flat_map(|setting| gains(setting).into_iter().map(|gain| json!([points(gain), setting.name])))
        .collect::<Vec<Value>>();
    let means: Vec<Value> = settings
        .iter()
        .filter_map(|setting| Some(json!([points(Spread::of(&gains(setting))?.mean), setting.name])))
        .collect();
    let mut options = base("Searched merge against the best baseline, test items", 190);
    let mut horizontal = value_axis("gain in points");
    horizontal["scale"] = false.into();
    options["xAxis"] = horizontal;
    let mut vertical =
        category_axis(&settings.iter().map(|setting| setting.name.to_owned()).collect::<Vec<_>>());
    vertical["inverse"] = true.into();
    options["yAxis"] = vertical;
    options["series"] = json!([
        {
            "name": "mean",
            "type": "scatter",
            "symbol": "rect",
            "symbolSize": [4, 22],
            "itemStyle": { "color": BLUE },
            "data": means,
            "markLine": zero_line(),
        },
        each_seed("one search", INK, &seeds),
    ]);
    options
}
