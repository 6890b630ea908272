//! A parameter's value in mergekit's language: a number, a gradient over layers, or either of them by tensor names.

use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_saphyr::FlowSeq;

/// A value as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Setting {
    Number(f64),
    /// Only written, where mergekit wants no decimal point.
    Whole(i64),
    Switch(bool),
    /// A gradient of numbers, or conditionals of which the first that fits holds.
    List(Vec<Self>),
    Conditional(Box<Conditional>),
}

/// A value for tensors whose names contain the filter; without one, or with `*`, for all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Conditional {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) filter: Option<String>,
    pub(super) value: Setting,
}

/// One step in finding a parameter's value: the gradient that holds for tensors whose names contain the filter.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) filter: Option<String>,
    /// At least one finite number.
    pub(super) gradient: Vec<f64>,
}

impl Setting {
    /// The setting as rules, in order; the last one is the only one that may have no filter. An empty list has none,
    /// and leaves the value to a wider scope.
    pub(super) fn rules(&self) -> Result<Vec<Rule>, String> {
        let conditionals: Vec<(Option<&str>, &Self)> = match self {
            Self::List(entries) if entries.iter().any(|entry| matches!(entry, Self::Conditional(_))) => {
                let parts = entries.iter().map(|entry| match entry {
                    Self::Conditional(conditional) => Ok((conditional.filter.as_deref(), &conditional.value)),
                    _ => {
                        Err("expected numbers or entries of filter and value, got both in one list"
                            .to_owned())
                    }
                });
                parts.collect::<Result<_, _>>()?
            }
            Self::List(entries) if entries.is_empty() => Vec::new(),
            Self::Conditional(conditional) => vec![(conditional.filter.as_deref(), &conditional.value)],
            value => vec![(None, value)],
        };
        let mut rules = Vec::new();
        for (filter, value) in conditionals {
            let filter = filter.filter(|&text| text != "*").map(str::to_owned);
            let last = filter.is_none();
            rules.push(Rule { filter, gradient: value.gradient()? });
            if last {
                break;
            }
        }
        Ok(rules)
    }

    fn gradient(&self) -> Result<Vec<f64>, String> {
        let numbers = match self {
            Self::List(entries) if !entries.is_empty() => entries.iter().map(Self::number).collect(),
            value => value.number().map(|number| vec![number]),
        };
        numbers.ok_or_else(|| format!("expected a finite number or a list of them, got {self}"))
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) if number.is_finite() => Some(*number),
            // As Python has it.
            Self::Switch(switch) => Some(f64::from(u8::from(*switch))),
            _ => None,
        }
    }

    /// The setting that has these rules.
    pub(super) fn from_rules(rules: Vec<Rule>) -> Self {
        let value = |gradient: Vec<f64>| match gradient[..] {
            [number] => Self::Number(number),
            _ => Self::List(gradient.into_iter().map(Self::Number).collect()),
        };
        let mut rules = rules;
        match rules.pop() {
            Some(Rule { filter: None, gradient }) if rules.is_empty() => value(gradient),
            last => {
                let entries = rules.into_iter().chain(last).map(|Rule { filter, gradient }| {
                    Self::Conditional(Box::new(Conditional { filter, value: value(gradient) }))
                });
                Self::List(entries.collect())
            }
        }
    }
}

impl Rule {
    /// The value at `place` in the slice, 0 at its first layer and 1 at its last: linear between the gradient's numbers,
    /// which stand at equal distances.
    pub(super) fn at(&self, place: f64) -> f64 {
        let last = self.gradient.len() - 1;
        let scaled = place * last as f64;
        let below = (scaled as usize).min(last);
        let share = scaled - below as f64;
        let above = self.gradient[(below + 1).min(last)];
        (1.0 - share) * self.gradient[below] + share * above
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Whole(number) => write!(formatter, "{number}"),
            Self::Switch(switch) => write!(formatter, "{switch}"),
            Self::List(entries) => {
                let entries: Vec<String> = entries.iter().map(ToString::to_string).collect();
                write!(formatter, "[{}]", entries.join(", "))
            }
            Self::Conditional(_) => formatter.write_str("filter and value"),
        }
    }
}

impl Serialize for Setting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::Whole(number) => serializer.serialize_i64(*number),
            Self::Switch(switch) => serializer.serialize_bool(*switch),
            Self::List(entries) if entries.iter().all(|entry| matches!(entry, Self::Number(_))) => {
                FlowSeq(entries).serialize(serializer)
            }
            Self::List(entries) => entries.serialize(serializer),
            Self::Conditional(conditional) => conditional.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SettingVisitor)
    }
}

/// By hand and not `untagged`, so that errors name what is wrong and unknown keys inside are seen.
struct SettingVisitor;

impl<'de> Visitor<'de> for SettingVisitor {
    type Value = Setting;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number, a list of numbers, or entries of filter and value")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Setting, E> {
        Ok(Setting::Switch(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Setting, E> {
        Ok(Setting::Number(value as f64))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Setting, E> {
        Ok(Setting::Number(value as f64))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Setting, E> {
        Ok(Setting::Number(value))
    }

    /// Python's YAML takes `1e-3` for text, and mergekit makes a number of it again.
    fn visit_str<E: de::Error>(self, value: &str) -> Result<Setting, E> {
        let number = value.trim().parse().map(Setting::Number);
        number.map_err(|_| E::invalid_value(de::Unexpected::Str(value), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Setting, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = sequence.next_element()? {
            entries.push(entry);
        }
        Ok(Setting::List(entries))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Setting, A::Error> {
        let conditional = Conditional::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Setting::Conditional(Box::new(conditional)))
    }
}
