//! Numbers as Python programs write them into JSON: `NaN` and `Infinity` as bare words, or numbers as text.

use std::borrow::Cow;

use serde_json::Value;

/// The text as JSON that Rust reads: `NaN`, `Infinity` and `-Infinity` outside strings, which Python's `json` writes,
/// become strings, that [`number`] reads.
pub(super) fn strict_json(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut strict = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '"' => string_length(rest),
            _ => match ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| rest.starts_with(word)) {
                Some(word) => {
                    strict.extend(["\"", word, "\""]);
                    rest = &rest[word.len()..];
                    continue;
                }
                None => next.len_utf8(),
            },
        };
        strict.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    Cow::Owned(strict)
}

/// The length of the string literal that the text begins with, quotes included; all of the text when it doesn't end.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// A number, a truth value or a number written as text; NaN for `null` and `"N/A"`; `None` for anything else.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        Value::Null => Some(f64::NAN),
        Value::String(text) if text.trim() == "N/A" => Some(f64::NAN),
        Value::String(text) => text.trim().parse().ok(),
        Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_are_quoted_outside_strings_only() {
        let cases = [
            (r#"{"a": NaN}"#, r#"{"a": "NaN"}"#),
            ("[NaN,Infinity, -Infinity]", r#"["NaN","Infinity", "-Infinity"]"#),
            (r#"{"NaN": "Infinity", "b\"NaN": 1}"#, r#"{"NaN": "Infinity", "b\"NaN": 1}"#),
            (r#"["\\", NaN]"#, r#"["\\", "NaN"]"#),
            (r#"["ä NaN ", NaN]"#, r#"["ä NaN ", "NaN"]"#),
            (r#"["NaN"#, r#"["NaN"#),
        ];
        for (python, strict) in cases {
            assert_eq!(strict_json(python), strict);
        }
    }

    #[test]
    fn numbers_in_every_spelling() {
        let cases = [("0.5", 0.5), ("true", 1.0), ("\"0.75\"", 0.75), ("\"-Infinity\"", f64::NEG_INFINITY)];
        for (json, expected) in cases {
            assert_eq!(number(&serde_json::from_str(json).unwrap()), Some(expected), "{json}");
        }
        for json in ["null", "\"N/A\"", "\"NaN\""] {
            assert!(number(&serde_json::from_str(json).unwrap()).unwrap().is_nan(), "{json}");
        }
        for json in ["\"none\"", "\"\"", "[1]", "{}"] {
            assert_eq!(number(&serde_json::from_str(json).unwrap()), None, "{json}");
        }
    }
}
