//! Converts between host tensors (NCHW, f32) and device buffers (NHWC, channels padded to four, f32 or f16).

use std::borrow::Cow;

use half::f16;

use crate::{
    executor::gpu::{
        kernels::{View, pixels},
        plan::Placed,
    },
    tensor::{Input, PixelBatch, StorageType, Tensor},
};

/// Bytes of the buffer that a value lies in.
pub(super) fn bytes(placed: &Placed) -> usize {
    placed.buffer_bytes() as usize
}

/// One NaN as f32, two as f16, with bits that no arithmetic yields. A result that still holds it was not written.
const CANARY: u32 = 0x7fda_7fda;

/// A buffer of `bytes` bytes full of canaries.
pub(super) fn canary(bytes: u64) -> Vec<u8> {
    CANARY.to_le_bytes().repeat(bytes as usize / 4)
}

/// Whether an element of `value`, read from `placed`, is a canary.
pub(super) fn has_canary(value: &Tensor, placed: &Placed) -> bool {
    let canary = match placed.stored {
        StorageType::F32 => CANARY,
        StorageType::F16 => f16::from_bits(CANARY as u16).to_f32().to_bits(),
    };
    value.data.iter().any(|element| element.to_bits() == canary)
}

/// Encodes values as a buffer stores them.
pub(super) fn encode(values: &[f32], stored: StorageType) -> Cow<'_, [u8]> {
    match stored {
        StorageType::F32 => bytemuck::cast_slice(values).into(),
        StorageType::F16 => values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect(),
    }
}

/// The bytes of `input` to upload; the network reads them at `placed`.
pub(super) fn to_device(input: Input<'_>, placed: &Placed) -> Vec<u8> {
    match input {
        Input::Values(tensor) => values(tensor, placed),
        Input::Pixels(batch) => pixels(batch, placed),
    }
}

/// The table of normalised values, rounded to the stored type so that the kernel need not round, then the pixels.
fn pixels(batch: &PixelBatch, placed: &Placed) -> Vec<u8> {
    let mut source = Vec::with_capacity(pixels::source_bytes(placed.view.pixels()));
    let rounded = |&value: &f32| match placed.stored {
        StorageType::F32 => value,
        StorageType::F16 => f16::from_f32(value).to_f32(),
    };
    source.extend(batch.table.as_flattened().iter().map(rounded).flat_map(f32::to_le_bytes));
    source.extend(&batch.bytes);
    source.resize(pixels::source_bytes(placed.view.pixels()), 0);
    source
}

/// The bytes of `tensor` as the buffer of `placed` holds them.
fn values(tensor: &Tensor, placed: &Placed) -> Vec<u8> {
    let View { shape, stride, offset } = placed.view;
    let (stride, offset) = (4 * stride as usize, 4 * offset as usize);
    let mut values = vec![0.0; placed.view.buffer_elements()];
    for n in 0..shape.n {
        let image = tensor.image(n);
        for (c, plane) in image.chunks_exact(shape.pixels()).enumerate() {
            for (p, &value) in plane.iter().enumerate() {
                values[(n * shape.pixels() + p) * stride + offset + c] = value;
            }
        }
    }
    encode(&values, placed.stored).into_owned()
}

/// Decodes the tensor from the bytes of the buffer of `placed`.
pub(super) fn to_host(bytes: &[u8], placed: &Placed) -> Tensor {
    let View { shape, stride, offset } = placed.view;
    let (stride, offset) = (4 * stride as usize, 4 * offset as usize);
    let value = |i: usize| match placed.stored {
        StorageType::F32 => bytemuck::pod_read_unaligned::<f32>(&bytes[4 * i..4 * i + 4]),
        StorageType::F16 => bytemuck::pod_read_unaligned::<f16>(&bytes[2 * i..2 * i + 2]).to_f32(),
    };
    let mut tensor = Tensor::zeros(shape);
    let mut at = 0;
    for n in 0..shape.n {
        for c in 0..shape.c {
            for p in 0..shape.pixels() {
                tensor.data[at] = value((n * shape.pixels() + p) * stride + offset + c);
                at += 1;
            }
        }
    }
    tensor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Shape;

    #[test]
    fn there_and_back() {
        let shape = Shape::new(2, 5, 3, 2);
        let tensor = Tensor::new(shape, (0..shape.elements()).map(|i| i as f32).collect());
        for stored in [StorageType::F32, StorageType::F16] {
            let placed = Placed { buffer: 0, view: View { shape, stride: 4, offset: 1 }, stored };
            let device = to_device(Input::Values(&tensor), &placed);
            assert_eq!(device.len(), bytes(&placed));
            assert_eq!(to_host(&device, &placed), tensor);
        }
    }
}
