//! The floating-point formats that are converted to f32 on reading.

use safetensors::tensor::Dtype;

/// The stored forms of a number that convert to f32.
#[derive(Debug, Clone, Copy)]
pub(super) enum FloatFormat {
    F16,
    Bf16,
    F32,
    F64,
}

impl FloatFormat {
    /// The format of a stored type, or `None` where the values are no plain floating-point numbers.
    /// The foreign enum may grow, and a type that is not known here must be refused, so everything
    /// else is one arm.
    pub(super) fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F16 => Some(Self::F16),
            Dtype::BF16 => Some(Self::Bf16),
            Dtype::F32 => Some(Self::F32),
            Dtype::F64 => Some(Self::F64),
            _ => None,
        }
    }

    pub(super) fn size(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Converts a run of little-endian values; the caller gives as many bytes as `out` needs.
    pub(super) fn convert(self, bytes: &[u8], out: &mut [f32]) {
        fn each<const SIZE: usize>(
            bytes: &[u8],
            out: &mut [f32],
            value: impl Fn([u8; SIZE]) -> f32,
        ) {
            let (values, _) = bytes.as_chunks::<SIZE>();
            for (out, &bytes) in out.iter_mut().zip(values) {
                *out = value(bytes);
            }
        }
        match self {
            Self::F16 => each(bytes, out, |b| f16_to_f32(u16::from_le_bytes(b))),
            Self::Bf16 => each(bytes, out, |b| {
                f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)
            }),
            Self::F32 => each(bytes, out, f32::from_le_bytes),
            Self::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
        }
    }
}

/// Converts an IEEE half: sign, 5 exponent bits biased by 15, 10 fraction bits. Every half is exact
/// in f32.
fn f16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let fraction = u32::from(bits) & 0x3ff;
    let magnitude = match exponent {
        // Subnormal halves are multiples of 2^-24, which are normal in f32.
        0 => (fraction as f32 * 2.0_f32.powi(-24)).to_bits(),
        0x1f => 0x7f80_0000 | fraction << 13,
        _ => (exponent + (127 - 15)) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_every_kind_of_half() {
        let check = |bits: u16, expected: f32| {
            assert_eq!(
                f16_to_f32(bits).to_bits(),
                expected.to_bits(),
                "{bits:#06x}"
            )
        };
        check(0x0000, 0.0);
        check(0x8000, -0.0);
        check(0x3c00, 1.0);
        check(0xc000, -2.0);
        check(0x7bff, 65504.0);
        check(0x0400, 2.0_f32.powi(-14));
        check(0x0001, 2.0_f32.powi(-24));
        check(0x83ff, -1023.0 * 2.0_f32.powi(-24));
        check(0x7c00, f32::INFINITY);
        check(0xfc00, f32::NEG_INFINITY);
        assert!(f16_to_f32(0x7e00).is_nan());
    }

    #[test]
    fn converts_the_other_formats() {
        let check = |format: FloatFormat, bytes: &[u8], expected: f32| {
            let mut out = [0.0];
            format.convert(bytes, &mut out);
            assert_eq!(out, [expected], "{format:?}");
        };
        check(FloatFormat::F16, &[0x00, 0xbe], -1.5);
        check(FloatFormat::Bf16, &[0xc0, 0x3f], 1.5);
        check(FloatFormat::F32, &0.1_f32.to_le_bytes(), 0.1);
        check(FloatFormat::F64, &0.1_f64.to_le_bytes(), 0.1);
    }
}
