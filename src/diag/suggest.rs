//! "Did you mean": the known word that is nearest to one that is not known.

/// The candidate that was probably meant: one of which few letters differ, or of which the word is a longer or a
/// shorter form, as `padding` is of `pad`.
pub(crate) fn suggest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    /// A shorter start is common to too many words.
    const START: usize = 3;
    let limit = (word.chars().count() / 3).max(1);
    let lower = word.to_ascii_lowercase();
    let near = |candidate: &'c str| {
        if candidate == word {
            return None;
        }
        let other = candidate.to_ascii_lowercase();
        let distance = strsim::damerau_levenshtein(&lower, &other);
        let (short, long) = if lower.len() < other.len() {
            (&lower, &other)
        } else {
            (&other, &lower)
        };
        let extends = short.len() >= START && long.starts_with(short.as_str());
        // What starts the same way is the better guess of two that are equally far.
        let start = !candidate.starts_with(word.chars().next().unwrap_or_default());
        // A word of which no letter is kept is another word.
        let near = distance <= limit && distance < lower.chars().count();
        (near || extends).then_some((distance > limit, distance, start, candidate))
    };
    candidates
        .into_iter()
        .filter_map(near)
        .min()
        .map(|(_, _, _, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::suggest;

    #[test]
    fn suggestions_are_near() {
        let layers = [
            "relu", "conv", "dwconv", "dense", "stride", "eltwise", "pad",
        ];
        assert_eq!(suggest("rleu", layers), Some("relu"));
        assert_eq!(suggest("strid", layers), Some("stride"));
        assert_eq!(suggest("Conv", layers), Some("conv"));
        assert_eq!(suggest("etlwise", layers), Some("eltwise"));
        assert_eq!(suggest("padding", layers), Some("pad"));
        assert_eq!(suggest("den", layers), Some("dense"));
        assert_eq!(suggest("transformer", layers), None);
        assert_eq!(suggest("y", ["x", "b"]), None);
        assert_eq!(suggest("N", ["m", "n"]), Some("n"));
    }
}
