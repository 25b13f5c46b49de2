//! Converts stored bytes to f32 values.

use std::borrow::Cow;

use half::{bf16, f16};
use safetensors::Dtype;

/// Epsilon of batch normalisation in all supported networks.
const BATCH_NORM_EPS: f32 = 1e-5;

/// The values of a tensor; `None` if `dtype` is not a weight type. F64 beyond the range of f32 becomes infinite.
pub(super) fn widen(bytes: &[u8], dtype: Dtype) -> Option<Cow<'_, [f32]>> {
    Some(match dtype {
        Dtype::F32 => match bytemuck::try_cast_slice(bytes) {
            Ok(values) if cfg!(target_endian = "little") => Cow::Borrowed(values),
            _ => elements(bytes, f32::from_le_bytes),
        },
        Dtype::F16 => elements(bytes, |b| f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => elements(bytes, |b| bf16::from_le_bytes(b).to_f32()),
        Dtype::F64 => elements(bytes, |b| f64::from_le_bytes(b) as f32),
        Dtype::F8_E4M3 => elements(bytes, |[b]| e4m3(b)),
        Dtype::F8_E5M2 => elements(bytes, |[b]| e5m2(b)),
        _ => return None,
    })
}

/// The value of an 8-bit float with 4 bits of exponent, which has no infinity (Micikevicius et al. 2022, "FP8 Formats for Deep Learning",
/// table 1).
fn e4m3(bits: u8) -> f32 {
    let (exponent, mantissa) = (u32::from(bits >> 3 & 0xf), u32::from(bits & 7));
    let magnitude = match (exponent, mantissa) {
        (15, 7) => f32::NAN,
        (0, mantissa) => mantissa as f32 / 512.0,
        // The biases of the exponents are 7 and 127.
        _ => f32::from_bits((exponent + 120) << 23 | mantissa << 20),
    };
    if bits & 0x80 == 0 { magnitude } else { -magnitude }
}

/// The value of an 8-bit float with 5 bits of exponent: the first half of an f16.
fn e5m2(bits: u8) -> f32 {
    f16::from_bits(u16::from(bits) << 8).to_f32()
}

/// Whether tensors of this type can be weights.
pub(super) fn is_weight(dtype: Dtype) -> bool {
    widen(&[], dtype).is_some()
}

fn elements<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Cow<'static, [f32]> {
    let (chunks, _) = bytes.as_chunks::<N>();
    Cow::Owned(chunks.iter().map(|chunk| value(*chunk)).collect())
}

/// The largest magnitude among the values of a tensor; infinite or NaN if a value is, as f32. `None` if `dtype` is not a weight
/// type.
pub(super) fn largest(bytes: &[u8], dtype: Dtype) -> Option<f32> {
    // Without the sign bit, the bits of floats sort like their magnitudes, with infinity and NaN last.
    const MAGNITUDE: u32 = u32::MAX >> 1;
    Some(match dtype {
        Dtype::F32 => f32::from_bits(top(bytes, |b| u32::from_le_bytes(b) & MAGNITUDE)),
        Dtype::F16 => f16::from_bits(top(bytes, |b| u16::from_le_bytes(b) & 0x7fff)).to_f32(),
        Dtype::BF16 => bf16::from_bits(top(bytes, |b| u16::from_le_bytes(b) & 0x7fff)).to_f32(),
        Dtype::F64 => f32::from_bits(top(bytes, |b| (f64::from_le_bytes(b) as f32).to_bits() & MAGNITUDE)),
        Dtype::F8_E4M3 => e4m3(top(bytes, |[b]| b & 0x7f)),
        Dtype::F8_E5M2 => e5m2(top(bytes, |[b]| b & 0x7f)),
        _ => return None,
    })
}

fn top<const N: usize, T: Ord + Default>(bytes: &[u8], magnitude: impl Fn([u8; N]) -> T) -> T {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().fold(T::default(), |top, chunk| top.max(magnitude(*chunk)))
}

/// Index of the first bad value: one that is not finite, unless `nonfinite` allows it, or a `variance` so negative that `variance
/// + eps` has no inverse root.
pub(super) fn first_bad(values: &[f32], variance: bool, nonfinite: bool) -> Option<usize> {
    values.iter().position(|v| (!nonfinite && !v.is_finite()) || (variance && *v <= -BATCH_NORM_EPS))
}

/// Element `index` as text: the stored value, if narrowing to f32 lost it.
pub(super) fn describe(bytes: &[u8], dtype: Dtype, index: usize, value: f32) -> String {
    let stored = bytes.as_chunks::<8>().0.get(index).map(|chunk| f64::from_le_bytes(*chunk));
    match stored {
        Some(stored) if dtype == Dtype::F64 && stored.is_finite() && value.is_infinite() => {
            format!("{stored:e}, which is beyond f32,")
        }
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unaligned_f32_is_copied_with_the_same_values() {
        let values = [1.5f32, -2.25, 3e-40];
        let mut bytes = [0u8; 16];
        for offset in 0..4 {
            for (i, v) in values.iter().enumerate() {
                bytes[offset + 4 * i..offset + 4 * i + 4].copy_from_slice(&v.to_le_bytes());
            }
            assert_eq!(widen(&bytes[offset..offset + 12], Dtype::F32).unwrap().as_ref(), values);
        }
    }

    #[test]
    fn the_largest_magnitude_is_infinite_or_nan_if_a_value_is() {
        let of = |values: &[f64]| {
            let bytes =
                |each: &dyn Fn(f64) -> Vec<u8>| values.iter().flat_map(|value| each(*value)).collect::<Vec<u8>>();
            [
                largest(&bytes(&|v| (v as f32).to_le_bytes().into()), Dtype::F32),
                largest(&bytes(&|v| v.to_le_bytes().into()), Dtype::F64),
                largest(&bytes(&|v| f16::from_f64(v).to_le_bytes().into()), Dtype::F16),
                largest(&bytes(&|v| bf16::from_f64(v).to_le_bytes().into()), Dtype::BF16),
            ]
            .map(Option::unwrap)
        };
        assert_eq!(of(&[]), [0.0; 4]);
        assert_eq!(of(&[1.0, -2.5, 2.0]), [2.5; 4]);
        assert_eq!(of(&[1.0, f64::NEG_INFINITY, 2.0]), [f32::INFINITY; 4]);
        assert!(of(&[1.0, f64::NAN, f64::INFINITY]).into_iter().all(f32::is_nan));
        assert_eq!(largest(&1e300f64.to_le_bytes(), Dtype::F64), Some(f32::INFINITY), "beyond f32");
        assert_eq!(largest(&[1, 2], Dtype::U8), None);
    }

    #[test]
    fn every_8_bit_float_widens_to_the_value_it_stands_for() {
        let exact = |bits: u8, exponents: u32, bias: i32| {
            let mantissas = 7 - exponents;
            let (exponent, mantissa) = (i32::from(bits & 0x7f) >> mantissas, f64::from(bits & ((1 << mantissas) - 1)));
            let fraction = mantissa / f64::from(1 << mantissas);
            let magnitude = match exponent {
                0 => fraction * 2f64.powi(1 - bias),
                _ => (1.0 + fraction) * 2f64.powi(exponent - bias),
            };
            if bits & 0x80 == 0 { magnitude } else { -magnitude }
        };
        for bits in 0..=u8::MAX {
            let [e4m3, e5m2] = [Dtype::F8_E4M3, Dtype::F8_E5M2].map(|dtype| widen(&[bits], dtype).unwrap()[0]);
            match bits & 0x7f {
                0x7f => assert!(e4m3.is_nan() && e5m2.is_nan()),
                0x7c => assert!(e5m2.is_infinite() && f64::from(e4m3) == exact(bits, 4, 7)),
                0x7d | 0x7e => assert!(e5m2.is_nan() && f64::from(e4m3) == exact(bits, 4, 7)),
                _ => {
                    assert_eq!([e4m3, e5m2].map(f64::from), [exact(bits, 4, 7), exact(bits, 5, 15)], "{bits:#x}");
                }
            }
        }
        let of = |dtype| largest(&[0x08, 0xb8, 0x30], dtype).unwrap();
        assert_eq!([of(Dtype::F8_E4M3), of(Dtype::F8_E5M2)], [1.0, 0.5]);
        assert!(largest(&[0x7f, 0x10], Dtype::F8_E4M3).unwrap().is_nan());
    }

    #[test]
    fn every_f16_and_bf16_widens_to_the_value_it_stands_for() {
        for bits in 0..=u16::MAX {
            let bytes = bits.to_le_bytes();
            let half = widen(&bytes, Dtype::F16).unwrap()[0];
            assert!(
                half.is_nan() && f16::from_bits(bits).is_nan() || f16::from_f32(half).to_bits() == bits,
                "f16 {bits:#x}"
            );
            let brain = widen(&bytes, Dtype::BF16).unwrap()[0];
            assert!(
                brain.is_nan() && bf16::from_bits(bits).is_nan() || brain.to_bits() == u32::from(bits) << 16,
                "bf16 {bits:#x}"
            );
        }
    }
}
