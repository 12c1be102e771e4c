//! The graph IR: a network, its loss, its gradients and its updates as one list of operations on
//! tensors.
//!
//! Tensors are logical here: a feature map is C, H, W, a filter K, C, R, S, whatever order memory
//! has them in; the batch is an implicit outer axis. How a value lies in memory is its [`Layout`],
//! which operators' semantics never ask for. The IR knows no syntax tree and no kernel.

pub mod arena;
pub mod builder;
pub mod dims;
pub mod graph;
pub mod init;
pub mod layout;
pub mod print;
pub mod schedule;
pub mod types;
pub mod verify;

pub use arena::IdVec;
pub use builder::Builder;
pub use dims::Dims;
pub use graph::{
    Graph, Node, NodeId, Operands, Output, Param, ParamRole, StepScalar, Update, Users, Value,
    ValueId, ValueKind, Within,
};
pub use init::{Distribution, Init, Scaled, Scaling};
pub use layout::{FilterOrder, Halo, Layout};
pub use schedule::{Action, Event, Prune, Share};
pub use types::{DType, Shape, Type};
