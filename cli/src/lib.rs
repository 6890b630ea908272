//! Runs a MergeSearch manifest on one machine.
