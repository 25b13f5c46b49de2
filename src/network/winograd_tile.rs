//! Winograd's minimal filtering: its tiles, and the transform of weights. F(4x4, 3x3) needs a quarter of the multiplications. F(2x2, 3x3)
//! needs 4/9 of them, and suits outputs that 4x4 tiles would exceed too far.
//!
//! F(4x4, 3x3) uses the points 0, +-sqrt(1/2), +-sqrt(2) and infinity, with a rounding error close to the direct sum's; F(2x2, 3x3)
//! uses the usual 0, +-1 and infinity.

use std::array;

/// Size of a tile, by its rows and columns of outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tile {
    /// F(2x2, 3x3): 16 numbers per tile.
    Two,
    /// F(4x4, 3x3): 36 numbers per tile.
    Four,
}

impl Tile {
    /// Both sizes.
    pub const ALL: [Tile; 2] = [Tile::Two, Tile::Four];

    /// The tile with this number of rows and columns of outputs.
    pub(crate) fn of(outputs: u32) -> Option<Self> {
        Tile::ALL.into_iter().find(|tile| tile.outputs() as u32 == outputs)
    }

    /// Bound of the rounding error relative to the direct sum's, for each term. For positive and equal terms, the ratio of their sum to the
    /// sum of the nine products of the definition is the square of the largest row of |A'| (|B'| 1 * |G| 1), divided by 9.
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

    /// Numbers in a transformed tile, and in a transformed kernel.
    pub const fn points(self) -> usize {
        (self.outputs() + 2) * (self.outputs() + 2)
    }

    /// The matrix `G`.
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

    /// Calls `each`, in order, with the [`Tile::points`] rows of `G g G'` for `N` 3x3 kernels `g` (row-major) side by side.
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
