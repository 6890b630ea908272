//! Every field of a search that comes, goes or changes, and every value that is refused, on a real API server. The fields
//! and rules are those of the CRD, and which are immutable is read in the reference: what has no row in the table fails.

mod attempts;
mod fields;
mod schema;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::attempts::{Case, namespace, send, try_all};
use self::fields::{FIELDS, Field, MISTAKES, SMALLEST};
use self::schema::{Node, immutable_fields, is_within, nodes, refused_values};

#[test]
fn the_table_has_every_field_and_every_rule() {
    let nodes = nodes();
    let in_crd: BTreeSet<_> =
        nodes.iter().map(|node| node.path.as_str()).filter(|path| !path.is_empty()).collect();
    let in_table: BTreeSet<_> = FIELDS.iter().map(|field| field.path).collect();
    assert_eq!(in_table, in_crd, "left: fields of the table, right: fields of the CRD");
    let (immutable, others): (BTreeSet<_>, BTreeSet<_>) =
        nodes.iter().flat_map(Node::rules).partition(|(_, says)| says.ends_with(" is immutable"));
    let in_crd: BTreeSet<_> = immutable
        .iter()
        .map(|(path, says)| format!("{path}.{}", says.trim_end_matches(" is immutable")))
        .map(|path| path.trim_start_matches('.').to_owned())
        .collect();
    assert_eq!(in_crd, immutable_fields().into_iter().collect(), "left: the CRD, right: the reference");
    let in_crd: BTreeSet<_> = others.iter().map(|(_, says)| says.as_str()).collect();
    let in_table: BTreeSet<_> = MISTAKES.iter().map(|&(says, _)| says).collect();
    assert_eq!(in_table, in_crd, "left: rules of the table, right: rules of the CRD");
}

#[test]
fn fields_come_go_and_change_as_the_reference_says() {
    let immutable = immutable_fields();
    try_all("changes", &nodes().iter().flat_map(|node| changes(node, &immutable)).collect::<Vec<_>>());
}

#[test]
fn what_the_schema_does_not_allow_is_refused_by_name() {
    try_all("values", &nodes().iter().flat_map(wrong_values).collect::<Vec<_>>());
}

#[test]
fn what_breaks_a_rule_is_refused_with_its_message() {
    let rules: Vec<_> = nodes().iter().flat_map(Node::rules).collect();
    let case = |&(says, values): &fields::Mistake| {
        let mut sent = yaml(SMALLEST);
        for (path, value) in values {
            match yaml(value) {
                Value::Null => take(&mut sent, path),
                value => *place(&mut sent, path) = value,
            }
        }
        let (path, _) = rules.iter().find(|(_, message)| message == says).unwrap();
        let refusal = vec![format!("{}: Invalid value", shown(path)), says.to_owned()];
        Case { description: format!("{values:?}"), kept: None, sent, refusal }
    };
    try_all("rules", &MISTAKES.iter().map(case).collect::<Vec<_>>());
}

#[test]
fn a_field_that_does_not_exist_is_refused_by_name() {
    let case = |node: &Node| {
        let path = format!("{}.nonsense", node.inside());
        let path = path.trim_start_matches('.');
        let mut sent =
            FIELDS.iter().find(|field| field.path == node.path).map_or_else(|| yaml(SMALLEST), with_one);
        *place(&mut sent, path) = json!(true);
        let refusal = vec![format!("unknown field \"{}\"", shown(path))];
        Case { description: path.to_owned(), kept: None, sent, refusal }
    };
    let cases: Vec<_> = nodes().iter().filter(|node| node.has_fields()).map(case).collect();
    // This refusal does not say whose it is, but the path is in one of them only.
    let specs = cases.iter().map(|case| &case.sent).enumerate();
    let said = send(&namespace("unknown"), &["create", "--dry-run=server"], specs).unwrap_err();
    let silent: Vec<_> =
        cases.iter().filter(|case| !said.contains(&case.refusal[0])).map(|case| &case.description).collect();
    assert!(silent.is_empty(), "not refused: {silent:?}\n{said}");
}

/// The field comes, goes, is set to nothing, and changes.
fn changes(node: &Node, immutable: &[String]) -> Vec<Case> {
    let Some(field) = FIELDS.iter().find(|field| field.path == node.path) else { return Vec::new() };
    let unchangeable = immutable.iter().find(|outer| **outer == node.path || is_within(&node.path, outer));
    // The only value of a field that has it as its default comes and goes unseen.
    let is_seen = field.one != field.other || node.schema.get("default").is_none();
    let unchangeable = unchangeable.filter(|_| is_seen);
    let refusal: Vec<_> = unchangeable
        .map(|outer| format!("{} is immutable", outer.rsplit('.').next().unwrap()))
        .into_iter()
        .collect();
    let case = |what: &str, kept: Value, sent: Value, refusal: &[String]| Case {
        description: format!("{} {what}", node.path),
        kept: Some(kept),
        sent,
        refusal: refusal.to_vec(),
    };
    let (one, without) = (with_one(field), without(field));
    let mut cases = Vec::new();
    if node.required {
        let mut sent = one.clone();
        take(&mut sent, field.path);
        cases.push(case("goes", one.clone(), sent, &[format!("{}: Required value", shown(field.path))]));
    } else {
        let mut null = without.clone();
        *place(&mut null, field.path) = Value::Null;
        // A field that is set to nothing is one left out.
        let description = format!("{} is null from the start", node.path);
        cases.push(Case { description, kept: None, sent: null.clone(), refusal: Vec::new() });
        cases.push(case("comes", without.clone(), one.clone(), &refusal));
        cases.push(case("goes", one.clone(), without, &refusal));
        cases.push(case("becomes null", one.clone(), null, &refusal));
    }
    if field.one != field.other {
        cases.push(case("changes", one, with(field, yaml(field.other)), &refusal));
    }
    cases
}

/// The field has a value of another type or outside its limits.
fn wrong_values(node: &Node) -> Vec<Case> {
    let Some(field) = FIELDS.iter().find(|field| field.path == node.path) else { return Vec::new() };
    let case = |(value, says): (Value, String)| Case {
        description: format!("{} where the API server should say: {says}", node.path),
        kept: None,
        sent: with(field, value),
        refusal: vec![shown(field.path), says],
    };
    refused_values(&node.schema, &yaml(field.one)).into_iter().map(case).collect()
}

/// The smallest search, where all that the field is part of has its first value.
fn ground(field: &Field) -> Value {
    let mut spec = yaml(SMALLEST);
    for outer in FIELDS.iter().filter(|outer| is_within(field.path, outer.path)) {
        *place(&mut spec, outer.path) = yaml(outer.one);
    }
    spec
}

fn with(field: &Field, value: Value) -> Value {
    let mut spec = ground(field);
    for other in field.instead {
        take(&mut spec, other);
    }
    *place(&mut spec, field.path) = value;
    spec
}

fn with_one(field: &Field) -> Value {
    with(field, yaml(field.one))
}

fn without(field: &Field) -> Value {
    let mut spec = ground(field);
    for other in FIELDS.iter().filter(|other| field.instead.contains(&other.path)) {
        *place(&mut spec, other.path) = yaml(other.one);
    }
    take(&mut spec, field.path);
    spec
}

/// The place of a field; `[]` is the first element.
fn place<'a>(spec: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('.').fold(spec, |value, step| match step.strip_suffix("[]") {
        None => &mut value[step],
        Some(list) => {
            let list = &mut value[list];
            if list.is_null() {
                *list = json!([{}]);
            }
            &mut list[0]
        }
    })
}

fn take(spec: &mut Value, path: &str) {
    let (outer, name) = path.rsplit_once('.').unwrap_or(("", path));
    let outer = if outer.is_empty() { spec } else { place(spec, outer) };
    if let Some(outer) = outer.as_object_mut() {
        outer.remove(name);
    }
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// A path as the API server writes it.
fn shown(path: &str) -> String {
    let separator = if path.is_empty() { "" } else { "." };
    format!("spec{separator}{}", path.replace("[]", "[0]"))
}
