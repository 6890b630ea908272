//! The MergeSearch resource: types, rules, and the way from a manifest to a search.
