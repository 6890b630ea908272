//! The report of a search in a real browser, as a person opens it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use chromiumoxide::cdp::browser_protocol::emulation::{
    MediaFeature, SetDeviceMetricsOverrideParams, SetEmulatedMediaParams,
};
use chromiumoxide::cdp::browser_protocol::log::EventEntryAdded;
use chromiumoxide::cdp::js_protocol::runtime::{EventConsoleApiCalled, EventExceptionThrown};
use chromiumoxide::layout::Point;
use chromiumoxide::{Browser, BrowserConfig, Page};
use futures::StreamExt as _;
use mergesearch_tests::{mergesearch, workspace};
use serde_json::Value;
use tempfile::TempDir;

use crate::quickstart::searched;

/// A browser with one page, and what its console said.
struct Window {
    browser: Browser,
    page: Page,
    complaints: Arc<Mutex<Vec<String>>>,
    _profile: TempDir,
}

impl Window {
    async fn open(page: &Path, [width, height]: [u32; 2], colours: &str) -> Self {
        let found = Command::new(workspace().join("tests/browser")).output().unwrap();
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
        let profile = TempDir::with_prefix("mergesearch-browser-").unwrap();
        let config = BrowserConfig::builder()
            .chrome_executable(String::from_utf8(found.stdout).unwrap().trim())
            .user_data_dir(profile.path())
            // Tests run as root in containers, where the sandbox can't be had.
            .no_sandbox()
            .build()
            .unwrap();
        let (browser, mut handler) = Browser::launch(config).await.unwrap();
        tokio::spawn(async move { while handler.next().await.is_some() {} });
        let tab = browser.new_page("about:blank").await.unwrap();
        let complaints = listen(&tab).await;
        tab.execute(
            SetDeviceMetricsOverrideParams::builder()
                .width(width)
                .height(height)
                .device_scale_factor(1.0)
                .mobile(width < 500)
                .build()
                .unwrap(),
        )
        .await
        .unwrap();
        let scheme = MediaFeature::new("prefers-color-scheme", colours);
        tab.execute(SetEmulatedMediaParams::builder().feature(scheme).build()).await.unwrap();
        tab.goto(format!("file://{}", page.display())).await.unwrap();
        Self { browser, page: tab, complaints, _profile: profile }
    }

    /// What an expression of JavaScript gives.
    async fn ask<T: serde::de::DeserializeOwned>(&self, expression: &str) -> T {
        self.page.evaluate(expression).await.unwrap().into_value().unwrap()
    }

    /// Moves the pointer to where a trial is in a figure.
    async fn point_at(&self, figure: &str, trial: &str) -> Point {
        let [x, y]: [f64; 2] = self
            .ask(&format!(
                "(() => {{
                    const element = document.getElementById('figure-{figure}');
                    element.scrollIntoView({{ block: 'center' }});
                    const index = report.trials.findIndex(({{ id }}) => id === '{trial}');
                    const chart = echarts.getInstanceByDom(element);
                    const point = chart.getOption().series.flatMap(({{ data }}) => data)
                        .find((item) => item?.trial === index).value;
                    const [x, y] = chart.convertToPixel({{ xAxisIndex: 0, yAxisIndex: 0 }}, point);
                    const box = element.getBoundingClientRect();
                    return [box.left + x, box.top + y];
                }})()"
            ))
            .await;
        let point = Point::new(x, y);
        self.page.move_mouse(point).await.unwrap();
        point
    }

    /// Ends the browser; returns what its console said.
    async fn close(mut self) -> Vec<String> {
        self.browser.close().await.unwrap();
        self.browser.wait().await.unwrap();
        self.complaints.lock().unwrap().clone()
    }
}

/// Collects errors and warnings of the page.
async fn listen(page: &Page) -> Arc<Mutex<Vec<String>>> {
    let complaints = Arc::new(Mutex::new(Vec::new()));
    let mut thrown = page.event_listener::<EventExceptionThrown>().await.unwrap();
    let mut called = page.event_listener::<EventConsoleApiCalled>().await.unwrap();
    let mut logged = page.event_listener::<EventEntryAdded>().await.unwrap();
    let collected = Arc::clone(&complaints);
    tokio::spawn(async move {
        loop {
            let complaint = tokio::select! {
                Some(event) = thrown.next() => format!("{:?}", event.exception_details),
                Some(event) = called.next() => format!("{:?}", event.args),
                Some(event) = logged.next() => format!("{:?}", event.entry),
                else => break,
            };
            collected.lock().unwrap().push(complaint);
        }
    });
    complaints
}

/// Writes the report of the quickstart on two objectives; returns its folder and what it is about.
fn written(folder: &Path) -> (PathBuf, Value) {
    let state = searched("mergesearch-two.yaml");
    let arguments = |command| [command, "--state", state.to_str().unwrap()];
    let reported = mergesearch().args(arguments("report")).args(["--output", folder.to_str().unwrap()]).run();
    reported.assert_code(0);
    let page = PathBuf::from(reported.stdout.trim());
    assert_eq!(page, folder.join("report.html"));
    let shown = mergesearch().args(arguments("show")).args(["-o", "json"]).run();
    (page, serde_json::from_str(&shown.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_reads_the_report_and_asks_for_a_trial() {
    let folder = TempDir::with_prefix("mergesearch-report-").unwrap();
    let (page, result) = written(folder.path());
    let best = result["best"].as_str().unwrap();
    for (size, colours) in [([1280, 900], "light"), ([390, 844], "dark")] {
        let window = Window::open(&page, size, colours).await;
        let sentence: String = window.ask("document.querySelector('.judgement').textContent").await;
        assert_eq!(sentence, result["comparison"]["sentence"].as_str().unwrap());
        let drawn: usize = window.ask("document.querySelectorAll('.chart svg path').length").await;
        assert!(drawn > 1_000, "{drawn} marks in all figures");
        let overflow: i64 =
            window.ask("document.documentElement.scrollWidth - document.documentElement.clientWidth").await;
        assert_eq!(overflow, 0, "the page is wider than the window at {size:?}");
        let background: String = window.ask("getComputedStyle(document.body).backgroundColor").await;
        assert_eq!(background, if colours == "dark" { "rgb(21, 25, 30)" } else { "rgb(255, 255, 255)" });

        let point = window.point_at("front-descending-reverse-increment", best).await;
        let hovered: String = window.ask("document.querySelector('.tip b')?.textContent ?? ''").await;
        assert_eq!(hovered, best, "at {size:?}");
        window.page.click(point).await.unwrap();
        let clicked: String = window.ask("document.querySelector('#detail code').textContent").await;
        assert!(clicked.starts_with(&format!("mergesearch export {best} --state ")), "{clicked}");
        let detail: String = window.ask("document.getElementById('detail').textContent").await;
        assert!(detail.contains("pref-2") && !detail.contains("undefined"), "{detail}");
        assert_eq!(window.close().await, [""; 0], "at {size:?}");
    }
}

#[test]
fn pictures_lie_beside_the_page() {
    let folder = TempDir::with_prefix("mergesearch-report-").unwrap();
    written(folder.path());
    let mut files: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let names = [
        "convergence",
        "front-descending-reverse-increment",
        "own-score-and-weight",
        "search-and-test",
        "timeline",
        "weights",
    ];
    let mut expected: Vec<String> =
        names.iter().flat_map(|name| [format!("{name}.png"), format!("{name}.svg")]).collect();
    expected.push("report.html".to_owned());
    expected.sort();
    assert_eq!(files, expected);
}
