//! Every code a diagnostic can carry, in one table.
//!
//! A code is a promise: it keeps its meaning for ever, so that scripts and web searches can rely on it.
//! `N01xx` is about text and syntax, `N02xx` about names, arguments and shapes, `N03xx` about the training half,
//! `N04xx` about searches.

use std::fmt;

/// The stable identity of a kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code {
    /// What is printed, as `N0103`.
    pub id: &'static str,
    /// The kind of finding in one line.
    pub title: &'static str,
    /// What `netc explain` prints: the rule, its reason, a wrong and a right example.
    pub page: &'static str,
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
        $(
            #[doc = $title]
            pub const $name: Code = Code {
                id: $id,
                title: $title,
                page: include_str!(concat!("pages/", $id, ".md")),
            };
        )*

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

    UNKNOWN_NAME = "N0201" "a name is not known";
    UNKNOWN_LAYER = "N0202" "there is no such layer or block";
    UNKNOWN_ARGUMENT = "N0203" "there is no such argument";
    DUPLICATE_ARGUMENT = "N0204" "an argument is given twice";
    MISSING_ARGUMENT = "N0205" "an argument is missing";
    EXTRA_ARGUMENT = "N0206" "there are too many arguments";
    BRANCH_SHAPES = "N0207" "the branches of a combinator do not fit";
    WRONG_KIND = "N0208" "a value is of the wrong kind";
    NOT_WHOLE = "N0209" "a number must be whole";
    OUT_OF_RANGE = "N0210" "a number is out of range";
    INPUT_RANK = "N0211" "a layer wants another kind of shape";
    GROUPS = "N0212" "channels and groups do not divide";
    WINDOW = "N0213" "a window does not fit its input";
    SHAPE_ASSERTION = "N0214" "a shape is not as asserted";
    DUPLICATE_NAME = "N0215" "a name is given twice";
    WHICH_NET = "N0217" "it is not clear which net is meant";
    NO_INPUT = "N0218" "there is no value to work on";
    TOO_LARGE_NET = "N0219" "a net expands too far";
    TOO_DEEP_CALLS = "N0220" "blocks or functions are used inside of one another too deeply";
    NO_VALUE = "N0221" "an expression has no value";
    UNUSED = "N0222" "something is declared and never used";
    VALUE_IN_CHAIN = "N0223" "a value stands in the middle of a chain";
    UNKNOWN_OVERRIDE = "N0224" "a setting of the command line has no target";
    TOO_LARGE_TENSOR = "N0225" "a tensor is too large";
    SHARED_SHAPES = "N0226" "a shared body is used on values of different sizes";
    PATTERN = "N0227" "a value does not come apart into these names";
    BAD_INDEX = "N0228" "there is no such part of a list or a shape";
    ELEMENT_COUNT = "N0229" "a new shape has another number of elements";
    BAD_INPUT = "N0231" "an input cannot have this shape";
    USE_MISSING = "N0232" "what a `use` names is not there";
    USE_CIRCLE = "N0233" "files use one another in a circle";
    BAD_SOURCE = "N0234" "what an input is made from does not fit it";

    UNKNOWN_KEY = "N0301" "there is no such key in `train`";
    DUPLICATE_KEY = "N0302" "a key of `train` is given twice";
    MISSING_KEY = "N0303" "a key of `train` is missing";
    BAD_VALUE = "N0304" "a key of `train` has a value that means nothing";
    LOSS_OUTPUT = "N0305" "a loss does not fit the outputs of the net";
    SOFTMAX_LOSS = "N0306" "a softmax stands before a loss that applies it again";
    TRAIN_NOT_SUPPORTED = "N0307" "a part of the training half is not supported yet";
    SHORT_STAGES = "N0308" "the stages of a condensed layer are shorter than an epoch";

    SEARCH_LINE = "N0401" "a line of `search` is unknown, missing or given twice";
    SEARCH_AXIS = "N0402" "what a search varies has no values";
    SEARCH_TARGET = "N0403" "a search sets something that its net does not have";
    SEARCH_MEASURE = "N0404" "a search names a measure that there is not";
    SEARCH_SIZE = "N0405" "a search has too many points";
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
