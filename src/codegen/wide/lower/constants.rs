//! Registers that are constants.

use crate::kernel::{Body, Item, Op};

/// What each register holds if it only ever holds one constant.
pub(super) fn find(body: &Body) -> Vec<Option<Op>> {
    #[derive(Clone, Copy)]
    enum State {
        Unset,
        Constant(Op),
        Variable,
    }
    fn visit(items: &[Item], states: &mut [State]) {
        for item in items {
            match item {
                Item::Set { dst, op } => {
                    let state = &mut states[dst.0 as usize];
                    let constant = matches!(op, Op::ConstF(_) | Op::ConstI(_) | Op::Iota);
                    *state = match *state {
                        State::Unset if constant => State::Constant(*op),
                        State::Constant(old) if old == *op => State::Constant(old),
                        State::Unset | State::Constant(_) | State::Variable => State::Variable,
                    };
                }
                Item::Loop { items, .. } | Item::Tail { items, .. } => visit(items, states),
                Item::Store { .. }
                | Item::Prefetch { .. }
                | Item::Advance { .. }
                | Item::SetPtr { .. } => {}
            }
        }
    }
    let mut states = vec![State::Unset; body.regs.len()];
    visit(&body.items, &mut states);
    states
        .into_iter()
        .map(|state| match state {
            State::Constant(op) => Some(op),
            State::Unset | State::Variable => None,
        })
        .collect()
}
