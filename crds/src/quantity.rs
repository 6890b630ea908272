//! Kubernetes quantities as bytes.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The value of a quantity in whole bytes, rounded up; `None` when the text is no quantity, is negative or does not fit.
///
/// ```
/// use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
/// assert_eq!(mergesearch_crds::bytes(&Quantity("1.5Gi".to_owned())), Some(1_610_612_736));
/// assert_eq!(mergesearch_crds::bytes(&Quantity("5 apples".to_owned())), None);
/// ```
pub fn bytes(quantity: &Quantity) -> Option<u64> {
    let text = quantity.0.as_str();
    let end =
        text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let factor = match suffix {
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024_f64.powi(2),
        "Gi" => 1024_f64.powi(3),
        "Ti" => 1024_f64.powi(4),
        "Pi" => 1024_f64.powi(5),
        "Ei" => 1024_f64.powi(6),
        exponent => 10_f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let value = (number.parse::<f64>().ok()? * factor).ceil();
    (value < 2_f64.powi(63)).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        let cases = [
            ("0", Some(0)),
            ("5G", Some(5_000_000_000)),
            ("512Mi", Some(536_870_912)),
            ("1e3", Some(1000)),
            ("2E", Some(2_000_000_000_000_000_000)),
            ("100m", Some(1)),
            ("-1", None),
            ("1.2.3", None),
            ("5GB", None),
            ("100E", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(&Quantity(text.to_owned())), expected, "{text}");
        }
    }
}
