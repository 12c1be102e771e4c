//! Accesses that are not plain loads.

use cranelift_codegen::ir::{InstBuilder, Type, Value};

use super::{LANES, Lowering, MEMORY};
use crate::kernel::{Lanes, Ptr, Reg};

impl Lowering<'_, '_> {
    pub(super) fn store(&mut self, ptr: Ptr, off: i32, src: Reg, lanes: Lanes) {
        let value = self.get(src);
        match lanes {
            Lanes::All => {
                let address = self.element(ptr);
                self.builder.ins().store(MEMORY, value, address, off);
            }
            Lanes::First(count) => {
                let address = self.ptr(ptr);
                for lane in 0..count {
                    let element = self.builder.ins().extractlane(value, lane);
                    let distance = i64::from(off) + 4 * i64::from(lane);
                    let (address, off) = self.reach(address, distance);
                    self.builder.ins().store(MEMORY, element, address, off);
                }
            }
        }
    }

    pub(super) fn gather(
        &mut self,
        ty: Type,
        ptr: Ptr,
        off: i32,
        stride: i32,
        lanes: Lanes,
    ) -> Value {
        match (&self.tail, lanes) {
            (Some(tail), _) => {
                let lane = tail.lane;
                let distance = self.builder.ins().imul_imm_s(lane, i64::from(stride));
                let address = self.ptr(ptr);
                let address = self.builder.ins().iadd(address, distance);
                self.builder.ins().load(ty, MEMORY, address, off)
            }
            (None, Lanes::All) => self.collect(ty, ptr, off, stride, LANES),
            (None, Lanes::First(count)) => self.collect(ty, ptr, off, stride, count),
        }
    }

    /// The first lanes of a vector, each loaded by itself, the others zero.
    pub(super) fn collect(
        &mut self,
        ty: Type,
        ptr: Ptr,
        off: i32,
        stride: i32,
        count: u8,
    ) -> Value {
        let address = self.ptr(ptr);
        let mut vector = self.vector([0; 4], ty);
        for lane in 0..count {
            let distance = i64::from(off) + i64::from(lane) * i64::from(stride);
            let (address, off) = self.reach(address, distance);
            let value = self
                .builder
                .ins()
                .load(ty.lane_type(), MEMORY, address, off);
            vector = self.builder.ins().insertlane(vector, value, lane);
        }
        vector
    }

    /// An address and an offset that lead so far from an address.
    fn reach(&mut self, address: Value, distance: i64) -> (Value, i32) {
        match i32::try_from(distance) {
            Ok(off) => (address, off),
            Err(_) => (self.builder.ins().iadd_imm_s(address, distance), 0),
        }
    }

    /// Where a whole vector begins, or in a tail the lane's element.
    pub(super) fn element(&mut self, ptr: Ptr) -> Value {
        let address = self.ptr(ptr);
        match &self.tail {
            Some(tail) => {
                let offset = tail.offset;
                self.builder.ins().iadd(address, offset)
            }
            None => address,
        }
    }
}
