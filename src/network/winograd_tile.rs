//! The tiles of Winograd's minimal filtering, and what they make of weights: F(4x4, 3x3) with a quarter of the multiplications, F(2x2, 3x3)
//! with 4/9 of them for outputs that tiles of 4x4 would overlap too far.
//!
//! The points of F(4x4, 3x3) are 0, +-sqrt(1/2), +-sqrt(2) and infinity, which keep the rounding error near that of the direct sum; those
//! of F(2x2, 3x3) are the usual 0, +-1 and infinity.

use std::array;

/// Rows and columns of outputs that a tile yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tile {
    /// F(2x2, 3x3): 16 numbers a tile.
    Two,
    /// F(4x4, 3x3): 36 numbers a tile.
    Four,
}

impl Tile {
    /// Both of them.
    pub const ALL: [Tile; 2] = [Tile::Two, Tile::Four];

    /// The tile with so many rows and columns of outputs.
    pub(crate) fn of(outputs: u32) -> Option<Self> {
        Tile::ALL.into_iter().find(|tile| tile.outputs() as u32 == outputs)
    }

    /// By how much more than the direct sum a sum in this form can be off, for each term: if all terms were positive and equal, their sum over
    /// that of the nine products of the definition would be the square of the largest row of |A'| (|B'| 1 * |G| 1), over 9.
    pub(crate) const fn growth(self) -> f32 {
        match self {
            Tile::Two => 64.0 / 9.0,
            Tile::Four => 620.0 / 9.0,
        }
    }

    /// Rows and columns of outputs.
    pub const fn outputs(self) -> usize {
        match self {
            Tile::Two => 2,
            Tile::Four => 4,
        }
    }

    /// Numbers of a tile, and of a kernel.
    pub const fn points(self) -> usize {
        (self.outputs() + 2) * (self.outputs() + 2)
    }

    /// `G`.
    const fn rows(self) -> &'static [[f64; 3]] {
        const S: f64 = std::f64::consts::SQRT_2;
        match self {
            Tile::Two => &[[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]],
            Tile::Four => &[
                [1.0, 0.0, 0.0],
                [-2.0 / 3.0, -S / 3.0, -1.0 / 3.0],
                [-2.0 / 3.0, S / 3.0, -1.0 / 3.0],
                [1.0 / 6.0, S / 6.0, 1.0 / 3.0],
                [1.0 / 6.0, -S / 6.0, 1.0 / 3.0],
                [0.0, 0.0, 1.0],
            ],
        }
    }

    /// Calls `each` with the [`Tile::points`] rows of `G g G'` of `N` 3x3 kernels `g` (row-major) side by side, in order.
    pub fn transform<const N: usize>(self, g: [[f64; N]; 9], mut each: impl FnMut([f64; N])) {
        let dot = |row: [f64; 3], v: [[f64; N]; 3]| {
            array::from_fn(|n| row[0] * v[0][n] + row[1] * v[1][n] + row[2] * v[2][n])
        };
        for row in self.rows() {
            let half = [0, 1, 2].map(|j| dot(*row, [g[j], g[3 + j], g[6 + j]]));
            self.rows().iter().for_each(|other| each(dot(*other, half)));
        }
    }
}
