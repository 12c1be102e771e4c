//! Loop nests in CLIF.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    BlockArg, ExtFuncData, ExternalName, FuncRef, InstBuilder, MemFlagsData, UserExternalName,
    Value, types,
};
use cranelift_frontend::{FunctionBuilder, Variable};
use cranelift_module::FuncId;

use super::body_signature;
use crate::kernel::{Address, Body, Cond, Index, Kernel, Stmt};

/// Lowers the statements of a kernel into the entry block and those after it, up to the return.
pub(super) fn lower(builder: &mut FunctionBuilder<'_>, kernel: &Kernel, first_body: FuncId) {
    let entry = builder.current_block().expect("the entry block is open");
    let params = builder.block_params(entry).to_vec();
    let table = params[0];
    // The table of buffers lives unchanged through the call, so that these loads can be moved to
    // where registers are free, and vanish when unused.
    let flags = MemFlagsData::trusted().with_readonly().with_can_move();
    let args = (0..i32::from(kernel.args))
        .map(|arg| builder.ins().load(types::I64, flags, table, 8 * arg))
        .collect();
    let vars = (0..kernel.vars)
        .map(|_| builder.declare_var(types::I64))
        .collect();
    let bodies = import_bodies(builder, kernel, first_body);
    let mut nest = Nest {
        builder,
        args,
        vars,
        bodies,
        lo: params[1],
        hi: params[2],
        batch: params[3],
    };
    nest.stmts(&kernel.stmts);
    // What went past the caches must be there before another thread is told that this call is done.
    if kernel.bodies.iter().any(Body::streams) {
        builder.ins().fence();
    }
}

fn import_bodies(
    builder: &mut FunctionBuilder<'_>,
    kernel: &Kernel,
    first_body: FuncId,
) -> Vec<FuncRef> {
    (first_body.as_u32()..)
        .zip(&kernel.bodies)
        .map(|(index, body)| {
            let name = UserExternalName::new(0, index);
            let name = builder.func.declare_imported_user_function(name);
            let signature = builder.import_signature(body_signature(body));
            builder.import_function(ExtFuncData {
                name: ExternalName::user(name),
                signature,
                // All functions of a program lie in one arena.
                colocated: true,
                patchable: false,
            })
        })
        .collect()
}

struct Nest<'a, 'b> {
    builder: &'a mut FunctionBuilder<'b>,
    args: Vec<Value>,
    vars: Vec<Variable>,
    bodies: Vec<FuncRef>,
    lo: Value,
    hi: Value,
    batch: Value,
}

impl Nest<'_, '_> {
    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::For {
                var,
                lo,
                hi,
                step,
                stmts,
            } => {
                let var = self.vars[usize::from(var.0)];
                let lo = self.index(lo);
                let hi = self.index(hi);
                self.for_loop(var, lo, hi, *step, stmts);
            }
            Stmt::Let { var, value } => {
                let value = self.index(value);
                let var = self.vars[usize::from(var.0)];
                self.builder.def_var(var, value);
            }
            Stmt::If {
                cond,
                then,
                otherwise,
            } => self.branch(cond, then, otherwise),
            Stmt::Call { body, ptrs, ints } => {
                let mut values: Vec<Value> = ptrs.iter().map(|ptr| self.address(ptr)).collect();
                values.extend(ints.iter().map(|int| self.index(int)));
                let body = self.bodies[usize::from(body.0)];
                self.builder.ins().call(body, &values);
            }
        }
    }

    /// The test stands at the end and once more before the loop, so that an iteration takes one jump.
    fn for_loop(&mut self, var: Variable, lo: Value, hi: Value, step: i64, stmts: &[Stmt]) {
        let head = self.builder.create_block();
        let exit = self.builder.create_block();
        let enter = self.builder.ins().icmp(IntCC::SignedLessThan, lo, hi);
        self.builder.def_var(var, lo);
        self.builder
            .ins()
            .brif(enter, head, &[] as &[BlockArg], exit, &[]);
        self.builder.switch_to_block(head);
        self.stmts(stmts);
        let next = self.builder.use_var(var);
        let next = self.builder.ins().iadd_imm_s(next, step);
        self.builder.def_var(var, next);
        let again = self.builder.ins().icmp(IntCC::SignedLessThan, next, hi);
        self.builder
            .ins()
            .brif(again, head, &[] as &[BlockArg], exit, &[]);
        self.builder.seal_block(head);
        self.builder.seal_block(exit);
        self.builder.switch_to_block(exit);
    }

    fn branch(&mut self, cond: &Cond, then: &[Stmt], otherwise: &[Stmt]) {
        let (code, a, b) = match cond {
            Cond::Lt(a, b) => (IntCC::SignedLessThan, a, b),
            Cond::Eq(a, b) => (IntCC::Equal, a, b),
        };
        let a = self.index(a);
        let b = self.index(b);
        let cond = self.builder.ins().icmp(code, a, b);
        let blocks = [(); 3].map(|()| self.builder.create_block());
        self.builder
            .ins()
            .brif(cond, blocks[0], &[] as &[BlockArg], blocks[1], &[]);
        for (block, stmts) in blocks.into_iter().zip([then, otherwise]) {
            self.builder.switch_to_block(block);
            self.builder.seal_block(block);
            self.stmts(stmts);
            self.builder.ins().jump(blocks[2], &[] as &[BlockArg]);
        }
        self.builder.switch_to_block(blocks[2]);
        self.builder.seal_block(blocks[2]);
    }

    fn address(&mut self, address: &Address) -> Value {
        let base = self.args[usize::from(address.arg.0)];
        if address.offset == Index::Const(0) {
            return base;
        }
        let offset = self.index(&address.offset);
        self.builder.ins().iadd(base, offset)
    }

    fn index(&mut self, index: &Index) -> Value {
        match index {
            Index::Const(value) => self.builder.ins().iconst(types::I64, *value),
            Index::Var(var) => self.builder.use_var(self.vars[usize::from(var.0)]),
            Index::Lo => self.lo,
            Index::Hi => self.hi,
            Index::Batch => self.batch,
            Index::Add(a, b) => {
                let (a, b) = self.pair(a, b);
                self.builder.ins().iadd(a, b)
            }
            Index::Sub(a, b) => {
                let (a, b) = self.pair(a, b);
                self.builder.ins().isub(a, b)
            }
            Index::Mul(a, b) => {
                let (a, b) = self.pair(a, b);
                self.builder.ins().imul(a, b)
            }
            // Neither operand is negative, and the unsigned forms are cheaper by constants.
            Index::Div(a, b) => {
                let (a, b) = self.pair(a, b);
                self.builder.ins().udiv(a, b)
            }
            Index::Rem(a, b) => {
                let (a, b) = self.pair(a, b);
                self.builder.ins().urem(a, b)
            }
            Index::Min(a, b) => {
                let (a, b) = self.pair(a, b);
                self.builder.ins().smin(a, b)
            }
            Index::Max(a, b) => {
                let (a, b) = self.pair(a, b);
                self.builder.ins().smax(a, b)
            }
        }
    }

    fn pair(&mut self, a: &Index, b: &Index) -> (Value, Value) {
        (self.index(a), self.index(b))
    }
}
