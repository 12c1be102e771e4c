//! Every code a diagnostic can carry, in one table.
//!
//! A code is a promise: it keeps its meaning for ever, so that scripts and web searches can rely on it.
//! `N01xx` is about text and syntax, `N02xx` about names, arguments and shapes, `N03xx` about the training half.

use std::fmt;

/// The stable identity of a kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// What is printed, as `N0103`.
    pub id: &'static str,
    /// The kind of finding in one line.
    pub title: &'static str,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

/// Looks a code up by what is printed, in upper or lower case.
#[must_use]
pub fn find(id: &str) -> Option<Code> {
    ALL.iter()
        .copied()
        .find(|code| code.id.eq_ignore_ascii_case(id))
}

macro_rules! codes {
    ($($name:ident = $id:literal $title:literal;)*) => {
        $(#[doc = $title] pub const $name: Code = Code { id: $id, title: $title };)*

        /// All codes, in ascending order.
        pub const ALL: &[Code] = &[$($name),*];
    };
}

codes! {
    NOT_UTF8 = "N0101" "the file is not UTF-8 text";
    TOO_LARGE = "N0102" "the file or a line of it is too large";
    UNCLOSED_BRACKET = "N0103" "a bracket is never closed";
    STRAY_BRACKET = "N0104" "a closing bracket has no partner, or the wrong one";
    UNCLOSED_STRING = "N0105" "a string is never closed";
    UNCLOSED_COMMENT = "N0106" "a block comment is never closed";
    TOO_DEEP = "N0107" "brackets or expressions are nested too deeply";
    TOO_MANY_OPERATORS = "N0108" "an expression has too many operators";
    BAD_CHARACTER = "N0109" "a character has no meaning here";
    SYNTAX = "N0110" "the text does not follow the grammar";
    BAD_NUMBER = "N0111" "a number is malformed or out of range";
    CHAINED_COMPARISON = "N0112" "comparisons cannot be chained";
    MISSING_ELSE = "N0113" "an `if` that stands for a value needs an `else`";
    STRAY_RANGE = "N0114" "a range stands where only a value may stand";
    RESERVED_WORD = "N0115" "a reserved word is used as a name";
    OUTSIDE_ITEM = "N0116" "a statement stands outside of every net and block";
    MISPLACED_OPERATOR = "N0117" "an operator stands where it cannot be applied";
    BAD_ESCAPE = "N0118" "a string has an escape that means nothing";
    BAD_FUNCTION_BODY = "N0119" "the body of a function is not one expression";
    BAD_EDITION = "N0120" "an edition is unknown or misplaced";
    MISPLACED_STATEMENT = "N0121" "a statement cannot stand in this body";
    NAME_TOO_LONG = "N0122" "a name is too long";
    EMPTY_COMBINATOR = "N0123" "a combinator has no branches";
    BAD_SHAPE_LIST = "N0124" "a shape is not a list of sizes";
    ARGUMENT_ORDER = "N0125" "a positional argument stands after a named one";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_ascending() {
        assert!(ALL.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert_eq!(find("n0103"), Some(UNCLOSED_BRACKET));
        assert_eq!(find("N9999"), None);
    }
}
