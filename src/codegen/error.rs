//! Why code could not be made.

use cranelift_codegen::CodegenError as CraneliftError;
use cranelift_module::ModuleError;
use thiserror::Error;

use super::Isa;

/// Why code could not be made.
#[derive(Debug, Error)]
pub enum CodegenError {
    /// Cranelift does not know this machine.
    #[error("cannot generate code on this machine: {0}")]
    Host(&'static str),
    /// The machine lacks what a tier needs.
    #[error("tier `{isa}` needs the processor feature {feature}, which this machine lacks")]
    MissingFeature {
        /// The tier.
        isa: Isa,
        /// The feature.
        feature: &'static str,
    },
    /// A body was built for another number of lanes.
    #[error("body `{body}` has {lanes} lanes, but the target has {target}")]
    Lanes {
        /// The body.
        body: String,
        /// Its lanes.
        lanes: usize,
        /// The target's lanes.
        target: usize,
    },
    /// A gather in a tail reaches too far: the distances of lanes are 32 bits wide, scaled by up to 8.
    #[error("the stride of {stride} bytes in a tail of `{body}` is too large to gather over")]
    Stride {
        /// The body.
        body: String,
        /// The stride.
        stride: i32,
    },
    /// Cranelift refused a function.
    #[error("cannot compile `{function}`")]
    Cranelift {
        /// The function.
        function: String,
        /// Why.
        #[source]
        source: Box<CraneliftError>,
    },
    /// A function would call something outside the program.
    #[error("`{function}` would call `{symbol}` of the host")]
    HostCall {
        /// The function.
        function: String,
        /// What it calls.
        symbol: String,
    },
    /// An instruction has no encoding.
    #[error("cannot encode `{instruction}` of `{function}`: {reason}")]
    Encode {
        /// The function.
        function: String,
        /// The instruction.
        instruction: String,
        /// Why.
        reason: String,
    },
    /// Memory for code could not be had.
    #[error("cannot get {bytes} bytes of memory for code: {reason}")]
    Memory {
        /// How many.
        bytes: usize,
        /// Why.
        reason: String,
    },
    /// The system lets no memory that was written become executable.
    #[error(
        "the system forbids running code that was just compiled ({reason}); a hardened kernel or a sandbox can: allow it \
         for this process, or interpret with `--interpret f32`, which is slow"
    )]
    Forbidden {
        /// What the system says.
        reason: String,
    },
    /// The code could not be placed in memory.
    #[error("cannot link the program")]
    Link {
        /// Why.
        #[source]
        source: Box<ModuleError>,
    },
}

impl From<ModuleError> for CodegenError {
    fn from(source: ModuleError) -> CodegenError {
        CodegenError::Link {
            source: Box::new(source),
        }
    }
}

impl CodegenError {
    pub(super) fn cranelift(function: &str, source: CraneliftError) -> CodegenError {
        CodegenError::Cranelift {
            function: function.to_owned(),
            source: Box::new(source),
        }
    }
}
