//! Merge recipes as data: method, weights, tensor groups, and mergekit's YAML.
