//! What crosses crates, against real servers and through the real programs.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that can't set up its world has failed")]

mod chart;
mod chart_alerts;
mod chart_cluster;
mod chart_rights;
mod cluster_api;
mod cluster_node;
mod images;
mod kubectl;
mod memory;
mod node_chaos;
mod node_metrics;
mod node_search;
mod node_world;
mod operator_start;
mod quickstart;
mod report_page;
mod s3_changes;
mod s3_faults;
mod s3_merge;
mod s3_pods;
mod s3_search;
mod servers;
mod spec_rules;
mod world;
