//! Pictures as files: which there are, and that there is something on them.

use std::collections::BTreeSet;

use mergesearch_report::{Metric, Picture, Report, Size, picture, pictures};
use resvg::tiny_skia::Pixmap;
use serde_json::json;

use crate::example::example;

fn names(pictures: &[Picture]) -> Vec<&str> {
    pictures.iter().map(|picture| picture.name.as_str()).collect()
}

/// Width and height as the PNG's header tells them.
fn size(png: &[u8]) -> (u32, u32) {
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

/// The share of a picture's pixels that are not the background, in 0 to 1.
fn share_painted(png: &[u8]) -> f64 {
    let picture = Pixmap::decode_png(png).unwrap();
    let painted = picture.pixels().iter().filter(|pixel| pixel.green() < 255).count();
    painted as f64 / picture.pixels().len() as f64
}

#[test]
fn a_completed_search_has_every_picture() {
    let drawn = pictures(&example(48)).unwrap();
    let expected = [
        "front-math-code",
        "convergence",
        "weights",
        "own-score-and-weight",
        "search-and-test",
        "contribution",
        "timeline",
    ];
    assert_eq!(names(&drawn), expected);
    for Picture { name, title, svg, png } in &drawn {
        let title = title.replace('\'', "&#39;");
        assert!(svg.starts_with("<svg ") && svg.contains(&title), "{name} has no title {title}");
        assert_eq!(size(png).0, 2 * 860, "{name}");
        let share = share_painted(png);
        assert!(share > 0.01, "{name}: {share} of its pixels are not white");
    }
}

#[test]
fn a_picture_has_a_mark_for_every_trial_and_letters_in_its_png() {
    let drawn = pictures(&example(48)).unwrap();
    let convergence = &drawn[1].svg;
    // 48 samples, all but the 8 of the front as circles of the same colour.
    assert_eq!(convergence.matches("#a9b2bb").count(), 40 + 1, "samples and the legend");
    assert!(convergence.contains("search fitness") && convergence.contains("best baseline"));
}

#[test]
fn what_is_not_known_is_left_out() {
    let three = pictures(&{
        let mut report = example(24);
        report.objectives.push(report.objectives[0].clone());
        report.objectives[2].name = "chat".to_owned();
        for trial in &mut report.trials {
            trial.search.push(trial.search[0]);
            trial.test.extend(trial.test.first().copied());
        }
        report.timeline = None;
        report.contribution = None;
        report
    });
    assert_eq!(
        names(&three.unwrap()),
        [
            "front-math-code",
            "front-math-chat",
            "front-code-chat",
            "convergence",
            "weights",
            "own-score-and-weight",
            "search-and-test"
        ]
    );
    let mut one = example(24);
    one.objectives.truncate(1);
    assert!(!names(&pictures(&one).unwrap()).iter().any(|name| name.starts_with("front")));
    assert_eq!(pictures(&Report::default()).unwrap(), []);
}

/// The points of the first dashed line, as pixels from the left and from above: the front of a pair of objectives.
fn dashed_line(svg: &str) -> Vec<[f64; 2]> {
    let path = svg.split("<path ").find(|path| path.contains("stroke-dasharray=\"4.8,2.4\"")).unwrap();
    let points = path.strip_prefix("d=\"M").unwrap().split_once('"').unwrap().0;
    let point = |text: &str| {
        let (x, y) = text.split_once(' ').unwrap();
        [x, y].map(|number| number.parse().unwrap())
    };
    points.split('L').map(point).collect()
}

#[test]
fn less_is_better_turns_the_axis_and_the_front() {
    // A search with the losses of the other one is its mirror image.
    let better = example(48);
    let mut mirrored = better.clone();
    mirrored.objectives[1].minimize = true;
    for trial in &mut mirrored.trials {
        for scores in [&mut trial.search, &mut trial.test] {
            scores.iter_mut().skip(1).for_each(|score| score.value = 1.0 - score.value);
        }
    }
    let front = |report: &Report| dashed_line(&pictures(report).unwrap()[0].svg);
    let (expected, found) = (front(&better), front(&mirrored));
    let from_left = |line: &[[f64; 2]]| line.iter().map(|[x, _]| *x).collect::<Vec<f64>>();
    assert_eq!(from_left(&found), from_left(&expected));
    // Down to the right, as a front where more is better.
    assert!(found.is_sorted_by(|one, other| one[1] <= other[1]), "{found:?}");
}

#[test]
fn without_a_merge_on_the_front_no_axis_is_lost() {
    let mut report = example(24);
    report.roles.front = vec![0, 1];
    for Picture { name, svg, .. } in pictures(&report).unwrap() {
        assert!(!svg.contains("NaN"), "{name}");
    }
}

#[test]
fn objectives_whose_names_differ_in_signs_have_pictures_of_their_own() {
    let mut report = example(24);
    report.objectives =
        ["code.v1", "math", "code-v1"].map(|name| Metric { name: name.to_owned(), minimize: false }).to_vec();
    for trial in &mut report.trials {
        trial.search.push(trial.search[0]);
        trial.test.extend(trial.test.first().copied());
    }
    report.objectives[1].name = "code:v1".to_owned();
    let drawn = pictures(&report).unwrap();
    let unique: BTreeSet<&str> = names(&drawn).into_iter().collect();
    assert_eq!(unique.len(), drawn.len(), "{unique:?}");
}

#[test]
fn any_options_can_be_drawn() {
    let options = json!({
        "title": {"text": "Squares"},
        "grid": {"top": 40},
        "xAxis": {"type": "value"},
        "yAxis": {"type": "value"},
        "series": [{"type": "line", "data": [[1, 1], [2, 4], [3, 9]]}]
    });
    let drawn = picture("squares", &options, Size { width: 400, height: 300 }).unwrap();
    assert_eq!((drawn.name.as_str(), drawn.title.as_str()), ("squares", "Squares"));
    assert_eq!(size(&drawn.png), (800, 600));
    let nonsense = json!({"series": [{"type": "line"}]});
    let error = picture("nonsense", &nonsense, Size { width: 400, height: 300 }).unwrap_err();
    assert!(error.to_string().starts_with("internal: the figures could not be drawn: "), "{error}");
}
