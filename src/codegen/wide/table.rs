//! Which instructions the two wide tiers have for each operation.

use iced_x86::Code;

use crate::codegen::Isa;
use crate::kernel::Cmp;

/// The form of one instruction for 256-bit and for 512-bit vectors.
#[derive(Clone, Copy)]
pub(super) struct Pair(pub(super) Code, pub(super) Code);

impl Pair {
    pub(super) fn of(self, isa: Isa) -> Code {
        match isa {
            Isa::Avx512 => self.1,
            Isa::Avx2 | Isa::Baseline => self.0,
        }
    }
}

/// An operation whose result may be any register, and whose last source may lie in memory.
#[derive(Clone, Copy)]
pub(super) struct Simple {
    pub(super) code: Pair,
    /// Whether the two sources may change places.
    pub(super) commutes: bool,
}

const fn ordered(ymm: Code, zmm: Code) -> Simple {
    Simple {
        code: Pair(ymm, zmm),
        commutes: false,
    }
}

const fn commuting(ymm: Code, zmm: Code) -> Simple {
    Simple {
        code: Pair(ymm, zmm),
        commutes: true,
    }
}

pub(super) const ADD: Simple = commuting(
    Code::VEX_Vaddps_ymm_ymm_ymmm256,
    Code::EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er,
);
pub(super) const SUB: Simple = ordered(
    Code::VEX_Vsubps_ymm_ymm_ymmm256,
    Code::EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er,
);
pub(super) const MUL: Simple = commuting(
    Code::VEX_Vmulps_ymm_ymm_ymmm256,
    Code::EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er,
);
pub(super) const DIV: Simple = ordered(
    Code::VEX_Vdivps_ymm_ymm_ymmm256,
    Code::EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er,
);
/// `minps` gives its second source where either is NaN or both are zero: it is `a < b ? a : b`.
pub(super) const MIN: Simple = ordered(
    Code::VEX_Vminps_ymm_ymm_ymmm256,
    Code::EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae,
);
/// As `MIN`, for `a > b ? a : b`.
pub(super) const MAX: Simple = ordered(
    Code::VEX_Vmaxps_ymm_ymm_ymmm256,
    Code::EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae,
);
pub(super) const IADD: Simple = commuting(
    Code::VEX_Vpaddd_ymm_ymm_ymmm256,
    Code::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32,
);
pub(super) const ISUB: Simple = ordered(
    Code::VEX_Vpsubd_ymm_ymm_ymmm256,
    Code::EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32,
);
pub(super) const IMUL: Simple = commuting(
    Code::VEX_Vpmulld_ymm_ymm_ymmm256,
    Code::EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32,
);
pub(super) const AND: Simple = commuting(
    Code::VEX_Vpand_ymm_ymm_ymmm256,
    Code::EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32,
);
pub(super) const OR: Simple = commuting(
    Code::VEX_Vpor_ymm_ymm_ymmm256,
    Code::EVEX_Vpord_zmm_k1z_zmm_zmmm512b32,
);
pub(super) const XOR: Simple = commuting(
    Code::VEX_Vpxor_ymm_ymm_ymmm256,
    Code::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32,
);
pub(super) const SQRT: Simple = ordered(
    Code::VEX_Vsqrtps_ymm_ymmm256,
    Code::EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er,
);
/// With [`TO_NEAREST_EVEN`].
pub(super) const ROUND: Simple = ordered(
    Code::VEX_Vroundps_ymm_ymmm256_imm8,
    Code::EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae,
);
pub(super) const TO_INT: Simple = ordered(
    Code::VEX_Vcvtps2dq_ymm_ymmm256,
    Code::EVEX_Vcvtps2dq_zmm_k1z_zmmm512b32_er,
);
pub(super) const TO_FLOAT: Simple = ordered(
    Code::VEX_Vcvtdq2ps_ymm_ymmm256,
    Code::EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er,
);

/// Rounds to nearest even, whatever the thread's mode, and raises no inexact flag.
pub(super) const TO_NEAREST_EVEN: u8 = 8;

pub(super) const SHL: Pair = Pair(
    Code::VEX_Vpslld_ymm_ymm_imm8,
    Code::EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8,
);
pub(super) const SHR: Pair = Pair(
    Code::VEX_Vpsrld_ymm_ymm_imm8,
    Code::EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8,
);
pub(super) const MOVE: Pair = Pair(
    Code::VEX_Vmovaps_ymm_ymmm256,
    Code::EVEX_Vmovaps_zmm_k1z_zmmm512,
);
pub(super) const LOAD: Pair = Pair(
    Code::VEX_Vmovups_ymm_ymmm256,
    Code::EVEX_Vmovups_zmm_k1z_zmmm512,
);
pub(super) const STORE: Pair = Pair(
    Code::VEX_Vmovups_ymmm256_ymm,
    Code::EVEX_Vmovups_zmmm512_k1z_zmm,
);
/// Past the caches, to an address that is a multiple of a vector's bytes.
pub(super) const STREAM: Pair = Pair(Code::VEX_Vmovntps_m256_ymm, Code::EVEX_Vmovntps_m512_zmm);
/// Under a mask: a vector of masks, or a mask register.
pub(super) const LOAD_MASKED: Pair = Pair(Code::VEX_Vmaskmovps_ymm_ymm_m256, LOAD.1);
/// As `LOAD_MASKED`.
pub(super) const STORE_MASKED: Pair = Pair(Code::VEX_Vmaskmovps_m256_ymm_ymm, STORE.1);
/// From memory.
pub(super) const BROADCAST: Pair = Pair(
    Code::VEX_Vbroadcastss_ymm_m32,
    Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32,
);
/// From the first lane of a register.
pub(super) const SPREAD: Pair = Pair(
    Code::VEX_Vbroadcastss_ymm_xmm,
    Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32,
);

/// a · c + b, b · a + c, and b · c + a, where a is the register that is overwritten.
pub(super) struct Fused {
    pub(super) f132: Pair,
    pub(super) f213: Pair,
    pub(super) f231: Pair,
}

pub(super) const FMA: Fused = Fused {
    f132: Pair(
        Code::VEX_Vfmadd132ps_ymm_ymm_ymmm256,
        Code::EVEX_Vfmadd132ps_zmm_k1z_zmm_zmmm512b32_er,
    ),
    f213: Pair(
        Code::VEX_Vfmadd213ps_ymm_ymm_ymmm256,
        Code::EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er,
    ),
    f231: Pair(
        Code::VEX_Vfmadd231ps_ymm_ymm_ymmm256,
        Code::EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er,
    ),
};
pub(super) const FMA_NEG: Fused = Fused {
    f132: Pair(
        Code::VEX_Vfnmadd132ps_ymm_ymm_ymmm256,
        Code::EVEX_Vfnmadd132ps_zmm_k1z_zmm_zmmm512b32_er,
    ),
    f213: Pair(
        Code::VEX_Vfnmadd213ps_ymm_ymm_ymmm256,
        Code::EVEX_Vfnmadd213ps_zmm_k1z_zmm_zmmm512b32_er,
    ),
    f231: Pair(
        Code::VEX_Vfnmadd231ps_ymm_ymm_ymmm256,
        Code::EVEX_Vfnmadd231ps_zmm_k1z_zmm_zmmm512b32_er,
    ),
};

/// The immediate of a float comparison; ordered ones are quiet.
pub(super) fn float_predicate(cmp: Cmp) -> u8 {
    match cmp {
        Cmp::Eq => 0x00,
        Cmp::Ne => 0x04,
        Cmp::Lt => 0x11,
        Cmp::Le => 0x12,
        Cmp::Gt => 0x1E,
        Cmp::Ge => 0x1D,
        Cmp::Unordered => 0x03,
    }
}

/// The immediate of `vpcmpd`.
pub(super) fn int_predicate(cmp: Cmp) -> u8 {
    match cmp {
        Cmp::Eq => 0,
        Cmp::Lt => 1,
        Cmp::Le => 2,
        Cmp::Ne => 4,
        Cmp::Ge => 5,
        Cmp::Gt => 6,
        Cmp::Unordered => panic!("integers are never unordered"),
    }
}
