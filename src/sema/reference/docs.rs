//! What a layer computes, in the words of the reference: one entry for each row of the table of layers.

/// What people need to know of a layer beside its attributes.
#[derive(Debug)]
pub struct Doc {
    /// The layer's name.
    pub name: &'static str,
    /// The layers it stands with.
    pub family: Family,
    /// What it computes.
    pub formula: &'static str,
    /// Sizes of input and output, without the batch.
    pub shape: &'static str,
    /// Its weights, with their sizes and first values; empty if it has none.
    pub weights: &'static str,
    /// What a user may trip over; empty if nothing.
    pub notes: &'static str,
    /// The paper it comes from; empty for what is older than papers.
    pub source: &'static str,
}

/// Layers that are alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// Convolutions and matrix products.
    Linear,
    /// Windows and reductions.
    Pooling,
    /// Normalisation and regularisation.
    Norm,
    /// Functions of each element, and of the channels of a place.
    Activation,
    /// What moves elements.
    Movement,
}

impl Family {
    /// All families, in the order of the reference.
    pub const ALL: [Family; 5] = [
        Family::Linear,
        Family::Pooling,
        Family::Norm,
        Family::Activation,
        Family::Movement,
    ];

    /// The heading of its page.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Family::Linear => "Convolutions and matrix products",
            Family::Pooling => "Windows and reductions",
            Family::Norm => "Normalisation and regularisation",
            Family::Activation => "Activations",
            Family::Movement => "Moving elements",
        }
    }
}

const POOL: &str = "[C, H, W] to [C, H', W']; out = floor((in + pads - kernel) / stride) + 1, with `ceil = true` rounded up; \
    a window that would start beyond input and leading pad is dropped";
const SAME: &str = "same as the input";

const fn doc(
    name: &'static str,
    family: Family,
    formula: &'static str,
    shape: &'static str,
) -> Doc {
    Doc {
        name,
        family,
        formula,
        shape,
        weights: "",
        notes: "",
        source: "",
    }
}

const fn activation(name: &'static str, formula: &'static str, source: &'static str) -> Doc {
    Doc {
        source,
        ..doc(name, Family::Activation, formula, SAME)
    }
}

const fn reduction(name: &'static str, formula: &'static str, notes: &'static str) -> Doc {
    Doc {
        notes,
        ..doc(
            name,
            Family::Pooling,
            formula,
            "the axis stays, with size 1; `space` is height and width",
        )
    }
}

/// All layers, by family.
pub(super) static DOCS: &[Doc] = {
    use Family::{Activation, Linear, Movement, Norm, Pooling};
    &[
        Doc {
            weights: "weight [K, C / groups, kernel height, kernel width], bias [K]; first values: `init`, or the `init` of `train`, or fan_in",
            notes: "a cross-correlation, as in every framework: the kernel is not mirrored; kernel, stride and dilation are at least 1",
            source: "LeCun et al. 1998; groups: Krizhevsky et al. 2012; dilation: Yu and Koltun 2016",
            ..doc(
                "conv",
                Linear,
                "y[k, i, j] = b[k] + sum over c, r, s of w[k, c, r, s] x[c, i stride + r dilation - top, j stride + s dilation - left], 0 outside",
                "[C, H, W] to [K, H', W'], K = channels; out = floor((in + pads - effective) / stride) + 1, effective = (kernel - 1) dilation + 1; groups must divide C and K",
            )
        },
        Doc {
            weights: "weight [C multiplier, 1, kernel height, kernel width], bias [C multiplier]",
            notes: "output channel c multiplier + m comes from input channel c",
            source: "Sifre 2014; Howard et al. 2017",
            ..doc(
                "dwconv",
                Linear,
                "as `conv` with groups = C and channels = C multiplier",
                "[C, H, W] to [C multiplier, H', W'], sizes as of `conv`",
            )
        },
        Doc {
            weights: "weight [K, C, kernel height, kernel width], mask [K, C, 1, 1] of ones at first, bias [K]; first values as of `conv`",
            notes: "the first half of training has condense - 1 stages of equal length; at the end of each, every group masks the C / condense input channels whose weights have the least sum of magnitudes; `regularize group_lasso(…)` helps it choose, `netc condense` makes `index`, a grouped `conv` and no mask of a trained net",
            source: "Huang et al. 2018, sections 3.2 and 3.3",
            ..doc(
                "lgconv",
                Linear,
                "as `conv` with groups = 1 and the weights w[k, c, r, s] mask[k, c]; group k / (K / groups) of the filters has one row of the mask",
                "[C, H, W] to [K, H', W'], sizes as of `conv`; groups must divide K, condense must divide C",
            )
        },
        Doc {
            weights: "weight [features, F], bias [features]; first values as of `conv`",
            notes: "a map is refused: write `flatten` or a global pool before it",
            ..doc(
                "dense",
                Linear,
                "y[k] = b[k] + sum over f of w[k, f] x[f]",
                "[F] to [features]",
            )
        },
        Doc {
            notes: "padding never wins; the gradient goes to the first maximum in row-major order; NaN wins; pads are at most half the effective kernel",
            ..doc(
                "maxpool",
                Pooling,
                "the greatest element of each window",
                POOL,
            )
        },
        Doc {
            notes: "the mean is over the cells inside the input; with `include_pad = true` padded cells count as zeros, the overhang of `ceil` never",
            ..doc("avgpool", Pooling, "the mean of each window", POOL)
        },
        Doc {
            source: "Lin et al. 2014 (Network in Network)",
            ..doc(
                "global_avgpool",
                Pooling,
                "y[c] = mean over i, j of x[c, i, j]",
                "[C, H, W] to [C]",
            )
        },
        Doc {
            notes: "the gradient goes to the first maximum in row-major order",
            ..doc(
                "global_maxpool",
                Pooling,
                "y[c] = greatest over i, j of x[c, i, j]",
                "[C, H, W] to [C]",
            )
        },
        reduction("reduce_mean", "the mean along the axis", ""),
        reduction(
            "reduce_max",
            "the greatest element along the axis",
            "the gradient goes to the first maximum",
        ),
        reduction("reduce_sum", "the sum along the axis", ""),
        Doc {
            weights: "weight [C] of ones and bias [C] of zeros if affine; running_mean [C] of zeros, running_var [C] of ones",
            notes: "training normalises with the biased variance of the batch and keeps the unbiased one; momentum is the share of the new value, as in PyTorch",
            source: "Ioffe and Szegedy 2015",
            ..doc(
                "bn",
                Norm,
                "y = (x - mean) / sqrt(var + eps) weight + bias, by channel; mean and var are the batch's in training, the running ones in use",
                SAME,
            )
        },
        Doc {
            notes: "`across = space` sums over size x size places of the same channel; with `by_window = true` alpha is divided by the number of cells, as in Caffe and PyTorch",
            source: "Krizhevsky et al. 2012, section 3.3",
            ..doc(
                "lrn",
                Norm,
                "y[c] = x[c] / (k + alpha sum of x[c']^2)^beta over the size channels c' around c",
                SAME,
            )
        },
        Doc {
            notes: "in use it does nothing; rate = 1 gives zeros",
            source: "Srivastava et al. 2014",
            ..doc(
                "dropout",
                Norm,
                "in training each element is 0 with probability rate and x / (1 - rate) otherwise",
                SAME,
            )
        },
        Doc {
            notes: "one draw for each image of the batch; in use it does nothing",
            source: "Huang et al. 2016",
            ..doc(
                "stochastic_depth",
                Norm,
                "in training all of an image is 0 with probability rate and x / (1 - rate) otherwise",
                SAME,
            )
        },
        Doc {
            weights: "weight [C] of ones, bias [C] of zeros",
            ..doc(
                "scale",
                Norm,
                "y[c, i, j] = x[c, i, j] weight[c] + bias[c]",
                SAME,
            )
        },
        Doc {
            notes: "the gradient at exactly 0 is 0; NaN stays NaN",
            ..activation("relu", "max(x, 0)", "Nair and Hinton 2010")
        },
        activation("relu6", "min(max(x, 0), 6)", "Howard et al. 2017"),
        activation(
            "leaky_relu",
            "x where x > 0, slope x elsewhere",
            "Maas et al. 2013",
        ),
        Doc {
            weights: "weight [C], each 0.25",
            ..activation(
                "prelu",
                "x where x > 0, weight[c] x elsewhere",
                "He et al. 2015",
            )
        },
        activation(
            "elu",
            "x where x > 0, alpha (exp(x) - 1) elsewhere",
            "Clevert et al. 2016",
        ),
        activation(
            "silu",
            "x sigmoid(x)",
            "Elfwing et al. 2018; swish of Ramachandran et al. 2017",
        ),
        Doc {
            notes: "the exact form with the error function, not the approximation by tanh",
            ..activation(
                "gelu",
                "x Phi(x), Phi the normal distribution",
                "Hendrycks and Gimpel 2016",
            )
        },
        activation(
            "hard_swish",
            "x min(max(x + 3, 0), 6) / 6",
            "Howard et al. 2019",
        ),
        activation(
            "hard_sigmoid",
            "min(max(x + 3, 0), 6) / 6",
            "Howard et al. 2019",
        ),
        activation("sigmoid", "1 / (1 + exp(-x))", ""),
        activation("tanh", "(exp(x) - exp(-x)) / (exp(x) + exp(-x))", ""),
        activation("softplus", "log(1 + exp(x))", "Dugas et al. 2001"),
        activation("clip", "min(max(x, lo), hi)", ""),
        Doc {
            notes: "over channels, at each place of a map by itself; before `loss cross_entropy` it is a mistake, because that loss applies it",
            ..activation(
                "softmax",
                "exp(x[c]) / sum over c' of exp(x[c'])",
                "Bridle 1990",
            )
        },
        Doc {
            notes: "over channels, at each place of a map by itself",
            ..activation("log_softmax", "x[c] - log(sum over c' of exp(x[c']))", "")
        },
        Doc {
            notes: "consecutive channels belong together; pieces must divide C",
            source: "Goodfellow et al. 2013",
            ..doc(
                "maxout",
                Activation,
                "y[c] = greatest of x[c pieces] to x[c pieces + pieces - 1]",
                "[C, …] to [C / pieces, …]",
            )
        },
        Doc {
            notes: "in the order channel, row, column, however the values lie in memory",
            ..doc(
                "flatten",
                Movement,
                "all axes as one",
                "[C, H, W] to [C H W]",
            )
        },
        doc(
            "reshape",
            Movement,
            "the same elements, in the order channel, row, column, with other sizes",
            "to the sizes given, which have as many elements",
        ),
        doc(
            "transpose",
            Movement,
            "the axes in another order; axes are counted from 0 and the batch is none of them",
            "the sizes in that order",
        ),
        doc(
            "slice",
            Movement,
            "the elements from `from` to before `to` along the axis",
            "the axis gets the size to - from",
        ),
        doc(
            "pad",
            Movement,
            "the map with a rim of `value`",
            "[C, H, W] to [C, top + H + bottom, left + W + right]",
        ),
        Doc {
            source: "Zhang et al. 2018",
            ..doc(
                "shuffle",
                Movement,
                "y[j groups + i] = x[i C / groups + j], over channels",
                "same as the input; groups must divide C",
            )
        },
        Doc {
            notes: "a channel may be named several times; its gradients are added",
            ..doc(
                "index",
                Movement,
                "y[c] = x[items[c]], over channels",
                "[C, …] to [length of items, …]",
            )
        },
    ]
};
