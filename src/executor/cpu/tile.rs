//! The inner product: computes a tile of pixels by a strip of output channels. Its sums stay in registers from the first weight
//! of a part to the last; the output holds the sum of the parts. So the rounding errors of a long sum grow with the length of a part
//! and with the number of parts, not with all of its terms (Higham 1993, "The Accuracy of Floating Point Summation").
//!
//! Each weight vector is loaded once for all pixels of the tile. Each input is loaded once and broadcast for all channels of the
//! strip. A library for matrix products would need the windows of a convolution as rows of a matrix in memory; here they are only
//! addresses.

use std::{array, ops::Range};

use pulp::{Arch, Simd, WithSimd};

use super::{
    lanes::{LANES, Lanes},
    simd::{fetch, relu, sigmoid_all},
    threads,
};
use crate::network::Activation;

/// Largest number of blocks in a strip.
pub(super) const BLOCKS: usize = 2;

/// A tile: outputs of consecutive pixels, whose inputs are consecutive too.
pub(super) struct Tile<'a, const C: usize> {
    /// The inputs, starting with the first pixel's first one.
    pub(super) x: &'a [[f32; C]],
    /// Where the inputs of all pixels start, for each group of `C` terms of the sum.
    pub(super) offsets: &'a [u32],
    /// A vector over the strip's output channels for each term.
    pub(super) weights: &'a [Lanes],
    /// Weights that a later tile uses, to be fetched into the cache meanwhile.
    pub(super) ahead: &'a [Lanes],
    /// Whether each lane has inputs of its own, so that a group of `C` is one term.
    pub(super) own: bool,
    /// Start values of the sums, for each block of the strip.
    pub(super) bias: &'a [Lanes],
    /// Whether `y` holds the sums of earlier terms, to which these are added. If not, these start from the bias.
    pub(super) resumed: bool,
    /// Second addends of each block, one for each pixel.
    pub(super) residual: Option<[&'a [[f32; LANES]]; BLOCKS]>,
    pub(super) activation: Activation,
    /// The outputs of each block of the strip, one for each pixel. The second is empty if the strip has only one block.
    pub(super) y: [&'a mut [Lanes]; BLOCKS],
}

/// The size of tiles: enough sums to hide the latency of a multiply-add, and few enough to stay in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TileSize {
    /// At index `i`: pixels of a tile with `i + 1` blocks of output channels.
    pixels: [usize; BLOCKS],
    /// Largest number of blocks of output channels in a strip.
    pub(super) blocks: usize,
}

impl TileSize {
    /// The size for vectors of `lanes` lanes: there are 32 registers of 16 or 4 lanes, or 16 of 8.
    pub(super) const fn of(lanes: usize) -> Self {
        match lanes {
            16 => TileSize { pixels: [14, 8], blocks: 2 },
            4 | 8 => TileSize { pixels: [6; BLOCKS], blocks: 1 },
            _ => TileSize { pixels: [1; BLOCKS], blocks: 1 },
        }
    }

    /// The size for this machine.
    pub(super) fn here(arch: Arch) -> Self {
        struct Here;
        impl WithSimd for Here {
            type Output = TileSize;
            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> TileSize {
                TileSize::of(S::F32_LANES)
            }
        }
        arch.dispatch(Here)
    }

    /// Cuts `pixels` into tiles of nearly the same size, for a strip of `blocks` blocks.
    pub(super) fn cut(self, pixels: usize, blocks: usize) -> impl Iterator<Item = Range<usize>> {
        threads::cut(pixels, pixels.div_ceil(self.pixels[blocks - 1]))
    }
}

/// Computes a tile.
#[inline(always)]
pub(super) fn compute<S: Simd, const C: usize>(simd: S, tile: Tile<'_, C>) {
    macro_rules! by_pixels {
        ($vectors:literal: $($pixels:literal)*) => {
            match tile.y[0].len() {
                $($pixels if tile.own => simd.vectorize(Sized::<C, $pixels, $vectors, true>(tile)),)*
                $($pixels => simd.vectorize(Sized::<C, $pixels, $vectors, false>(tile)),)*
                more => unreachable!("a tile of {more} pixels"),
            }
        };
    }
    match (S::F32_LANES, tile.y[1].is_empty()) {
        (16, false) => by_pixels!(2: 1 2 3 4 5 6 7 8),
        (16, true) => by_pixels!(1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
        (8, _) => by_pixels!(2: 1 2 3 4 5 6),
        (4, _) => by_pixels!(4: 1 2 3 4 5 6),
        _ => by_pixels!(16: 1),
    }
}

/// A tile of `P` pixels by `N` vectors of output channels.
struct Sized<'a, const C: usize, const P: usize, const N: usize, const OWN: bool>(Tile<'a, C>);

impl<const C: usize, const P: usize, const N: usize, const OWN: bool> WithSimd for Sized<'_, C, P, N, OWN> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let per_block = LANES / S::F32_LANES;
        // Do not compile sizes that only other vectors use.
        if N < per_block || N > BLOCKS * per_block || (OWN && (C != LANES || N > per_block)) {
            return;
        }
        let Tile { residual, activation, mut y, .. } = self.0;
        let Tile { x, offsets, weights, ahead, bias, resumed, .. } = self.0;
        let start = if resumed { [[simd.splat_f32s(0.0); N]; P] } else { [vectors::<S, N>(bias)[0]; P] };
        let mut sums = if OWN {
            own_sums::<S, P, N>(simd, start, x.as_flattened(), offsets, weights)
        } else {
            sums::<S, C, P, N>(simd, start, x, offsets, weights, ahead)
        };
        if resumed {
            let stored = stored::<S, P, N>(&y);
            for (sum, stored) in sums.as_flattened_mut().iter_mut().zip(stored.as_flattened()) {
                *sum = simd.add_f32s(*sum, *stored);
            }
        }
        // Match here, outside the loop: the sums stay in registers only if the epilogue is known at compile time.
        match (residual.map(|planes| planes.map(|x| S::as_simd_f32s(x.as_flattened()).0)), activation) {
            (None, Activation::Relu) => store::<S, P, N>(&sums, &mut y, |sum, _, _| relu(simd, sum)),
            (Some(x), Activation::Relu) => {
                store::<S, P, N>(&sums, &mut y, |sum, block, i| relu(simd, simd.add_f32s(sum, x[block][i])));
            }
            (None, _) => store::<S, P, N>(&sums, &mut y, |sum, _, _| sum),
            (Some(x), _) => store::<S, P, N>(&sums, &mut y, |sum, block, i| simd.add_f32s(sum, x[block][i])),
        }
        if activation == Activation::Sigmoid {
            y.into_iter().for_each(sigmoid_all);
        }
    }
}

/// Loads the sums that [`store`] wrote.
#[inline(always)]
fn stored<S: Simd, const P: usize, const N: usize>([first, second]: &[&mut [Lanes]; BLOCKS]) -> [[S::f32s; N]; P] {
    let vectors = LANES / S::F32_LANES;
    let first = &S::as_simd_f32s(bytemuck::cast_slice(first)).0[..P * vectors];
    let second = &S::as_simd_f32s(bytemuck::cast_slice(second)).0[..P * (N - vectors)];
    array::from_fn(|p| {
        array::from_fn(|n| {
            let i = p * vectors + n % vectors;
            if n < vectors { first[i] } else { second[i] }
        })
    })
}

/// Stores `finish` of each sum. `finish` also gets the block of the strip and the number of the vector in it.
#[inline(always)]
fn store<S: Simd, const P: usize, const N: usize>(
    sums: &[[S::f32s; N]; P],
    [first, second]: &mut [&mut [Lanes]; BLOCKS],
    finish: impl Fn(S::f32s, usize, usize) -> S::f32s,
) {
    let vectors = LANES / S::F32_LANES;
    let first = &mut S::as_mut_simd_f32s(bytemuck::cast_slice_mut(first)).0[..P * vectors];
    let second = &mut S::as_mut_simd_f32s(bytemuck::cast_slice_mut(second)).0[..P * (N - vectors)];
    for (p, sums) in sums.iter().enumerate() {
        for (n, sum) in sums.iter().enumerate() {
            let (block, i) = (n / vectors, p * vectors + n % vectors);
            let y = if block == 0 { &mut first[i] } else { &mut second[i] };
            *y = finish(*sum, block, i);
        }
    }
}

/// Adds inputs times weights to the sums of each pixel, in the order of the weights.
#[inline(always)]
fn sums<S: Simd, const C: usize, const P: usize, const N: usize>(
    simd: S,
    mut sums: [[S::f32s; N]; P],
    x: &[[f32; C]],
    offsets: &[u32],
    weights: &[Lanes],
    ahead: &[Lanes],
) -> [[S::f32s; N]; P] {
    let terms = vectors::<S, N>(weights).as_chunks::<C>().0;
    let mut ahead = ahead.chunks(ahead.len().div_ceil(offsets.len()).max(1));
    for (&offset, terms) in offsets.iter().zip(terms) {
        ahead.next().into_iter().flatten().for_each(fetch);
        let x: &[[f32; C]; P] = x[offset as usize..][..P].try_into().expect("a slice of P vectors");
        for (c, weights) in terms.iter().enumerate() {
            for p in 0..P {
                let x = simd.splat_f32s(x[p][c]);
                for n in 0..N {
                    sums[p][n] = simd.mul_add_e_f32s(x, weights[n], sums[p][n]);
                }
            }
        }
    }
    sums
}

/// Like [`sums`], with other inputs for each lane.
#[inline(always)]
fn own_sums<S: Simd, const P: usize, const N: usize>(
    simd: S,
    mut sums: [[S::f32s; N]; P],
    x: &[f32],
    offsets: &[u32],
    weights: &[Lanes],
) -> [[S::f32s; N]; P] {
    let x = S::as_simd_f32s(x).0.as_chunks::<N>().0;
    for (&offset, weights) in offsets.iter().zip(vectors::<S, N>(weights)) {
        let x: &[[S::f32s; N]; P] = x[offset as usize..][..P].try_into().expect("a slice of P vectors");
        for p in 0..P {
            for n in 0..N {
                sums[p][n] = simd.mul_add_e_f32s(x[p][n], weights[n], sums[p][n]);
            }
        }
    }
    sums
}

/// `lanes` as rows of `N` vectors.
#[inline(always)]
fn vectors<S: Simd, const N: usize>(lanes: &[Lanes]) -> &[[S::f32s; N]] {
    S::as_simd_f32s(bytemuck::cast_slice(lanes)).0.as_chunks().0
}
