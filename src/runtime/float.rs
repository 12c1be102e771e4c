//! The floating-point mode of threads that run kernels.
#![allow(
    unsafe_code,
    reason = "reads and writes the control register of vector arithmetic"
)]

/// Flushes denormal results and operands to zero until dropped: a decaying value that reaches the
/// denormals can slow a kernel a hundredfold. On machines without such a mode it does nothing.
#[derive(Debug)]
pub struct FlushToZero {
    before: u32,
}

/// Flush-to-zero (bit 15) and denormals-are-zero (bit 6) of MXCSR.
const FLUSH: u32 = 1 << 15 | 1 << 6;

impl FlushToZero {
    /// Sets the mode of this thread.
    pub fn set() -> FlushToZero {
        let before = control();
        set_control(before | FLUSH);
        FlushToZero { before }
    }

    /// Sets the mode of this thread for good; for threads that are the runtime's own.
    pub fn keep() {
        set_control(control() | FLUSH);
    }
}

impl Drop for FlushToZero {
    fn drop(&mut self) {
        set_control(self.before);
    }
}

#[cfg(target_arch = "x86_64")]
fn control() -> u32 {
    let mut value = 0_u32;
    // SAFETY: `stmxcsr` writes four bytes to the address of a local variable; SSE is part of x86-64.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack)) };
    value
}

#[cfg(target_arch = "x86_64")]
fn set_control(value: u32) {
    // SAFETY: `ldmxcsr` reads four bytes of a local variable that came from `stmxcsr` but for the two
    // documented flush bits, so no reserved bit is set.
    unsafe {
        std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack, readonly))
    };
}

#[cfg(not(target_arch = "x86_64"))]
fn control() -> u32 {
    0
}

#[cfg(not(target_arch = "x86_64"))]
fn set_control(_: u32) {}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn denormals_vanish_only_while_set() {
        let half = || black_box(f32::MIN_POSITIVE) * black_box(0.5);
        assert!(half() > 0.0);
        {
            let _mode = FlushToZero::set();
            assert_eq!(half(), 0.0);
        }
        assert!(half() > 0.0);
    }
}
