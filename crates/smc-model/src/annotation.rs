//! The one annotation that switches a pod on.

/// The annotation that asks for SMC; ASM's own name for it.
pub const ANNOTATION: &str = "smc.asm.alibabacloud.com/enabled";

/// What a pod's annotation asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// No annotation, or the string `false`: leave the pod alone.
    Disabled,
    /// Exactly the string `true`.
    Enabled,
    /// Anything else. It is reported, never guessed.
    Invalid(String),
}

impl Wish {
    /// Reads the annotation's value. Annotations are strings in Kubernetes: only `true` and `false`, exactly.
    pub fn from_annotation(value: Option<&str>) -> Self {
        match value {
            None | Some("false") => Self::Disabled,
            Some("true") => Self::Enabled,
            Some(other) => Self::Invalid(other.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_string_true_enables_a_pod() {
        assert_eq!(Wish::from_annotation(Some("true")), Wish::Enabled);
        for value in ["True", "TRUE", "yes", "1", " true", "true ", "", "on"] {
            assert_eq!(Wish::from_annotation(Some(value)), Wish::Invalid(value.to_owned()), "{value:?}");
        }
    }

    #[test]
    fn a_missing_annotation_and_false_leave_the_pod_alone() {
        assert_eq!(Wish::from_annotation(None), Wish::Disabled);
        assert_eq!(Wish::from_annotation(Some("false")), Wish::Disabled);
    }
}
